"""The three networks of Peng 2023: VB-Net outlines trabecular bone, two DenseNets give its BMD and its category.

The abstract gives neither vertebrae, input sizes nor schedules: these are ours.
"""

from functools import partial

from trabecula.anatomy import Level
from trabecula.networks.densenet import slim_densenet3d
from trabecula.networks.vbnet import VBNet
from trabecula.training import losses, scores
from trabecula.training.needs import density_of
from trabecula.training.samples import density, spine
from trabecula.training.task import Rule, Task, schedules
from trabecula.training.tasks import bone
from trabecula.view import Number

LEVELS = (Level.L1, Level.L2)
BMD = Number(scale=0.01)


def segmenter() -> Task:
    """Outlines trabecular bone in a crop of the spine."""
    return bone.in_a_crop("peng2023-segmenter", partial(VBNet, len(bone.TISSUES.names)), minutes=31, seed=51)


def densitometer() -> Task:
    """Gives the density of a single vertebra."""
    view = bone.VERTEBRA_VIEW
    return Task(
        weights="peng2023-densitometer",
        view=view,
        head=BMD,
        kind=spine.KIND,
        draw=partial(density.sample, view=view, levels=LEVELS),
        seen=None,
        network=partial(slim_densenet3d, 1),
        loss=partial(losses.regression, scale=BMD.scale),
        score=partial(scores.number_scores, answer=partial(losses.regressed, scale=BMD.scale)),
        rule=Rule("mean_absolute_error", False, bone.OURS),
        schedules=schedules(bone.LEARNING, small_steps=40),
        batch=16,
        seed=52,
        input_shape=(1, 1, *view.shape),
        needs=density_of(LEVELS),
    )


def classifier() -> Task:
    """Tells normal density, osteopenia and osteoporosis of a single vertebra."""
    return bone.categories("peng2023-classifier", bone.VERTEBRA_VIEW, LEVELS, judged=(), seed=53)


TASKS = {
    "peng2023-segmenter": segmenter,
    "peng2023-densitometer": densitometer,
    "peng2023-classifier": classifier,
}
