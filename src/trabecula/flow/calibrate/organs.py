"""Reads kidneys, liver and spleen beside a spine: by where they lie and by being large and even, not by outline."""

import numpy as np
from scipy import ndimage

from trabecula.flow.calibrate.around import Surroundings

SOFT_HU = (10.0, 400.0)
BIN_HU = 4.0
CUBE_MM = 12.0
"""What is read is even over a cube of this edge: ribs, vessels and bowel wall are not."""

EVEN_HU = 60.0
LEAST_MM3 = 15_000.0

Range = tuple[float, float]


def liver_hu(around: Surroundings) -> float | None:
    """The commonest HU of what is even on the right: the liver is the largest organ there. None where little is."""
    values = _even(around, (-125.0, -45.0), (-95.0, 50.0))
    if values is None:
        return None
    count, edges = np.histogram(values, np.arange(SOFT_HU[0], SOFT_HU[1], BIN_HU))
    return float(edges[int(np.argmax(ndimage.uniform_filter1d(count.astype(float), 4)))] + BIN_HU / 2)


def kidney_hu(around: Surroundings) -> float | None:
    """HU of the brightest twentieth of what is even close beside the spine; muscle's where no contrast is."""
    sides = [_even(around, left, (-30.0, 40.0)) for left in ((34.0, 80.0), (-80.0, -34.0))]
    values = [v for v in sides if v is not None]
    return float(np.median([np.percentile(v, 95) for v in values])) if values else None


def spleen_hu(around: Surroundings) -> float | None:
    """HU of the brighter half of what is even far behind on the left."""
    values = _even(around, (62.0, 120.0), (0.0, 80.0))
    return float(np.percentile(values, 75)) if values is not None else None


def _even(around: Surroundings, left: Range, back: Range) -> np.ndarray[tuple[int], np.dtype[np.float32]] | None:
    """Smoothed HU in the even parts of a box above the middle of the spine in view, where no iliac bone is."""
    where = around.box(left, back, (float(np.median(around.middles_mm)) - 20, np.inf))
    if not where.any():
        return None
    part = tuple(slice(int(a.min()), int(a.max()) + 1) for a in np.nonzero(where))
    sigma = [3.0 / s for s in around.spacing_mm]
    smooth = ndimage.gaussian_filter(around.hu[part], sigma, truncate=2)
    size = [max(1, round(CUBE_MM / s)) for s in around.spacing_mm]
    spread = ndimage.maximum_filter(smooth, size) - ndimage.minimum_filter(smooth, size)
    even = where[part] & (spread < EVEN_HU) & (smooth > SOFT_HU[0]) & (smooth < SOFT_HU[1])
    enough = even.sum() * float(np.prod(around.spacing_mm)) > LEAST_MM3
    return np.asarray(smooth[even], np.float32) if enough else None
