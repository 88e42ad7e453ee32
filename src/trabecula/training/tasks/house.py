"""The two networks of the house recipe: one finds and names bodies in the torso, one outlines a body in a patch."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from trabecula.anatomy import LEVELS
from trabecula.networks.unet import BodySegmenter, SpineFinder
from trabecula.training import losses, scores
from trabecula.training.loop import Schedule
from trabecula.training.needs import OUTLINES
from trabecula.training.samples import patch, spine, torso
from trabecula.training.task import Rule, Task, schedules
from trabecula.view import Classes, View

OURS = "ours: the recipe is no publication's"

FINDER_VIEW = View(
    shape=(256, 96, 96),  # 288 mm wide: the spine, the ribs' first third, the iliac crests
    spacing_mm=(3.0, 3.0, 3.0),  # ribs and discs can be told; a whole torso is two million voxels
    window_hu=(225.0, 750.0),
)
NAMES = Classes(("above", *(level.value for level in LEVELS)))

PATCH_VIEW = View(
    shape=(56, 56, 64),  # 70 x 70 x 80 mm: the largest L5, tilted, and its neighbours' end plates
    spacing_mm=(1.25, 1.25, 1.25),
    window_hu=(125.0, 650.0),
)
TISSUES = Classes(("background", "cortical", "trabecular"))


def finder_loss(network: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Cross-entropy of the middles, which are one voxel in ten thousand and weigh more, and of the bodies' names."""
    image, near, names = batch
    found = network(image.contiguous(memory_format=torch.channels_last_3d)).float()
    middles = functional.binary_cross_entropy_with_logits(found[:, 0], near, weight=1 + 30 * near)
    if not (names >= 0).any():
        return 10 * middles
    return 10 * middles + functional.cross_entropy(found[:, 1:], names, ignore_index=torso.UNNAMED)


def _finder() -> nn.Module:
    return SpineFinder(len(NAMES.names)).to(memory_format=torch.channels_last_3d)


def _segmenter() -> nn.Module:
    return BodySegmenter(PATCH_VIEW.shape).to(memory_format=torch.channels_last_3d)


def finder() -> Task:
    """Finds bodies and names them."""
    return Task(
        weights="house-finder",
        view=FINDER_VIEW,
        head=NAMES,
        kind=torso.KIND,
        draw=partial(torso.sample, view=FINDER_VIEW, head=NAMES),
        seen=partial(torso.seen, head=NAMES),
        network=_finder,
        loss=finder_loss,
        score=partial(scores.naming_scores, loss=finder_loss),
        rule=Rule("loss", False, OURS),
        schedules=schedules(Schedule(steps=6000, learning_rate=2e-3, minutes=60), small_steps=40),
        batch=2,
        seed=11,
        input_shape=(1, 1, *torso.PATCH),
    )


def segmenter() -> Task:
    """Outlines one body and its trabecular region."""
    return Task(
        weights="house-segmenter",
        view=PATCH_VIEW,
        head=TISSUES,
        kind=spine.KIND,
        draw=partial(patch.one_body, view=PATCH_VIEW),
        seen=spine.seen,
        network=_segmenter,
        loss=losses.segmentation,
        score=partial(scores.dice_scores, names=TISSUES.names),
        rule=Rule("dice", True, OURS),
        schedules=schedules(Schedule(steps=8000, learning_rate=2e-3, minutes=60), small_steps=60),
        batch=4,
        seed=12,
        input_shape=(1, 1, *PATCH_VIEW.shape),
        needs=OUTLINES,
    )


TASKS = {"house-finder": finder, "house-segmenter": segmenter}
