"""Torsos of 3 mm voxels with the middle of every vertebral body and what it is counted by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import NAMED_LEVELS, Level
from trabecula.cohort.case import Field, Known, Labelled
from trabecula.cohort.drawn import TORSO_SPACING_MM
from trabecula.cohort.grids import has_spacing, nearest, respaced
from trabecula.errors import wrong_usage
from trabecula.flow.localise.evidence import LOOKS, SHORT_RIB_MM, Part, Rib
from trabecula.training.samples.augment import at_spacing, of_shape, random_pose, vary_intensity
from trabecula.training.samples.shards import Kind, Shard
from trabecula.view import View
from trabecula.volume import PADDING_HU, Float32, Float64

SPACING_MM = (TORSO_SPACING_MM,) * 3
PATCH = (160, 64, 96)
MIDDLE_SIGMA_MM = 7.0

BESIDE_VOXELS = 7
"""From the spine's middle: 21 mm, about half a body."""

COLUMNS, ROWS = 112, 84
"""Kept of a torso about its spine: 336 mm across and 252 mm deep, more than the network sees at once."""

SHORTEST_SLICES = 15
"""Of a field of view: 45 mm, hardly a body."""

BONE_HU = 140.0

UNASKED = -100
"""The answer of voxels outside every body, or in one of which the question has no answer: they teach nothing."""

NAMED_BY_LOOKS = ("regular", "sacralised")
"""How people are numbered in whom looks may teach names: in others they mislead, and only counting can tell."""

QUESTIONS = ("rib_right", "rib_left", "part", "upright", "look")
RIGHT, LEFT, PART, UPRIGHT, LOOK = range(len(QUESTIONS))


@dataclass(frozen=True)
class Sample:
    """A torso (D, H, W) in HU; at half its resolution, nearness to a middle, and answers (questions, ...)."""

    hu: Float32
    near: Float32
    answers: NDArray[np.int64]


def cut(labelled: Labelled) -> Shard:
    """HU and the label of every body about the spine, and a row about each body, in view or not.

    ``about`` rows: VerSe id, middle (z, y, x) in voxels, rib lengths right and left in mm, whether it is joined to the
    sacrum, whether its looks may teach its name.

    Raises:
        WrongUsage: ``ribs-unknown``: nobody says which ribs join which vertebra.
    """
    volume, body, known = labelled.volume, labelled.masks["bodies"], labelled.known
    if not known.ribs_mm:
        raise wrong_usage("ribs-unknown")
    if not has_spacing(volume, SPACING_MM):
        grid = respaced(volume, SPACING_MM)
        body = nearest(body, volume, grid)
        volume = type(volume)(volume.sample(grid), grid.affine)
    levels = [level for level in known.ribs_mm if level in known.centres_lps_mm]
    middles = volume.to_index(np.array([known.centres_lps_mm[level] for level in levels]))
    inside = ((middles >= 0) & (middles < volume.shape)).all(axis=1)
    _, y, x = middles[inside].mean(axis=0) if inside.any() else np.array(volume.shape) / 2
    start = [0, _first(y - 0.6 * ROWS, volume.shape[1], ROWS), _first(x - COLUMNS / 2, volume.shape[2], COLUMNS)]
    part = np.s_[:, start[1] : start[1] + ROWS, start[2] : start[2] + COLUMNS]
    about = [_row(level, middle - start, known) for level, middle in zip(levels, middles, strict=True)]
    hu = np.clip(volume.hu[part], -1024, 3071).astype(np.int16)
    return {"hu": hu, "body": body[part], "about": np.array(about, np.float32)}


KIND = Kind("counted torsos", Field.COUNTED, ("bodies",), cut)


def _first(wanted: float, there: int, keep: int) -> int:
    return int(np.clip(round(wanted), 0, max(0, there - keep)))


def _row(level: Level, middle: Float64, known: Known) -> tuple[float, ...]:
    named = known.numbering in NAMED_BY_LOOKS
    return (level.verse_id, *middle, *known.ribs_mm[level], level == known.joined_to_sacrum, named)


def sample(shard: Shard, rng: np.random.Generator, view: View) -> tuple[Float32, Float32, NDArray[np.int64]]:
    """An image (1, *PATCH) in 0 to 1; half as fine, nearness to a body's middle and the answers (questions, ...)."""
    made = vary_torso(shard, rng, view)
    return view.window(made.hu)[None], made.near, made.answers


