"""Names by looks, for counting: networks that name each body as it looks, ribs and sacrum unasked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from trabecula.anatomy import LEVELS
from trabecula.flow.localise.bodies import Body, unnamed
from trabecula.flow.localise.naming import Candidate
from trabecula.flow.localise.numbering import NAMED
from trabecula.flow.localise.torso import look
from trabecula.view import Classes
from trabecula.volume import Float32, Float64, Volume
from trabecula.weights import Weights, weights_named

APART_MM = 13.0
"""Two bodies' middles are further apart than this, crushed ones too."""

SAME_HEIGHT_MM, SAME_SIDE_MM = 12.0, 30.0
"""A box of the projection, which knows no depth, is of the body this near to its middle."""

FLOOR = 0.002
"""No name is ruled out by a network that did not score it."""


@dataclass(frozen=True)
class NamesByLooks:
    """The vertebrae that the network finds. ``minimum_score``: how sure it must be of a body's middle."""

    weights: str
    minimum_score: float = 0.3
    precision: str = "f32"

    def __call__(self, image: Float32) -> list[tuple[Float64, float, Float64]]:
        """Middle (z, y, x) in voxels of half the resolution, score, and probability of each name; best first."""
        weights = weights_named(self.weights)
        near, names = look_names(image, weights, self.precision)
        return bodies(near, names, self.minimum_score, 2 * weights.view.spacing_mm[0])


def look_names(image: Float32, weights: Weights, precision: str) -> tuple[Float32, Float32]:
    """How near each place is to a body's middle (0 to 1), and the names' probabilities (names, ...), half as fine."""
    scores = look(image, weights, precision)
    assert isinstance(weights.head, Classes)
    return 1 / (1 + np.exp(-scores[0])), weights.head.probabilities(scores[1:])


def bodies(
    near: Float32, names: Float32, minimum_score: float, voxel_mm: float
) -> list[tuple[Float64, float, Float64]]:
    """The peaks of ``near`` that lie apart, best first: place (z, y, x), score, probability of each name."""
    peaks = np.argwhere((near > minimum_score) & (near == ndimage.maximum_filter(near, 3)))
    peaks = peaks[np.argsort(-near[tuple(peaks.T)])]
    found: list[tuple[Float64, float, Float64]] = []
    for peak in peaks:
        part = tuple(slice(max(0, p - 1), p + 2) for p in peak)
        weight = near[part]
        middle = np.array([np.average(axis, weights=weight) for axis in np.indices(weight.shape)])
        middle += [p.start for p in part]
        if all(np.linalg.norm(middle - other) * voxel_mm > APART_MM for other, _, _ in found):
            named = (names[(slice(None), *part)] * weight).sum(axis=(1, 2, 3)) / weight.sum()
            found.append((middle, float(near[tuple(peak)]), np.asarray(named, np.float64)))
    return found


def projected(chain: Sequence[Body], middles: Float64, seen: Sequence[Candidate], volume: Volume) -> list[Body]:
    """The bodies with the names that the projection gives them; ``middles`` (n, 3) in voxels of the volume."""
    z_mm, _, x_mm = volume.spacing_mm
    return [
        replace(body, projected=_named(z, x, seen, z_mm, x_mm)) for body, (z, _, x) in zip(chain, middles, strict=True)
    ]


def _named(z: float, x: float, seen: Sequence[Candidate], z_mm: float, x_mm: float) -> Float64:
    """The scores of the nearest box as probabilities of ``NAMED``."""
    near = [one for one in seen if abs(one.z - z) * z_mm < SAME_HEIGHT_MM and abs(one.x - x) * x_mm < SAME_SIDE_MM]
    if not near:
        return unnamed()
    scores = min(near, key=lambda one: abs(one.z - z)).scores
    told = np.full(len(NAMED), FLOOR)
    for level, score in zip(LEVELS, scores, strict=True):
        if level.value in NAMED:
            told[NAMED.index(level.value)] += score
    return np.asarray(told / told.sum())
