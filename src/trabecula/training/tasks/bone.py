"""What the published systems' trainings share: bone outlined in a crop of the spine, a category of outlined bone."""

from collections.abc import Callable
from functools import partial

from torch import nn

from trabecula.anatomy import Level
from trabecula.networks.densenet import slim_densenet3d
from trabecula.quantity import CATEGORIES
from trabecula.training import losses, scores
from trabecula.training.loop import Schedule
from trabecula.training.needs import OUTLINES, density_of
from trabecula.training.samples import density, patch, spine
from trabecula.training.task import Rule, Task, schedules
from trabecula.view import Classes, View

OURS = "ours: the abstract names no rule"

TISSUES = Classes(("background", "cortical", "trabecular"))
THREE = Classes(tuple(category.value for category in CATEGORIES))

CROP_VIEW = View(
    shape=(96, 112, 80),  # 144 x 168 x 120 mm
    spacing_mm=(1.5, 1.5, 1.5),
    window_hu=(125.0, 650.0),
)
VERTEBRA_VIEW = View(shape=(32, 32, 32), spacing_mm=(2.0, 2.0, 2.0), window_hu=(200.0, 800.0), masked=True)

LEARNING = Schedule(steps=4000, learning_rate=2e-3, minutes=9, bf16=False, settle_after=0.6)


def in_a_crop(weights: str, network: Callable[[], nn.Module], minutes: float, seed: int) -> Task:
    """Outlines trabecular bone in a crop of the spine."""
    return Task(
        weights=weights,
        view=CROP_VIEW,
        head=TISSUES,
        kind=spine.KIND,
        draw=partial(patch.along_spine, view=CROP_VIEW),
        seen=spine.seen,
        network=network,
        loss=losses.segmentation,
        score=partial(scores.dice_scores, names=TISSUES.names),
        rule=Rule("dice", True, OURS),
        schedules=schedules(Schedule(steps=4000, learning_rate=2e-3, minutes=minutes), small_steps=30),
        batch=2,
        seed=seed,
        input_shape=(1, 1, *CROP_VIEW.shape),
        needs=OUTLINES,
    )


def categories(weights: str, view: View, levels: tuple[Level, ...], judged: tuple[Level, ...], seed: int) -> Task:
    """Tells normal density, osteopenia and osteoporosis.

    Of one of ``levels`` by itself, or, where there are ``judged``, of all ``levels`` in one image by the mean of these.
    """
    return Task(
        weights=weights,
        view=view,
        head=THREE,
        kind=spine.KIND,
        draw=partial(density.category, view=view, levels=levels, judged=judged),
        seen=partial(density.seen_categories, levels=judged or levels, together=bool(judged)),
        network=partial(slim_densenet3d, len(THREE.names)),
        loss=losses.classification,
        score=scores.category_scores,
        rule=Rule("cross_entropy", False, OURS),
        schedules=schedules(LEARNING, small_steps=40),
        batch=16,
        seed=seed,
        input_shape=(1, 1, *view.shape),
        needs=density_of(judged or levels, together=bool(judged)),
    )
