"""Endless augmented batches for the network that counts, from the shards of ``counting_data``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from trabecula.flow.localise.evidence import LOOKS, SHORT_RIB_MM, Part, Rib
from trabecula.training.batches import rotation, vary_intensity, window
from trabecula.training.data import TORSO_SPACING_MM
from trabecula.volume import PADDING_HU, Float32, Float64

PATCH = (160, 64, 96)
MIDDLE_SIGMA_MM = 7.0
SHORTEST_SLICES = 15
"""Of a field of view: 45 mm, hardly a body."""

UNASKED = -100
"""The answer of voxels outside every body, or in one of which the question has no answer: they teach nothing."""

SACRUM_ID, L6_ID, T13_ID = 26, 25, 28
QUESTIONS = ("rib_right", "rib_left", "part", "upright", "look")
_RIGHT, _LEFT, _PART, _UPRIGHT, _LOOK = range(len(QUESTIONS))


@dataclass(frozen=True)
class Sample:
    """A torso (D, H, W) in HU; at half its resolution, nearness to a middle, and answers (questions, ...)."""

    hu: Float32
    near: Float32
    answers: NDArray[np.int64]


class Pool:
    """The shards of several folders, one folder as likely as its weight says; new shards are noticed."""

    def __init__(self, folders: Sequence[tuple[Path, float]], seed: int) -> None:
        self.folders = folders
        self.rng = np.random.default_rng(seed)
        self.paths: list[tuple[list[Path], float]] = []
        self.drawn = 0

    def draw(self) -> dict[str, NDArray[Any]]:
        """A random shard; read anew each time, for thousands do not fit into memory."""
        if self.drawn % 50 == 0:
            found = [(sorted(folder.glob("*.npz")), weight) for folder, weight in self.folders]
            self.paths = [(paths, weight) for paths, weight in found if paths]
        self.drawn += 1
        weights = np.array([weight * min(1.0, len(paths) / 100) for paths, weight in self.paths])
        paths = self.paths[self.rng.choice(len(weights), p=weights / weights.sum())][0]
        with np.load(paths[self.rng.integers(len(paths))]) as arrays:
            return {name: arrays[name] for name in arrays.files}


def counting_batches(
    folders: Sequence[tuple[Path, float]], seed: int, size: int, window_hu: tuple[float, float]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Torsos (B, 1, *PATCH) in 0 to 1; at half the resolution nearness (B, ...) and answers (B, questions, ...).

    They are made in a process of their own, while the network learns from the last ones.
    """
    return iter(DataLoader(_Batches(folders, seed, size, window_hu), batch_size=None, num_workers=1, prefetch_factor=6))


