"""A body that has lost height: crushed bone is denser, not stronger."""

from dataclasses import dataclass

import numpy as np

from trabecula.flow.exclude import Evidence
from trabecula.records import BodyHeights, Effect, Readings, Reason, VertebraReading, reason


@dataclass(frozen=True)
class HeightLoss:
    """Withholds a body that has lost a share of its height, against itself and against those near it.

    Grades after Genant 1993: a loss of 20 to 25% is mild, to 40% moderate, beyond severe. Mild ones cannot be told from
    the wedge that healthy vertebrae have.
    """

    limit: float = 0.25
    reach: int = 2  # how many bodies up and down are compared with

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        region = evidence.region(reading.level)
        if region is None or region.heights is None or reading.withheld:
            return None
        place = readings.vertebrae.index(reading)
        near = readings.vertebrae[max(0, place - self.reach) : place + self.reach + 1]
        regions = [evidence.region(one.level) for one in near if one is not reading and not one.withheld]
        lost = lost_share(region.heights, [one.heights for one in regions if one is not None and one.heights])
        return reason("height-loss", Effect.WITHHOLD, level=reading.level, lost=lost) if lost > self.limit else None


def lost_share(own: BodyHeights, neighbours: list[BodyHeights]) -> float:
    """The share of its height that a body has lost: front or middle against the taller end, all against neighbours."""
    wedge = 1 - min(own.anterior_mm, own.middle_mm) / max(own.tallest_mm, 1e-6)
    if not neighbours:
        return wedge
    return max(wedge, 1 - own.tallest_mm / float(np.mean([other.tallest_mm for other in neighbours])))
