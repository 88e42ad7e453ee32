"""What every segmenter does with a vertebra's region: mend it, bring it to the scan's grid, say where it is."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.records import BodyHeights, Reason, VertebraBox, VertebraRegion
from trabecula.volume import Float32, Grid, Volume

CRUMB_MM3 = 250.0
"""A piece of trabecular bone below this is a mistake of a few voxels."""


def fill_holes(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A trabecular region without the holes that dense bands, islands or a venous cleft tear into it."""
    found = ndimage.find_objects(region.astype(np.uint8))
    if not found:
        return region.copy()
    part = found[0]  # nothing is filled beyond it
    room = np.pad(region[part], 3)  # closing would otherwise stop at the edge
    closed = ndimage.binary_closing(room, ndimage.generate_binary_structure(3, 1), iterations=2)
    for axis in range(3):
        for plane in np.moveaxis(closed, axis, 0):
            if plane.any():
                plane |= ndimage.binary_fill_holes(plane)
    filled = np.zeros_like(region)
    filled[part] = closed[3:-3, 3:-3, 3:-3]
    return filled


def to_scan(
    probability: Float32, filled: NDArray[np.bool_], grid: Grid, volume: Volume
) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
    """The region on the scan's grid: the part of the scan it lies in and a mask over that part.

    ``filled`` is the region on the network's grid; its edge lies where ``probability`` falls below a half.
    """
    # A filled hole is wholly inside.
    probability = np.where(filled, np.maximum(probability, 0.75), 0.0).astype(np.float32)
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


def described(
    box: VertebraBox,
    volume: Volume,
    part: tuple[slice, ...],
    region: NDArray[np.bool_],
    heights: BodyHeights | None,
    reasons: tuple[Reason, ...] = (),
) -> VertebraRegion | None:
    """Where the region is and how large; None where nothing is left of it."""
    if not region.any():
        return None
    index = np.argwhere(region).mean(axis=0) + [p.start for p in part]
    x, y, z = volume.to_lps(index)
    size_mm3 = float(region.sum() * volume.voxel_volume_mm3)
    return VertebraRegion(box.level, box.confidence, (float(x), float(y), float(z)), size_mm3, heights, reasons)
