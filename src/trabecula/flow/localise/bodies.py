"""From the counting network's maps to vertebral bodies, and from bodies to the chain that is the spine."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from trabecula.flow.localise.evidence import LOOK, LOOKS, MIDDLE, PART, RIB_LEFT, RIB_RIGHT, UPRIGHT
from trabecula.flow.localise.numbering import PITCH_MM
from trabecula.volume import Float32, Float64

APART_MM = 12.0
"""Two bodies' middles are further apart than this, crushed ones too."""

LONGEST_LINK_MM = 125.0
"""The chain may pass over two vertebrae that the network missed."""

LEAN_DEG = 25.0
"""How far a link usually leans: lordosis, kyphosis, scoliosis."""

PITCH_SPREAD = 0.25
"""Of the logarithm of a pitch over that which looks lead one to expect: two peaks in one body are half of it apart."""

_LOOKED_PITCH_MM = np.array([PITCH_MM.get(look, PITCH_MM["C7"]) for look in LOOKS])

WORTH = 2.0
"""The chain takes up a body unless its link costs more than this (and what its score lacks)."""


@dataclass(frozen=True)
class Body:
    """A vertebral body: its middle (z, y, x) in voxels of the maps, the network's score, and what it shows.

    ``rib_right``, ``rib_left``, ``part`` and ``look`` are probabilities of the classes of ``evidence``.
    """

    middle: Float64
    score: float
    rib_right: Float64
    rib_left: Float64
    part: Float64
    upright: float
    look: Float64


def find_bodies(scores: Float32, minimum_score: float, voxel_mm: float) -> list[Body]:
    """The peaks of the middles that lie apart, best first; ``scores`` (channels, z, y, x) as the network gave them."""
    near = _logistic(scores[MIDDLE])
    peaks = np.argwhere((near > minimum_score) & (near == ndimage.maximum_filter(near, 3)))
    peaks = peaks[np.argsort(-near[tuple(peaks.T)])]
    found: list[Body] = []
    for peak in peaks:
        part = tuple(slice(max(0, p - 1), p + 2) for p in peak)
        weight = near[part]
        middle = np.array([np.average(axis, weights=weight) for axis in np.indices(weight.shape)])
        middle += [p.start for p in part]
        if all(np.linalg.norm(middle - other.middle) * voxel_mm > APART_MM for other in found):
            found.append(_read(middle, float(near[tuple(peak)]), scores[(slice(None), *part)], weight))
    return found


def _read(middle: Float64, score: float, scores: Float32, weight: Float32) -> Body:
    share = (weight / weight.sum()).astype(np.float64)

    def classes(channels: slice) -> Float64:
        exponent = np.exp(scores[channels] - scores[channels].max(axis=0))
        return np.asarray((exponent / exponent.sum(axis=0) * share).sum(axis=(1, 2, 3)))

    upright = float((_logistic(scores[UPRIGHT]) * share).sum())
    return Body(
        middle, score, classes(RIB_RIGHT), classes(RIB_LEFT), classes(PART), upright=upright, look=classes(LOOK)
    )


def _logistic(scores: Float32) -> Float32:
    return np.asarray(1 / (1 + np.exp(-scores)), np.float32)


def spine_of(bodies: list[Body], places_mm: Float64) -> list[int]:
    """The bodies, by index, that form the most credible spine, cranial first.

    ``places_mm`` (n, 3) are their middles in LPS. A dynamic programme: each link costs by its lean, by what it lacks or
    exceeds of the pitch that both bodies look like, and by what it passes over; each body is worth its score.
    """
    order = np.argsort(-places_mm[:, 2]).tolist() if len(bodies) else []
    best: dict[int, float] = {}
    above: dict[int, int] = {}
    for place, lower in enumerate(order):
        gain = WORTH + float(np.log(bodies[lower].score))
        best[lower] = gain
        for upper in order[:place]:
            pitch_mm = (expected_pitch_mm(bodies[upper]) + expected_pitch_mm(bodies[lower])) / 2
            value = best[upper] - _link_cost(places_mm[upper] - places_mm[lower], pitch_mm) + gain
            if value > best[lower]:
                best[lower], above[lower] = value, upper
    if not best:
        return []
    chain = [max(best, key=lambda index: best[index])]
    while chain[-1] in above:
        chain.append(above[chain[-1]])
    return chain[::-1]


def expected_pitch_mm(body: Body) -> float:
    """The distance to the next body that its looks lead one to expect."""
    return float(body.look @ _LOOKED_PITCH_MM)


def _link_cost(step_mm: Float64, pitch_mm: float) -> float:
    length = float(np.linalg.norm(step_mm))
    if not APART_MM < length < LONGEST_LINK_MM or step_mm[2] <= 0:
        return float("inf")
    lean = np.degrees(np.arccos(np.clip(step_mm[2] / length, -1, 1)))
    passed = max(1, round(length / pitch_mm)) - 1
    off = np.log(length / (pitch_mm * (passed + 1))) / PITCH_SPREAD
    return float(0.5 * (lean / LEAN_DEG) ** 2 + 0.5 * off**2 + passed)
