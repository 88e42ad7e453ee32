"""The recipe of the house: every vertebra from T11 to L5 found in the volume, named, outlined and measured.

The published systems look at a fixed stretch of spine on their own scanner. Here the whole torso is seen at once, so
that the names rest on ribs and sacrum, and each body has a patch of its own, so that any field of view will do.
"""

from functools import partial

from trabecula.anatomy import MEASURED_LEVELS, Level
from trabecula.flow.diagnose import diagnose
from trabecula.flow.find import FinderSettings, find
from trabecula.flow.localise import projected
from trabecula.flow.measure import measure
from trabecula.flow.outline import PatchSettings, outline
from trabecula.recipe import Recipe
from trabecula.recipes.niu2023 import DENSITY

FINDER = FinderSettings(
    spacing_mm=3.0,  # ribs and discs can be told; a whole torso is two million voxels
    columns=96,  # 288 mm: the spine, the ribs' first third, the iliac crests
    window_hu=(225.0, 750.0),
)

PATCH = PatchSettings(
    shape=(56, 56, 64),  # 70 x 70 x 80 mm: the largest L5, tilted, and its neighbours' end plates
    spacing_mm=(1.25, 1.25, 1.25),
    window_hu=(125.0, 650.0),
)


def house() -> Recipe:
    """The default recipe."""
    return Recipe(
        name="house",
        source="Trabecula; measures as Niu 2023, doi 10.21037/qims-22-1438",
        localise=partial(
            find, weights="house-finder", settings=FINDER, witness=partial(projected, weights="niu2023-localiser")
        ),
        segment=partial(outline, weights="house-segmenter", levels=MEASURED_LEVELS, patch=PATCH),
        measure=partial(measure, weights="niu2023-densitometer", settings=DENSITY),
        diagnose=partial(diagnose, levels=(Level.L1, Level.L2), substitute=Level.T12),
        weights=("house-finder", "niu2023-localiser", "house-segmenter", "niu2023-densitometer"),
        settings={"levels": list(MEASURED_LEVELS)},
    )
