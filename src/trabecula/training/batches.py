"""Endless augmented batches for the three networks of Niu 2023, from the shards of ``data.py``."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from trabecula.anatomy import LEVELS
from trabecula.calibration import to_reference_voltage
from trabecula.flow.measure import DensitySettings, masked_crop
from trabecula.training.data import CROP_SPACING_MM
from trabecula.volume import Float32, Float64, Grid, Volume

PATCH = (48, 80, 80)
PROJECTION_PIXEL_MM = 1.5


class Shards:
    """The shards of a folder, read when first wanted and then kept in memory; new ones are noticed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = np.random.default_rng(seed)
        self.read = lru_cache(maxsize=None)(self._read)
        self.paths: list[Path] = []
        self.drawn = 0

    def draw(self) -> dict[str, NDArray[Any]]:
        """A random shard."""
        if self.drawn % 200 == 0:
            self.paths = sorted(self.folder.glob("*.npz"))
        self.drawn += 1
        return self.read(self.paths[self.rng.integers(len(self.paths))])

    @staticmethod
    def _read(path: Path) -> dict[str, NDArray[Any]]:
        with np.load(path) as arrays:
            return {name: arrays[name] for name in arrays.files}


def window(hu: Float32, level_hu: float, width_hu: float) -> Float32:
    """HU to 0 to 1 through a window."""
    return np.asarray(np.clip((hu - (level_hu - width_hu / 2)) / width_hu, 0, 1), np.float32)


