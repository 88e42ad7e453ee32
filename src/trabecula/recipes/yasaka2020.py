"""Yasaka et al., Eur Radiol 2020;30:3549-57 (doi 10.1007/s00330-020-06677-0): areal BMD from axial images.

Ours, where the abstract is silent: the images lie 6 mm apart about the middle of each of L1 to L4, which the house's
localiser finds, and show 160 x 120 mm round the spine.
"""

from trabecula.anatomy import Level
from trabecula.flow.calibrate.ladder import LadderCalibration
from trabecula.flow.diagnose.tscore import TScoreDiagnosis
from trabecula.flow.measure.axial import AxialImages
from trabecula.recipe import Recipe
from trabecula.recipes.exclusions import WHOLE_IMAGES
from trabecula.recipes.house import HOUSE

LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)

YOUNG = {"F": (0.805, 0.123), "M": (0.834, 0.126)}
"""Mean and SD in g/cm2 of the areal BMD of L1 to L4 of virtual women and men of 20 to 29 years, by a virtual DXA
(docs/results/young-reference.md): simulated, and no reference for a patient's own DXA."""

PAPER = {
    "patients": {"training": 183, "internal test": 45, "external test": 50},
    "images": {"training": 1665, "augmented": 99900},
    "reference": "DXA of the lumbar spine",
}
"""The published settings."""

YASAKA2020 = Recipe(
    name="yasaka2020",
    source="Yasaka 2020, doi 10.1007/s00330-020-06677-0",
    localise=HOUSE.localise,
    segment=None,
    calibrate=LadderCalibration(),
    measure=AxialImages("yasaka2020-reader", LEVELS),
    exclude=WHOLE_IMAGES,
    diagnose=TScoreDiagnosis(LEVELS, YOUNG),
    notes={"paper": PAPER},
)
