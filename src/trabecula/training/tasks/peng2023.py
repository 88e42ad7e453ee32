"""The three networks of Peng 2023: VB-Net outlines trabecular bone, two DenseNets give its BMD and its category.

The abstract gives neither vertebrae, input sizes nor schedules: these are ours.
"""

from functools import partial

from torch import nn

from trabecula.anatomy import Level
from trabecula.networks.densenet import slim_densenet3d
from trabecula.networks.vbnet import VBNet
from trabecula.quantity import CATEGORIES
from trabecula.training import losses, scores
from trabecula.training.loop import Schedule
from trabecula.training.needs import OUTLINES, density_of
from trabecula.training.samples import density, patch, spine
from trabecula.training.task import Rule, Task, schedules
from trabecula.view import Classes, Number, View

LEVELS = (Level.L1, Level.L2)
OURS = "ours: the abstract names no rule"

CROP_VIEW = View(
    shape=(96, 112, 80),  # 144 x 168 x 120 mm
    spacing_mm=(1.5, 1.5, 1.5),
    window_hu=(125.0, 650.0),
)
TISSUES = Classes(("background", "cortical", "trabecular"))

VERTEBRA_VIEW = View(shape=(32, 32, 32), spacing_mm=(2.0, 2.0, 2.0), window_hu=(200.0, 800.0), masked=True)
BMD = Number(scale=0.01)
THREE = Classes(tuple(category.value for category in CATEGORIES))

LEARNING = Schedule(steps=4000, learning_rate=2e-3, minutes=9, bf16=False, settle_after=0.6)


def _vbnet() -> nn.Module:
    return VBNet(len(TISSUES.names))


def segmenter() -> Task:
    """Outlines trabecular bone in a crop of the spine."""
    return Task(
        weights="peng2023-segmenter",
        view=CROP_VIEW,
        head=TISSUES,
        kind=spine.KIND,
        draw=partial(patch.along_spine, view=CROP_VIEW),
        seen=spine.seen,
        network=_vbnet,
        loss=losses.segmentation,
        score=partial(scores.dice_scores, names=TISSUES.names),
        rule=Rule("dice", True, OURS),
        schedules=schedules(Schedule(steps=4000, learning_rate=2e-3, minutes=19), small_steps=30),
        batch=2,
        seed=51,
        input_shape=(1, 1, *CROP_VIEW.shape),
        needs=OUTLINES,
    )


def densitometer() -> Task:
    """Gives the density of a single vertebra."""
    return Task(
        weights="peng2023-densitometer",
        view=VERTEBRA_VIEW,
        head=BMD,
        kind=spine.KIND,
        draw=partial(density.sample, view=VERTEBRA_VIEW, levels=LEVELS),
        seen=None,
        network=partial(slim_densenet3d, 1),
        loss=partial(losses.regression, scale=BMD.scale),
        score=partial(scores.number_scores, answer=partial(losses.regressed, scale=BMD.scale)),
        rule=Rule("mean_absolute_error", False, OURS),
        schedules=schedules(LEARNING, small_steps=40),
        batch=16,
        seed=52,
        input_shape=(1, 1, *VERTEBRA_VIEW.shape),
        needs=density_of(LEVELS),
    )


def classifier() -> Task:
    """Tells normal density, osteopenia and osteoporosis of a single vertebra."""
    return Task(
        weights="peng2023-classifier",
        view=VERTEBRA_VIEW,
        head=THREE,
        kind=spine.KIND,
        draw=partial(density.category, view=VERTEBRA_VIEW, levels=LEVELS),
        seen=partial(density.seen_categories, levels=LEVELS),
        network=partial(slim_densenet3d, len(THREE.names)),
        loss=losses.classification,
        score=scores.category_scores,
        rule=Rule("cross_entropy", False, OURS),
        schedules=schedules(LEARNING, small_steps=40),
        batch=16,
        seed=53,
        input_shape=(1, 1, *VERTEBRA_VIEW.shape),
        needs=density_of(LEVELS),
    )


TASKS = {
    "peng2023-segmenter": segmenter,
    "peng2023-densitometer": densitometer,
    "peng2023-classifier": classifier,
}