def segmenter_batches(
    folder: Path, seed: int, size: int, window_hu: tuple[float, float], spacing_mm: tuple[float, float, float]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Patches (B, 1, 48, 80, 80) and labels (B, 48, 80, 80): 1 the rest of a vertebral body, 2 its trabecular part."""
    shards = Shards(folder, seed)
    rng = shards.rng
    while True:
        images, labels = [], []
        for _ in range(size):
            shard = shards.draw()
            hu, label = _patch(shard, rng, np.asarray(spacing_mm) / CROP_SPACING_MM)
            hu = vary_intensity(hu, rng)
            if rng.random() < 0.5:
                hu, label = hu[:, :, ::-1], label[:, :, ::-1]
            images.append(window(hu, *window_hu)[None])
            labels.append(np.ascontiguousarray(label))
        yield torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels)).long()


def _patch(
    shard: dict[str, NDArray[Any]], rng: np.random.Generator, step: Float64
) -> tuple[Float32, NDArray[np.uint8]]:
    """A turned and stretched patch, mostly on a vertebra; ``step`` is its voxel in voxels of the shard."""
    hu, body, inner = shard["hu"], shard["body"], shard["trabecular"]
    size = np.array(PATCH)
    if rng.random() < 0.85:
        present = [v for v in np.unique(body[::8, ::8, ::8]) if v]
        where = np.argwhere(body[::4, ::4, ::4] == present[rng.integers(len(present))]) * 4
        centre = where[rng.integers(len(where))] + rng.integers(-14, 15, 3)
    else:
        centre = rng.integers(0, hu.shape)
    label = (body > 0).astype(np.uint8) + (inner > 0)
    scale = rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)
    turn = np.radians(rng.normal(0, 7, 3)) if rng.random() < 0.5 else np.zeros(3)
    matrix = np.diag(step) @ rotation(turn) * scale
    offset = centre - matrix @ ((size - 1) / 2)
    image = ndimage.affine_transform(hu, matrix, offset, PATCH, order=1, mode="constant", cval=-1000, output=np.float32)
    return image, ndimage.affine_transform(label, matrix, offset, PATCH, order=0, mode="constant", cval=0)


def rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix of three turns in radians, about each axis in turn."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_euler("xyz", angles).as_matrix())


def vary_intensity(hu: Float32, rng: np.random.Generator) -> Float32:
    """What other scanners, voltages, contrast and kernels do to HU; one time in four, tissues take arbitrary HU."""
    out = hu * np.float32(rng.uniform(0.85, 1.2)) + np.float32(rng.normal(0, 10))
    if rng.random() < 0.25:
        knots = np.array([-1100, -120, -20, 40, 120, 250, 500, 3100], float)
        out = np.interp(out, knots, knots + rng.normal(0, [20, 40, 30, 30, 40, 50, 90, 50])).astype(np.float32)
    if rng.random() < 0.3:
        out = ndimage.gaussian_filter(out, rng.uniform(0.2, 0.9, 3))
    if rng.random() < 0.5:
        out = out + rng.standard_normal(out.shape, dtype=np.float32) * np.float32(rng.uniform(2, 25))
    coarse = rng.normal(0, rng.uniform(0, 15), (3, 4, 4)).astype(np.float32)
    return np.asarray(out + ndimage.zoom(coarse, np.array(out.shape) / coarse.shape, order=1), np.float32)


def density_batches(folder: Path, seed: int, size: int, settings: DensitySettings) -> Iterator[tuple[Tensor, Tensor]]:
    """Single vertebrae (B, 1, *shape), all but the trabecular region blanked, and their BMD (B,) in mg/cm3."""
    shards = Shards(folder, seed)
    while True:
        images: list[Float32] = []
        truths: list[float] = []
        while len(images) < size:
            drawn = vertebra_crop(shards.draw(), shards.rng, settings)
            if drawn is not None:
                images.append(drawn[0][None])
                truths.append(drawn[1])
        yield torch.from_numpy(np.stack(images)), torch.tensor(truths, dtype=torch.float32)


def vertebra_crop(
    shard: dict[str, NDArray[Any]], rng: np.random.Generator, settings: DensitySettings
) -> tuple[Float32, float] | None:
    """A random whole vertebra of a shard as the network will see it, its mask a little wrong, and its BMD."""
    whole = [
        (level, bmd)
        for level, bmd in shard["bmd"]
        if not (shard["body"][[0, -1]] == level).any() and (shard["trabecular"] == level).sum() > 3000
    ]
    if not whole:
        return None
    level, bmd = whole[rng.integers(len(whole))]
    where = ndimage.find_objects((shard["trabecular"] == level).astype(np.uint8))[0]
    part = tuple(slice(max(0, axis.start - 6), axis.stop + 6) for axis in where)
    region = shard["trabecular"][part] == level
    change = rng.random()
    if change < 0.25:
        region = ndimage.binary_erosion(region)
    elif change < 0.4:
        region = ndimage.binary_dilation(region)
    elif change < 0.7:
        region = np.roll(region, rng.integers(-1, 2, 3), (0, 1, 2))
    grid = Grid.axial((0.0, 0.0, 0.0), (2, 2, 2), CROP_SPACING_MM)
    volume = Volume(shard["hu"][part].astype(np.float32), grid.affine)
    middle = volume.to_lps(np.argwhere(region).mean(axis=0)) + rng.uniform(-2, 2, 3)
    image = masked_crop(volume, region, middle, settings, to_reference_voltage(float(shard.get("kvp", 120))))
    if rng.random() < 0.5:
        image = image[:, :, ::-1]
    return np.ascontiguousarray(image), float(bmd)


def detector_batches(folder: Path, seed: int, size: int) -> Iterator[tuple[list[Tensor], list[dict[str, Tensor]]]]:
    """Projections with random fields of view, and the boxes of the vertebrae in them."""
    shards = Shards(folder, seed)
    rng = shards.rng
    while True:
        images: list[Tensor] = []
        targets: list[dict[str, Tensor]] = []
        while len(images) < size:
            image, boxes, labels = _projection(shards.draw(), rng)
            if len(boxes):
                images.append(torch.from_numpy(image[None]))
                targets.append({"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels)})
        yield images, targets


def _projection(shard: dict[str, NDArray[Any]], rng: np.random.Generator) -> tuple[Float32, Float32, NDArray[np.int64]]:
    hu = shard["projection"].astype(np.float32)
    boxes = shard["boxes"].astype(np.float32)
    low, high = _field_of_view(hu.shape[0], boxes, rng)
    shift = int(rng.integers(-15, 16))
    left, right = max(0, shift), hu.shape[1] + min(0, shift)
    margin = int(rng.integers(0, 25))
    left, right = left + margin, right - int(rng.integers(0, 25))
    hu = _disturb(hu[low:high, left:right], rng)
    zoom = float(shard["spacing_mm"]) / PROJECTION_PIXEL_MM * rng.uniform(0.9, 1.1)
    image = ndimage.zoom(hu, zoom, order=1)[::-1]  # row 0 is cranial
    ids = boxes[:, 0]
    corners = (boxes[:, 1:] - [low, left, low, left]) * zoom
    z0, x0, z1, x1 = corners.T
    found = np.stack([x0, image.shape[0] - z1, x1, image.shape[0] - z0], axis=1)
    whole = (found[:, 3] - found[:, 1]).copy()
    found[:, [1, 3]] = found[:, [1, 3]].clip(0, image.shape[0])
    found[:, [0, 2]] = found[:, [0, 2]].clip(0, image.shape[1])
    keep = (found[:, 3] - found[:, 1] > 0.55 * whole) & (found[:, 2] - found[:, 0] > 8)
    if rng.random() < 0.5:
        image = image[:, ::-1]
        found[:, [0, 2]] = image.shape[1] - found[:, [2, 0]]
    by_id = {level.verse_id: index + 1 for index, level in enumerate(LEVELS)}
    labels = np.array([by_id[int(i)] for i in ids[keep]], np.int64)
    return np.ascontiguousarray(image), found[keep].astype(np.float32), labels


def _field_of_view(rows: int, boxes: Float32, rng: np.random.Generator) -> tuple[int, int]:
    """Chest, abdomen, both, lumbar or anything, in rows."""
    at = {int(b[0]): (b[1] + b[3]) / 2 for b in boxes}

    def height(level: int) -> float:
        return float(at.get(level, at[min(at, key=lambda k: abs(k - level))]))

    kind = rng.choice(5, p=[0.25, 0.25, 0.2, 0.1, 0.2])
    if kind == 0:  # chest
        return int(max(0, height([20, 21, 22][rng.integers(3)]) - rng.uniform(0, 14))), rows
    if kind == 1:  # abdomen and pelvis
        return int(rng.integers(0, 30)), int(min(rows, height([15, 16, 17, 18][rng.integers(4)]) + rng.uniform(0, 20)))
    if kind == 2:  # upper abdomen
        low = height([22, 23, 24][rng.integers(3)]) - rng.uniform(0, 14)
        return int(max(0, low)), int(min(rows, height([15, 16, 17][rng.integers(3)]) + rng.uniform(0, 20)))
    if kind == 3:  # everything
        return 0, rows
    length = int(rng.uniform(60, 200))
    low = int(rng.integers(0, max(1, rows - length)))
    return low, low + length


def _disturb(hu: Float32, rng: np.random.Generator) -> Float32:
    """Thick slices, noise, table edges, contrast-filled gut, stones, leads; then the projection's window."""
    rows, columns = hu.shape
    if rng.random() < 0.35:
        thick = rng.uniform(1.5, 2.6)
        few = ndimage.zoom(ndimage.uniform_filter1d(hu, 2, axis=0), (1 / thick, 1), order=1)
        hu = ndimage.zoom(few, (rows / few.shape[0], 1), order=int(rng.integers(2)))[:rows]
    hu = ndimage.gaussian_filter(hu, rng.uniform(0.2, 0.8))
    hu = hu * rng.uniform(0.6, 1.5) + rng.normal(0, 20)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 8)):
            edge = int(rng.choice([rng.integers(0, max(1, columns // 5)), rng.integers(4 * columns // 5, columns)]))
            hu[:, edge : edge + int(rng.integers(1, 3))] += rng.uniform(50, 500)
    z, x = np.ogrid[:rows, :columns]
    for _ in range(rng.poisson(2)):
        centre, size = rng.uniform(0, [rows, columns]), rng.uniform(1, 14, 2)
        inside = ((z - centre[0]) / size[0]) ** 2 + ((x - centre[1]) / size[1]) ** 2 < 1
        hu = np.where(inside, np.maximum(hu, rng.uniform(150, 900)), hu)
    if rng.random() < 0.15:
        path = np.cumsum(rng.normal(0, 1.2, rows)) + rng.uniform(0, columns)
        hu[np.arange(rows), np.clip(path, 0, columns - 1).astype(int)] = rng.uniform(300, 2500)
    noisy = hu + rng.standard_normal(hu.shape) * rng.uniform(0, 40)
    return np.asarray(np.clip(noisy / 900, 0, 1) ** rng.uniform(0.75, 1.35), np.float32)
