"""Diagnose by the bands of a quantity: the mean of two lumbar vertebrae against those of the ACR and the ISCD.

No T-score is derived: the WHO's classes are not defined for QCT.
"""

from dataclasses import dataclass
from math import erf, sqrt

from trabecula.anatomy import LEVELS, Level
from trabecula.messages import joined
from trabecula.quantity import QCT_BANDS, Bands, Category, Interval, Measurement
from trabecula.records import Basis, Diagnosis, Readings, Reason, VertebraReading, reason

THORACIC_FACTOR = {Level.T12: 1 / 1.04, Level.T11: 1 / 1.06}
"""What brings a thoracic level to the mean of L1 and L2: T12 lies about 4% above it."""


@dataclass(frozen=True)
class BandDiagnosis:
    """The mean of ``levels``, ``substitutes`` standing in, in their order, for those that are withheld.

    Undetermined below ``needed`` vertebrae; a mean of fewer than ``levels`` says so. A thoracic stand-in is brought to
    the lumbar spine's density.
    """

    levels: tuple[Level, ...] = (Level.L1, Level.L2)
    substitutes: tuple[Level, ...] = (Level.T12, Level.L3, Level.L4)
    needed: int = 2
    bands: Bands = QCT_BANDS

    def __call__(self, readings: Readings) -> Diagnosis:
        """The category of the mean, with its interval."""
        own = self._found(readings, self.levels)
        spare = self._found(readings, self.substitutes)[: max(0, self.needed - len(own))]
        used = sorted((*own, *spare), key=lambda one: LEVELS.index(one.level))
        at = tuple(one.level for one in used)
        if len(used) < self.needed:
            return Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, at, (self._too_few(at),))
        reasons: list[Reason] = []
        if spare:
            missing = tuple(level for level in self.levels if level not in [one.level for one in own])
            names = tuple(one.level for one in spare)
            if any(level in THORACIC_FACTOR for level in names):
                reasons.append(reason("substitute-level", substitute=joined(names), missing=joined(missing)))
            else:
                reasons.append(reason("substitute-level.lumbar", substitute=joined(names), missing=joined(missing)))
        elif len(own) < len(self.levels):
            reasons.append(reason("fewer-levels", used=at, levels=self.levels))
        mean = mean_density([_as_lumbar(one) for one in used])
        shares = category_shares(mean, self.bands)
        return Diagnosis(self.bands.category(mean.value), Basis.BANDS, mean, shares, at, tuple(reasons))

    def _found(self, readings: Readings, levels: tuple[Level, ...]) -> list[VertebraReading]:
        return [found for level in levels if (found := self._usable(readings, level)) is not None]

    def _usable(self, readings: Readings, level: Level) -> VertebraReading | None:
        found = readings.find(level)
        if found is None or found.density is None or found.density.quantity != self.bands.quantity:
            return None
        return found

    def _too_few(self, measurable: tuple[Level, ...]) -> Reason:
        needed, levels, substitute = self.needed, joined(self.levels), self.substitutes
        if not substitute:
            return reason("too-few-vertebrae", needed=needed, levels=levels, measurable=measurable)
        return reason(
            "too-few-vertebrae.substitute", needed=needed, levels=levels, measurable=measurable, substitute=substitute
        )


def category_shares(density: Measurement, bands: Bands = QCT_BANDS) -> dict[Category, float]:
    """How probable each category is if the 95% interval is that of two halves of a normal distribution."""
    low, high = (_below(cut, density.value, density.interval) for cut in bands.edges)
    return {
        Category.OSTEOPOROSIS: round(low, 4),
        Category.OSTEOPENIA: round(high - low, 4),
        Category.NORMAL: round(1 - high, 4),
    }


def _below(cut: float, value: float, interval: Interval) -> float:
    sd = (value - interval[0] if cut < value else interval[1] - value) / 1.96
    return 0.5 * (1 + erf((cut - value) / (max(sd, 1e-6) * sqrt(2))))


def _as_lumbar(reading: VertebraReading) -> Measurement:
    """A vertebra's density as that of L1 and L2 would be."""
    assert reading.density is not None, "only measured vertebrae are used"
    factor, one = THORACIC_FACTOR.get(reading.level, 1.0), reading.density
    low, high = one.interval
    return Measurement(factor * one.value, (factor * low, factor * high), one.quantity, factor * one.own_sd)


def mean_density(densities: list[Measurement]) -> Measurement:
    """The mean: what vertebrae err by on their own shrinks in it, what the calibration errs by does not."""
    number = len(densities)
    value = sum(one.value for one in densities) / number
    own = sum(one.own_sd**2 for one in densities) / number
    halves = []
    for end in (0, 1):
        half = sum(abs(one.interval[end] - one.value) for one in densities) / number
        halves.append(sqrt(max(0.0, half**2 - 1.96**2 * own * (1 - 1 / number))))
    interval = (max(0.0, value - halves[0]), value + halves[1])
    return Measurement(value, interval, densities[0].quantity, sqrt(own / number))
