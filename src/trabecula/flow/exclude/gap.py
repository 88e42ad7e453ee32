"""A vertebra of which a part was not seen, or was seen on another level of values."""

from dataclasses import dataclass

from trabecula.flow.exclude import Evidence
from trabecula.records import Effect, Readings, Reason, VertebraReading, reason


@dataclass(frozen=True)
class InGap:
    """Withholds a body that reaches into a gap of the scan, or to the slices beside it."""

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        if evidence.regions is not None:
            part = evidence.regions.part(reading.level)
            touched = any(gap.touches(part) for gap in evidence.scan.gaps)
        else:
            box = evidence.spine.find(reading.level)
            along_z = (gap for gap in evidence.scan.gaps if gap.axis == 0)
            touched = box is not None and any(
                gap.start <= box.z_range[1] and gap.stop >= box.z_range[0] for gap in along_z
            )
        return reason("in-gap", Effect.WITHHOLD, level=reading.level) if touched else None
