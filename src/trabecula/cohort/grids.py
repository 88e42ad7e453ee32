"""Other grids along a scan's own axes, and labels on them."""

import numpy as np
from numpy.typing import NDArray

from trabecula.volume import Grid, Volume


def respaced(volume: Volume, spacing_mm: tuple[float, float, float]) -> Grid:
    """The scan's own box with voxels of another size; no sample lies outside the scan, where a label would be air."""
    scale = np.asarray(spacing_mm) / np.asarray(volume.spacing_mm)
    last = np.asarray(volume.shape) - 1
    z, y, x = (int(n) for n in np.floor(last / scale + 1e-6) + 1)
    step = np.eye(4)
    step[:3, :3] = np.diag(scale)
    step[:3, 3] = (last - scale * (np.array([z, y, x]) - 1)) / 2
    return Grid((z, y, x), volume.affine @ step)


def has_spacing(volume: Volume, spacing_mm: tuple[float, float, float]) -> bool:
    """Whether the voxels are of this size already."""
    return bool(np.allclose(volume.spacing_mm, spacing_mm, rtol=0, atol=1e-3))


def nearest(labels: NDArray[np.uint8], volume: Volume, grid: Grid) -> NDArray[np.uint8]:
    """Labels of a volume's grid on another one along the same axes; those beyond the edge are the edge's."""
    index = np.linalg.inv(volume.affine) @ grid.affine
    parts = [
        np.clip(np.rint(index[axis, axis] * np.arange(n) + index[axis, 3]), 0, volume.shape[axis] - 1).astype(int)
        for axis, n in enumerate(grid.shape)
    ]
    return labels[np.ix_(*parts)]
