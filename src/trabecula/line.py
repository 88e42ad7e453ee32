"""The whole program: a scan goes in, an assessment comes out."""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from trabecula import __version__
from trabecula.errors import TrabeculaError
from trabecula.recipe import Recipe
from trabecula.records import Assessment, Scan
from trabecula.weights import weights_named

Progress = Callable[[str], None]
T = TypeVar("T")


class Shared:
    """What recipes that screen one scan have in common, so that it is worked out once.

    Stages are frozen: where those of two recipes are equal up to one of them, so is what it gives on the same scan, a
    refusal too. Only what another recipe will ask for again is kept. It is of one scan: make a new one for the next.
    """

    def __init__(self, recipes: Sequence[Recipe] = ()) -> None:
        self._asked = [tuple(recipe.stages.values()) for recipe in recipes]
        self._kept: list[tuple[tuple[Any, ...], _Made]] = []

    def made(self, stages: tuple[Any, ...], work: Callable[[], Any]) -> "_Made":
        """What the last of ``stages`` gives after those before it."""
        known = next((made for chain, made in self._kept if chain == stages), None)
        if known is not None:
            return known
        made = _made(work)
        if sum(asked[: len(stages)] == stages for asked in self._asked) > 1:
            self._kept.append((stages, made))
        return made


@dataclass(frozen=True)
class _Made:
    """What a stage gave, or why it refused, and the seconds it took when it ran."""

    value: Any
    refused: TrabeculaError | None
    seconds: float


def _made(work: Callable[[], Any]) -> _Made:
    started = time.perf_counter()
    try:
        value, refused = work(), None
    except TrabeculaError as error:
        value, refused = None, error
    return _Made(value, refused, round(time.perf_counter() - started, 3))


def screen(
    scan: Scan, recipe: Recipe, progress: Progress = lambda stage: None, shared: Shared | None = None
) -> Assessment:
    """Every stage of the recipe in turn. ``progress`` is called with each stage's name as it begins.

    ``shared`` is what other recipes have already worked out of this very scan; the seconds of a stage taken from there
    are those it took when it ran.

    Raises:
        Refusal: no vertebra is in view.
        Defect: the weights are missing or corrupted.
    """
    clock = _Clock(recipe, progress, Shared() if shared is None else shared)
    spine = clock("localise", lambda: recipe.localise(scan))
    segment = recipe.segment
    regions = None if segment is None else clock("segment", lambda: segment(scan, spine))
    calibration = clock("calibrate", lambda: recipe.calibrate(scan, spine, regions))
    measured = clock("measure", lambda: recipe.measure(scan, spine, regions, calibration))
    readings = clock("exclude", lambda: recipe.exclude(scan, spine, regions, calibration, measured))
    diagnosis = clock("diagnose", lambda: recipe.diagnose(readings))
    run = {
        "version": __version__,
        "recipe": recipe.name,
        "source": recipe.source,
        "settings": recipe.settings,
        "weights_sha256": {name: weights_named(name).sha256 for name in recipe.weights},
        "device": f"CPU, {platform.machine()}",
        "python": platform.python_version(),
        "seconds": clock.seconds,
    }
    return Assessment(recipe.name, scan, spine, regions, calibration, readings, diagnosis, run)


class _Clock:
    """Runs a stage unless it was run already, telling its name first and keeping its seconds."""

    def __init__(self, recipe: Recipe, progress: Progress, shared: Shared) -> None:
        self.recipe, self.progress, self.shared = recipe, progress, shared
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str, work: Callable[[], T]) -> T:
        self.progress(stage)
        names = list(self.recipe.stages)
        so_far = tuple(self.recipe.stages.values())[: names.index(stage) + 1]
        made = self.shared.made(so_far, work)
        if made.refused is not None:
            raise made.refused
        self.seconds[stage] = made.seconds
        value: T = made.value
        return value
