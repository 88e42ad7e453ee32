"""The recipe of the house: every vertebra from T11 to L5 found in the volume, named, outlined and measured.

The published systems look at a fixed stretch of spine on their own scanner. Here the whole torso is seen at once: one
network says what joins each body, two others what it looks like, and the names come from counting. Each body has a
patch of its own, so that any field of view will do.
"""

from trabecula.anatomy import MEASURED_LEVELS
from trabecula.flow.calibrate.ladder import LadderCalibration
from trabecula.flow.diagnose.bands import BandDiagnosis
from trabecula.flow.diagnose.shifted import NamesShifted
from trabecula.flow.localise.counting import CountingLocaliser
from trabecula.flow.localise.looks import NamesByLooks
from trabecula.flow.localise.projection import ProjectionLocaliser
from trabecula.flow.measure.network import NetworkDensity
from trabecula.flow.measure.region import RegionDensity
from trabecula.flow.segment.patch import PatchSegmenter
from trabecula.recipe import Recipe
from trabecula.recipes.exclusions import EXCLUSIONS

HOUSE = Recipe(
    name="house",
    source="Trabecula; measures where QCT does, and as Niu 2023 beside it, doi 10.21037/qims-22-1438",
    localise=CountingLocaliser(
        "house-counter", looks=NamesByLooks("house-finder"), projection=ProjectionLocaliser("niu2023-localiser")
    ),
    segment=PatchSegmenter("house-segmenter", MEASURED_LEVELS),
    calibrate=LadderCalibration(),
    measure=RegionDensity(NetworkDensity("niu2023-densitometer")),
    exclude=EXCLUSIONS,
    diagnose=NamesShifted(BandDiagnosis()),
)
