"""Endless augmented batches for the two networks of the house recipe, from the shards of ``data.py``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from trabecula.anatomy import LEVELS
from trabecula.training.batches import Shards, rotation, vary_intensity, window
from trabecula.training.data import CROP_SPACING_MM, TORSO_SPACING_MM
from trabecula.volume import Float32, Float64

FINDER_PATCH = (128, 64, 96)
MIDDLE_SIGMA_MM = 7.0
UNNAMED = -100
"""Voxels outside every body, or in one whose name depends on where one begins to count, teach no name."""

NAME_OF_LABEL = np.full(256, UNNAMED)
NAME_OF_LABEL[5:15] = 0  # above T8
NAME_OF_LABEL[[level.verse_id for level in LEVELS]] = 1 + np.arange(len(LEVELS))


def finder_batches(
    folder: Path, seed: int, size: int, window_hu: tuple[float, float]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Torsos (B, 1, 128, 64, 96), and at half the resolution the nearness of a body's middle and the bodies' names."""
    shards = Shards(folder, seed)
    rng = shards.rng
    while True:
        drawn = [_torso(shards.draw(), rng) for _ in range(size)]
        yield (
            torch.from_numpy(np.stack([window(hu, *window_hu)[None] for hu, _, _ in drawn])),
            torch.from_numpy(np.stack([near for _, near, _ in drawn])),
            torch.from_numpy(np.stack([names for _, _, names in drawn])),
        )


def _torso(shard: dict[str, NDArray[Any]], rng: np.random.Generator) -> tuple[Float32, Float32, NDArray[np.int64]]:
    """A turned, stretched and cut torso, the nearness of bodies' middles and the bodies' names at half resolution."""
    hu, body = shard["hu"], shard["body"]
    middles = _middles(body)
    low, high = _field_of_view(hu.shape[0], middles, rng)
    in_view = [m for m in middles.values() if low <= m[0] < high] or list(middles.values())
    _, y, x = np.mean(in_view, axis=0)
    matrix, offset = _pose(np.array([(low + high) / 2, y, x]), rng)
    labels = ndimage.affine_transform(body, matrix, offset, FINDER_PATCH, order=0, mode="constant", cval=0)
    image = ndimage.affine_transform(
        hu, matrix, offset, FINDER_PATCH, order=1, mode="constant", cval=-1000, output=np.float32
    )
    first, last = _slices_in_view(matrix, offset, low, high)
    half = [np.arange(0, n, 2, dtype=np.float32) for n in FINDER_PATCH]
    near = np.zeros([len(axis) for axis in half], np.float32)
    for label, centre in middles.items():
        at = np.linalg.solve(matrix, centre - offset)
        if label == 26 or not first <= at[0] < last:
            continue  # the sacrum is no body to measure, but its name is learnt
        squares = [(axis - c) ** 2 for axis, c in zip(half, at, strict=True)]
        distance = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None]
        np.maximum(near, np.exp(-distance * (TORSO_SPACING_MM**2 / (2 * MIDDLE_SIGMA_MM**2))), out=near)
    image = _flatten_soft_tissue(vary_intensity(image, rng), rng)
    if rng.random() < 0.3:  # thick slices
        image = ndimage.gaussian_filter1d(image, rng.uniform(0.3, 1.0), axis=0)
    for beyond in (slice(0, first), slice(last, None)):
        image[beyond], labels[beyond] = -1000, 0
    names = NAME_OF_LABEL[labels][::2, ::2, ::2]
    if rng.random() < 0.5:
        image, near, names = image[..., ::-1], near[..., ::-1], names[..., ::-1]
        image = np.roll(image, -1, axis=2)  # mirrored, the voxels of even place are those of odd place
    return np.ascontiguousarray(image), np.ascontiguousarray(near), np.ascontiguousarray(names)


def _flatten_soft_tissue(hu: Float32, rng: np.random.Generator) -> Float32:
    """Half the time, organs all but vanish: bones say how to count, and they are what is drawn best."""
    if rng.random() < 0.5:
        return hu
    edge, share = np.float32(rng.uniform(60, 130)), np.float32(rng.uniform(0, 0.4))
    return np.where((hu < edge) & (hu > -300), edge - share * (edge - hu), hu)


def _middles(body: NDArray[np.uint8]) -> dict[int, Float64]:
    """The middle voxel of every body."""
    return {
        label: np.array([(part.start + part.stop - 1) / 2 for part in parts])
        for label, parts in enumerate(ndimage.find_objects(body), 1)
        if parts is not None
    }


