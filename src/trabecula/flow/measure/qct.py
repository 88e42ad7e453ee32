"""Where QCT reads: an ellipse in the front two thirds of a vertebral body, a slab of 9 mm at mid height.

The bands of spinal QCT belong to this region (ACR practice parameter), not to the whole trabecular bone, which is
denser towards the end plates. It is placed in the body's own directions, found from its trabecular region alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.volume import Float64

SLAB_MM = 9.0
FRONT_SHARE = 2 / 3
INSET_MM = 2.5
"""Kept from the front of the trabecular region: the ellipse shall not touch bone that the cortex blurs into."""

WIDE_SHARE = 0.9
"""Of the trabecular region's width at mid height."""

LEAST_VOXELS = 60
"""A region of fewer has no shape to place an ellipse by."""

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
    _, cell = np.unique(cells, axis=0, return_inverse=True)
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
    slab = lps[np.abs(height - np.median(height)) < max(SLAB_MM / 2, 0.25 * np.ptp(height))]
    flat = slab - np.outer(slab @ up, up)
    _, vectors = np.linalg.eigh(np.cov(flat.T))
    left = vectors[:, 2] - up * (vectors[:, 2] @ up)
    left /= np.linalg.norm(left)
    # A body as deep as it is wide has no widest direction: it then faces as the patient does.
    if abs(left[0]) < 0.87:
        left = np.array([1.0, 0, 0]) - up * up[0]
        left /= np.linalg.norm(left)
    return np.asarray(left if left[0] > 0 else -left)


def qct_region(trabecular: NDArray[np.bool_], affine: Float64) -> NDArray[np.bool_]:
    """The part of a trabecular region (z, y, x) that QCT reads; empty where the region is empty.

    Where slices are thick the one nearest to mid height is taken, and those whose middles lie in the slab.
    """
    region = np.zeros_like(trabecular)
    if not trabecular.any():
        return region
    if trabecular.sum() < LEAST_VOXELS:
        return _nearest(trabecular)
    points = voxels_lps(trabecular, affine)
    frame = body_frame(points)
    local = frame.local(points)
    height = local[:, 2] - (np.percentile(local[:, 2], 2) + np.percentile(local[:, 2], 98)) / 2
    slab = np.abs(height) <= max(SLAB_MM / 2, float(np.abs(height).min()) + 0.1)
    across, ahead = local[slab, 0], local[slab, 1]
    left, right = np.percentile(across, 99), np.percentile(across, 1)
    central = np.abs(across - (left + right) / 2) <= max((left - right) / 4, float(np.abs(across - (left + right) / 2).min()))
    front, back = np.percentile(ahead[central], 98), np.percentile(ahead[central], 2)
    near, far = front - INSET_MM, front - FRONT_SHARE * (front - back)
    ellipse = ((across - (left + right) / 2) / (WIDE_SHARE * (left - right) / 2)) ** 2
    ellipse += ((ahead - (near + far) / 2) / ((near - far) / 2)) ** 2
    index = np.argwhere(trabecular)[slab][ellipse <= 1]
    region[tuple(index.T)] = True
    return region if region.any() else _nearest(trabecular)


def _nearest(trabecular: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The middle of a region too small for an ellipse: what an erosion leaves longest."""
    depth = ndimage.distance_transform_edt(trabecular)
    return np.asarray(depth >= 0.7 * depth.max())
