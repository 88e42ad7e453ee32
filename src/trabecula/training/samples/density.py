"""Vertebrae of which only the trabecular region is shown, with their density or its category."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.cohort.drawn import SPINE_SPACING_MM
from trabecula.flow.calibrate.voltage import to_reference_voltage
from trabecula.quantity import CATEGORIES, QCT_BANDS
from trabecula.training.samples.augment import at_spacing
from trabecula.training.samples.shards import Shard
from trabecula.view import View
from trabecula.volume import Float32

LEAST_VOXELS = 3000
"""A region of fewer voxels is no whole vertebra's."""

SCALES = (0.85, 1.2)
"""How much larger or smaller than it is a vertebra is shown."""

Levels = tuple[Level, ...]


def sample(
    shard: Shard, rng: np.random.Generator, view: View, levels: Levels = (), judged: Levels = ()
) -> tuple[Float32, Float32] | None:
    """A whole vertebra as the network will see it, its mask a little wrong, and its BMD.

    It is one of ``levels``, or any. With ``judged``, all ``levels`` are in one image, and the BMD is the mean of the
    judged ones, in the image or not. None where the shard does not show them.
    """
    densities = {int(label): float(bmd) for label, bmd in shard["bmd"]}
    whole = [label for label in densities if _whole(shard, label)]
    wanted = [level.verse_id for level in levels]
    if judged:
        ids = [level.verse_id for level in judged]
        if not set(wanted) <= set(whole) or not set(ids) <= set(densities):
            return None
        shown, bmd = wanted, float(np.mean([densities[label] for label in ids]))
    else:
        there = [label for label in whole if not wanted or label in wanted]
        if not there:
            return None
        shown = [there[rng.integers(len(there))]]
        bmd = densities[shown[0]]
    return _image(shard, rng, view, shown), np.array(bmd, np.float32)


def category(
    shard: Shard, rng: np.random.Generator, view: View, levels: Levels = (), judged: Levels = ()
) -> tuple[Float32, NDArray[np.int64]] | None:
    """The same with the place in ``CATEGORIES`` of the category that QCT's bands give the BMD."""
    drawn = sample(shard, rng, view, levels, judged)
    if drawn is None:
        return None
    image, bmd = drawn
    return image, np.array(CATEGORIES.index(QCT_BANDS.category(float(bmd))), np.int64)


def seen_categories(shard: Shard, levels: Levels, together: bool = False) -> set[str]:
    """The categories that a shard teaches: of each of ``levels``, or ``together`` that of their mean."""
    ids = {level.verse_id for level in levels}
    found = [float(bmd) for label, bmd in shard["bmd"] if int(label) in ids]
    if together:
        found = [float(np.mean(found))] if len(found) == len(ids) else []
    return {QCT_BANDS.category(bmd).value for bmd in found}


def _scaled(view: View, scale: float) -> View:
    z, y, x = view.spacing_mm
    return replace(view, spacing_mm=(z * scale, y * scale, x * scale))


def _whole(shard: Shard, label: int) -> bool:
    cut = bool((shard["body"][[0, -1]] == label).any())
    return not cut and int((shard["trabecular"] == label).sum()) > LEAST_VOXELS


def _image(shard: Shard, rng: np.random.Generator, view: View, labels: list[int]) -> Float32:
    """What the network takes of some vertebrae, without the batch."""
    chosen = np.isin(shard["trabecular"], labels)
    where = ndimage.find_objects(chosen.astype(np.uint8))[0]
    part = tuple(slice(max(0, axis.start - 6), axis.stop + 6) for axis in where)
    region = chosen[part]
    change = rng.random()
    if change < 0.25:
        region = ndimage.binary_erosion(region)
    elif change < 0.4:
        region = ndimage.binary_dilation(region)
    elif change < 0.7:
        region = np.roll(region, rng.integers(-1, 2, 3), (0, 1, 2))
    volume = at_spacing(shard["hu"][part].astype(np.float32), SPINE_SPACING_MM)
    middle = np.argwhere(region).mean(axis=0) + rng.uniform(-2, 2, 3) / SPINE_SPACING_MM
    # Of a larger or smaller person: a mean over the image alone would tell a small region's density too low.
    image = _scaled(view, rng.uniform(*SCALES)).cut_masked(
        volume, region.astype(np.uint8), 1, middle, to_reference_voltage(float(shard["kvp"]))
    )
    if rng.random() < 0.5:
        image = image[:, :, ::-1]
    return np.ascontiguousarray(view.as_input(image)[0])
