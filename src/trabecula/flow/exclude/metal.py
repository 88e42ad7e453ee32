"""Metal, and cement with barium."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from trabecula.flow.exclude import Evidence
from trabecula.records import Effect, Readings, Reason, VertebraReading, reason


@dataclass(frozen=True)
class Metal:
    """Withholds a vertebra with anything denser than compact bone in its region or two voxels beside it."""

    limit_hu: float = 2000.0
    around_mm: float = 40.0

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        if evidence.regions is None:
            return self._in_images(evidence, reading)
        part = tuple(slice(max(0, p.start - 2), p.stop + 2) for p in evidence.regions.part(reading.level))
        near = ndimage.binary_dilation(evidence.regions.labels[part] == reading.level.verse_id, iterations=2)
        if not near.any() or evidence.scan.volume.hu[part][near].max() <= self.limit_hu:
            return None
        return reason("metal", Effect.WITHHOLD, level=reading.level, limit_hu=self.limit_hu)

    def _in_images(self, evidence: Evidence, reading: VertebraReading) -> Reason | None:
        """The same of whole images: metal within 40 mm of the body's middle, implants of its arch included."""
        box, volume = evidence.spine.find(reading.level), evidence.scan.volume
        if box is None:
            return None
        middle, reach = evidence.spine.middle(box), self.around_mm / np.asarray(volume.spacing_mm)
        reach[0] = (box.z_range[1] - box.z_range[0]) / 2
        part = tuple(slice(max(0, int(m - r)), max(0, int(m + r) + 1)) for m, r in zip(middle, reach, strict=True))
        hu = volume.hu[part]
        if not hu.size or hu.max() <= self.limit_hu:
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
