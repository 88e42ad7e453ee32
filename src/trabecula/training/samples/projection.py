"""Coronal maximum intensity projections and the boxes of the vertebrae in them, for a detector."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.cohort.case import Field, Labelled
from trabecula.cohort.drawn import PROJECTION_SPACING_MM
from trabecula.cohort.grids import has_spacing, nearest, respaced
from trabecula.errors import wrong_usage
from trabecula.training.samples.shards import Kind, Shard
from trabecula.view import Classes, View
from trabecula.volume import Float32

SPACING_MM = (PROJECTION_SPACING_MM,) * 3

Sample = tuple[Float32, Float32, NDArray[np.int64]]


def cut(labelled: Labelled) -> Shard:
    """The projection at 2 mm, row 0 caudal, and rows of VerSe id, z0, x0, z1, x1 of every body."""
    hu, body = labelled.volume.hu, labelled.masks["bodies"]
    if not has_spacing(labelled.volume, SPACING_MM):
        grid = respaced(labelled.volume, SPACING_MM)
        hu, body = labelled.volume.sample(grid), nearest(body, labelled.volume, grid)
    boxes = [
        (label, part[0].start, part[2].start, part[0].stop, part[2].stop)
        for label, part in enumerate(ndimage.find_objects(body), 1)
        if part is not None
    ]
    if not boxes:
        raise wrong_usage("mask-empty")
    return {
        "projection": np.clip(hu.max(axis=1), -1024, 3071).astype(np.int16),
        "boxes": np.array(sorted(boxes), np.int16),
    }


KIND = Kind("projections", Field.PROJECTION, ("bodies",), cut)


def seen(shard: Shard, head: Classes) -> set[str]:
    """The classes that a shard shows."""
    ids = {int(box[0]) for box in shard["boxes"]}
    return {"background"} | {name for name in head.names[1:] if Level(name).verse_id in ids}


def sample(shard: Shard, rng: np.random.Generator, view: View, head: Classes) -> Sample | None:
    """A projection (1, rows, columns), row 0 cranial, under a random field of view, its boxes and their classes.

    None where no body is in view.
    """
    class_of = {Level(name).verse_id: index for index, name in enumerate(head.names) if index}
    boxes = shard["boxes"][[int(box[0]) in class_of for box in shard["boxes"]]].astype(np.float32)
    if not len(boxes):
        return None
    hu = shard["projection"].astype(np.float32)
    low, high = _field_of_view(hu.shape[0], boxes, rng)
    shift = int(rng.integers(-15, 16))
    left, right = max(0, shift), hu.shape[1] + min(0, shift)
    margin = int(rng.integers(0, 25))
    left, right = left + margin, right - int(rng.integers(0, 25))
    hu = _disturb(hu[low:high, left:right], rng, view)
    zoom = PROJECTION_SPACING_MM / view.spacing_mm[0] * rng.uniform(0.9, 1.1)
    image = ndimage.zoom(hu, zoom, order=1)[::-1]
    ids = boxes[:, 0]
    z0, x0, z1, x1 = ((boxes[:, 1:] - [low, left, low, left]) * zoom).T
    found = np.stack([x0, image.shape[0] - z1, x1, image.shape[0] - z0], axis=1)
    whole = (found[:, 3] - found[:, 1]).copy()
    found[:, [1, 3]] = found[:, [1, 3]].clip(0, image.shape[0])
    found[:, [0, 2]] = found[:, [0, 2]].clip(0, image.shape[1])
    keep = (found[:, 3] - found[:, 1] > 0.55 * whole) & (found[:, 2] - found[:, 0] > 8)
    if not keep.any():
        return None
    if rng.random() < 0.5:
        image = image[:, ::-1]
        found[:, [0, 2]] = image.shape[1] - found[:, [2, 0]]
    labels = np.array([class_of[int(i)] for i in ids[keep]], np.int64)
    return np.ascontiguousarray(image)[None], found[keep].astype(np.float32), labels


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


def _disturb(hu: Float32, rng: np.random.Generator, view: View) -> Float32:
    """Thick slices, noise, table edges, contrast-filled gut, stones, leads; then the view's window."""
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
    return np.asarray(view.window(noisy.astype(np.float32)) ** rng.uniform(0.75, 1.35), np.float32)
