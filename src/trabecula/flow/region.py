"""What every segmenter does with a vertebra's region: mend it, bring it to the scan's grid, say why to doubt it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.records import VertebraRegion, reason
from trabecula.volume import Float32, Grid, Volume

SMALLEST_MM3 = 2500.0
"""A trabecular region below this (a T11 of a small woman has about 5 cm3) is no whole vertebra."""

CRUMB_MM3 = 250.0
"""A piece of trabecular bone below this is a mistake of a few voxels."""

METAL_HU = 2000.0
"""Compact bone stays below; screws, cages and cement with barium do not."""


def filled(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A trabecular region without the holes that dense bands, islands or a venous cleft tear into it."""
    room = np.pad(region, 3)  # closing would otherwise stop at the crop's edge
    closed = ndimage.binary_closing(room, ndimage.generate_binary_structure(3, 1), iterations=2)
    for axis in range(3):
        for plane in np.moveaxis(closed, axis, 0):
            if plane.any():
                plane |= ndimage.binary_fill_holes(plane)
    return np.asarray(closed[3:-3, 3:-3, 3:-3])


def to_scan(probability: Float32, grid: Grid, volume: Volume) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
    """The region on the scan's grid: the part of the scan it lies in and a mask over that part."""
    from_scan = np.linalg.inv(grid.affine) @ volume.affine  # crop index of a scan index; diagonal
    inside = np.argwhere(probability > 0.5)
    if inside.size == 0:
        return (slice(0, 0),) * 3, np.zeros((0, 0, 0), bool)
    corners = np.stack([inside.min(axis=0) - 1, inside.max(axis=0) + 1])
    scale, shift = np.diag(from_scan)[:3], from_scan[:3, 3]
    low = np.clip(np.floor((corners[0] - shift) / scale), 0, None).astype(int)
    high = np.minimum(np.ceil((corners[1] - shift) / scale).astype(int) + 1, volume.shape)
    part = tuple(slice(int(a), int(max(a, b))) for a, b in zip(low, high, strict=True))
    shape = tuple(p.stop - p.start for p in part)
    sampled = ndimage.affine_transform(probability, scale, low * scale + shift, shape, order=1, output=np.float32)
    return part, sampled > 0.5


def describe(
    level: Level,
    confidence: float,
    volume: Volume,
    part: tuple[slice, ...],
    region: NDArray[np.bool_],
    mine: NDArray[np.bool_],
    grid: Grid,
) -> VertebraRegion:
    """Where the region is, how large, and why it may not be measured."""
    size_mm3 = float(region.sum() * volume.voxel_volume_mm3)
    if not region.any():
        return VertebraRegion(level, confidence, (0.0, 0.0, 0.0), 0.0)
    index = np.argwhere(region).mean(axis=0) + [p.start for p in part]
    x, y, z = volume.to_lps(index)
    reasons = []
    if _touches_end(volume, grid, mine):
        reasons.append(reason("cut-by-view", level=level))
    if size_mm3 < SMALLEST_MM3:
        reasons.append(reason("region-too-small", level=level, volume_cm3=size_mm3 / 1000))
    if volume.hu[part][ndimage.binary_dilation(region, iterations=2)].max() > METAL_HU:
        reasons.append(reason("metal", level=level, limit_hu=METAL_HU))
    return VertebraRegion(level, confidence, (float(x), float(y), float(z)), size_mm3, tuple(reasons))


def _touches_end(volume: Volume, grid: Grid, mine: NDArray[np.bool_]) -> bool:
    """Whether the body that this region belongs to reaches the first or last slice of the scan."""
    z = np.flatnonzero(mine.any(axis=(1, 2)))
    if z.size == 0:
        return False
    from_crop = np.linalg.inv(volume.affine) @ grid.affine
    reach = 3.0 / grid.spacing_mm[0]  # the end plates lie about 3 mm beyond the trabecular region
    first, last = (from_crop[0, 0] * v + from_crop[0, 3] for v in (z.min() - reach, z.max() + reach))
    return bool(first < -0.5 or last > volume.shape[0] - 0.5)


def without_halves(vertebrae: list[VertebraRegion]) -> tuple[VertebraRegion, ...]:
    """Withholds a region under half of a sound one next to it: neighbours differ by a third at most."""
    checked = []
    for index, v in enumerate(vertebrae):
        beside = vertebrae[max(0, index - 1) : index + 2]
        largest = max((other.volume_mm3 for other in beside if other is v or not other.reasons), default=0.0)
        if v.volume_mm3 < 0.5 * largest:
            v = replace(v, reasons=(*v.reasons, reason("region-incomplete", level=v.level)))
        checked.append(v)
    return tuple(checked)
