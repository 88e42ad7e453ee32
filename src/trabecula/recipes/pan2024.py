"""Pan et al., BMC Musculoskelet Disord 2024;25:176 (doi 10.1186/s12891-024-07297-1): categories from chest CTs.

Model 1 sees L1 and L2 in one image, model 2 L1 alone, which a chest CT shows more often. Ours, where the abstract is
silent: a 3-D U-Net in a crop about the vertebrae that the house's localiser found, and DenseNets. Where L2 cannot be
had, model 2 answers, and it is said.
"""

from dataclasses import replace

from trabecula.anatomy import Level
from trabecula.flow.calibrate.ladder import LadderCalibration
from trabecula.flow.diagnose.classifier import ClassifierDiagnosis
from trabecula.flow.measure.classifier import CategoryReading, Classifier
from trabecula.flow.segment.crop import CropSegmenter
from trabecula.recipe import Recipe
from trabecula.recipes.exclusions import EXCLUSIONS
from trabecula.recipes.house import HOUSE

BOTH, FIRST = (Level.L1, Level.L2), (Level.L1,)

PAPER = {
    "patients": {"segmentation": (548, 100, 400), "classification": (530, 100, 418)},
    "model 1": "L1 + L2 fusion image",
    "model 2": "L1",
    "reference": "QCT, three classes",
}
"""The published settings."""

PAN2024 = Recipe(
    name="pan2024",
    source="Pan 2024, doi 10.1186/s12891-024-07297-1",
    localise=HOUSE.localise,
    segment=CropSegmenter("pan2024-segmenter", BOTH),
    calibrate=LadderCalibration(),
    measure=CategoryReading(
        BOTH,
        each=Classifier("pan2024-classifier-l1", FIRST),
        joint=Classifier("pan2024-classifier", BOTH),
    ),
    exclude=EXCLUSIONS,
    diagnose=ClassifierDiagnosis(BOTH, alone=FIRST),
    notes={"paper": PAPER},
)

PAN2024_L1 = replace(
    PAN2024,
    name="pan2024-l1",
    segment=CropSegmenter("pan2024-segmenter", FIRST),
    measure=CategoryReading(FIRST, each=Classifier("pan2024-classifier-l1", FIRST)),
    diagnose=ClassifierDiagnosis(FIRST, judged_by=BOTH),
)
