"""Metal, and cement with barium."""

from dataclasses import dataclass

from scipy import ndimage

from trabecula.flow.exclude import Evidence
from trabecula.records import Effect, Readings, Reason, VertebraReading, reason


@dataclass(frozen=True)
class Metal:
    """Withholds a vertebra with anything denser than compact bone in its region or two voxels beside it."""

    limit_hu: float = 2000.0

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        if evidence.regions is None:
            return None
        part = tuple(slice(max(0, p.start - 2), p.stop + 2) for p in evidence.regions.part(reading.level))
        near = ndimage.binary_dilation(evidence.regions.labels[part] == reading.level.verse_id, iterations=2)
        if not near.any() or evidence.scan.volume.hu[part][near].max() <= self.limit_hu:
            return None
        return reason("metal", Effect.WITHHOLD, level=reading.level, limit_hu=self.limit_hu)
