"""From the counting network's maps to vertebral bodies, and from bodies to the chain that is the spine."""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from trabecula.flow.localise.evidence import LOOK, LOOKS, MIDDLE, PART, RIB_LEFT, RIB_RIGHT, UPRIGHT, Part, Rib
from trabecula.flow.localise.numbering import NAMED, PITCH_MM
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


def unnamed() -> Float64:
    """What is said of the names of a body that a network did not see."""
    return np.full(len(NAMED), 1 / len(NAMED))


@dataclass(frozen=True)
class Body:
    """A vertebral body: its middle (z, y, x) in voxels of the maps, the network's score, and what it shows.

    ``rib_right``, ``rib_left``, ``part`` and ``look`` are probabilities of the classes of ``evidence``; ``named`` and
    ``projected`` those of ``numbering.NAMED``, as other networks see it in the volume and in the projection. Equal ones
    say nothing.
    """

    middle: Float64
    score: float
    rib_right: Float64
    rib_left: Float64
    part: Float64
    upright: float
    look: Float64
    named: Float64 = field(default_factory=unnamed)
    projected: Float64 = field(default_factory=unnamed)


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


def with_names(bodies: list[Body], named: list[tuple[Float64, float, Float64]], voxel_mm: float) -> list[Body]:
    """The bodies with the names that a second network gives at the same places, and those that it alone found.

    ``named``: middle in the voxels of the maps, score, and probabilities of NAMED. What both saw lies between their
    middles.
    """
    joined, left = list(bodies), list(named)
    for k, body in enumerate(bodies):
        near = [one for one in left if np.linalg.norm(one[0] - body.middle) * voxel_mm < APART_MM]
        if near:
            middle, score, names = best = min(near, key=lambda one: float(np.linalg.norm(one[0] - body.middle)))
            left = [one for one in left if one is not best]
            joined[k] = replace(body, middle=(body.middle + middle) / 2, score=max(body.score, score), named=names)
    return joined + [_by_name_alone(*one) for one in left]


def _by_name_alone(middle: Float64, score: float, names: Float64) -> Body:
    """A body of which it is not known what joins it."""
    look = np.zeros(len(LOOKS))
    upper = [k for k, name in enumerate(LOOKS) if name not in NAMED]
    look[upper] = names[0] / len(upper)
    for name, share in zip(NAMED[1:], names[1:], strict=True):
        look[LOOKS.index(name)] = share
    ribs, part = np.full(len(Rib), 1 / len(Rib)), np.full(len(Part), 1 / len(Part))
    return Body(middle, score, ribs, ribs, part, upright=0.5, look=look, named=names)


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
