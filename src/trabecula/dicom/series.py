"""Which of many planes belong together, and which of several series to read."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from trabecula.dicom.headers import REFERENCE_KVP, is_sharp, text
from trabecula.dicom.pixels import hounsfield
from trabecula.dicom.planes import Plane
from trabecula.errors import Refusal, refusal
from trabecula.messages import Fact, Phrase
from trabecula.records import Reason, reason
from trabecula.volume import Float64

MAX_TURN = 0.005
"""Two planes are parallel when no component of their directions differs by more (0.3 degrees)."""

SAME_PLACE_MM = 0.01
MAX_STEP_MM = 5.5
"""Series whose slices lie further apart are read only for want of another."""


@dataclass(frozen=True, eq=False)
class Series:
    """Parallel planes of one shape, one at each place, sorted along their normal."""

    planes: tuple[Plane, ...]

    @cached_property
    def along_mm(self) -> Float64:
        """Where each plane lies along the common normal."""
        return _along(self.planes)

    @property
    def coverage_mm(self) -> float:
        return float(self.along_mm[-1] - self.along_mm[0])

    @property
    def step_mm(self) -> float:
        """The usual distance between neighbouring planes; 0 for one plane."""
        return float(np.quantile(np.diff(self.along_mm), 0.5, method="lower")) if len(self.planes) > 1 else 0.0

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
    stacks: dict[Hashable, list[Plane]] = defaultdict(list)
    for plane in planes:
        spacing = round(plane.spacing_mm[0], 4), round(plane.spacing_mm[1], 4)
        stacks[plane.series_uid, plane.rows, plane.columns, spacing].append(plane)
    series: list[Series] = []
    refusals: list[Refusal] = []
    for parallel in (cluster for stack in stacks.values() for cluster in _parallel(stack)):
        try:
            series += [Series(tuple(phase)) for phase in _phases(parallel)]
        except Refusal as refusal:
            refusals.append(refusal)
    return series, refusals


def rank(series: list[Series]) -> list[Series]:
    """Best first."""
    return sorted(series, key=lambda one: [value for _, value in _merits(one, series)])


def chosen_reason(chosen: Series, series: list[Series], unusable: list[Refusal]) -> Reason:
    """Says which of several series was read and by what it was preferred to the next.

    ``unusable`` are the refusals of those that would have come first, or could not even be ranked.
    """
    ranked = rank(series)
    place = next(i for i, one in enumerate(ranked) if one is chosen)
    count = len(ranked) - 1 + len(unusable) - place
    why = not_read = Phrase("nothing")
    if place + 1 < len(ranked):
        pairs = zip(_merits(chosen, series), _merits(ranked[place + 1], series), strict=True)
        merit = next((merit for (merit, mine), (_, theirs) in pairs if mine < theirs), "merit-first")
        why = Phrase("series-because", {"merit": Phrase(merit)})
    if unusable:
        refused = tuple(sorted({one.code for one in unusable}))
        not_read = Phrase("series-unusable", {"number": len(unusable), "codes": refused})
    return reason("series-chosen", series=chosen.describe(), why=why, unusable=not_read, others=count)


def _merits(one: Series, series: list[Series]) -> list[tuple[str, Any]]:
    """What makes a series better than another, the weightiest first, by its message; a lower value is better."""
    first = one.planes[0]
    longest = max(other.coverage_mm for other in series)
    thickness = max(first.phase.thickness_mm or 0.0, one.step_mm)
    return [
        ("merit-slices", len(one.planes) < 3),
        ("merit-axial", abs(first.normal[2]) < 0.7),
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


def _along(planes: Iterable[Plane]) -> Float64:
    planes = list(planes)
    return np.asarray([plane.position_mm for plane in planes]) @ planes[0].normal


def _parallel(planes: list[Plane]) -> list[list[Plane]]:
    """Clusters of planes with the same directions, each sorted along its normal."""
    clusters: list[list[Plane]] = []
    for plane in planes:
        for cluster in clusters:
            turn = max(
                np.abs(plane.row_direction - cluster[0].row_direction).max(),
                np.abs(plane.column_direction - cluster[0].column_direction).max(),
            )
            if turn <= MAX_TURN:
                cluster.append(plane)
                break
        else:
            clusters.append([plane])
    return [_sorted(cluster) for cluster in clusters]


def _sorted(planes: list[Plane]) -> list[Plane]:
    return [planes[i] for i in np.argsort(_along(planes), kind="stable")]


SPLITS: tuple[Callable[[Plane], Hashable], ...] = (
    lambda plane: plane.phase.acquisition,
    lambda plane: plane.phase.image_type,
    lambda plane: plane.phase.kernel,
    lambda plane: plane.phase.kvp,
    lambda plane: plane.phase.thickness_mm,
    lambda plane: plane.phase.contrast_agent,
)
"""By what two images at one place may be told apart, the likeliest first."""


def _phases(planes: list[Plane]) -> list[list[Plane]]:
    """Planes sorted along the normal, split until no two lie at one place.

    Raises:
        Refusal: different images lie at one place and no header tells them apart.
    """
    by_acquisition = _split(planes, SPLITS[0])
    if len(by_acquisition) > 1 and _interleaved(by_acquisition):
        return [phase for part in by_acquisition for phase in _phases(part)]
    if not _repeats(planes):
        return [planes]
    planes = _without_copies(planes)
    if not _repeats(planes):
        return [planes]
    for key in SPLITS:
        parts = _split(planes, key)
        if len(parts) > 1 and not any(_repeats(part) for part in parts):
            return parts
    runs = _runs_in_time(planes)
    if runs:
        return runs
    raise refusal("positions-repeated")


def _split(planes: list[Plane], key: Callable[[Plane], Hashable]) -> list[list[Plane]]:
    parts: dict[Hashable, list[Plane]] = defaultdict(list)
    for plane in planes:
        parts[key(plane)].append(plane)
    return list(parts.values())


def _repeats(planes: list[Plane]) -> bool:
    return bool((np.diff(_along(planes)) < SAME_PLACE_MM).any())


def _interleaved(parts: list[list[Plane]]) -> bool:
    """Whether whole acquisitions lie over one another, rather than one after the other as stations of a table."""
    if any(len(part) < 3 for part in parts):
        return False
    normal = parts[0][0].normal
    ranges = sorted((float(part[0].position_mm @ normal), float(part[-1].position_mm @ normal)) for part in parts)
    shortest = min(high - low for low, high in ranges)
    return any(lower[1] - upper[0] > 0.5 * shortest for lower, upper in pairwise(ranges))


def _without_copies(planes: list[Plane]) -> list[Plane]:
    """Planes with all copies dropped, or as they were once two at one place are found to differ."""
    kept = [planes[0]]
    for before, plane in zip(_along(planes), planes[1:], strict=False):
        if float(plane.position_mm @ planes[0].normal) - before >= SAME_PLACE_MM:
            kept.append(plane)
            continue
        try:
            same = np.array_equal(hounsfield(kept[-1]), hounsfield(plane))
        except Refusal:
            same = False
        if not same:
            return planes
    return kept


def _runs_in_time(planes: list[Plane]) -> list[list[Plane]] | None:
    """Phases taken one after the other: a new one begins where a place comes again. None where time does not tell."""
    times = [plane.phase.taken_at for plane in planes]
    if None in times or len(set(times)) < 2:
        return None
    order = sorted(range(len(planes)), key=lambda i: times[i] or 0.0)
    places = np.cumsum(np.diff(_along(planes), prepend=-np.inf) >= SAME_PLACE_MM)
    runs: list[list[int]] = [[]]
    taken: set[int] = set()
    for index in order:
        if places[index] in taken:
            if times[index] == times[runs[-1][-1]]:
                return None
            runs.append([])
            taken.clear()
        runs[-1].append(index)
        taken.add(int(places[index]))
    if any(len(run) < 3 for run in runs):
        return None
    return [_sorted([planes[i] for i in run]) for run in runs]
