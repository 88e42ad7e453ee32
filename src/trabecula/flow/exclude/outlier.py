"""A level that does not fit the person's other levels."""

from dataclasses import dataclass

import numpy as np

from trabecula.anatomy import Level
from trabecula.flow.exclude import Evidence
from trabecula.quantity import VBMD_K2HPO4
from trabecula.records import Effect, Readings, Reason, VertebraReading, reason

COURSE = {
    **{Level.T11: 1.05, Level.T12: 1.03, Level.L1: 1.0, Level.L2: 0.98},
    **{Level.L3: 0.96, Level.L4: 0.97, Level.L5: 1.0},
}
"""How density runs along the spine, in proportion to L1."""


@dataclass(frozen=True)
class DensityOutlier:
    """Withholds a level further from what the person's others let one expect than they differ in health."""

    least_mg_cm3: float = 25.0
    share: float = 0.2
    fewest: int = 2  # others to compare with

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        if reading.withheld or reading.density is None or reading.density.quantity != VBMD_K2HPO4:
            return None
        others = [
            one.density.value / COURSE.get(one.level, 1.0)
            for one in readings.vertebrae
            if one is not reading and one.density is not None and not one.withheld
        ]
        if len(others) < self.fewest:
            return None
        expected = float(np.median(others)) * COURSE.get(reading.level, 1.0)
        found = reading.density.value
        if abs(found - expected) <= max(self.least_mg_cm3, self.share * expected):
            return None
        level = reading.level
        return reason("density-outlier", Effect.WITHHOLD, level=level, density_mg_cm3=found, expected_mg_cm3=expected)
