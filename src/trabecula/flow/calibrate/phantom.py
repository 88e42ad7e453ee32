"""Finds the rods of a calibration phantom in a scan and reads them: round, even, side by side, along the table."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.flow.calibrate.around import Surroundings, surroundings
from trabecula.flow.calibrate.certificate import Certificate
from trabecula.messages import Phrase
from trabecula.records import Rung
from trabecula.volume import Float32, Float64, Volume

SLAB_MM = 8.0
WINDOW_MM = 48.0
"""Rods are sought in stretches of this length, in all slabs of which they must stand in the same place."""

BRIGHT_HU = 105.0
RADIUS_MM = (4.0, 14.0)
READ_SHARE = 0.6
"""Of a rod's radius: what the blurred edge leaves."""

BEHIND_SPINE_MM = 40.0
REACH_MM = 190.0
ROW_MM = 4.0
"""The rods' middles lie on a line within this."""

SPACING_SHARE = 0.12
LARGEST_MISFIT_HU = 15.0
LIKELY_SLOPE = (0.6, 3.5)

SLOPE_SD_FRACTION, OFFSET_SD_HU = 0.02, 3.0
"""Under the back, where rods lie, the beam is a little softer than in the spine (PMC9925590)."""


@dataclass(frozen=True)
class PhantomReading:
    """A line through rods: HU of each in the certificate's order, over what length they were read."""

    slope_hu_cm3_mg: float
    offset_hu: float
    misfit_hu: float
    rod_hu: tuple[float, ...]
    length_mm: float

    @property
    def rung(self) -> Rung:
        return Rung(Phrase("rung-phantom"), self.slope_hu_cm3_mg, self.offset_hu, SLOPE_SD_FRACTION, OFFSET_SD_HU)


@dataclass(frozen=True)
class _Row:
    """Bright rods found in a stretch: their middles (n, 2) in mm (back, left), and a radius in mm."""

    middles: Float64
    radius_mm: float


