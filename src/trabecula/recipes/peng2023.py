"""Peng et al. 2023, an abstract: VB-Net outlines trabecular bone, two DenseNets give its category and its BMD.

Ours, where the abstract is silent: L1 and L2, found by the house's localiser, each read by itself; DenseNets of fewer
layers than DenseNet-121; the person's category is that of the mean probabilities, and the density stands beside it.
"""

from trabecula.anatomy import Level
from trabecula.flow.calibrate.ladder import LadderCalibration
from trabecula.flow.diagnose.classifier import ClassifierDiagnosis
from trabecula.flow.measure.classifier import CategoryReading, Classifier
from trabecula.flow.measure.network import NetworkDensity
from trabecula.flow.segment.crop import CropSegmenter
from trabecula.recipe import Recipe
from trabecula.recipes.exclusions import EXCLUSIONS
from trabecula.recipes.house import HOUSE

LEVELS = (Level.L1, Level.L2)

PAPER = {
    "patients": {"training": 703, "test": 176, "independent test": 340},
    "independent test": "3 hospitals, 4 scanners",
    "networks": ("VB-Net", "DenseNet, three classes", "DenseNet, regression"),
    "reference": "QCT",
}
"""The published settings."""

PENG2023 = Recipe(
    name="peng2023",
    source="Peng 2023, three-class and regression DenseNets on VB-Net's trabecular bone",
    localise=HOUSE.localise,
    segment=CropSegmenter("peng2023-segmenter", LEVELS),
    calibrate=LadderCalibration(),
    measure=CategoryReading(
        LEVELS,
        each=Classifier("peng2023-classifier", LEVELS),
        density=NetworkDensity("peng2023-densitometer"),
    ),
    exclude=EXCLUSIONS,
    diagnose=ClassifierDiagnosis(LEVELS),
    notes={"paper": PAPER},
)
