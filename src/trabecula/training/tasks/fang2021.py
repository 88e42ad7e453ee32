"""The two networks of Fang 2021: a U-Net on sagittal planes, DenseNet-121 from an outlined vertebra to its BMD.

The abstract gives neither input sizes nor schedules: these are ours.
"""

from functools import partial

from torch import nn

from trabecula.anatomy import Level
from trabecula.networks.densenet import densenet121_planes
from trabecula.networks.plain_unet import PLANES_WIDTHS, UNet
from trabecula.training import losses, scores
from trabecula.training.loop import Schedule
from trabecula.training.needs import OUTLINES, density_of
from trabecula.training.samples import density, patch, spine
from trabecula.training.task import Rule, Task, schedules
from trabecula.view import Classes, Number, View

LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)
OURS = "ours: the abstract names no rule"

PLANES_VIEW = View(
    shape=(176, 96, 27),  # 220 x 120 x 68 mm: L1 to L4 of a tall person, and a bent one
    spacing_mm=(1.25, 1.25, 2.5),
    window_hu=(125.0, 650.0),
    plane="sagittal",
)
TISSUES = Classes(("background", "cortical", "trabecular"))

VERTEBRA_VIEW = View(
    shape=(64, 64, 9),  # 48 x 48 mm in the plane, nine planes 3 mm apart as the channels of one image
    spacing_mm=(0.75, 0.75, 3.0),
    window_hu=(200.0, 800.0),
    plane="sagittal-stack",
    masked=True,
)
BMD = Number(scale=0.01)


def _unet() -> nn.Module:
    return UNet(2, len(TISSUES.names), PLANES_WIDTHS)


def segmenter() -> Task:
    """Outlines vertebral bodies and their trabecular bone, plane by plane."""
    return Task(
        weights="fang2021-segmenter",
        view=PLANES_VIEW,
        head=TISSUES,
        kind=spine.KIND,
        draw=partial(patch.sagittal, view=PLANES_VIEW),
        seen=spine.seen,
        network=_unet,
        loss=losses.segmentation,
        score=partial(scores.dice_scores, names=TISSUES.names),
        rule=Rule("dice", True, OURS),
        schedules=schedules(Schedule(steps=6000, learning_rate=2e-3, minutes=12), small_steps=40),
        batch=8,
        seed=41,
        input_shape=(1, 1, *PLANES_VIEW.shape[:2]),
        needs=OUTLINES,
    )


def densitometer() -> Task:
    """Gives the density of a single vertebra."""
    planes = VERTEBRA_VIEW.shape[2]
    return Task(
        weights="fang2021-densitometer",
        view=VERTEBRA_VIEW,
        head=BMD,
        kind=spine.KIND,
        draw=partial(density.sample, view=VERTEBRA_VIEW, levels=LEVELS),
        seen=None,
        network=partial(densenet121_planes, 1, planes),
        loss=partial(losses.regression, scale=BMD.scale),
        score=partial(scores.number_scores, answer=partial(losses.regressed, scale=BMD.scale)),
        rule=Rule("mean_absolute_error", False, OURS),
        schedules=schedules(
            Schedule(steps=4000, learning_rate=1e-3, minutes=15, bf16=False, settle_after=0.6), small_steps=40
        ),
        batch=16,
        seed=42,
        input_shape=(1, planes, *VERTEBRA_VIEW.shape[:2]),
        needs=density_of(LEVELS),
    )


TASKS = {"fang2021-segmenter": segmenter, "fang2021-densitometer": densitometer}
