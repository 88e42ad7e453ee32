"""Exclude: what may not be read. Readings go in, and come out with reasons; one list of checks for every recipe."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any

from trabecula.anatomy import Level
from trabecula.quantity import VBMD_K2HPO4
from trabecula.records import (
    Calibration,
    Effect,
    Readings,
    Reason,
    Regions,
    Scan,
    Spine,
    VertebraReading,
    VertebraRegion,
)


@dataclass(frozen=True)
class Evidence:
    """All that a check may look at beside the readings."""

    scan: Scan
    spine: Spine
    regions: Regions | None
    calibration: Calibration
    looked_at: dict[Level, Any] = field(default_factory=dict, compare=False, repr=False)  # what checks share

    def region(self, level: Level) -> VertebraRegion | None:
        return None if self.regions is None else self.regions.find(level)

    def before(self, level: Level) -> tuple[Reason, ...]:
        """What the earlier stages say of a vertebra: of its region, and what withholds everything in the scan."""
        region = self.region(level)
        outlined = () if self.regions is None else self.regions.reasons
        said = (*self.scan.reasons, *self.spine.reasons, *outlined, *self.calibration.reasons)
        whole = (one for one in said if one.effect is Effect.WITHHOLD)
        return (*whole, *(() if region is None else region.reasons))


Check = Callable[[Evidence, VertebraReading, Readings], Reason | None]
"""Looks at one vertebra, which may be compared with all; the reason to doubt or withhold it, or None."""


@dataclass(frozen=True)
class Exclusions:
    """Every check in turn, each told what the earlier ones found. A withheld vertebra loses its number."""

    checks: tuple[Check, ...]

    def __call__(
        self, scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration, readings: Readings
    ) -> Readings:
        """The readings with the reasons of the earlier stages and of the checks."""
        evidence = Evidence(scan, spine, regions, calibration)
        readings = replace(
            readings, vertebrae=tuple(_with(one, evidence.before(one.level)) for one in readings.vertebrae)
        )
        for check in self.checks:
            found = [check(evidence, one, readings) for one in readings.vertebrae]
            vertebrae = tuple(
                _with(one, () if said is None else (said,)) for one, said in zip(readings.vertebrae, found, strict=True)
            )
            readings = replace(readings, vertebrae=vertebrae)
        doubts = {one.code for stage in (spine, calibration) for one in stage.reasons}
        vertebrae = tuple(without_number(widened(one, doubts)) for one in readings.vertebrae)
        withheld = {one.level for one in vertebrae if one.withheld}
        joint = None if readings.joint is None or withheld & set(readings.joint.levels) else readings.joint
        return replace(readings, vertebrae=vertebrae, joint=joint)


DOUBT_SD_MG_CM3 = {"level-uncertain": 5.0, "uneven-density": 6.0, "density-disagreement": 6.0, "dense-focus": 5.0}
DOUBT_SD_MG_CM3 |= {"sclerosis": 4.0, "osteophytes": 4.0}
"""What each doubt adds to a density's own error, 1 SD: neighbouring levels differ by 4%, a small lesion by as much."""


def widened(reading: VertebraReading, doubts: set[str]) -> VertebraReading:
    """The reading with an interval as wide as its doubts, and those of its scan, make it; K2HPO4 densities alone."""
    density = reading.density
    codes = doubts | {one.code for one in reading.reasons}
    added = sum(sd**2 for code, sd in DOUBT_SD_MG_CM3.items() if code in codes)
    if density is None or density.quantity != VBMD_K2HPO4 or not added:
        return reading
    low, high = (sqrt((end - density.value) ** 2 + 1.96**2 * added) for end in density.interval)
    interval = (max(0.0, density.value - low), density.value + high)
    return replace(reading, density=replace(density, interval=interval, own_sd=sqrt(density.own_sd**2 + added)))


def without_number(reading: VertebraReading) -> VertebraReading:
    """A withheld vertebra without what was measured; any other as it is."""
    return replace(reading, density=None, probabilities=None, opinions={}) if reading.withheld else reading


def _with(reading: VertebraReading, reasons: tuple[Reason, ...]) -> VertebraReading:
    return replace(reading, reasons=(*reading.reasons, *reasons)) if reasons else reading