class _Batches(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    def __init__(
        self, folders: Sequence[tuple[Path, float]], seed: int, size: int, window_hu: tuple[float, float]
    ) -> None:
        self.made_from = folders, seed, size, window_hu

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        return _make_batches(*self.made_from)


def _make_batches(
    folders: Sequence[tuple[Path, float]], seed: int, size: int, window_hu: tuple[float, float]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    pool = Pool(folders, seed)
    while True:
        samples = [sample_torso(pool.draw(), pool.rng) for _ in range(size)]
        yield (
            torch.from_numpy(np.stack([window(s.hu, *window_hu)[None] for s in samples])),
            torch.from_numpy(np.stack([s.near for s in samples])),
            torch.from_numpy(np.stack([s.answers for s in samples])),
        )


def sample_torso(shard: dict[str, NDArray[Any]], rng: np.random.Generator) -> Sample:
    """A torso as some scan shows it: cut to a field of view, turned, stretched, blurred, mirrored, upside down."""
    hu, body, about = shard["hu"], shard["body"], shard["about"]
    middles = about[:, 1:4].astype(np.float64)
    low, high = field_of_view(len(hu), dict(zip(about[:, 0].astype(int).tolist(), middles[:, 0], strict=True)), rng)
    if high - low < SHORTEST_SLICES:
        low, high = 0.0, float(len(hu))
    in_view = middles[(middles[:, 0] >= low) & (middles[:, 0] < high)]
    _, y, x = np.mean(in_view if len(in_view) else middles, axis=0)
    matrix, offset = _pose(np.array([(low + high) / 2, y, x]), rng)
    image = ndimage.affine_transform(
        hu, matrix, offset, PATCH, order=1, mode="constant", cval=PADDING_HU, output=np.float32
    )
    half = tuple(n // 2 for n in PATCH)
    labels = ndimage.affine_transform(body, 2 * matrix, offset, half, order=0, mode="constant", cval=0)
    first, last = _slices_in_view(matrix, offset, low, high)
    at = np.linalg.solve(matrix, (middles - offset).T).T
    shown = (at[:, 0] >= first) & (at[:, 0] < last)
    near = _nearness(at[shown], half)
    image = _degrade(vary_intensity(_flatten_soft_tissue(image, rng), rng), rng)
    for beyond in (slice(0, first), slice(last, None)):
        image[beyond] = PADDING_HU
    labels[: (first + 1) // 2], labels[(last + 1) // 2 :] = 0, 0
    image = _narrow(image, at[shown] if shown.any() else at, rng)
    answers = answer_table(about)[:, labels]
    return _mirrored(Sample(image, near, answers), rng)


def answer_table(about: NDArray[np.float32]) -> NDArray[np.int64]:
    """The answer to each question for each VerSe id, (questions, 256)."""
    table = np.full((len(QUESTIONS), 256), UNASKED)
    for verse_id, _, _, _, right_mm, left_mm, ala_mm, named in about:
        label = int(verse_id)
        table[_RIGHT, label], table[_LEFT, label] = _rib(right_mm), _rib(left_mm)
        table[_PART, label] = _part(label, ala_mm)
        table[_UPRIGHT, label] = 1
        if named and label not in (L6_ID, T13_ID):
            table[_LOOK, label] = LOOKS.index("S1") if label == SACRUM_ID else max(0, label - 7)
    return table


def _rib(length_mm: float) -> Rib:
    if length_mm <= 0:
        return Rib.NONE
    return Rib.SHORT if length_mm < SHORT_RIB_MM else Rib.LONG


def _part(label: int, ala_mm: float) -> Part:
    if label == SACRUM_ID:
        return Part.SACRUM
    if ala_mm > 0:
        return Part.TRANSITIONAL
    return Part.NECK if label < 8 else Part.FIRST_RIB if label == 8 else Part.TRUNK


def field_of_view(slices: int, height: dict[int, float], rng: np.random.Generator) -> tuple[float, float]:
    """Chest, abdomen, trunk, spine or a few bodies of it: the first slice and the one after the last."""

    def at(first: int, last: int) -> float:
        """The middle of a body drawn from those between two VerSe ids."""
        label = int(rng.integers(first, last + 1))
        return height[min(height, key=lambda k: abs(k - label))] + float(rng.uniform(-6, 6))

    kind = rng.choice(5, p=[0.34, 0.22, 0.14, 0.14, 0.16])
    if kind == 0:  # chest: from above the apex, or below it, to T10 ... L3
        low = at(17, 22)
        return max(0.0, low), float(min(slices, at(6, 10) + 4 if rng.random() < 0.85 else at(11, 14)))
    if kind == 1:  # abdomen and pelvis
        return float(rng.uniform(0, 25)), float(min(slices, at(15, 20) + 4))
    if kind == 2:  # upper abdomen
        return max(0.0, at(22, 25) - 4), float(min(slices, at(14, 18) + 4))
    if kind == 3:  # everything
        return 0.0, float(slices)
    length = rng.uniform(20, 110)
    low = rng.uniform(0, max(1.0, slices - length))
    return float(low), float(low + length)


def _pose(centre: Float64, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """From voxels of the patch to voxels of the shard: turned up to 12 degrees or so, stretched, shifted."""
    scale = rng.uniform(0.85, 1.15) * rng.uniform(0.94, 1.06, 3)
    turn = np.radians(rng.normal(0, 5.5, 3).clip(-13, 13)) if rng.random() < 0.7 else np.zeros(3)
    matrix = rotation(turn) * scale
    centre = centre + rng.uniform(-1, 1, 3) * [12, 10, 10]
    return matrix, centre - matrix @ ((np.asarray(PATCH) - 1) / 2)


def _slices_in_view(matrix: Float64, offset: Float64, low: float, high: float) -> tuple[int, int]:
    """The patch's slices between two slices of the shard, along the patch's middle."""
    y, x = (np.asarray(PATCH[1:]) - 1) / 2
    at = (np.array([low, high]) - offset[0] - matrix[0, 1] * y - matrix[0, 2] * x) / matrix[0, 0]
    first, last = np.clip(np.rint(at), 0, PATCH[0]).astype(int)
    return int(first), int(last)


def _nearness(middles: Float64, half: tuple[int, ...]) -> Float32:
    """How near each voxel of half the resolution is to one of ``middles`` (n, 3), in voxels of the patch."""
    axes = [np.arange(0, 2 * n, 2, dtype=np.float32) for n in half]
    near = np.zeros(half, np.float32)
    for middle in middles:
        z, y, x = (
            np.exp((axis - c) ** 2 * (-(TORSO_SPACING_MM**2) / (2 * MIDDLE_SIGMA_MM**2)))
            for axis, c in zip(axes, middle, strict=True)
        )
        np.maximum(near, z[:, None, None] * y[None, :, None] * x[None, None], out=near)
    return near


def _flatten_soft_tissue(hu: Float32, rng: np.random.Generator) -> Float32:
    """Four times in ten, organs all but vanish: bones say how to count, and they are what is drawn best."""
    if rng.random() < 0.6:
        return hu
    edge, share = np.float32(rng.uniform(60, 130)), np.float32(rng.uniform(0, 0.4))
    return np.where((hu < edge) & (hu > -300), edge - share * (edge - hu), hu)


def _degrade(hu: Float32, rng: np.random.Generator) -> Float32:
    """Slices of up to 5 mm, pixels of up to 3 mm, a body without its surroundings, a lung of any density."""
    if rng.random() < 0.35:
        hu = ndimage.gaussian_filter1d(hu, rng.uniform(0.3, 0.9), axis=0)
    if rng.random() < 0.2:
        hu = ndimage.gaussian_filter(hu, (0, *([rng.uniform(0.2, 0.6)] * 2)))
    if rng.random() < 0.25:  # fat, air and lung become one
        hu = np.maximum(hu, np.float32(rng.uniform(-900, -120)))
    return hu


def _narrow(hu: Float32, middles: Float64, rng: np.random.Generator) -> Float32:
    """Now and then a reconstruction of the spine alone, or a round field of view that cuts the sides off."""
    kind = rng.random()
    if kind > 0.25:
        return hu
    _, y, x = np.median(middles, axis=0) + rng.uniform(-5, 5, 3)
    rows, columns = np.ogrid[: PATCH[1], : PATCH[2]]
    if kind < 0.15:
        side, front, back = rng.uniform(14, 30), rng.uniform(10, 25), rng.uniform(22, 32)
        outside = (np.abs(columns - x) > side) | (rows < y - front) | (rows > y + back)
    else:
        outside = (rows - y + 8) ** 2 + (columns - x) ** 2 > rng.uniform(30, 52) ** 2
    hu[:, outside] = PADDING_HU
    return hu


def _mirrored(sample: Sample, rng: np.random.Generator) -> Sample:
    """Half of all left and right exchanged; one in fourteen with its slices, its rows or both the wrong way round."""
    if rng.random() < 0.5:
        sample = _reversed(sample, 2)
        answers = sample.answers.copy()
        answers[[_RIGHT, _LEFT]] = answers[[_LEFT, _RIGHT]]
        sample = Sample(sample.hu, sample.near, answers)
    if rng.random() < 0.07:
        for axis in ((0,), (1,), (0, 1))[rng.integers(3)]:
            sample = _reversed(sample, axis)
        answers = np.full_like(sample.answers, UNASKED)
        answers[_UPRIGHT] = np.where(sample.answers[_UPRIGHT] == 1, 0, UNASKED)
        sample = Sample(sample.hu, sample.near, answers)
    return sample


def _reversed(sample: Sample, axis: int) -> Sample:
    """One axis the other way round; in a mirrored image the voxels of even place are those of odd place."""
    hu = np.roll(np.flip(sample.hu, axis), -1, axis)
    near, answers = np.flip(sample.near, axis), np.flip(sample.answers, axis + 1)
    return Sample(*(np.ascontiguousarray(part) for part in (hu, near, answers)))
