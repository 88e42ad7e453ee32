"""Names by looks, for counting: networks that name each body as it looks, ribs and sacrum unasked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trabecula.anatomy import LEVELS
from trabecula.flow.localise.bodies import Body, unnamed
from trabecula.flow.localise.naming import Candidate
from trabecula.flow.localise.numbering import NAMED
from trabecula.flow.localise.volume import bodies, look_names
from trabecula.volume import Float32, Float64, Volume
from trabecula.weights import weights_named

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
