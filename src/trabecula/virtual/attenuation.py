"""Hounsfield units of tissues at a tube voltage, for the virtual scanner.

Trabecular bone is a mixture: HU = f * yellow + (1 - f) * red + slope * BMD, with f the yellow-marrow fraction and BMD
in mg/cm3 hydroxyapatite. The coefficients were computed from tungsten spectra and ICRU compositions at each voltage's
mean energy behind a 20 cm water path. They are not the calibration that judges the result (``calibration.py``).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Attenuation:
    """Coefficients at one tube voltage, in HU (slopes in HU per mg/cm3, iodine in HU per mg/ml)."""

    yellow_marrow: float
    red_marrow: float
    bone_slope_ha: float
    slope_k2hpo4: float
    iodine: float
    fat: float
    cortical: float


TABLE: dict[int, Attenuation] = {
    80: Attenuation(-73.0, 2.0, 2.065, 1.906, 43.0, -98.0, 2201.0),
    100: Attenuation(-60.0, 7.0, 1.73, 1.596, 33.0, -86.0, 1846.0),
    120: Attenuation(-52.0, 10.0, 1.54, 1.422, 28.0, -79.0, 1646.0),
    140: Attenuation(-47.0, 12.0, 1.415, 1.308, 24.0, -75.0, 1516.0),
}

MEASURED_YELLOW_SHIFT_HU = -20.0
"""Measured yellow marrow is fattier than ICRU's composition by about this much."""


def trabecular_hu(bmd_ha: float, yellow_fraction: float, kvp: int) -> float:
    """HU of trabecular bone with ``bmd_ha`` mg/cm3 hydroxyapatite and a yellow-marrow fraction in 0 to 1."""
    at = TABLE[kvp]
    marrow = yellow_fraction * (at.yellow_marrow + MEASURED_YELLOW_SHIFT_HU) + (1 - yellow_fraction) * at.red_marrow
    return marrow + at.bone_slope_ha * bmd_ha


def bmd_ha_from_qct(bmd_k2hpo4: float, yellow_fraction: float) -> float:
    """Hydroxyapatite mass in mg/cm3 of a vertebra that 120 kVp QCT reads as ``bmd_k2hpo4``."""
    at = TABLE[120]
    return (bmd_k2hpo4 * at.slope_k2hpo4 - trabecular_hu(0.0, yellow_fraction, 120)) / at.bone_slope_ha


def qct_bmd(mean_hu_120: float) -> float:
    """What QCT reads, mg/cm3 K2HPO4-equivalent, from the noise-free mean HU at 120 kVp."""
    return mean_hu_120 / TABLE[120].slope_k2hpo4
