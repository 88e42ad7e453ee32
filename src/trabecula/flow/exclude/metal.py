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


@dataclass(frozen=True)
class Screws:
    """Withholds a vertebra with metal behind or beside its body: screws in its pedicles, rods along its arch."""

    limit_hu: float = 2000.0
    behind_mm: float = 30.0
    aside_mm: float = 4.0
    least_mm3: float = 60.0

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        if evidence.regions is None or reading.withheld:
            return None
        part, volume = evidence.regions.part(reading.level), evidence.scan.volume
        _, row, column = volume.spacing_mm
        aside = int(self.aside_mm / column)
        beside = slice(max(0, part[2].start - aside), part[2].stop + aside)
        hu = volume.hu[part[0], part[1].start : part[1].stop + int(self.behind_mm / row), beside]
        if float((hu > self.limit_hu).sum()) * volume.voxel_volume_mm3 < self.least_mm3:
            return None
        return reason("screws", Effect.WITHHOLD, level=reading.level, limit_hu=self.limit_hu)
