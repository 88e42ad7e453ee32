"""The whole program: a scan goes in, an assessment comes out."""

import platform
import time
from collections.abc import Callable
from typing import TypeVar

from trabecula import __version__
from trabecula.recipe import Recipe
from trabecula.records import Assessment, Scan
from trabecula.weights import weights_named

Progress = Callable[[str], None]
T = TypeVar("T")


def screen(scan: Scan, recipe: Recipe, progress: Progress = lambda stage: None) -> Assessment:
    """Every stage of the recipe in turn. ``progress`` is called with each stage's name as it begins.

    Raises:
        Refusal: no vertebra is in view.
        Defect: the weights are missing or corrupted.
    """
    clock = _Clock(progress)
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
    """Runs a stage, telling its name first and keeping its seconds."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str, work: Callable[[], T]) -> T:
        self.progress(stage)
        started = time.perf_counter()
        result = work()
        self.seconds[stage] = round(time.perf_counter() - started, 3)
        return result
