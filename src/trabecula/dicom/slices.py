"""Which slices of a series hold Hounsfield units, and which are off their neighbours' level."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trabecula.dicom.spacing import runs
from trabecula.errors import refusal
from trabecula.formats.levels import SAME_LEVEL_HU, beyond_bodies, levels, unlike
from trabecula.formats.tears import torn
from trabecula.formats.tissues import Verdict, judge, measure, tissue_reasons
from trabecula.records import Reason, reason
from trabecula.volume import Float32, Float64

MAX_LOST_SHARE = 0.25
"""More slices than these may not be left out for their numbers: what remains was made by a program, not a scanner."""

KEPT_WITHIN_HU = 150.0
"""Stretches of slices no further off are kept to find the vertebrae in, though not measured: a phase joined on."""

MAX_LEFT_OUT_MM = 16.0


@dataclass(frozen=True)
class JudgedSlices:
    """``kept`` are slices to read, by number; ``off_mm`` the stretches among them that may not be measured."""

    kept: NDArray[np.intp]
    off_mm: tuple[tuple[float, float], ...]
    reasons: tuple[Reason, ...]


def judge_slices(
    sample: Float32, along_mm: Float64, tube_voltage_kvp: float | None = None, axial: bool = True
) -> JudgedSlices:
    """Judge the thinned slices (slice, row, column), whatever lies below the scale as it was.

    Slices that are not ``axial`` are not held against their neighbours: skin, fat and muscle lie in layers along them,
    and a program made them all at once.

    Raises:
        Refusal: they hold no Hounsfield units, or too many are off the level of the others.
    """
    kept = ~beyond_bodies(sample)
    damaged = int(np.count_nonzero(~kept))
    level = np.zeros(len(sample))
    if axial:
        level[kept] = levels(sample[kept])
    off = kept & (np.abs(level) >= SAME_LEVEL_HU)
    if off.any() and judge(measure(sample[kept & ~off]), tube_voltage_kvp) is not Verdict.SOUND:
        off = kept & _sounder(sample, level, off, tube_voltage_kvp)
    reasons = list(tissue_reasons(measure(sample[kept & ~off]), tube_voltage_kvp))
    stretches: list[tuple[float, float]] = []
    reference = float(np.median(level[kept & ~off]))
    for run in runs(off):
        length = float(along_mm[run[-1]] - along_mm[run[0]])
        if length <= MAX_LEFT_OUT_MM or np.abs(level[run] - reference).max() >= KEPT_WITHIN_HU:
            kept[run] = False
        else:
            stretches.append((float(along_mm[max(run[0] - 1, 0)]), float(along_mm[min(run[-1] + 1, len(off) - 1)])))
    there = np.flatnonzero(kept)
    strange = there[unlike(sample[kept])]
    if axial:
        strange = np.union1d(strange, there[torn(sample[kept], along_mm[kept])])
    kept[strange] = False
    damaged += len(strange)
    if (~kept).sum() > max(1, MAX_LOST_SHARE * len(sample)):
        if not off.any():
            raise refusal("file-unreadable.slices", number=damaged, of=len(off))
        raise refusal(
            "not-hounsfield-units.slices", number=int(off.sum()), of=len(off), off_hu=_most(level[off] - reference)
        )
    if off.any():
        reasons.append(
            reason("slices-off-level", number=int(off.sum()), of=len(off), off_hu=_most(level[off] - reference))
        )
    if damaged:
        reasons.append(reason("slices-unlike", number=damaged, of=len(off)))
    return JudgedSlices(np.flatnonzero(kept), tuple(stretches), tuple(reasons))


def _sounder(
    sample: Float32, level: Float64, off: NDArray[np.bool_], tube_voltage_kvp: float | None
) -> NDArray[np.bool_]:
    """Which slices are off, if those that now seem to be are the sound ones."""
    for other in sorted(set(np.rint(level[off])), key=lambda hu: -int((np.abs(level - hu) < SAME_LEVEL_HU).sum())):
        fits = np.abs(level - other) < SAME_LEVEL_HU
        if fits.sum() >= 3 and judge(measure(sample[fits]), tube_voltage_kvp) is Verdict.SOUND:
            return np.asarray(~fits)
    return off


def _most(off_hu: Float64) -> float:
    return float(off_hu[int(np.abs(off_hu).argmax())])
