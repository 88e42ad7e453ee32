"""A vertebra that the scan does not show whole."""

from dataclasses import dataclass

from trabecula.flow.exclude import Evidence
from trabecula.records import Effect, Readings, Reason, VertebraReading, reason


@dataclass(frozen=True)
class CutByView:
    """Withholds a body of which the region or the localiser's box reaches the first or last slice of the scan.

    Of a cut body a network may outline less than is there, and its region then ends before the scan does.
    """

    end_plate_mm: float = 3.0  # the end plates lie about this far beyond the trabecular region

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        if evidence.regions is None:
            return None
        volume, slices = evidence.scan.volume, evidence.regions.part(reading.level)[0]
        if slices.stop == 0:  # it has no region
            return None
        reach = self.end_plate_mm / volume.spacing_mm[0]
        # Edges of slices, in slices: a region as thick as its slices may end anywhere within its last.
        ends = [(slices.start, slices.stop)]
        if (box := evidence.spine.find(reading.level)) is not None:
            ends.append((box.z_range[0] + 0.5, box.z_range[1] + 0.5))
        if any(low - reach <= 0 or high + reach >= volume.shape[0] for low, high in ends):
            return reason("cut-by-view", Effect.WITHHOLD, level=reading.level)
        return None
