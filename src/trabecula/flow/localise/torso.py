"""The scan made small, and the patient told from the table: what both localisers begin with."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.volume import Float32, Volume


def pool(volume: Volume) -> tuple[Float32, tuple[int, int, int]]:
    """Means over whole voxels to about 2 mm: a maximum over single noisy voxels would see noise, not bone."""
    z, y, x = (max(1, round(2.0 / s)) for s in volume.spacing_mm)
    nz, ny, nx = (n // f for n, f in zip(volume.shape, (z, y, x), strict=True))
    total = np.zeros((nz, ny, nx), np.float32)
    for dz, dy, dx in np.ndindex(z, y, x):
        total += volume.hu[dz : nz * z : z, dy : ny * y : y, dx : nx * x : x]
    return total / np.float32(z * y * x), (z, y, x)


def body_mask(pooled: Float32) -> NDArray[np.bool_]:
    """The patient without the table: the largest piece of tissue, on half of the pooled resolution."""
    tissue = ndimage.binary_opening(pooled[:, ::2, ::2] > -300, np.ones((1, 3, 3)))
    pieces, count = ndimage.label(tissue)
    if count == 0:
        return np.zeros(pooled.shape, bool)
    largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    grown = ndimage.binary_dilation(largest, np.ones((1, 3, 3)))
    return np.asarray(grown.repeat(2, axis=1).repeat(2, axis=2)[:, : pooled.shape[1], : pooled.shape[2]])
