"""Whether slices lie regularly enough to be one volume, and what must be mended if they nearly do."""

from dataclasses import dataclass

import numpy as np

from trabecula.errors import refusal
from trabecula.records import Reason, reason
from trabecula.volume import Float32, Float64

MIN_SLICES = 3
MAX_STEP_MM = 10.0
"""A lumbar body is about 27 mm tall: slices further apart leave too little of it to measure."""

MAX_MISSING = 2
MAX_MISSING_SHARE = 0.03
MAX_BRIDGED_MM = 5.0
"""The widest gap to interpolate across: what a thick slice blurs anyway."""

GAP_AS_MISSING = 1.55
"""In usual steps: from here on a gap means that slices are missing rather than that they lie unevenly."""

GAP_AS_CROWDED = 0.45
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

    @property
    def mended(self) -> bool:
        return bool(self.reasons)

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


def judge(along_mm: Float64, damaged_at_mm: tuple[float, ...] = ()) -> Spacing:
    """Judge the sorted places of the slices that can be read; ``damaged_at_mm`` are those of slices that cannot.

    Raises:
        Refusal: too few slices, too far apart, too many missing, or places that no regular scan makes.
    """
    if len(along_mm) < MIN_SLICES:
        raise refusal("too-few-slices.stack", number=len(along_mm), least=MIN_SLICES)
    gaps = np.diff(along_mm)
    step = float(np.quantile(gaps, 0.5, method="lower"))
    if step > MAX_STEP_MM:
        raise refusal("slices-far-apart", step_mm=step, limit_mm=MAX_STEP_MM)
    if gaps.min() < GAP_AS_CROWDED * step:
        raise refusal("spacing-irregular", least_mm=float(gaps.min()), most_mm=float(gaps.max()))
    wide = gaps[gaps > GAP_AS_MISSING * step]
    missing = int(np.maximum(np.rint(wide / step) - 1, 1).sum())
    missing += sum(place < along_mm[0] or place > along_mm[-1] for place in damaged_at_mm)
    if missing:
        return _bridged(along_mm, step, missing, float(max([*wide, 2 * step])))
    even = np.linspace(along_mm[0], along_mm[-1], len(along_mm))
    off = float(np.abs(along_mm - even).max())
    if off <= max(EVEN_SHARE * step, EVEN_MM):
        return Spacing(along_mm, even, ())
    uneven = reason("spacing-uneven", least_mm=float(gaps.min()), most_mm=float(gaps.max()))
    return Spacing(along_mm, _even(along_mm, step), (uneven,))


def _bridged(along_mm: Float64, step: float, missing: int, widest: float) -> Spacing:
    share = missing / (missing + len(along_mm))
    if missing > MAX_MISSING or share > MAX_MISSING_SHARE or widest > MAX_BRIDGED_MM:
        raise refusal(
            "slices-missing",
            missing=missing,
            number=missing + len(along_mm),
            gap_mm=widest,
            most=MAX_MISSING,
            limit_mm=MAX_BRIDGED_MM,
        )
    bridged = reason("slices-interpolated", missing=missing, number=missing + len(along_mm), gap_mm=widest)
    return Spacing(along_mm, _even(along_mm, step), (bridged,))


def _even(along_mm: Float64, step: float) -> Float64:
    count = round(float(along_mm[-1] - along_mm[0]) / step) + 1
    return np.linspace(along_mm[0], along_mm[-1], count)
