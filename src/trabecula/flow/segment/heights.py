"""The heights of a vertebral body in front, in the middle and behind, in its own directions."""

import numpy as np
from numpy.typing import NDArray

from trabecula.flow.body import body_frame, voxels_lps
from trabecula.records import BodyHeights
from trabecula.volume import Float64, Grid

SMALLEST_MM2 = 200.0
"""Seen from above; a smaller piece of a body tells no heights."""

ACROSS_SHARE = 0.3
"""Heights are read in the middle third from side to side."""

FULL_SHARE = 0.4
"""The rows that reach this share of the body's height are the body: a lip or a bridge of bone in front is lower."""

ANTERIOR, MIDDLE, POSTERIOR = (0.06, 0.22), (0.4, 0.6), (0.78, 0.94)
"""Of the depth, from the front."""


def body_heights(body: NDArray[np.bool_], grid: Grid) -> BodyHeights | None:
    """The heights of a body's mask (z, y, x) on a grid; None where it is too small to tell.

    They are measured along the body's own axis, so that a leaning body is as tall as an upright one.
    """
    if not body.any():
        return None
    points = voxels_lps(body, grid.affine)
    local = body_frame(points).local(points)
    # Voxels of a leaning body make steps: a column two voxels wide holds both sides of a step.
    cell_mm = 1.5 * max(grid.spacing_mm[1:])
    seen_mm2 = len(np.unique(np.floor(local[:, :2] / cell_mm).astype(int), axis=0)) * cell_mm**2
    if seen_mm2 < SMALLEST_MM2:
        return None
    left, right = np.percentile(local[:, 0], (1, 99))
    reach = ACROSS_SHARE * (right - left) / 2
    middle = local[np.abs(local[:, 0] - (left + right) / 2) <= max(reach, cell_mm)]
    depth, height = _columns(middle, cell_mm, grid.spacing_mm[0])
    rows = depth[height > FULL_SHARE * np.percentile(height, 80)]
    front, back = rows.max(), rows.min()

    def band(low: float, high: float) -> float:
        share = (front - depth) / max(front - back, 1e-6)
        inside = height[(share >= low) & (share <= high)]
        return float(np.median(inside)) if inside.size else 0.0

    return BodyHeights(band(*ANTERIOR), band(*MIDDLE), band(*POSTERIOR))


def _columns(local: Float64, cell_mm: float, step_mm: float) -> tuple[Float64, Float64]:
    """Where each column of a slab stands from back to front, and how tall it is, mm."""
    cells = np.floor(local[:, :2] / cell_mm).astype(int)
    cells -= cells.min(axis=0)
    _, cell = np.unique(cells[:, 0] * (cells[:, 1].max() + 1) + cells[:, 1], return_inverse=True)
    count = int(cell.max()) + 1
    top, bottom = np.full(count, -np.inf), np.full(count, np.inf)
    np.maximum.at(top, cell, local[:, 2])
    np.minimum.at(bottom, cell, local[:, 2])
    return np.bincount(cell, local[:, 1]) / np.bincount(cell), top - bottom + step_mm
