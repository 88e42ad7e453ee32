"""Diagnose by the bands of a quantity: the mean of two lumbar vertebrae against those of the ACR and the ISCD.

No T-score is derived: the WHO's classes are not defined for QCT.
"""

from dataclasses import dataclass
from math import erf, sqrt

from trabecula.anatomy import Level
from trabecula.quantity import QCT_BANDS, Bands, Category, Interval, Measurement
from trabecula.records import Basis, Diagnosis, Readings, Reason, VertebraReading, reason


@dataclass(frozen=True)
class BandDiagnosis:
    """The mean of ``levels``, ``substitute`` standing in for one that is withheld; undetermined below ``needed``."""

    levels: tuple[Level, ...] = (Level.L1, Level.L2)
    substitute: Level | None = Level.T12
    needed: int = 2
    bands: Bands = QCT_BANDS

    def __call__(self, readings: Readings) -> Diagnosis:
        """The category of the mean, with an interval as wide as that of one vertebra."""
        used = [found for level in self.levels if (found := self._usable(readings, level)) is not None]
        reasons: list[Reason] = []
        if len(used) == self.needed - 1 and self.substitute is not None:
            stand_in = self._usable(readings, self.substitute)
            if stand_in is not None:
                missing = tuple(level for level in self.levels if level not in [v.level for v in used])
                reasons.append(reason("substitute-level", substitute=self.substitute, missing=missing))
                used.insert(0, stand_in)
        at = tuple(one.level for one in used)
        if len(used) < self.needed:
            reasons.append(self._too_few(at))
            return Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, at, tuple(reasons))
        mean = _mean(used)
        shares = probabilities(mean, self.bands)
        return Diagnosis(self.bands.category(mean.value), Basis.BANDS, mean, shares, at, tuple(reasons))

    def _usable(self, readings: Readings, level: Level) -> VertebraReading | None:
        found = readings.find(level)
        if found is None or found.density is None or found.density.quantity != self.bands.quantity:
            return None
        return found

    def _too_few(self, measurable: tuple[Level, ...]) -> Reason:
        needed, levels, substitute = self.needed, self.levels, self.substitute
        if substitute is None:
            return reason("too-few-vertebrae", needed=needed, levels=levels, measurable=measurable)
        return reason(
            "too-few-vertebrae.substitute", needed=needed, levels=levels, measurable=measurable, substitute=substitute
        )


def probabilities(density: Measurement, bands: Bands = QCT_BANDS) -> dict[Category, float]:
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


def _mean(used: list[VertebraReading]) -> Measurement:
    """The mean, and an interval as wide as theirs: calibration errs alike in both, so averaging does not narrow it."""
    densities = [one.density for one in used if one.density is not None]
    low, high = (sum(ends) / len(ends) for ends in zip(*(one.interval for one in densities), strict=True))
    value = sum(one.value for one in densities) / len(densities)
    return Measurement(value, (max(0.0, low), high), densities[0].quantity)
