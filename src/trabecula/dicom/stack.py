"""One series as a volume: its planes decoded, set square and brought to even steps."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from trabecula.dicom.pixels import rescaled
from trabecula.dicom.planes import Plane
from trabecula.dicom.series import Series
from trabecula.dicom.slices import judge_slices
from trabecula.dicom.spacing import Spacing, judge, longest_stretch
from trabecula.errors import Refusal, refusal
from trabecula.formats.given import volume_from_given
from trabecula.formats.grid import mask_outside, require_bearable, require_sound_affine
from trabecula.formats.levels import NO_PHASE_HU, alternating
from trabecula.formats.tissues import thin
from trabecula.records import Gap, Reason, reason
from trabecula.volume import PADDING_HU, Float32, Float64, Orientation, Volume

MAX_FRAME_GROWTH = 4
"""A gantry tilted by 30 degrees makes the frame of a long scan twice as large as its slices."""

THREADS = min(4, os.cpu_count() or 1)
DECODING_BYTES, BYTES_PER_PIXEL = 256 * 2**20, 16
"""Slices in the making, all threads together; each holds its pixels as stored, as HU, and masks of them."""

MAX_SHIFT_PIXELS = 0.5
"""Slices that wander in their own plane by less are taken to lie square over one another."""


@dataclass(frozen=True)
class Frame:
    """The in-plane grid that every slice is laid on: that of the first slice, grown to hold them all."""

    shape: tuple[int, int]
    first: tuple[int, int]  # (row, column) of the frame's corner, counted from the first slice's
    shifts: Float64  # (slice, 2): where each slice's corner lies, in rows and columns from the first slice's
    moved: bool

    def lay(self, index: int, hu: Float32) -> Float32:
        """A slice on the frame; interpolated linearly where it is shifted, air where it does not reach."""
        if not self.moved:
            return hu
        matrix = np.ones(2)
        offset = np.asarray(self.first) - self.shifts[index]
        laid = ndimage.affine_transform(hu, matrix, offset, self.shape, order=1, mode="constant", cval=PADDING_HU)
        return np.asarray(laid)


class Interleaved(Exception):
    """Two scans lie between one another's slices and no header said so: ``parts`` are they, the darker first."""

    def __init__(self, parts: tuple[Series, Series]) -> None:
        super().__init__()
        self.parts = parts


@dataclass(frozen=True)
class Stacked:
    """The volume of a series, the way back to (slice along the normal, row, column), and what was mended.

    Where slices had to be set square or interpolated, 'as given' is the mended grid: the given one is no grid.
    """

    volume: Volume
    orientation: Orientation
    reasons: tuple[Reason, ...]
    gaps: tuple[Gap, ...]


def stack(series: Series) -> Stacked:
    """Read the pixels of a series, check slice by slice that they are Hounsfield units, and lay them on one grid.

    Raises:
        Refusal: slices are too few or too far apart, hold no Hounsfield units, or would not fit in memory.
        Interleaved: it is two scans.
    """
    judge(series.along_mm)  # from the headers alone, before pixels are read
    frame, reasons = _frame(series)
    given, sample, kept = _decode(series, frame)
    if not kept:
        raise refusal("file-unreadable.series")
    _require_one_scan(series, sample, kept)
    judged = judge_slices(sample, series.along_mm[kept], series.planes[0].phase.kvp, series.axial)
    chosen = longest_stretch(series.along_mm[kept][judged.kept])
    places = np.asarray(kept)[judged.kept][chosen]
    lost = tuple(float(place) for place in np.delete(series.along_mm, places))
    spacing = judge(series.along_mm[places], lost)
    reasons += (*judged.reasons, *spacing.reasons)
    if len(places) < len(kept):
        given = given[np.searchsorted(kept, places)]
    if spacing.mended:
        given = spacing.resample(given)
    affine = _affine(series.planes[0], frame, spacing, float(spacing.even_mm[0] - series.along_mm[0]))
    require_sound_affine(affine)
    volume, orientation = volume_from_given(given, affine)
    gaps = tuple(_gap(stretch, spacing, orientation) for stretch in (*spacing.gaps_mm, *judged.off_mm))
    return Stacked(volume, orientation, reasons, gaps)


