"""The lowest rung of the calibration ladder: the default line of a tube voltage."""

from dataclasses import dataclass

import numpy as np

from trabecula.flow.calibrate.contrast import ENHANCED_ABOVE_HU, blood_hu
from trabecula.messages import Phrase
from trabecula.records import Calibration, Reason, Regions, Scan, Spine, reason

REFERENCE_KVP = 120.0

# HU per mg/cm3 K2HPO4 by tube voltage, for a body of about 20 cm water path (computed from tungsten spectra).
_SLOPES_KVP = (80.0, 100.0, 120.0, 140.0)
_SLOPES_HU = (1.906, 1.596, 1.422, 1.308)

SYSTEMATIC_FRACTION = 0.07
"""Calibration without a phantom errs by 5 to 10% (PMC9925590); the middle of it, one standard deviation."""

CONTRAST_ADDS_HU = 26.7
"""Mean rise of trabecular HU with contrast medium (Perez 2020); it differs between patients by as much again."""


def slope_hu_cm3_mg(kvp: float | None) -> float:
    """HU per mg/cm3 of K2HPO4 at a tube voltage; that of 120 kVp where it is not known."""
    return float(np.interp(kvp or REFERENCE_KVP, _SLOPES_KVP, _SLOPES_HU))


def to_reference_voltage(kvp: float | None) -> float:
    """What bone's HU must be multiplied by to look as at 120 kVp, the voltage the networks were trained at."""
    return slope_hu_cm3_mg(REFERENCE_KVP) / slope_hu_cm3_mg(kvp)


@dataclass(frozen=True)
class VoltageCalibration:
    """The voltage's default line, and whether contrast medium may have raised what is read by it."""

    def __call__(self, scan: Scan, spine: Spine, regions: Regions | None) -> Calibration:
        """The calibration of a scan; 120 kVp is assumed where the voltage is not known, and said."""
        kvp = scan.acquisition.tube_voltage_kvp
        slope = slope_hu_cm3_mg(kvp)
        blood = None if regions is None else blood_hu(scan.volume, regions)
        enhanced = scan.acquisition.contrast_agent is not None or (blood is not None and blood > ENHANCED_ABOVE_HU)
        return Calibration(
            rung=Phrase("rung-default" if kvp else "rung-assumed"),
            slope_hu_cm3_mg=round(slope, 4),
            offset_hu=0.0,
            systematic_sd_fraction=SYSTEMATIC_FRACTION,
            hu_factor=to_reference_voltage(kvp),
            contrast_rise=CONTRAST_ADDS_HU / slope if enhanced else 0.0,
            facts={"tube_voltage_kvp": kvp, "blood_hu": None if blood is None else round(blood)},
            reasons=_contrast_reason(blood) if enhanced else (),
        )


def _contrast_reason(blood: float | None) -> tuple[Reason, ...]:
    if blood is not None and blood > ENHANCED_ABOVE_HU:
        return (reason("contrast-medium.blood", blood_hu=blood),)
    return (reason("contrast-medium.header"),)