def _field_of_view(slices: int, middles: dict[int, Float64], rng: np.random.Generator) -> tuple[float, float]:
    """Chest, abdomen, both, lumbar or anything, in slices of the shard."""

    def height(first: int, last: int) -> float:
        label = int(rng.integers(first, last))
        return float(middles[min(middles, key=lambda k: abs(k - label))][0])

    kind = rng.choice(5, p=[0.22, 0.25, 0.15, 0.2, 0.18])
    if kind == 0:  # chest
        return max(0.0, height(19, 23) - rng.uniform(0, 10)), float(slices)
    if kind == 1:  # abdomen and pelvis
        return float(rng.uniform(0, 20)), min(slices, height(15, 20) + rng.uniform(0, 13))
    if kind == 2:  # upper abdomen
        return max(0.0, height(22, 25) - rng.uniform(0, 10)), min(slices, height(15, 19) + rng.uniform(0, 13))
    if kind == 3:  # everything
        return 0.0, float(slices)
    length = rng.uniform(25, 130)
    low = rng.uniform(0, max(1.0, slices - length))
    return low, low + length


def _pose(centre: Float64, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """From voxels of the patch to voxels of the shard: turned, stretched, shifted."""
    scale = rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)
    turn = np.radians(rng.normal(0, 6, 3)) if rng.random() < 0.6 else np.zeros(3)
    matrix = rotation(turn) * scale
    centre = centre + rng.uniform(-1, 1, 3) * [20, 20, 10]
    return matrix, centre - matrix @ ((np.asarray(FINDER_PATCH) - 1) / 2)


def _slices_in_view(matrix: Float64, offset: Float64, low: float, high: float) -> tuple[int, int]:
    """The patch's slices between two slices of the shard, along the patch's middle."""
    y, x = (np.asarray(FINDER_PATCH[1:]) - 1) / 2
    at = (np.array([low, high]) - offset[0] - matrix[0, 1] * y - matrix[0, 2] * x) / matrix[0, 0]
    first, last = np.clip(np.rint(at), 0, FINDER_PATCH[0]).astype(int)
    return int(first), int(last)


def segmenter_batches(
    folder: Path,
    seed: int,
    size: int,
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    window_hu: tuple[float, float],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Patches (B, 1, *shape) about a body's middle, roughly, and labels (B, *shape): 1 its outer part, 2 trabecular."""
    shards = Shards(folder, seed)
    rng = shards.rng
    while True:
        drawn = [_vertebra(shards.draw(), rng, shape, np.asarray(spacing_mm) / CROP_SPACING_MM) for _ in range(size)]
        yield (
            torch.from_numpy(np.stack([window(hu, *window_hu)[None] for hu, _ in drawn])),
            torch.from_numpy(np.stack([label for _, label in drawn])).long(),
        )


def _vertebra(
    shard: dict[str, NDArray[Any]], rng: np.random.Generator, shape: tuple[int, int, int], step: Float64
) -> tuple[Float32, NDArray[np.uint8]]:
    """One vertebra, turned and stretched; ``step`` is the patch's voxel in voxels of the shard."""
    hu, body, inner = shard["hu"], shard["body"], shard["trabecular"]
    middles = {label: middle for label, middle in _middles(body).items() if label < 26}
    label = list(middles)[rng.integers(len(middles))]
    jitter = rng.normal(0, 2.5, 3).clip(-7, 7) / CROP_SPACING_MM
    scale = rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)
    turn = np.radians(rng.normal(0, 7, 3)) if rng.random() < 0.6 else np.zeros(3)
    matrix = np.diag(step) @ rotation(turn) * scale
    offset = middles[label] + jitter - matrix @ ((np.asarray(shape) - 1) / 2)
    image = ndimage.affine_transform(hu, matrix, offset, shape, order=1, mode="constant", cval=-1000, output=np.float32)
    mine = (body == label).astype(np.uint8) + (inner == label)
    truth = ndimage.affine_transform(mine, matrix, offset, shape, order=0, mode="constant", cval=0)
    if rng.random() < 0.3:
        image = image + _band(truth, rng)
    image = vary_intensity(image, rng)
    if rng.random() < 0.12:  # the end of the scan
        at = int(rng.integers(0, shape[0] // 2))
        end = slice(0, at) if rng.random() < 0.5 else slice(shape[0] - at, shape[0])
        image[end], truth[end] = -1000, 0
    if rng.random() < 0.5:
        image, truth = image[:, :, ::-1], truth[:, :, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(truth)


def _band(truth: NDArray[np.uint8], rng: np.random.Generator) -> Float32:
    """A dense or sparse layer across a body, as growth or sclerosis leave it: it looks like an end plate."""
    inside = np.argwhere(truth == 2)
    if not len(inside):
        return np.zeros(truth.shape, np.float32)
    normal = rng.normal(0, [1.0, 0.25, 0.25])
    normal /= np.linalg.norm(normal)
    z, y, x = (np.arange(n, dtype=np.float32) for n in truth.shape)
    centre = inside[rng.integers(len(inside))]
    along = (
        ((z - centre[0]) * normal[0])[:, None, None]
        + ((y - centre[1]) * normal[1])[:, None]
        + (x - centre[2]) * normal[2]
    )
    width = rng.uniform(0.8, 3.5)
    strength = rng.uniform(40, 220) if rng.random() < 0.75 else rng.uniform(-80, -30)
    body = ndimage.gaussian_filter((truth > 0).astype(np.float32), 0.7)
    return np.asarray(strength * np.exp(-((along / width) ** 2)) * body, np.float32)
