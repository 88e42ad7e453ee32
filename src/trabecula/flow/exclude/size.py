"""A region that is too small to be a whole vertebra."""

from dataclasses import dataclass

from trabecula.flow.exclude import Evidence
from trabecula.records import Effect, Readings, Reason, VertebraReading, reason


@dataclass(frozen=True)
class TooSmall:
    """Withholds a trabecular region below a volume; a T11 of a small woman has about 5 cm3."""

    smallest_mm3: float = 2500.0

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        if reading.volume_mm3 >= self.smallest_mm3:
            return None
        return reason("region-too-small", Effect.WITHHOLD, level=reading.level, volume_cm3=reading.volume_mm3 / 1000)


@dataclass(frozen=True)
class Incomplete:
    """Withholds a region under a share of the sound one next to it: neighbours differ by a third at most."""

    share: float = 0.5

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        place = readings.vertebrae.index(reading)
        beside = readings.vertebrae[max(0, place - 1) : place + 2]
        largest = max((one.volume_mm3 for one in beside if one is reading or not one.withheld), default=0.0)
        if reading.volume_mm3 >= self.share * largest:
            return None
        return reason("region-incomplete", Effect.WITHHOLD, level=reading.level)
