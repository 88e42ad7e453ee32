"""Fang et al., Eur Radiol 2021;31:1831-42 (doi 10.1007/s00330-020-07312-8): L1 to L4 by a U-Net and DenseNet-121.

The abstract gives the networks, the vertebrae and the figures. Ours: the spine is found by the house's localiser; the
U-Net tells trabecular bone within the body, which is what the densitometer is shown; it sees nine sagittal planes of a
vertebra as the channels of one image.
"""

from trabecula.anatomy import Level
from trabecula.flow.calibrate.ladder import LadderCalibration
from trabecula.flow.diagnose.bands import BandDiagnosis
from trabecula.flow.measure.network import NetworkDensity
from trabecula.flow.segment.crop import CropSegmenter
from trabecula.recipe import Recipe
from trabecula.recipes.exclusions import EXCLUSIONS
from trabecula.recipes.house import HOUSE

LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)

PAPER = {
    "patients": {"training": 586, "tests by vendor": (463, 200, 200)},
    "networks": ("U-Net", "DenseNet-121"),
    "reference": "QCT, mean of L1 to L4",
}
"""The published settings."""

FANG2021 = Recipe(
    name="fang2021",
    source="Fang 2021, doi 10.1007/s00330-020-07312-8",
    localise=HOUSE.localise,
    segment=CropSegmenter("fang2021-segmenter", LEVELS),
    calibrate=LadderCalibration(),
    measure=NetworkDensity("fang2021-densitometer"),
    exclude=EXCLUSIONS,
    diagnose=BandDiagnosis(levels=LEVELS, substitutes=()),
    notes={"paper": PAPER},
)
