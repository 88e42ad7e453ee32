"""The three networks of Pan 2024: a 3-D U-Net outlines bone, two classifiers see L1 and L2 in one image, or L1 alone.

The category is the person's, by the QCT of L1 and L2, for both models. The abstract names neither networks nor input
sizes: a U-Net and a DenseNet are ours.
"""

from functools import partial

from trabecula.anatomy import Level
from trabecula.networks.plain_unet import VOLUME_WIDTHS, UNet
from trabecula.training.task import Task
from trabecula.training.tasks import bone
from trabecula.view import View

BOTH, FIRST = (Level.L1, Level.L2), (Level.L1,)

FUSED_VIEW = View(
    shape=(48, 32, 32),  # 96 mm high: L1 and L2 of a tall person
    spacing_mm=(2.0, 2.0, 2.0),
    window_hu=(200.0, 800.0),
    masked=True,
)


def segmenter() -> Task:
    """Outlines trabecular bone in a crop of the spine."""
    network = partial(UNet, 3, len(bone.TISSUES.names), VOLUME_WIDTHS)
    return bone.in_a_crop("pan2024-segmenter", network, minutes=19, seed=61)


def classifier() -> Task:
    """Model 1: sees L1 and L2 in one image."""
    return bone.categories("pan2024-classifier", FUSED_VIEW, BOTH, judged=BOTH, seed=62)


def classifier_l1() -> Task:
    """Model 2: sees L1 alone."""
    return bone.categories("pan2024-classifier-l1", bone.VERTEBRA_VIEW, FIRST, judged=BOTH, seed=63)


TASKS = {
    "pan2024-segmenter": segmenter,
    "pan2024-classifier": classifier,
    "pan2024-classifier-l1": classifier_l1,
}
