"""The heights of a vertebral body in front, in the middle and behind."""

import numpy as np
from numpy.typing import NDArray

from trabecula.records import BodyHeights
from trabecula.volume import Grid

SMALLEST_MM2 = 200.0
"""Seen from above; a smaller piece of a body tells no heights."""


def body_heights(body: NDArray[np.bool_], grid: Grid) -> BodyHeights | None:
    """The heights of a body's mask on a grid along the scan's axes; None where it is too small to tell."""
    columns = body.sum(axis=0)  # voxels along z, (y, x)
    thick = columns > 0
    if thick.sum() * grid.spacing_mm[1] * grid.spacing_mm[2] < SMALLEST_MM2:
        return None
    x = np.flatnonzero(thick.any(axis=0))
    across = slice(int(x[0] + 0.35 * np.ptp(x)), int(x[0] + 0.65 * np.ptp(x)) + 1)
    middle = columns[:, across]
    # The rows that the body's middle slices fill: a lip of bone in front would else count as the front.
    half = np.flatnonzero((middle > 0.4 * np.percentile(middle[middle > 0], 90)).any(axis=1))
    first, length = half[0], len(half)

    def band(low: float, high: float) -> float:
        rows = middle[int(first + low * length) : int(np.ceil(first + high * length))]
        return float(np.median(rows[rows > 0])) * grid.spacing_mm[0] if (rows > 0).any() else 0.0

    return BodyHeights(band(0.08, 0.22), band(0.4, 0.6), band(0.78, 0.92))
