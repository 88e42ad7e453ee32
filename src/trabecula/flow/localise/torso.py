"""The scan made small, the patient told from the table, and the torso as a network sees it."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.inference import network
from trabecula.view import View
from trabecula.volume import Float32, Grid, Volume
from trabecula.weights import Weights


def pool(volume: Volume) -> tuple[Float32, tuple[int, int, int]]:
    """Means over whole voxels to about 2 mm: a maximum over single noisy voxels would see noise, not bone."""
    z, y, x = (max(1, round(2.0 / s)) for s in volume.spacing_mm)
    nz, ny, nx = (n // f for n, f in zip(volume.shape, (z, y, x), strict=True))
    total = np.zeros((nz, ny, nx), np.float32)
    for dz, dy, dx in np.ndindex(z, y, x):
        total += volume.hu[dz : nz * z : z, dy : ny * y : y, dx : nx * x : x]
    return total / np.float32(z * y * x), (z, y, x)


UPRIGHT_DEG = 2.0
"""Slices that lean less than this against the patient's axes lie as good as square."""


def upright(volume: Volume) -> Volume:
    """The same scan on the patient's own axes where its slices lean, as from a tilted gantry; else as it is.

    Networks learnt on people who lie straight in their scan: by 18 degrees the ribs of a body were no longer told.
    """
    axes = volume.affine[:3, :3] / np.asarray(volume.spacing_mm)
    # Of the slice axis on z, of the rows on y, of the columns on x.
    along = np.diagonal(axes[::-1])
    if np.degrees(np.arccos(np.clip(along, -1, 1))).max() < UPRIGHT_DEG:
        return volume
    ends = np.array(np.meshgrid(*((0, n - 1) for n in volume.shape))).reshape(3, -1)
    ends_mm = (volume.affine[:3, :3] @ ends).T + volume.affine[:3, 3]
    low, high = ends_mm.min(axis=0), ends_mm.max(axis=0)
    z, y, x = (int(n) + 1 for n in np.ceil((high - low)[::-1] / volume.spacing_mm))
    middle_x, middle_y, middle_z = ((low + high) / 2).tolist()
    grid = Grid.axial((middle_x, middle_y, middle_z), (z, y, x), volume.spacing_mm)
    return Volume(volume.sample(grid), grid.affine)


def body_mask(pooled: Float32) -> NDArray[np.bool_]:
    """The patient without the table: the largest piece of tissue, on half of the pooled resolution."""
    tissue = ndimage.binary_opening(pooled[:, ::2, ::2] > -300, np.ones((1, 3, 3)))
    pieces, count = ndimage.label(tissue)
    if count == 0:
        return np.zeros(pooled.shape, bool)
    largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    grown = ndimage.binary_dilation(largest, np.ones((1, 3, 3)))
    return np.asarray(grown.repeat(2, axis=1).repeat(2, axis=2)[:, : pooled.shape[1], : pooled.shape[2]])


def torso_view(volume: Volume, view: View) -> tuple[Grid, Float32]:
    """The torso at the view's voxels, windowed: as wide as the view, as long as the scan.

    The back of the body lies a few voxels before the last row, the patient's middle in the middle column.
    """
    pooled, factors = pool(volume)
    small = np.eye(4)
    small[:3, :3] = np.diag(factors)
    small[:3, 3] = (np.asarray(factors) - 1) / 2
    thin = upright(Volume(pooled, volume.affine @ small))
    body = body_mask(thin.hu)
    rows, columns = (np.flatnonzero(body.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    weight = body.sum(axis=(0, 1))
    scale = np.asarray(view.spacing_mm) / np.asarray(thin.spacing_mm)
    _, high, wide = view.shape
    slices = 32 * int(np.ceil(thin.shape[0] / scale[0] / 32))
    back = rows[-1] if rows.size else thin.shape[1] - 1
    middle = np.average(np.arange(weight.size), weights=weight) if columns.size else thin.shape[2] / 2
    step = np.eye(4)
    step[:3, :3] = np.diag(scale)
    step[:3, 3] = [0.0, back - scale[1] * (high - 4), middle - scale[2] * (wide - 1) / 2]
    grid = Grid((slices, high, wide), thin.affine @ step)
    return grid, view.window(thin.sample(grid))


def look(image: Float32, weights: Weights, precision: str) -> Float32:
    """The scores of a network over a whole torso (channels, D/2, H/2, W/2), for one that halves the resolution.

    A scan longer than the view is seen in windows that overlap by half.
    """
    slices, most = len(image), weights.view.shape[0]
    long = min(slices, most)
    total = trust = None
    for start in sorted({*range(0, slices - long, most // 2), slices - long}):
        part = image[start : start + long]
        (scores,) = network(weights.name, (1, 1, *part.shape), precision)(part[None, None])
        # The ends of a window know less of what lies beyond; there, the next window counts for more.
        ramp = np.minimum(np.arange(1, long // 2 + 1), np.arange(long // 2, 0, -1)).astype(np.float32)[:, None, None]
        if total is None or trust is None:
            total = np.zeros((scores.shape[1], slices // 2, *scores.shape[3:]), np.float32)
            trust = np.zeros((slices // 2, 1, 1), np.float32)
        total[:, start // 2 : (start + long) // 2] += scores[0] * ramp
        trust[start // 2 : (start + long) // 2] += ramp
    assert total is not None
    assert trust is not None
    return np.asarray(total / trust, np.float32)