def read_phantom(
    volume: Volume, middles_lps_mm: Float64 | None, certificate: Certificate, kvp: float
) -> PhantomReading | None:
    """The line through a phantom's rods, under the back of a spine or, without one, anywhere; None without such rods.

    ``middles_lps_mm`` are the middles of bodies (n, 3).
    """
    alone = middles_lps_mm is None
    if middles_lps_mm is None:
        middles_lps_mm = volume.to_lps((np.asarray(volume.shape)[None] - 1) / 2)
    around = surroundings(volume, middles_lps_mm, 1000.0 if alone else REACH_MM)
    rows = (
        np.flatnonzero((around.back_mm >= BEHIND_SPINE_MM).any(axis=0)) if not alone else np.arange(around.hu.shape[1])
    )
    if rows.size < 5:
        return None
    group = max(1, round(SLAB_MM / around.spacing_mm[0]))
    count = around.hu.shape[0] // group
    slabs = around.hu[: count * group, rows[0] :].reshape(count, group, -1, around.hu.shape[2]).mean(axis=1)
    window = min(count, max(2, round(WINDOW_MM / (group * around.spacing_mm[0]))))
    readings = []
    for first in range(0, count - window + 1, max(1, window // 2)):
        found = _read_window(slabs[first : first + window], around, certificate, kvp)
        readings += [] if found is None else [found]
    if not readings:
        return None
    step_mm = window * group * around.spacing_mm[0]
    rods = np.median([one for one in readings], axis=0)
    slope, offset, misfit = certificate.line(rods, kvp)
    length = step_mm * (len(readings) + 1) / 2
    return PhantomReading(slope, offset, misfit, tuple(float(hu) for hu in rods), float(length))


def _read_window(slabs: Float32, around: Surroundings, certificate: Certificate, kvp: float) -> Float64 | None:
    """HU of every rod in a stretch, or None: not all lie in view, or they fit no line."""
    spacing = around.spacing_mm[1:]
    # Ribs and spinous processes lean: in one of the slabs they lie elsewhere.
    row = _bright_row(slabs.min(axis=0), spacing, certificate)
    if row is None:
        return None
    image = slabs.mean(axis=0)
    best: tuple[float, Float64] | None = None
    for middles in _all_rods(row, certificate):
        read = [_disc(image, middle, READ_SHARE * row.radius_mm, spacing) for middle in middles]
        if any(hu is None for hu in read):
            continue
        rods = np.array(read, float)
        slope, _, misfit = certificate.line(rods, kvp)
        if (
            misfit < LARGEST_MISFIT_HU
            and LIKELY_SLOPE[0] < slope < LIKELY_SLOPE[1]
            and (best is None or misfit < best[0])
        ):
            best = misfit, rods
    return None if best is None else best[1]


def _bright(certificate: Certificate) -> NDArray[np.intp]:
    """Which rods stand out bright at any voltage; others may."""
    return np.flatnonzero(certificate.least_hu > 1.2 * BRIGHT_HU)


def _bright_row(image: Float32, spacing: tuple[float, float], certificate: Certificate) -> _Row | None:
    """As many round bright pieces, evenly spaced on a line, as the certificate has bright rods."""
    pieces, _ = ndimage.label(ndimage.gaussian_filter(image, [1.5 / s for s in spacing]) > BRIGHT_HU)
    rods = []
    for number, part in enumerate(ndimage.find_objects(pieces), 1):
        mine = pieces[part] == number
        size = np.asarray(mine.shape) * spacing
        radius = float(np.sqrt(mine.sum() * np.prod(spacing) / np.pi))
        if not RADIUS_MM[0] < radius < RADIUS_MM[1] or size.max() > 1.5 * size.min() + 2:
            continue
        middle = (np.argwhere(mine).mean(axis=0) + [part[0].start, part[1].start]) * spacing
        rods.append((middle, radius))
    wanted = len(_bright(certificate))
    best: tuple[float, _Row] | None = None
    for chosen in combinations(sorted(rods, key=lambda rod: rod[0][1])[:12], wanted):
        middles, radii = np.array([rod[0] for rod in chosen]), [rod[1] for rod in chosen]
        off = _unevenness(middles, certificate)
        if off is not None and max(radii) < 1.5 * min(radii) and (best is None or off < best[0]):
            best = off, _Row(middles, float(np.median(radii)))
    return None if best is None else best[1]


def _unevenness(middles: Float64, certificate: Certificate) -> float | None:
    """How far middles lie from an even row, in mm; None where they are none."""
    place = _bright(certificate).astype(float)
    design = np.column_stack([place, np.ones(len(place))])
    offs = []
    for order in (middles, middles[::-1]):
        fit, *_ = np.linalg.lstsq(design, order, rcond=None)
        step = float(np.linalg.norm(fit[0]))
        off = float(np.abs(order - design @ fit).max())
        if step > 2 * RADIUS_MM[0] and off < max(ROW_MM, SPACING_SHARE * step):
            offs.append(off)
    return min(offs) if offs else None


def _all_rods(row: _Row, certificate: Certificate) -> list[Float64]:
    """Where every rod lies, the bright ones counted from either end."""
    place = _bright(certificate).astype(float)
    design = np.column_stack([place, np.ones(len(place))])
    every = np.column_stack([np.arange(len(certificate.rods), dtype=float), np.ones(len(certificate.rods))])
    fits = (np.linalg.lstsq(design, order, rcond=None)[0] for order in (row.middles, row.middles[::-1]))
    return [every @ fit for fit in fits]


def _disc(image: Float32, middle_mm: Float64, radius_mm: float, spacing: tuple[float, float]) -> float | None:
    """The mean of a disc, or None where it leaves the image."""
    size = np.asarray(image.shape) * spacing
    if (middle_mm < radius_mm).any() or (middle_mm > size - radius_mm - np.asarray(spacing)).any():
        return None
    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    inside = (y * spacing[0] - middle_mm[0]) ** 2 + (x * spacing[1] - middle_mm[1]) ** 2 <= radius_mm**2
    return float(image[inside].mean()) if inside.any() else None
