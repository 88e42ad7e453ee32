"""A recipe: which stages make up a screening, each holding its settings. Recipes are instances, never subclasses.

What a run records of them, which weights they need and which levels they measure is read off the stages.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from trabecula.anatomy import Level
from trabecula.messages import DEFAULT_LANGUAGE, messages
from trabecula.quantity import VBMD_K2HPO4, Quantity
from trabecula.records import Calibration, Diagnosis, Readings, Regions, Scan, Spine
from trabecula.records.codec import plain

Localise = Callable[[Scan], Spine]
Segment = Callable[[Scan, Spine], Regions]
Calibrate = Callable[[Scan, Spine, Regions | None], Calibration]
Measure = Callable[[Scan, Spine, Regions | None, Calibration], Readings]
Exclude = Callable[[Scan, Spine, Regions | None, Calibration, Readings], Readings]
Diagnose = Callable[[Readings], Diagnosis]


@dataclass(frozen=True)
class Recipe:
    """The stages of a screening between reading and reporting: frozen dataclasses that are called.

    ``segment`` is None where it looks at whole images.
    ``notes`` are the publication's own settings and what else a run should record beside those of the stages.
    """

    name: str
    source: str  # the publication it follows
    localise: Localise
    segment: Segment | None
    calibrate: Calibrate
    measure: Measure
    exclude: Exclude
    diagnose: Diagnose
    notes: Mapping[str, Any] = field(default_factory=dict)

    def about(self, language: str = DEFAULT_LANGUAGE) -> str:
        """What the system does, in a sentence of ``messages``; empty where none stands there."""
        return messages(language).get(f"about-{self.name}", "")

    @property
    def stages(self) -> dict[str, Any]:
        """Every stage there is, in order, by its name."""
        names = ("localise", "segment", "calibrate", "measure", "exclude", "diagnose")
        return {name: stage for name in names if (stage := getattr(self, name)) is not None}

    @property
    def weights(self) -> tuple[str, ...]:
        """The names in the weights manifest of every network that a stage runs, in order."""
        found = [name for stage in self.stages.values() for name in _weights_of(stage)]
        return tuple(dict.fromkeys(found))

    @property
    def levels(self) -> tuple[Level, ...]:
        """The vertebrae it measures by name."""
        levels: tuple[Level, ...] = (self.segment or self.measure).levels  # type: ignore[union-attr]
        return levels

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What it measures, as its stage of that name says; none where it tells categories alone."""
        said: tuple[Quantity, ...] = getattr(self.measure, "quantities", (VBMD_K2HPO4,))
        return said

    @property
    def classifies(self) -> bool:
        """Whether a network answers with categories."""
        return bool(getattr(self.measure, "classifies", False))

    @property
    def settings(self) -> dict[str, Any]:
        """The stages with all their settings, for the run record."""
        return {name: _settings_of(stage) for name, stage in self.stages.items()} | dict(self.notes)


def _weights_of(stage: Any) -> Iterator[str]:
    if not is_dataclass(stage):
        return
    for one in fields(stage):
        value = getattr(stage, one.name)
        if one.name == "weights":
            yield value
        for inner in value if isinstance(value, tuple) else (value,):
            yield from _weights_of(inner)


def _settings_of(value: Any) -> Any:
    """A stage as its kind and its settings; what it holds in turn, the same way."""
    if is_dataclass(value) and not isinstance(value, Quantity):
        inner = {one.name: _settings_of(getattr(value, one.name)) for one in fields(value)}
        return {"kind": type(value).__name__, **inner}
    return [_settings_of(one) for one in value] if isinstance(value, tuple) else plain(value)
