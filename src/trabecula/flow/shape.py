"""The heights of a vertebral body, and whether it has lost some: a fractured body is denser than its neighbours.

Grades after Genant 1993: a loss of 20 to 25% is mild, to 40% moderate, beyond severe. Mild ones cannot be told from
the wedge that healthy vertebrae have.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trabecula.volume import Grid

MODERATE_LOSS = 0.25
"""The least loss of height that is called one: a moderate one by Genant, beyond what the outline errs by."""


@dataclass(frozen=True)
class Heights:
    """A body's heights in mm in front, in the middle and behind, along its middle third."""

    anterior_mm: float
    middle_mm: float
    posterior_mm: float

    @property
    def tallest_mm(self) -> float:
        return max(self.anterior_mm, self.posterior_mm)

    @property
    def own_loss(self) -> float:
        """What front or middle lack against the taller of front and back: wedge and biconcave deformity."""
        return 1 - min(self.anterior_mm, self.middle_mm) / max(self.tallest_mm, 1e-6)


def heights(body: NDArray[np.bool_], grid: Grid) -> Heights | None:
    """The heights of a body's mask on a grid along the scan's axes; None where it is too small to tell."""
    columns = body.sum(axis=0)  # voxels along z, (y, x)
    thick = columns > 0
    if thick.sum() * grid.spacing_mm[1] * grid.spacing_mm[2] < 200:
        return None
    x = np.flatnonzero(thick.any(axis=0))
    across = slice(int(x[0] + 0.35 * np.ptp(x)), int(x[0] + 0.65 * np.ptp(x)) + 1)
    middle = columns[:, across]
    # The rows that the body's middle slices fill: a lip of bone in front would else count as the front.
    half = np.flatnonzero((middle > 0.4 * np.percentile(middle[middle > 0], 90)).any(axis=1))
    first, length = half[0], len(half)

    def band(low: float, high: float) -> float:
        rows = middle[int(first + low * length) : int(np.ceil(first + high * length))]
        return float(np.median(rows[rows > 0])) * grid.spacing_mm[0] if (rows > 0).any() else 0.0

    return Heights(band(0.08, 0.22), band(0.4, 0.6), band(0.78, 0.92))


def loss(one: Heights, neighbours: list[Heights]) -> float:
    """The share of its height that a body has lost, against itself and against what its neighbours are tall."""
    if not neighbours:
        return one.own_loss
    return max(one.own_loss, 1 - one.tallest_mm / float(np.mean([other.tallest_mm for other in neighbours])))
