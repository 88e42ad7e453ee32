"""Localise in the volume: which vertebrae are in view, and where. A Scan goes in, a Spine comes out.

A small U-Net sees the whole torso at 3 mm: the lowest ribs and the sacrum, which say how to count, are in view at once
with every body that is to be named.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import LEVELS
from trabecula.flow.body import body_mask, pool
from trabecula.flow.naming import PITCH_MM, Candidate, disputed, heard, name_spine
from trabecula.inference import network
from trabecula.records import Scan, Spine
from trabecula.volume import Float32, Float64, Grid, Volume

WINDOW_SLICES = 256
"""Of the network's input at most: 768 mm. Longer scans are seen in windows that overlap by half."""

APART_MM = 13.0
"""Two bodies' middles are further apart than this, crushed ones too."""

HALF_WIDTH_MM = 24.0
"""Half a lumbar body; boxes are for pictures, the regions say how wide a body is."""


@dataclass(frozen=True)
class FinderSettings:
    """What the network sees: the side of its voxels, the columns and rows about the patient, level and width in HU."""

    spacing_mm: float
    columns: int
    window_hu: tuple[float, float]
    precision: str = "f32"


def find(
    scan: Scan,
    weights: str,
    settings: FinderSettings,
    witness: Callable[[Scan], list[Candidate]] = lambda scan: [],
    minimum_score: float = 0.3,
    certain: float = 0.8,
) -> Spine:
    """The chain of vertebrae from T8 to L5 as far as it is in view, each with its middle in three dimensions.

    ``witness``: a second opinion on the names. ``minimum_score``: how sure the network must be that a place is a
    body's middle. ``certain``: see ``name_spine``.

    Raises:
        Refusal: ``no-vertebrae-found``.
    """
    volume = scan.volume
    grid, image = _coarse(volume, settings)
    near, names = _look(image, weights, settings.precision)
    from_half = np.linalg.inv(volume.affine) @ grid.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    candidates = [
        _candidate(middle, score, named, from_half, volume.spacing_mm)
        for middle, score, named in bodies(near, names, minimum_score, 2 * settings.spacing_mm)
    ]
    seen = witness(scan)
    most = 0.5 if disputed(candidates, seen) else 1.0
    vertebrae, reasons = name_spine(heard(candidates, seen), volume.spacing_mm, certain, most=most)
    rows = [box.y for box in vertebrae if box.y is not None]
    return Spine(vertebrae, float(np.median(rows)), reasons)


def _coarse(volume: Volume, settings: FinderSettings) -> tuple[Grid, Float32]:
    """The torso at the network's voxels, windowed, as wide as it likes to see it and as long as the scan."""
    pooled, factors = pool(volume)
    small = np.eye(4)
    small[:3, :3] = np.diag(factors)
    small[:3, 3] = (np.asarray(factors) - 1) / 2
    thin = Volume(pooled, volume.affine @ small)
    body = body_mask(pooled)
    rows, columns = (np.flatnonzero(body.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    weight = body.sum(axis=(0, 1))
    scale = settings.spacing_mm / np.asarray(thin.spacing_mm)
    side = settings.columns
    slices = 32 * int(np.ceil(len(pooled) / scale[0] / 32))
    # The back of the body a few voxels before the last row; the patient's middle in the middle column.
    back = rows[-1] if rows.size else pooled.shape[1] - 1
    middle = np.average(np.arange(weight.size), weights=weight) if columns.size else pooled.shape[2] / 2
    step = np.eye(4)
    step[:3, :3] = np.diag(scale)
    step[:3, 3] = [0.0, back - scale[1] * (side - 4), middle - scale[2] * (side - 1) / 2]
    grid = Grid((slices, side, side), thin.affine @ step)
    level_hu, width_hu = settings.window_hu
    image = np.clip((thin.sample(grid) - (level_hu - width_hu / 2)) / width_hu, 0, 1)
    return grid, np.asarray(image, np.float32)


def _look(image: Float32, weights: str, precision: str) -> tuple[Float32, Float32]:
    """How near each place is to a body's middle (0 to 1), and the names' probabilities (names, ...), half as fine."""
    slices = len(image)
    long = min(slices, WINDOW_SLICES)
    total = trust = None
    for start in sorted({*range(0, slices - long, WINDOW_SLICES // 2), slices - long}):
        part = image[start : start + long]
        (scores,) = network(weights, (1, 1, *part.shape), precision)(part[None, None])
        # The ends of a window know less of what lies beyond; there, the next window counts for more.
        ramp = np.minimum(np.arange(1, long // 2 + 1), np.arange(long // 2, 0, -1)).astype(np.float32)[:, None, None]
        if total is None or trust is None:
            total = np.zeros((scores.shape[1], slices // 2, *scores.shape[3:]), np.float32)
            trust = np.zeros((slices // 2, 1, 1), np.float32)
        total[:, start // 2 : (start + long) // 2] += scores[0] * ramp
        trust[start // 2 : (start + long) // 2] += ramp
    assert total is not None
    assert trust is not None
    total /= trust
    exponent = np.exp(total[1:] - total[1:].max(axis=0))
    return 1 / (1 + np.exp(-total[0])), exponent / exponent.sum(axis=0)


def bodies(
    near: Float32, names: Float32, minimum_score: float, voxel_mm: float
) -> list[tuple[Float64, float, Float64]]:
    """The peaks of ``near`` that lie apart, best first: place (z, y, x), score, probability of each name."""
    peaks = np.argwhere((near > minimum_score) & (near == ndimage.maximum_filter(near, 3)))
    peaks = peaks[np.argsort(-near[tuple(peaks.T)])]
    found: list[tuple[Float64, float, Float64]] = []
    for peak in peaks:
        part = tuple(slice(max(0, p - 1), p + 2) for p in peak)
        weight = near[part]
        middle = np.array([np.average(axis, weights=weight) for axis in np.indices(weight.shape)])
        middle += [p.start for p in part]
        if all(np.linalg.norm(middle - other) * voxel_mm > APART_MM for other, _, _ in found):
            named = (names[(slice(None), *part)] * weight).sum(axis=(1, 2, 3)) / weight.sum()
            found.append((middle, float(near[tuple(peak)]), np.asarray(named, np.float64)))
    return found


def _candidate(
    middle: Float64,
    score: float,
    named: Float64,
    from_half: NDArray[np.float64],
    spacing_mm: tuple[float, float, float],
) -> Candidate:
    z, y, x = from_half[:3, :3] @ middle + from_half[:3, 3]
    half_z = 0.4 * PITCH_MM[LEVELS[int(named[1:].argmax())]] / spacing_mm[0]
    half_x = HALF_WIDTH_MM / spacing_mm[2]
    return Candidate(
        (z - half_z, z + half_z), (x - half_x, x + half_x), named[1:] * score, float(named[0] * score), float(y)
    )
