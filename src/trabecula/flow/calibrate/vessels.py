"""Finds the aorta and the cava in front of a spine and reads their blood, from any stretch of spine in view.

A vessel's blood is the brightest HU that an even disc keeps along the spine from slab to slab, bending no more than a
vessel does, in four slabs of five: a loop of bowel, a stomach with contrast or a plaque ends after some slabs.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.flow.calibrate.around import Surroundings
from trabecula.volume import Float32, Float64

RADIUS_MM = 5.5
"""Of the disc that is read: an aorta has 9 to 13 mm, a cava's flat side about 8."""

SLAB_MM = 6.0
BEYOND_MM = 30.0
"""A vessel is followed this far above the highest and below the lowest body in view."""

BEND_MM = 4.0
"""A vessel moves sideways at most this much from slab to slab."""

SHORTEST_MM = 24.0
SHARE_OF_SLABS = 0.8
STEPS_HU = (10.0, 800.0, 5.0)
LEAST_UNEVEN_HU = 25.0

AORTA_LEFT_MM, AORTA_BACK_MM = (-18.0, 48.0), (-52.0, -2.0)
CAVA_LEFT_MM, CAVA_BACK_MM = (-48.0, 4.0), (-52.0, -8.0)
BODY_MM = (27.0, 23.0)
"""Half axes, sideways and forwards, of what the vertebral body fills about its middle."""

NEAR_MM = 25.0
"""A vessel's middle lies no further than this from the body."""


@dataclass(frozen=True)
class Vessel:
    """Median HU of a vessel's blood, over what length it was read; where it runs, voxels (slab, 3) of surroundings."""

    hu: float
    length_mm: float
    path: NDArray[np.intp]


def find_aorta(around: Surroundings) -> Vessel | None:
    """The brightest even tube in front and to the left of the spine; None where too little is in view."""
    return _trace(around, around.box(AORTA_LEFT_MM, AORTA_BACK_MM))


def find_cava(around: Surroundings, aorta: Vessel | None) -> Vessel | None:
    """The brightest even tube in front and to the right that is not the aorta."""
    allowed = around.box(CAVA_LEFT_MM, CAVA_BACK_MM)
    if aorta is not None:
        for z, y, x in aorta.path:
            away = (around.back_mm[z][:, None] - around.back_mm[z, y]) ** 2
            away = away + (around.left_mm[z][None] - around.left_mm[z, x]) ** 2
            allowed[z] &= away > (2 * RADIUS_MM + 4) ** 2
    return _trace(around, allowed)


def _trace(around: Surroundings, allowed: NDArray[np.bool_]) -> Vessel | None:
    seen = (around.up_mm > -BEYOND_MM) & (around.up_mm < around.middles_mm[-1] + BEYOND_MM)
    group = max(1, round(SLAB_MM / around.spacing_mm[0]))
    first = np.flatnonzero(seen)[: int(seen.sum()) // group * group : group]
    length_mm = len(first) * group * around.spacing_mm[0]
    inside = allowed[first] & _beside_body(around, first)
    y, x = (np.flatnonzero(inside.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    if length_mm < SHORTEST_MM or not inside.any(axis=(1, 2)).all():
        return None
    part = slice(max(0, y[0] - 4), y[-1] + 5), slice(max(0, x[0] - 4), x[-1] + 5)
    slabs = np.stack([around.hu[z : z + group][:, *part].mean(axis=0) for z in first])
    mean, uneven = _discs(slabs, around.spacing_mm[1:])
    inside = inside[:, *part]
    inside &= uneven <= max(LEAST_UNEVEN_HU, 1.5 * float(np.median(uneven[inside])))
    reach = [max(1, round(BEND_MM / s)) for s in around.spacing_mm[1:]]

    def hits_at(level_hu: float) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        bright = inside & (mean >= level_hu)
        way = _longest_way(bright, reach)
        return way, bright[np.arange(len(first)), way[:, 0], way[:, 1]]

    levels = np.arange(*STEPS_HU)
    # What is bright at one level is at every lower one: no way meets more slabs as the level rises.
    enough = bisect_left(levels, True, key=lambda level_hu: hits_at(level_hu)[1].mean() < SHARE_OF_SLABS)
    if enough == 0:
        return None
    way, hits = hits_at(levels[enough - 1])
    values = mean[np.arange(len(first)), way[:, 0], way[:, 1]][hits]
    path = np.column_stack([first, way + [part[0].start, part[1].start]])
    return Vessel(float(np.median(values)), float(length_mm), path)


def _beside_body(around: Surroundings, z: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Outside the vertebral body and no further from it than a vessel's middle lies."""
    left, back = around.left_mm[z][:, None, :], around.back_mm[z][:, :, None]
    body, far = ((left / (BODY_MM[0] + m)) ** 2 + (back / (BODY_MM[1] + m)) ** 2 for m in (0.0, NEAR_MM))
    return np.asarray((body > 1) & (far < 1))


def _discs(slabs: Float32, spacing_mm: tuple[float, float]) -> tuple[Float64, Float64]:
    """Mean and standard deviation of the disc about every pixel of every slab."""
    reach = [int(np.ceil(RADIUS_MM / s)) for s in spacing_mm]
    y, x = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    disc = (np.hypot(y * spacing_mm[0], x * spacing_mm[1]) <= RADIUS_MM).astype(float)[None]
    disc /= disc.sum()
    mean = ndimage.convolve(slabs.astype(float), disc, mode="nearest")
    square = ndimage.convolve(slabs.astype(float) ** 2, disc, mode="nearest")
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _longest_way(bright: NDArray[np.bool_], reach: list[int]) -> NDArray[np.intp]:
    """The way (slab, 2) through all slabs that meets the most bright pixels, by dynamic programming."""
    size = (2 * reach[0] + 1, 2 * reach[1] + 1)
    best = [bright[0].astype(np.int16)]
    for slab in bright[1:]:
        best.append(slab + ndimage.maximum_filter(best[-1], size, mode="constant", cval=-1))
    y, x = np.unravel_index(int(np.argmax(best[-1])), best[-1].shape)
    way = [(int(y), int(x))]
    for earlier in best[-2::-1]:
        y0, x0 = max(0, way[-1][0] - reach[0]), max(0, way[-1][1] - reach[1])
        near = earlier[y0 : way[-1][0] + reach[0] + 1, x0 : way[-1][1] + reach[1] + 1]
        dy, dx = np.unravel_index(int(np.argmax(near)), near.shape)
        way.append((y0 + int(dy), x0 + int(dx)))
    return np.array(way[::-1], np.intp)
