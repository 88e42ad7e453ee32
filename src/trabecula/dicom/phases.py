"""Which planes of one series are one scan: phases that lie over one another are told apart, copies dropped.

By what differs in their headers, by the time they were taken, and at last by where they lie.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trabecula.dicom.pixels import hounsfield
from trabecula.dicom.planes import Plane
from trabecula.errors import Refusal, refusal
from trabecula.volume import Float64

MAX_TURN = 0.005
"""Two planes are parallel when no component of their directions differs by more (0.3 degrees)."""

SAME_PLACE_MM = 0.1
"""No scanner makes slices this near to one another: two of them are copies, or of two scans."""

CROWDED = 0.45
"""In usual steps: neighbours that lie nearer to one another are hardly of one scan."""

FEW = 0.1
"""Of all slices: so many may lie off the places of the others and be left aside."""

OFF_GRID = 0.2
"""In usual steps: how far a slice may lie from the even places of the others."""


def along(planes: Iterable[Plane]) -> Float64:
    """Where planes lie along the normal of the first, mm."""
    planes = list(planes)
    return np.asarray([plane.position_mm for plane in planes]) @ planes[0].normal


def usual_step(places: Float64) -> float:
    """The usual distance between neighbouring places, copies left out; 0 for one place."""
    gaps = np.diff(places)
    gaps = gaps[gaps > SAME_PLACE_MM]
    return float(np.quantile(gaps, 0.5, method="lower")) if gaps.size else 0.0


def parallel(planes: list[Plane]) -> list[list[Plane]]:
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
    return [sorted_along(cluster) for cluster in clusters]


def sorted_along(planes: list[Plane]) -> list[Plane]:
    """Planes in the order in which they lie along the normal of the first."""
    return [planes[i] for i in np.argsort(along(planes), kind="stable")]


SPLITS: tuple[Callable[[Plane], Hashable], ...] = (
    lambda plane: plane.phase.acquisition,
    lambda plane: plane.phase.image_type,
    lambda plane: plane.phase.kernel,
    lambda plane: plane.phase.kvp,
    lambda plane: plane.phase.thickness_mm,
    lambda plane: plane.phase.contrast_agent,
    lambda plane: plane.phase.taken_at,
)
"""By what two images at one place may be told apart, the likeliest first."""


def phases(planes: list[Plane]) -> list[list[Plane]]:
    """Planes sorted along the normal, split until no two of one part lie at one place or crowd one another.

    Raises:
        Refusal: different images lie at one place and no header tells them apart.
    """
    for key in SPLITS:
        parts = _split(planes, key)
        if len(parts) > 1 and _interleaved(parts):
            return [phase for part in parts for phase in phases(part)]
    if not _crowded(planes):
        return [planes]
    planes = _without_copies(planes)
    if not _crowded(planes):
        return [planes]
    for key in SPLITS:
        parts = _split(planes, key)
        if 1 < len(parts) <= len(planes) / 3 and not any(_crowded(part) for part in parts):
            return parts
    told_apart = _runs_in_time(planes) or _on_and_off_grid(planes)
    if told_apart:
        return told_apart
    if _repeats(planes):
        raise refusal("positions-repeated")
    return [planes]


def _split(planes: list[Plane], key: Callable[[Plane], Hashable]) -> list[list[Plane]]:
    parts: dict[Hashable, list[Plane]] = defaultdict(list)
    for plane in planes:
        parts[key(plane)].append(plane)
    return list(parts.values())


def _repeats(planes: list[Plane]) -> bool:
    return bool((np.diff(along(planes)) < SAME_PLACE_MM).any())


def _crowded(planes: list[Plane]) -> bool:
    """Whether two planes lie at one place, or nearer to one another than a scanner would lay them."""
    places = along(planes)
    return bool((np.diff(places) < max(SAME_PLACE_MM, CROWDED * usual_step(places))).any())


def _interleaved(parts: list[list[Plane]]) -> bool:
    """Whether whole scans lie over one another, rather than one after the other as stations of a table."""
    if any(len(part) < 3 for part in parts):
        return False
    normal = parts[0][0].normal
    ranges = sorted((float(part[0].position_mm @ normal), float(part[-1].position_mm @ normal)) for part in parts)
    shortest = min(high - low for low, high in ranges)
    return any(lower[1] - upper[0] > 0.5 * shortest for lower, upper in pairwise(ranges))


def _without_copies(planes: list[Plane]) -> list[Plane]:
    """Planes but those that crowd one before them and hold the very same pixels."""
    places = along(planes)
    near = max(SAME_PLACE_MM, CROWDED * usual_step(places))
    kept = [0]
    for index in range(1, len(planes)):
        neighbours = [other for other in kept[-3:] if places[index] - places[other] < near]
        if not any(_same_pixels(planes[other], planes[index]) for other in neighbours):
            kept.append(index)
    return [planes[index] for index in kept]


def _same_pixels(one: Plane, other: Plane) -> bool:
    try:
        return bool(np.array_equal(hounsfield(one), hounsfield(other)))
    except Refusal:
        return False


def _on_and_off_grid(planes: list[Plane]) -> list[list[Plane]] | None:
    """A scan on even places, and the planes that lie between these; or two scans on even places of their own."""
    places = along(planes)
    step = usual_step(places)
    phase = _phase_of_grid(places, step)
    if phase is None:
        return None
    off = np.abs((places - phase + step / 2) % step - step / 2)
    on = off < OFF_GRID * step
    parts = [[plane for plane, there in zip(planes, which, strict=True) if there] for which in (on, ~on)]
    if _crowded(parts[0]) or not parts[1]:
        return None
    if len(parts[1]) <= FEW * len(planes):
        return [parts[0], *([plane] for plane in parts[1])]
    return None if _crowded(parts[1]) else parts


def _phase_of_grid(places: Float64, step: float) -> float | None:
    """Where even places begin that hold most of ``places``; None where they hold less than half."""
    tries = places[: min(len(places), 50)]
    held: NDArray[np.int64] = np.array(
        [
            np.count_nonzero(np.abs((places - start + step / 2) % step - step / 2) < OFF_GRID * step / 2)
            for start in tries
        ]
    )
    best = int(held.argmax())
    return float(tries[best]) if held[best] >= 0.5 * len(places) else None


def _runs_in_time(planes: list[Plane]) -> list[list[Plane]] | None:
    """Phases taken one after the other: a new one begins where a place comes again. None where time does not tell."""
    times = [plane.phase.taken_at for plane in planes]
    if None in times or len(set(times)) < 2:
        return None
    order = sorted(range(len(planes)), key=lambda i: times[i] or 0.0)
    places = np.cumsum(np.diff(along(planes), prepend=-np.inf) >= SAME_PLACE_MM)
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
    if len(runs) < 2 or any(len(run) < 3 for run in runs):
        return None
    return [sorted_along([planes[i] for i in run]) for run in runs]
