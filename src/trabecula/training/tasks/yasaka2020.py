"""The network of Yasaka 2020: from an axial image round a lumbar vertebra to the person's areal BMD by DXA."""

from functools import partial

from trabecula.anatomy import Level
from trabecula.networks.axial_cnn import AxialCnn
from trabecula.training import losses, scores
from trabecula.training.loop import Schedule
from trabecula.training.needs import AREAL_BMD as DXA
from trabecula.training.samples import axial, spine
from trabecula.training.task import Rule, Task, schedules
from trabecula.view import Number, View

LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)

VIEW = View(
    shape=(3, 128, 96),  # three images a vertebra, 160 mm deep and 120 mm wide: the abstract gives no size
    spacing_mm=(6.0, 1.25, 1.25),
    window_hu=(125.0, 650.0),
    plane="axial",
)
AREAL_BMD = Number(quantity="abmd", scale=1.0)


def reader() -> Task:
    """Gives the areal BMD of a person by one axial image."""
    return Task(
        weights="yasaka2020-reader",
        view=VIEW,
        head=AREAL_BMD,
        kind=spine.KIND,
        draw=partial(axial.sample, view=VIEW, levels=LEVELS),
        seen=None,
        network=AxialCnn,
        loss=partial(losses.regression, scale=AREAL_BMD.scale),
        score=partial(scores.number_scores, answer=partial(losses.regressed, scale=AREAL_BMD.scale)),
        rule=Rule("mean_absolute_error", False, "ours: the abstract names no rule"),
        schedules=schedules(
            Schedule(steps=1600, learning_rate=1e-3, minutes=60, bf16=False, settle_after=0.6), small_steps=40
        ),
        batch=32,
        seed=71,
        input_shape=(1, 1, *VIEW.shape[1:]),
        needs=DXA,
    )


TASKS = {"yasaka2020-reader": reader}
