"""Where QCT reads: an ellipse in the front two thirds of a vertebral body, a slab of 9 mm at mid height.

The bands of spinal QCT belong to this region (ACR practice parameter), not to the whole trabecular bone, which is
denser towards the end plates. It is placed in the body's own directions, found from its trabecular region alone.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.flow.body import body_frame, voxels_lps
from trabecula.volume import Float32, Float64

SLAB_MM = 9.0
FRONT_SHARE = 2 / 3
INSET_MM = 2.5
"""Kept from the front of the trabecular region: the ellipse shall not touch bone that the cortex blurs into."""

WIDE_SHARE = 0.9
"""Of the trabecular region's width at mid height."""

LEAST_VOXELS = 60
"""A region of fewer has no shape to place an ellipse by."""


def qct_region(trabecular: NDArray[np.bool_], affine: Float64) -> NDArray[np.bool_]:
    """The part of a trabecular region (z, y, x) that QCT reads: voxels of which half or more lie in it."""
    share = qct_share(trabecular, affine)
    return np.asarray(share >= min(0.5, float(share.max(initial=0.0)))) & trabecular


def qct_share(trabecular: NDArray[np.bool_], affine: Float64) -> Float32:
    """How much of each voxel of a trabecular region (z, y, x) counts for what QCT reads, 0 to 1.

    A slice that lies in the slab in part counts in part: else a hair's shift of the outline takes a whole slice of 3 mm
    in or out, and the density with it.
    """
    share = np.zeros(trabecular.shape, np.float32)
    if not trabecular.any():
        return share
    if trabecular.sum() < LEAST_VOXELS:
        share[_nearest(trabecular)] = 1
        return share
    points = voxels_lps(trabecular, affine)
    frame = body_frame(points)
    local = frame.local(points)
    tall_mm = float(np.abs(frame.axes[2] @ affine[:3, :3]).max())  # of a voxel along the body
    height = local[:, 2] - (np.percentile(local[:, 2], 2) + np.percentile(local[:, 2], 98)) / 2
    within = np.clip((SLAB_MM / 2 + tall_mm / 2 - np.abs(height)) / tall_mm, 0, 1)
    slab = within > 0
    across, ahead = local[slab, 0], local[slab, 1]
    left, right = np.percentile(across, 99), np.percentile(across, 1)
    central = np.abs(across - (left + right) / 2) <= max(
        (left - right) / 4, float(np.abs(across - (left + right) / 2).min())
    )
    front, back = np.percentile(ahead[central], 98), np.percentile(ahead[central], 2)
    near, far = front - INSET_MM, front - FRONT_SHARE * (front - back)
    ellipse = ((across - (left + right) / 2) / (WIDE_SHARE * (left - right) / 2)) ** 2
    ellipse += ((ahead - (near + far) / 2) / ((near - far) / 2)) ** 2
    inside = np.flatnonzero(slab)[ellipse <= 1]
    if not inside.size:
        share[_nearest(trabecular)] = 1
        return share
    share[tuple(np.argwhere(trabecular)[inside].T)] = within[inside]
    return share


def _nearest(trabecular: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The middle of a region too small for an ellipse: what an erosion leaves longest."""
    depth = ndimage.distance_transform_edt(trabecular)
    return np.asarray(depth >= 0.7 * depth.max())
