"""A vertebral body's own directions, found from the voxels of its mask alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trabecula.volume import Float64

MID_SLAB_MM = 4.5
"""Half of the slab at mid height whose shape tells left from front."""

MOST_POINTS = 20_000
"""Thin slices have many times as many voxels as a frame needs."""

CELL_MM = 2.5
CENTRAL_SHARE = 0.7
"""The part of a body's width and depth whose top and bottom tell how it is tilted: the rims carry lips of bone."""


@dataclass(frozen=True)
class BodyFrame:
    """A body's middle in LPS mm and its unit axes, rows: to the left, to the front, up."""

    middle_lps_mm: Float64
    axes: Float64  # (3, 3)

    def local(self, lps_mm: Float64) -> Float64:
        """Points (n, 3) in LPS mm as mm to the left, to the front and up."""
        return np.asarray((lps_mm - self.middle_lps_mm) @ self.axes.T)


def voxels_lps(mask: NDArray[np.bool_], affine: Float64) -> Float64:
    """The middles (n, 3) in LPS mm of a mask's voxels (z, y, x)."""
    return np.asarray(np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3])


def body_frame(points_lps_mm: Float64) -> BodyFrame:
    """The frame of a body from the voxels (n, 3) of its trabecular region or of the whole body.

    Up is at right angles to the plane midway between the end plates; left and front follow from the shape of its
    middle section, which is wider than deep.
    """
    middle = points_lps_mm.mean(axis=0)
    points_lps_mm = points_lps_mm[:: max(1, len(points_lps_mm) // MOST_POINTS)]
    axes = np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0]])
    for _ in range(3):
        local = (points_lps_mm - middle) @ axes.T
        up = _mid_plane_normal(local) @ axes
        left = _widest(local, axes, up)
        axes = np.stack([left, np.cross(left, up), up])
    return BodyFrame(middle, axes)


def _mid_plane_normal(local: Float64) -> Float64:
    """The unit normal of the plane midway between the top and the bottom of a region, in its current frame."""
    half = np.percentile(np.abs(local[:, :2]), 98, axis=0)
    central = (np.abs(local[:, :2]) < CENTRAL_SHARE * half).all(axis=1)
    cells = np.floor(local[central, :2] / CELL_MM).astype(int)
    cells -= cells.min(axis=0)
    _, cell = np.unique(cells[:, 0] * (cells[:, 1].max() + 1) + cells[:, 1], return_inverse=True)
    count = int(cell.max()) + 1
    top, bottom = np.full(count, -np.inf), np.full(count, np.inf)
    np.maximum.at(top, cell, local[central, 2])
    np.minimum.at(bottom, cell, local[central, 2])
    size = np.bincount(cell)
    xy = np.stack([np.bincount(cell, local[central, axis]) / size for axis in (0, 1)], axis=1)
    design = np.column_stack([xy, np.ones(count)])
    slope = np.linalg.lstsq(design, (top + bottom) / 2, rcond=None)[0]
    normal = np.array([-slope[0], -slope[1], 1.0])
    return np.asarray(normal / np.linalg.norm(normal))


def _widest(local: Float64, axes: Float64, up: Float64) -> Float64:
    """The direction at right angles to ``up`` in which the middle of a region is widest, towards the left."""
    lps = local @ axes
    height = lps @ up
    slab = lps[np.abs(height - np.median(height)) < max(MID_SLAB_MM, 0.25 * np.ptp(height))]
    flat = slab - np.outer(slab @ up, up)
    _, vectors = np.linalg.eigh(np.cov(flat.T))
    left = vectors[:, 2] - up * (vectors[:, 2] @ up)
    left /= np.linalg.norm(left)
    # A body as deep as it is wide has no widest direction: it then faces as the patient does.
    if abs(left[0]) < 0.87:
        left = np.array([1.0, 0, 0]) - up * up[0]
        left /= np.linalg.norm(left)
    return np.asarray(left if left[0] > 0 else -left)
