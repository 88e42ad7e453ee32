"""What makes a number doubtful without withholding it."""

from dataclasses import dataclass

from trabecula.flow.exclude import Evidence
from trabecula.quantity import VBMD_K2HPO4
from trabecula.records import Readings, Reason, VertebraReading, reason


@dataclass(frozen=True)
class MethodsDisagree:
    """Doubts a density of which network and calibrated mean HU differ by a share of it, and by ``least_mg_cm3``."""

    share: float = 0.2
    least_mg_cm3: float = 15.0

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        if reading.density is None or reading.density.quantity != VBMD_K2HPO4 or reading.withheld:
            return None
        network = reading.opinions.get("network", reading.density).value
        calibrated = evidence.calibration.density(reading.mean_hu)
        if abs(network - calibrated) <= max(self.least_mg_cm3, self.share * abs(calibrated)):
            return None
        return reason("density-disagreement", level=reading.level, network_mg_cm3=network, calibrated_mg_cm3=calibrated)


@dataclass(frozen=True)
class Uneven:
    """Doubts a region whose HU spread further than trabecular bone with the noise of a clinical scan does."""

    limit_sd_hu: float = 100.0

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        if not reading.sd_hu > self.limit_sd_hu:
            return None
        return reason("uneven-density", level=reading.level, sd_hu=reading.sd_hu)
