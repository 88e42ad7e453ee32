"""Diagnose, and say what becomes of the category if every name were one higher or one lower.

Counting errs by whole vertebrae: one level up or down is how names are wrong when they are.
"""

from dataclasses import dataclass, replace

from trabecula.anatomy import USUAL_LEVELS, Level
from trabecula.flow.diagnose.bands import BandDiagnosis
from trabecula.messages import Phrase
from trabecula.records import Diagnosis, Effect, Readings, VertebraReading, reason


@dataclass(frozen=True)
class NamesShifted:
    """The diagnosis of ``diagnose``, with a reason where it depends on the names being right."""

    diagnose: BandDiagnosis

    @property
    def levels(self) -> tuple[Level, ...]:
        """The vertebrae that decide."""
        return self.diagnose.levels

    def __call__(self, readings: Readings) -> Diagnosis:
        """The diagnosis; names one higher or lower change it where they give another category."""
        given = self.diagnose(readings)
        if not given.determined:
            return given
        others = [self.diagnose(shifted(readings, by)) for by in (-1, 1)]
        changed = [one.category for one in others if one.determined and one.category is not given.category]
        if not changed:
            return given
        told = tuple(Phrase(f"category-{category}") for category in dict.fromkeys(changed))
        said = reason("category-depends-on-names", Effect.NOTE, others=told)
        return replace(given, reasons=(*given.reasons, said))


def shifted(readings: Readings, by: int) -> Readings:
    """The readings with each name ``by`` levels lower (higher where negative); those without such a level left out."""
    moved = [_moved(reading, by) for reading in readings.vertebrae]
    return replace(readings, vertebrae=tuple(one for one in moved if one is not None))


def _moved(reading: VertebraReading, by: int) -> VertebraReading | None:
    if reading.level not in USUAL_LEVELS:
        return None
    place = USUAL_LEVELS.index(reading.level) + by
    return replace(reading, level=USUAL_LEVELS[place]) if 0 <= place < len(USUAL_LEVELS) else None
