"""Which of many planes belong together, and which of several series to read."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trabecula.dicom.headers import REFERENCE_KVP, is_sharp, text
from trabecula.dicom.phases import along, parallel, phases, usual_step
from trabecula.dicom.planes import Plane
from trabecula.dicom.studies import MIN_SLICES
from trabecula.errors import Refusal
from trabecula.messages import Fact, Phrase
from trabecula.records import Effect, Reason, reason
from trabecula.volume import Float64

MAX_STEP_MM = 5.5
"""Series whose slices lie further apart are read only for want of another."""


@dataclass(frozen=True, eq=False)
class Series:
    """Parallel planes of one shape, one at each place, sorted along their normal."""

    planes: tuple[Plane, ...]

    @cached_property
    def along_mm(self) -> Float64:
        """Where each plane lies along the common normal."""
        return along(self.planes)

    @property
    def coverage_mm(self) -> float:
        return float(self.along_mm[-1] - self.along_mm[0])

    @property
    def step_mm(self) -> float:
        """The usual distance between neighbouring planes; 0 for one plane."""
        return usual_step(self.along_mm)

    @property
    def axial(self) -> bool:
        return bool(abs(self.planes[0].normal[2]) >= 0.7)

    @property
    def sharp(self) -> bool:
        first = self.planes[0]
        return is_sharp(text(first.dataset.get("Manufacturer")), first.phase.kernel)

    def describe(self) -> Phrase:
        """A series by what its headers say, without its description."""
        first = self.planes[0]
        number = text(first.dataset.get("SeriesNumber"))
        facts: dict[str, Fact] = {
            "slices": len(self.planes),
            "step_mm": self.step_mm,
            "coverage_mm": self.coverage_mm,
            "kernel": " ".join(first.phase.kernel) or Phrase("not-recorded"),
        }
        return Phrase("series", {"number": number, **facts}) if number else Phrase("series-without-number", facts)


def group(planes: Iterable[Plane]) -> tuple[list[Series], list[Refusal]]:
    """Planes as series, and a refusal for each group in which different images claim one place."""
    series: list[Series] = []
    refusals: list[Refusal] = []
    for cluster in (cluster for stack in _stacks(planes) for cluster in parallel(stack)):
        try:
            series += [Series(tuple(phase)) for phase in phases(cluster)]
        except Refusal as refusal:
            refusals.append(refusal)
    return series, refusals


def _stacks(planes: Iterable[Plane]) -> list[list[Plane]]:
    """Planes by series UID and shape; those with a UID of their own, as some anonymisers write, by what they share."""
    by_uid: dict[Hashable, list[Plane]] = defaultdict(list)
    for plane in planes:
        by_uid[plane.series_uid, _shape(plane)].append(plane)
    stacks = [stack for stack in by_uid.values() if len(stack) >= MIN_SLICES]
    alone: dict[Hashable, list[Plane]] = defaultdict(list)
    for stack in by_uid.values():
        if len(stack) < MIN_SLICES:
            for plane in stack:
                alone[plane.series_label, plane.phase.kernel, _shape(plane)].append(plane)
    return stacks + list(alone.values())


def _shape(plane: Plane) -> Hashable:
    return plane.rows, plane.columns, round(plane.spacing_mm[0], 4), round(plane.spacing_mm[1], 4)


def rank(series: list[Series]) -> list[Series]:
    """Best first."""
    return sorted(series, key=lambda one: [value for _, value in _merits(one, series)])


def chosen_reason(chosen: Series, series: list[Series], unusable: list[Refusal], asked_for: bool = False) -> Reason:
    """Says which of several series was read and by what it was preferred to the next.

    ``unusable`` are the refusals of those that would have come first, or could not even be ranked.
    """
    ranked = rank(series)
    place = next(i for i, one in enumerate(ranked) if one is chosen)
    count = len(ranked) - 1 + max(0, len(unusable) - place)
    why = not_read = Phrase("nothing")
    if asked_for:
        why, count = Phrase("series-asked-for"), len(ranked) - 1 + len(unusable)
    elif place + 1 < len(ranked):
        pairs = zip(_merits(chosen, series), _merits(ranked[place + 1], series), strict=True)
        merit = next((merit for (merit, mine), (_, theirs) in pairs if mine < theirs), "merit-first")
        why = Phrase("series-because", {"merit": Phrase(merit)})
    if unusable:
        refused = tuple(sorted({one.code for one in unusable}))
        not_read = Phrase("series-unusable", {"number": len(unusable), "codes": refused})
    return reason("series-chosen", Effect.NOTE, series=chosen.describe(), why=why, unusable=not_read, others=count)


def _merits(one: Series, series: list[Series]) -> list[tuple[str, Any]]:
    """What makes a series better than another, the weightiest first, by its message; a lower value is better."""
    first = one.planes[0]
    longest = max(other.coverage_mm for other in series)
    thickness = max(first.phase.thickness_mm or 0.0, one.step_mm)
    return [
        ("merit-slices", len(one.planes) < 3),
        ("merit-axial", not one.axial),
        ("merit-step", one.step_mm > MAX_STEP_MM),
        ("merit-range", -one.coverage_mm if one.coverage_mm < 0.9 * longest else -longest),
        ("merit-kernel", one.sharp),
        ("merit-voltage", first.phase.kvp != REFERENCE_KVP),
        ("merit-contrast", first.phase.contrast_agent is not None),
        ("merit-thickness", max(thickness - 3.0, 1.0 - thickness, 0.0)),
        ("merit-coverage", -one.coverage_mm),
        ("merit-number", -len(one.planes)),
        ("merit-first", (first.phase.taken_at or 0.0, first.series_uid)),
    ]
