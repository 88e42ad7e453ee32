"""Slices whose numbers stand on another level than their neighbours': another rescale, or another phase.

From slice to slice a tissue keeps its value: the median difference of fat, of soft tissue and of air stays below about
14 HU in whole scans. What is shifted, or was scanned with other enhancement, jumps.
"""

import numpy as np
from numpy.typing import NDArray

from trabecula.formats.tissues import unevenness
from trabecula.volume import Float32, Float64

JUMP_HU = 25.0
JUMP_OF_TWO_HU = 18.0
"""Enough where two tissues jump alike."""

SAME_LEVEL_HU = 15.0
CLASSES_HU = ((-200.0, -40.0), (-20.0, 200.0), (-1600.0, -850.0))  # fat, soft tissue, air
EVEN_HU, EVEN_SHARE = 40.0, 0.4
"""Blocks at edges are left out: in noisy scans this share of the tissue is kept all the same."""

LEAST_BLOCKS, LEAST_SHARE = 30, 0.015
NO_PHASE_HU = 150.0
"""Contrast medium does not lift tissue by so much; where air stays, so much is anatomy."""

SIDE = 48
"""Blocks of a slice to look at, each way."""

ALTERNATE_BELOW = 0.95
"""The difference to the slice after the next, as a share of that to the next: 1.1 to 1.7 in a scan, below 1 in two
that are interleaved."""

LEAST_ALTERNATING = 6

UNLIKE_ABOVE, UNLIKE_HU = 1.3, 15.0
"""How far a slice is from both its neighbours, as a share of how far these are from one another: 0.5 to 0.8 in a scan,
1 in noise. Above it the slice shows something else: pixels that were damaged on the way, or another scan's slice."""

PLAIN_HU = (-1000.0, 1000.0)

DENSEST_HU, MAX_DENSEST_SHARE = 3100.0, 0.1
"""Beyond bone, and beyond metal where scanners end their scale at 3071; where they do not, metal fills no such share of
a picture. Numbers that begin in the midst of their bytes do."""


def levels(sample: Float32) -> Float64:
    """How far each slice of a thinned scan (slice, row, column) stands from the level of most, in HU."""
    coarse = _coarse(sample)
    uneven = unevenness(coarse)
    tissue = (coarse > CLASSES_HU[0][0]) & (coarse < CLASSES_HU[1][1])
    even = uneven < max(EVEN_HU, float(np.quantile(uneven[tissue], EVEN_SHARE)) if tissue.any() else 0.0)
    painted = uneven == 0  # what is exactly even is no air
    steps = [
        _step(coarse[i : i + 2], even[i] & even[i + 1], painted[i] | painted[i + 1]) for i in range(len(coarse) - 1)
    ]
    level = np.cumsum([0.0, *steps])
    if not any(steps):
        return np.asarray(level)
    alike = np.abs(level[:, None] - level) < SAME_LEVEL_HU
    return np.asarray(level - np.median(level[alike[int(alike.sum(axis=1).argmax())]]))


def _coarse(sample: Float32) -> Float32:
    rows, columns = (max(1, n // SIDE) for n in sample.shape[1:])
    return sample[:, ::rows, ::columns]


def _step(pair: Float32, even: NDArray[np.bool_], painted: NDArray[np.bool_]) -> float:
    """By how much the values jump between two slices; 0 where they do not."""
    before, difference = pair[0], pair[1] - pair[0]
    least = max(LEAST_BLOCKS, LEAST_SHARE * before.size)
    moved = []
    for low, high in CLASSES_HU[:2]:
        there = even & (before > low) & (before < high)
        if np.count_nonzero(there) >= least:
            moved.append(float(np.median(difference[there])))
    air = even & (before > CLASSES_HU[2][0]) & (before < CLASSES_HU[2][1])
    noisy = air & ~painted
    by_air = [float(np.median(difference[at])) for at in (noisy, air) if np.count_nonzero(at) >= least][:1]
    largest = max(moved + by_air, key=abs, default=0.0)
    if by_air and abs(by_air[0]) < JUMP_OF_TWO_HU and abs(largest) > NO_PHASE_HU:
        return 0.0  # a body's end: air in place of tissue
    alike = sum(abs(step) >= JUMP_OF_TWO_HU and step * largest > 0 for step in moved + by_air)
    return largest if abs(largest) >= JUMP_HU or alike > 1 else 0.0


def beyond_bodies(sample: Float32) -> NDArray[np.bool_]:
    """Which slices of a thinned scan hold values that no body has; none where most do, which is another scale."""
    found = np.asarray((_coarse(sample) > DENSEST_HU).mean(axis=(1, 2)) > MAX_DENSEST_SHARE)
    return found if found.mean() < 0.5 else np.zeros(len(sample), bool)


def unlike(sample: Float32) -> NDArray[np.bool_]:
    """Which slices of a thinned scan are unlike both their neighbours, while these are like one another."""
    found = np.zeros(len(sample), bool)
    if len(sample) < 3:
        return found
    plain = np.clip(_coarse(sample), *PLAIN_HU)
    next_one = np.abs(np.diff(plain, axis=0)).mean(axis=(1, 2))
    next_but_one = np.abs(plain[2:] - plain[:-2]).mean(axis=(1, 2))
    nearer = np.minimum(next_one[1:], next_one[:-1])
    found[1:-1] = (nearer > UNLIKE_ABOVE * next_but_one) & (nearer > UNLIKE_HU)
    return found


def alternating(sample: Float32) -> NDArray[np.bool_]:
    """Which slices of a thinned scan belong to a stretch where every other one is of another scan."""
    body = np.clip(_coarse(sample), -200, 300)
    found = np.zeros(len(sample), bool)
    if len(sample) < LEAST_ALTERNATING:
        return found
    next_one = np.abs(np.diff(body, axis=0)).mean(axis=(1, 2))
    next_but_one = np.abs(body[2:] - body[:-2]).mean(axis=(1, 2))
    nearer = next_but_one < ALTERNATE_BELOW * (next_one[1:] + next_one[:-1]) / 2
    runs = np.flatnonzero(np.diff(np.concatenate([[False], nearer, [False]]).astype(np.int8)))
    for start, stop in runs.reshape(-1, 2):
        if stop - start >= LEAST_ALTERNATING - 2:
            found[start : stop + 2] = True
    return found
