"""From Hounsfield units to mineral density: mg/cm3, K2HPO4-equivalent unless a value says otherwise."""

from dataclasses import dataclass

import numpy as np

from trabecula.messages import Phrase

MATERIAL = "K2HPO4"
REFERENCE_KVP = 120.0

# HU per mg/cm3 K2HPO4 by tube voltage, for a body of about 20 cm water path (computed from tungsten spectra).
_SLOPES_KVP = (80.0, 100.0, 120.0, 140.0)
_SLOPES_HU = (1.906, 1.596, 1.422, 1.308)

SYSTEMATIC_FRACTION = 0.07
"""Calibration without a phantom errs by 5 to 10% (PMC9925590); the middle of it, one standard deviation."""


@dataclass(frozen=True)
class Calibration:
    """A straight line BMD = (HU - offset) / slope, and which rung of the calibration ladder it stands on."""

    rung: Phrase
    slope_hu_cm3_mg: float
    offset_hu: float
    material: str = MATERIAL

    def bmd_mg_cm3(self, hu: float) -> float:
        return (hu - self.offset_hu) / self.slope_hu_cm3_mg


def by_voltage(kvp: float | None) -> Calibration:
    """The lowest rung: the default line of a tube voltage; 120 kVp is assumed where it is not known."""
    slope = float(np.interp(kvp or REFERENCE_KVP, _SLOPES_KVP, _SLOPES_HU))
    return Calibration(Phrase("rung-default" if kvp else "rung-assumed"), slope, 0.0)


def to_reference_voltage(kvp: float | None) -> float:
    """What bone's HU must be multiplied by to look as at 120 kVp, the voltage the networks were trained at."""
    return by_voltage(REFERENCE_KVP).slope_hu_cm3_mg / by_voltage(kvp).slope_hu_cm3_mg
