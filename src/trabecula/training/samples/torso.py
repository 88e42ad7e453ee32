"""Torsos of 3 mm voxels with the middle and the name of every vertebral body, for a network that finds and names."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import NAMED_LEVELS, Level
from trabecula.cohort.case import Field, Labelled
from trabecula.cohort.drawn import TORSO_COLUMNS, TORSO_SPACING_MM
from trabecula.cohort.grids import has_spacing, nearest, respaced
from trabecula.errors import wrong_usage
from trabecula.training.samples.augment import at_spacing, middles, of_shape, random_pose, vary_intensity
from trabecula.training.samples.shards import Kind, Shard
from trabecula.view import Classes, View
from trabecula.volume import Float32, Float64

SPACING_MM = (TORSO_SPACING_MM,) * 3
PATCH = (128, 64, 96)
MIDDLE_SIGMA_MM = 7.0

UNNAMED = -100
"""Voxels outside every body, or in one whose name depends on where one begins to count, teach no name."""

Sample = tuple[Float32, Float32, NDArray[np.int64]]


def cut(labelled: Labelled) -> Shard:
    """The torso about the spine at 3 mm: HU and the label of every vertebral body."""
    hu, body = labelled.volume.hu, labelled.masks["bodies"]
    if not has_spacing(labelled.volume, SPACING_MM):
        grid = respaced(labelled.volume, SPACING_MM)
        hu, body = labelled.volume.sample(grid), nearest(body, labelled.volume, grid)
    if not (body > 0).any():
        raise wrong_usage("mask-empty")
    spine = int(np.flatnonzero(body.any(axis=(0, 1))).mean())
    first = int(np.clip(spine - TORSO_COLUMNS // 2, 0, max(0, hu.shape[2] - TORSO_COLUMNS)))
    part = np.s_[:, :, first : first + TORSO_COLUMNS]
    return {"hu": np.clip(hu[part], -1024, 3071).astype(np.int16), "body": body[part]}


KIND = Kind("torsos", Field.TORSO, ("bodies",), cut)


def names_by_label(head: Classes) -> NDArray[np.int64]:
    """Which name of the head each VerSe id teaches; ``above`` is every level cranial of the first that is named."""
    names = np.full(256, UNNAMED)
    named = [Level(name) for name in head.names if name != "above"]
    for level in named:
        names[level.verse_id] = head.names.index(level.value)
    if "above" in head.names:
        for level in NAMED_LEVELS[NAMED_LEVELS.index(Level.C5) : NAMED_LEVELS.index(named[0])]:
            names[level.verse_id] = head.names.index("above")
    return names


def seen(shard: Shard, head: Classes) -> set[str]:
    """The classes that a shard shows."""
    names = names_by_label(head)[np.unique(shard["body"])]
    return {head.names[index] for index in names if index != UNNAMED}


def sample(shard: Shard, rng: np.random.Generator, view: View, head: Classes) -> Sample:
    """A turned, stretched and cut torso (1, *PATCH), the nearness of bodies' middles and their names, half as fine."""
    volume, body = at_spacing(shard["hu"], SPACING_MM), shard["body"]
    places = middles(body)
    low, high = _field_of_view(volume.shape[0], places, rng)
    in_view = [m for m in places.values() if low <= m[0] < high] or list(places.values())
    _, y, x = np.mean(in_view, axis=0)
    centre = np.array([(low + high) / 2, y, x]) + rng.uniform(-1, 1, 3) * [20, 20, 10]
    pose = random_pose(of_shape(view, PATCH), volume, centre, rng, 6, 0.6)
    image, labels = pose.image(volume), pose.labels(body)
    first, last = _slices_in_view(pose.matrix, pose.offset, low, high)
    half = [np.arange(0, n, 2, dtype=np.float32) for n in PATCH]
    near = np.zeros([len(axis) for axis in half], np.float32)
    for label, middle in places.items():
        at = np.linalg.solve(pose.matrix, middle - pose.offset)
        if label == Level.S1.verse_id or not first <= at[0] < last:
            continue  # the sacrum is no body to measure, but its name is learnt
        squares = [(axis - c) ** 2 for axis, c in zip(half, at, strict=True)]
        distance = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None]
        np.maximum(near, np.exp(-distance * (TORSO_SPACING_MM**2 / (2 * MIDDLE_SIGMA_MM**2))), out=near)
    image = _flatten_soft_tissue(vary_intensity(image, rng), rng)
    if rng.random() < 0.3:  # thick slices
        image = ndimage.gaussian_filter1d(image, rng.uniform(0.3, 1.0), axis=0)
    for beyond in (slice(0, first), slice(last, None)):
        image[beyond], labels[beyond] = -1000, 0
    names = names_by_label(head)[labels][::2, ::2, ::2]
    if rng.random() < 0.5:
        image, near, names = image[..., ::-1], near[..., ::-1], names[..., ::-1]
        image = np.roll(image, -1, axis=2)  # mirrored, the voxels of even place are those of odd place
    return view.window(image)[None], np.ascontiguousarray(near), np.ascontiguousarray(names)


def _flatten_soft_tissue(hu: Float32, rng: np.random.Generator) -> Float32:
    """Half the time, organs all but vanish: bones say how to count, and they are what is drawn best."""
    if rng.random() < 0.5:
        return hu
    edge, share = np.float32(rng.uniform(60, 130)), np.float32(rng.uniform(0, 0.4))
    return np.where((hu < edge) & (hu > -300), edge - share * (edge - hu), hu)


def _field_of_view(slices: int, places: dict[int, Float64], rng: np.random.Generator) -> tuple[float, float]:
    """Chest, abdomen, both, lumbar or anything, in slices of the shard."""

    def height(first: int, last: int) -> float:
        label = int(rng.integers(first, last))
        return float(places[min(places, key=lambda k: abs(k - label))][0])

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


def _slices_in_view(matrix: Float64, offset: Float64, low: float, high: float) -> tuple[int, int]:
    """The patch's slices between two slices of the shard, along the patch's middle."""
    y, x = (np.asarray(PATCH[1:]) - 1) / 2
    at = (np.array([low, high]) - offset[0] - matrix[0, 1] * y - matrix[0, 2] * x) / matrix[0, 0]
    first, last = np.clip(np.rint(at), 0, PATCH[0]).astype(int)
    return int(first), int(last)