def _require_one_scan(series: Series, sample: Float32, kept: list[int]) -> None:
    """Raises ``Interleaved`` where every other slice of a stretch is of another scan."""
    mixed = alternating(sample)
    if not mixed.any():
        return
    first = int(mixed.argmax())
    odd = (np.arange(len(kept)) - first) % 2 == 1
    # beyond the stretch lies only one of the two scans; it goes to that whose even places it continues
    places = series.along_mm[kept]
    for index in np.flatnonzero(~mixed):
        nearest = int(np.abs(np.flatnonzero(mixed) - index).argmin())
        edge = int(np.flatnonzero(mixed)[nearest])
        apart = abs(places[index] - places[edge]) / (2 * series.step_mm)
        odd[index] = odd[edge] if abs(apart - round(apart)) < 0.25 else not odd[edge]
    parts = [[series.planes[kept[i]] for i in np.flatnonzero(which)] for which in (~odd, odd)]
    level = [float(np.clip(sample[which & mixed], -200, 300).mean()) for which in (~odd, odd)]
    if abs(level[0] - level[1]) > NO_PHASE_HU:
        return  # half of the slices are on another scale: no phase, and ``judge_slices`` says so
    one, other = (Series(tuple(parts[i])) for i in np.argsort(level, kind="stable"))
    raise Interleaved((one, other))


def _gap(stretch_mm: tuple[float, float], spacing: Spacing, orientation: Orientation) -> Gap:
    """A stretch along the normal as one of the volume."""
    start, stop = ((place - float(spacing.even_mm[0])) / spacing.step_mm for place in stretch_mm)
    axis = orientation.axes.index(0)
    if orientation.flips[axis]:
        last = len(spacing.even_mm) - 1
        start, stop = last - stop, last - start
    return Gap(axis, start, stop)


def _frame(series: Series) -> tuple[Frame, tuple[Reason, ...]]:
    """Compare where slices lie in their own plane: a tilted gantry makes them wander by equal steps."""
    first = series.planes[0]
    offsets = np.asarray([plane.position_mm for plane in series.planes]) - first.position_mm
    shifts = np.stack(
        [offsets @ first.column_direction / first.spacing_mm[0], offsets @ first.row_direction / first.spacing_mm[1]], 1
    )
    if np.ptp(shifts, axis=0).max() <= MAX_SHIFT_PIXELS:
        return Frame((first.rows, first.columns), (0, 0), shifts, moved=False), ()
    low, high = np.floor(shifts.min(axis=0)).astype(int), np.ceil(shifts.max(axis=0)).astype(int)
    shape = first.rows + int(high[0] - low[0]), first.columns + int(high[1] - low[1])
    if shape[0] * shape[1] > MAX_FRAME_GROWTH * first.rows * first.columns:
        raise refusal("slices-scattered", length_mm=float(np.ptp(shifts * first.spacing_mm, axis=0).max()))
    return Frame(shape, (int(low[0]), int(low[1])), shifts, moved=True), (_shift_reason(series, shifts),)


def _shift_reason(series: Series, shifts: Float64) -> Reason:
    along = series.along_mm - series.along_mm[0]
    per_mm = shifts[-1] / along[-1]
    if np.abs(shifts - along[:, None] * per_mm).max() > MAX_SHIFT_PIXELS:
        return reason("slices-realigned")
    tilt = math.degrees(math.atan(float(np.linalg.norm(per_mm * series.planes[0].spacing_mm))))
    return reason("gantry-tilt", degrees=tilt)


def _decode(series: Series, frame: Frame) -> tuple[Float32, Float32, list[int]]:
    """The slices that can be read: (slice, row, column) HU on the frame, thinned, and their numbers in the series."""
    count, first = len(series.planes), series.planes[0]
    require_bearable((count, *frame.shape))
    given = np.empty((count, *frame.shape), np.float32)
    small = thin(np.empty(frame.shape, np.float32), first.spacing_mm)
    sample = np.empty((count, *small.shape), np.float32)

    def decode(index: int) -> bool:
        try:
            hu = rescaled(series.planes[index])
        except Refusal:
            return False  # as good as missing: judged with the gaps
        sample[index] = thin(frame.lay(index, hu), first.spacing_mm)
        given[index] = frame.lay(index, mask_outside(hu))
        return True

    workers = max(1, min(THREADS, DECODING_BYTES // (BYTES_PER_PIXEL * first.rows * first.columns)))
    with ThreadPoolExecutor(workers) as pool:  # files and codecs leave the interpreter free
        kept = [index for index, readable in enumerate(pool.map(decode, range(count))) if readable]
    return (given, sample, kept) if len(kept) == count else (given[kept], sample[kept], kept)


def _affine(first: Plane, frame: Frame, spacing: Spacing, skipped_mm: float) -> Float64:
    """Index (slice, row, column) to LPS mm."""
    affine = np.eye(4)
    affine[:3, 0] = first.normal * spacing.step_mm
    affine[:3, 1] = first.column_direction * first.spacing_mm[0]
    affine[:3, 2] = first.row_direction * first.spacing_mm[1]
    corner = frame.first if frame.moved else (0, 0)
    affine[:3, 3] = (
        first.position_mm + skipped_mm * first.normal + affine[:3, 1] * corner[0] + affine[:3, 2] * corner[1]
    )
    return affine
