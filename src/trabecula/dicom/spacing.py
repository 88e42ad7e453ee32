"""Whether slices lie regularly enough to be one volume, and what must be mended if they nearly do."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trabecula.errors import refusal
from trabecula.records import Effect, Reason, reason
from trabecula.volume import Float32, Float64

MIN_SLICES = 3
MAX_STEP_MM = 10.0
"""A lumbar body is about 27 mm tall: slices further apart leave too little of it to measure."""

MAX_BRIDGED_MM = 5.0
"""The widest gap to interpolate across and measure in: what a thick slice blurs anyway."""

MAX_GAP_MM = 16.0
"""In a wider one a vertebra could hide, and those below it would bear wrong names."""

GAP_AS_MISSING = 1.55
"""In usual steps: from here on a gap means that slices are missing rather than that they lie unevenly."""

EVEN_SHARE, EVEN_MM = 0.05, 0.06
"""Positions may be off an even grid by this share of a step, or by what two rounded decimals make."""


@dataclass(frozen=True)
class Spacing:
    """Where slices lie along their normal, and the even grid to read them on.

    ``along_mm`` is where they are; ``even_mm`` where they shall be, the same places within rounding if not ``mended``.
    """

    along_mm: Float64
    even_mm: Float64
    reasons: tuple[Reason, ...]
    gaps_mm: tuple[tuple[float, float], ...] = ()  # where no slice was seen: between which places

    @property
    def mended(self) -> bool:
        """Whether the slices must be interpolated."""
        return len(self.even_mm) != len(self.along_mm) or bool(
            np.abs(self.along_mm - self.even_mm).max() > _even_within(self.step_mm)
        )

    @property
    def step_mm(self) -> float:
        return float((self.even_mm[-1] - self.even_mm[0]) / (len(self.even_mm) - 1))

    def resample(self, slices: Float32) -> Float32:
        """Slices (n, row, column) interpolated linearly from where they are to the even grid."""
        below = np.clip(np.searchsorted(self.along_mm, self.even_mm, side="right") - 1, 0, len(self.along_mm) - 2)
        weight = (self.even_mm - self.along_mm[below]) / (self.along_mm[below + 1] - self.along_mm[below])
        out = np.empty((len(self.even_mm), *slices.shape[1:]), np.float32)
        for i, (lower, share) in enumerate(zip(below, np.clip(weight, 0.0, 1.0).astype(np.float32), strict=True)):
            out[i] = slices[lower] * (1 - share) + slices[lower + 1] * share
        return out


def judge(along_mm: Float64, lost_mm: tuple[float, ...] = ()) -> Spacing:
    """Judge the sorted places of the slices that can be read; ``lost_mm`` are those of slices that cannot.

    Raises:
        Refusal: too few slices, or too far apart.
    """
    if len(along_mm) < MIN_SLICES:
        raise refusal("too-few-slices.stack", number=len(along_mm), least=MIN_SLICES)
    gaps = np.diff(along_mm)
    step = _finest_step(gaps)
    if step > MAX_STEP_MM:
        raise refusal("slices-far-apart", step_mm=step, limit_mm=MAX_STEP_MM)
    wide = (gaps > GAP_AS_MISSING * step) & ~_in_run(gaps, step)
    reasons = list(_gap_reasons(along_mm, gaps, wide, step, lost_mm))
    regular = gaps[~wide]
    even = np.linspace(along_mm[0], along_mm[-1], round(float(along_mm[-1] - along_mm[0]) / step) + 1)
    if (regular > GAP_AS_MISSING * step).any():
        coarse = float(np.median(regular[regular > GAP_AS_MISSING * step]))
        if coarse > MAX_BRIDGED_MM:
            reasons.append(reason("spacing-uneven.coarse", fine_mm=step, coarse_mm=coarse))
        else:
            reasons.append(reason("spacing-uneven.two", fine_mm=step, coarse_mm=coarse))
    elif _off_grid(along_mm, step):
        reasons.append(reason("spacing-uneven", least_mm=float(regular.min()), most_mm=float(regular.max())))
    unseen = (gaps > GAP_AS_MISSING * step) & (gaps > MAX_BRIDGED_MM)
    stretches = tuple((float(along_mm[run[0]]), float(along_mm[run[-1] + 1])) for run in runs(unseen))
    if not wide.any() and not reasons:
        even = np.linspace(along_mm[0], along_mm[-1], len(along_mm))
    return Spacing(along_mm, even, tuple(reasons), stretches)


def longest_stretch(along_mm: Float64) -> slice:
    """Of the parts that wide gaps leave, the one that covers most."""
    cuts = [0, *(np.flatnonzero(np.diff(along_mm) > max(MAX_GAP_MM, MAX_STEP_MM)) + 1), len(along_mm)]
    parts = [slice(int(start), int(stop)) for start, stop in pairwise(cuts)]
    return max(parts, key=lambda part: (float(along_mm[part.stop - 1] - along_mm[part.start]), part.stop - part.start))


def runs(found: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """The numbers of what is found, those that follow one another together."""
    which = np.flatnonzero(found)
    return [run for run in np.split(which, np.flatnonzero(np.diff(which) > 1) + 1) if run.size]


def _finest_step(gaps: Float64) -> float:
    """The usual gap, or a finer one that a fair share of the slices keep."""
    usual = float(np.quantile(gaps, 0.5, method="lower"))
    fine = gaps[gaps < usual / GAP_AS_MISSING]
    return float(np.median(fine)) if fine.size > max(2, 0.2 * gaps.size) else usual


def _in_run(gaps: Float64, step: float) -> NDArray[np.bool_]:
    """Which gaps stand in a run of three or more that are alike: a coarser part of the scan, nothing missing."""
    found = np.zeros(len(gaps), bool)
    for start in range(len(gaps) - 2):
        run = gaps[start : start + 3]
        if np.ptp(run) < 0.25 * step and run.max() <= MAX_STEP_MM:
            found[start : start + 3] = True
    return found


def _off_grid(along_mm: Float64, step: float) -> bool:
    count = round(float(along_mm[-1] - along_mm[0]) / step) + 1
    even = np.linspace(along_mm[0], along_mm[-1], count)
    nearest = np.clip(np.rint((along_mm - along_mm[0]) / max(even[1] - even[0], 1e-6)).astype(int), 0, count - 1)
    return bool(np.abs(along_mm - even[nearest]).max() > _even_within(step))


def _even_within(step: float) -> float:
    return max(EVEN_SHARE * step, EVEN_MM)


def _gap_reasons(
    along_mm: Float64, gaps: Float64, wide: NDArray[np.bool_], step: float, lost_mm: tuple[float, ...]
) -> Iterator[Reason]:
    missing = int(np.maximum(np.rint(gaps[wide] / step) - 1, 1).sum())
    at_ends = sum(not along_mm[0] < place < along_mm[-1] for place in lost_mm)
    if missing:
        number, gap_mm = missing + len(along_mm), float(gaps[wide].max())
        if gap_mm > MAX_BRIDGED_MM:
            yield reason("slices-missing", missing=missing, number=number, gap_mm=gap_mm)
        else:
            yield reason("slices-interpolated", missing=missing, number=number, gap_mm=gap_mm)
    if at_ends:
        yield reason("slices-missing.ends", Effect.NOTE, missing=at_ends)
