"""The three networks of Pan 2024: a 3-D U-Net outlines bone, two classifiers see L1 and L2 in one image, or L1 alone.

The category is the person's, by the QCT of L1 and L2, for both models. The abstract names neither networks nor input
sizes: a U-Net and a DenseNet are ours.
"""

from functools import partial

from torch import nn

from trabecula.anatomy import Level
from trabecula.networks.densenet import slim_densenet3d
from trabecula.networks.plain_unet import VOLUME_WIDTHS, UNet
from trabecula.quantity import CATEGORIES
from trabecula.training import losses, scores
from trabecula.training.loop import Schedule
from trabecula.training.needs import OUTLINES, density_of
from trabecula.training.samples import density, patch, spine
from trabecula.training.task import Rule, Task, schedules
from trabecula.view import Classes, View

BOTH, FIRST = (Level.L1, Level.L2), (Level.L1,)
OURS = "ours: the abstract names no rule"

CROP_VIEW = View(
    shape=(96, 112, 80),  # 144 x 168 x 120 mm
    spacing_mm=(1.5, 1.5, 1.5),
    window_hu=(125.0, 650.0),
)
TISSUES = Classes(("background", "cortical", "trabecular"))

FUSED_VIEW = View(
    shape=(48, 32, 32),  # 96 mm high: L1 and L2 of a tall person
    spacing_mm=(2.0, 2.0, 2.0),
    window_hu=(200.0, 800.0),
    masked=True,
)
FIRST_VIEW = View(shape=(32, 32, 32), spacing_mm=(2.0, 2.0, 2.0), window_hu=(200.0, 800.0), masked=True)
THREE = Classes(tuple(category.value for category in CATEGORIES))


def _unet() -> nn.Module:
    return UNet(3, len(TISSUES.names), VOLUME_WIDTHS)


def segmenter() -> Task:
    """Outlines trabecular bone in a crop of the spine."""
    return Task(
        weights="pan2024-segmenter",
        view=CROP_VIEW,
        head=TISSUES,
        kind=spine.KIND,
        draw=partial(patch.along_spine, view=CROP_VIEW),
        seen=spine.seen,
        network=_unet,
        loss=losses.segmentation,
        score=partial(scores.dice_scores, names=TISSUES.names),
        rule=Rule("dice", True, OURS),
        schedules=schedules(Schedule(steps=4000, learning_rate=2e-3, minutes=19), small_steps=30),
        batch=2,
        seed=61,
        input_shape=(1, 1, *CROP_VIEW.shape),
        needs=OUTLINES,
    )


def _classifier(weights: str, view: View, levels: tuple[Level, ...], seed: int) -> Task:
    full = Schedule(steps=4000, learning_rate=2e-3, minutes=9, bf16=False, settle_after=0.6)
    return Task(
        weights=weights,
        view=view,
        head=THREE,
        kind=spine.KIND,
        draw=partial(density.category, view=view, levels=levels, judged=BOTH),
        seen=partial(density.seen_categories, levels=BOTH),
        network=partial(slim_densenet3d, len(THREE.names)),
        loss=losses.classification,
        score=scores.category_scores,
        rule=Rule("cross_entropy", False, OURS),
        schedules=schedules(full, small_steps=40),
        batch=16,
        seed=seed,
        input_shape=(1, 1, *view.shape),
        needs=density_of(BOTH, together=True),
    )


def classifier() -> Task:
    """Model 1: sees L1 and L2 in one image."""
    return _classifier("pan2024-classifier", FUSED_VIEW, BOTH, 62)


def classifier_l1() -> Task:
    """Model 2: sees L1 alone."""
    return _classifier("pan2024-classifier-l1", FIRST_VIEW, FIRST, 63)


TASKS = {
    "pan2024-segmenter": segmenter,
    "pan2024-classifier": classifier,
    "pan2024-classifier-l1": classifier_l1,
}