def vary_torso(shard: Shard, rng: np.random.Generator, view: View) -> Sample:
    """A torso as some scan shows it: cut to a field of view, turned, stretched, blurred, mirrored, upside down."""
    hu, about = shard["hu"], shard["about"]
    middles = about[:, 1:4].astype(np.float64)
    low, high = field_of_view(len(hu), dict(zip(about[:, 0].astype(int).tolist(), middles[:, 0], strict=True)), rng)
    if high - low < SHORTEST_SLICES:
        low, high = 0.0, float(len(hu))
    in_view = middles[(middles[:, 0] >= low) & (middles[:, 0] < high)]
    _, y, x = np.mean(in_view if len(in_view) else middles, axis=0)
    volume = at_spacing(hu, SPACING_MM)
    centre = np.array([(low + high) / 2, y, x]) + rng.uniform(-1, 1, 3) * [12, 10, 10]
    pose = random_pose(of_shape(view, PATCH), volume, centre, rng, 5.5, 0.7)
    first, last = _slices_in_view(pose.matrix, pose.offset, low, high)
    image, labels = pose.image(volume), pose.labels(shard["body"])[::2, ::2, ::2]
    at = np.asarray(np.linalg.solve(pose.matrix, (middles - pose.offset).T).T, np.float64)
    shown = (at[:, 0] >= first) & (at[:, 0] < last)
    image = _droop(image, at[shown], rng)
    image = _degrade(vary_intensity(_flatten_soft_tissue(_shift_soft_tissue(image, rng), rng), rng), rng)
    for beyond in (slice(0, first), slice(last, None)):
        image[beyond] = PADDING_HU
    labels[: (first + 1) // 2], labels[(last + 1) // 2 :] = 0, 0
    image = _narrow(image, at[shown] if shown.any() else at, rng)
    return _mirrored(Sample(image, _nearness(at[shown]), answer_table(about)[:, labels]), rng)


def answer_table(about: NDArray[np.float32]) -> NDArray[np.int64]:
    """The answer to each question for each VerSe id, (questions, 256)."""
    table = np.full((len(QUESTIONS), 256), UNASKED)
    by_id = {level.verse_id: level for level in NAMED_LEVELS}
    for verse_id, _, _, _, right_mm, left_mm, joined, named in about:
        label, level = int(verse_id), by_id[int(verse_id)]
        table[RIGHT, label], table[LEFT, label] = _rib(right_mm), _rib(left_mm)
        table[PART, label] = Part.TRANSITIONAL if joined else _part(level)
        table[UPRIGHT, label] = 1
        if named and (level.value in LOOKS or _part(level) is Part.NECK):
            table[LOOK, label] = LOOKS.index(level.value) if level.value in LOOKS else 0
    return table


def _rib(length_mm: float) -> Rib:
    if length_mm <= 0:
        return Rib.NONE
    return Rib.SHORT if length_mm < SHORT_RIB_MM else Rib.LONG


def _part(level: Level) -> Part:
    if level is Level.S1:
        return Part.SACRUM
    if level is Level.T1:
        return Part.FIRST_RIB
    return Part.NECK if level.value.startswith("C") else Part.TRUNK


def field_of_view(slices: int, height: dict[int, float], rng: np.random.Generator) -> tuple[float, float]:
    """Chest, abdomen, trunk, spine or a few bodies of it: the first slice and the one after the last."""

    def at(first: Level, last: Level) -> float:
        """The middle of a body drawn from those between two, more or less."""
        label = int(rng.integers(first.verse_id, last.verse_id + 1))
        return height[min(height, key=lambda k: abs(k - label))] + float(rng.uniform(-6, 6))

    kind = rng.choice(6, p=[0.27, 0.18, 0.11, 0.1, 0.22, 0.12])
    if kind == 0:  # chest: from above the apex, or below it, to T10 ... L3
        low = at(Level.T10, Level.L3)
        high = at(Level.C6, Level.T3) if rng.random() < 0.85 else at(Level.T4, Level.T7)
        return max(0.0, low), float(min(slices, high + 4))
    if kind == 1:  # abdomen and pelvis
        return float(rng.uniform(0, 25)), float(min(slices, at(Level.T8, Level.L1) + 4))
    if kind == 2:  # upper abdomen
        return max(0.0, at(Level.L3, Level.L5) - 4), float(min(slices, at(Level.T7, Level.T11) + 4))
    if kind == 3:  # everything
        return 0.0, float(slices)
    if kind == 4:  # two to four bodies about the last ribs: nothing but the joints tells whether a rib is there
        middle, half = at(Level.T10, Level.L2), float(rng.uniform(12, 24))
        return max(0.0, middle - half), float(min(slices, middle + half))
    length = rng.uniform(20, 110)
    low = rng.uniform(0, max(1.0, slices - length))
    return float(low), float(min(slices, low + length))


def _slices_in_view(matrix: Float64, offset: Float64, low: float, high: float) -> tuple[int, int]:
    """The patch's slices between two slices of the shard, along the patch's middle."""
    y, x = (np.asarray(PATCH[1:]) - 1) / 2
    at = (np.array([low, high]) - offset[0] - matrix[0, 1] * y - matrix[0, 2] * x) / matrix[0, 0]
    first, last = np.clip(np.rint(at), 0, PATCH[0]).astype(int)
    return int(first), int(last)


def _nearness(middles: Float64) -> Float32:
    """How near each voxel of half the resolution is to one of ``middles`` (n, 3), in voxels of the patch."""
    axes = [np.arange(0, n, 2, dtype=np.float32) for n in PATCH]
    near = np.zeros([len(axis) for axis in axes], np.float32)
    for middle in middles:
        z, y, x = (
            np.exp((axis - c) ** 2 * (-(TORSO_SPACING_MM**2) / (2 * MIDDLE_SIGMA_MM**2)))
            for axis, c in zip(axes, middle, strict=True)
        )
        np.maximum(near, z[:, None, None] * y[None, :, None] * x[None, None], out=near)
    return near


def _shift_soft_tissue(hu: Float32, rng: np.random.Generator) -> Float32:
    """Four times in ten, all that is no bone moved up or down by 3 to 9 cm: kidneys, lungs and liver do not count.

    On real CTs a network that may look at them says that a rib joins L1 where the organs lie low.
    """
    if rng.random() < 0.6:
        return hu
    soft = np.where(hu > BONE_HU, np.float32(40.0), hu)
    moved = np.roll(soft, int(rng.choice([-1, 1]) * rng.integers(10, 31)), axis=0)
    return np.where(hu > BONE_HU, hu, moved)


def _flatten_soft_tissue(hu: Float32, rng: np.random.Generator) -> Float32:
    """Four times in ten, organs all but vanish: bones say how to count, and they are what is drawn best."""
    if rng.random() < 0.6:
        return hu
    edge, share = np.float32(rng.uniform(60, 130)), np.float32(rng.uniform(0, 0.4))
    return np.where((hu < edge) & (hu > -300), edge - share * (edge - hu), hu)


def _droop(hu: Float32, middles: Float64, rng: np.random.Generator) -> Float32:
    """Three times in four, what lies beside the spine moved down or up with its distance: ribs of any slope.

    The lowest ribs of some people pass beside the body below the one that they join, and only the joint tells.
    """
    if rng.random() < 0.25 or len(middles) == 0:
        return hu
    order = np.argsort(middles[:, 0])
    depth, _, width = hu.shape
    spine = np.interp(np.arange(depth), middles[order, 0], middles[order, 2])
    beside = np.abs(np.arange(width)[None] - spine[:, None]) - BESIDE_VOXELS
    slopes = rng.uniform(-0.2, 0.65) + rng.uniform(-0.1, 0.1, 2)
    slope = np.where(np.arange(width)[None] < spine[:, None], slopes[0], slopes[1])
    at = np.clip(np.arange(depth)[:, None] + slope * np.clip(beside, 0, 32), 0, depth - 1.001)
    low = at.astype(int)
    share = (at - low).astype(np.float32)[:, None]
    here, above = (np.take_along_axis(hu, (low + step)[:, None], 0) for step in (0, 1))
    return np.asarray(here + share * (above - here), np.float32)


def _degrade(hu: Float32, rng: np.random.Generator) -> Float32:
    """Slices of up to 5 mm, pixels of up to 3 mm, lung and fat of any density."""
    if rng.random() < 0.35:
        hu = ndimage.gaussian_filter1d(hu, rng.uniform(0.3, 0.9), axis=0)
    if rng.random() < 0.2:
        hu = ndimage.gaussian_filter(hu, (0, *([rng.uniform(0.2, 0.6)] * 2)))
    if rng.random() < 0.25:
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


def _mirrored(made: Sample, rng: np.random.Generator) -> Sample:
    """Half of all left and right exchanged; one in fourteen with its slices, its rows or both the wrong way round."""
    if rng.random() < 0.5:
        made = reverse(made, 2)
        answers = made.answers.copy()
        answers[[RIGHT, LEFT]] = answers[[LEFT, RIGHT]]
        made = Sample(made.hu, made.near, answers)
    if rng.random() < 0.07:
        for axis in ((0,), (1,), (0, 1))[rng.integers(3)]:
            made = reverse(made, axis)
        answers = np.full_like(made.answers, UNASKED)
        answers[UPRIGHT] = np.where(made.answers[UPRIGHT] == 1, 0, UNASKED)
        made = Sample(made.hu, made.near, answers)
    return made


def reverse(made: Sample, axis: int) -> Sample:
    """One axis the other way round; in a mirrored image the voxels of even place are those of odd place."""
    hu = np.ascontiguousarray(np.roll(np.flip(made.hu, axis), -1, axis))
    near, answers = np.flip(made.near, axis), np.flip(made.answers, axis + 1)
    return Sample(hu, np.ascontiguousarray(near), np.ascontiguousarray(answers))
