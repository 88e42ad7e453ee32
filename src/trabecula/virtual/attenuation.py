"""Hounsfield units of tissues at a tube voltage, for the virtual scanner.

Trabecular bone is a mixture: HU = f * yellow + (1 - f) * red + slope * BMD, with f the yellow-marrow fraction and BMD
in mg/cm3 hydroxyapatite. The coefficients stand in ``attenuation.json`` by voltage, water path and bone path: computed
from tungsten spectra (SpekPy), NIST's coefficients and ICRU's tissues by ``tools/attenuation.py``, and from nothing of
the calibration that judges the result.
"""

import json
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

import numpy as np

TUBE_VOLTAGES_KVP = (80, 100, 120, 140)
REFERENCE_KVP = 120
"""The voltage that QCT is calibrated at, and that densities are stated for."""

REFERENCE_PATH_MM = 200.0
"""The water path that densities are stated for."""


@dataclass(frozen=True)
class Attenuation:
    """Coefficients of one beam, in HU (slopes in HU per mg/cm3, iodine in HU per mg/ml)."""

    yellow_marrow: float
    red_marrow: float
    bone_slope_ha: float
    slope_k2hpo4: float
    slope_ha_water: float  # hydroxyapatite in water: a phantom's, not bone's
    iodine: float
    fat: float
    cortical: float

    def marrow_hu(self, yellow_fraction: float, yellow_shift_hu: float) -> float:
        """HU of marrow without bone; ``yellow_shift_hu`` is added to ICRU's yellow marrow."""
        return yellow_fraction * (self.yellow_marrow + yellow_shift_hu) + (1 - yellow_fraction) * self.red_marrow


@cache
def _computed() -> tuple[list[float], list[float], dict[str, dict[str, list[list[float]]]]]:
    text = files("trabecula.virtual").joinpath("attenuation.json").read_text(encoding="utf-8")
    table = json.loads(text)
    return table["water_mm"], table["bone_ha_g_cm2"], table["kvp"]


def behind(kvp: int, water_path_mm: float, slope: float = 1.0, bone_ha_g_cm2: float = 0.0) -> Attenuation:
    """The coefficients of a beam that has passed water and bone mineral (interpolated; the table ends at 500 mm, 8).

    ``slope`` is that of a maker's spectrum: scanners are calibrated to air and water, not to mineral and iodine.

    Raises:
        KeyError: another voltage than ``TUBE_VOLTAGES_KVP``.
    """
    water, bone, table = _computed()
    values = {}
    for name in (field.name for field in fields(Attenuation)):
        along = [float(np.interp(water_path_mm, water, column)) for column in zip(*table[str(kvp)][name], strict=True)]
        values[name] = float(np.interp(bone_ha_g_cm2, bone, along))
    for name in ("bone_slope_ha", "slope_k2hpo4", "slope_ha_water", "iodine", "cortical"):
        values[name] *= slope
    return Attenuation(**values)


TABLE: dict[int, Attenuation] = {kvp: behind(kvp, REFERENCE_PATH_MM) for kvp in TUBE_VOLTAGES_KVP}
"""Behind the reference path."""

MEASURED_YELLOW_SHIFT_HU = -20.0
"""Measured yellow marrow is fattier than ICRU's composition by about this much."""

YELLOW_SHIFT_SD_HU = 15.0
"""And people differ in it by this much."""


def yellow_shift_hu(seed: int) -> float:
    """How far one person's yellow marrow lies from ICRU's."""
    return float(np.random.default_rng([seed, 12]).normal(MEASURED_YELLOW_SHIFT_HU, YELLOW_SHIFT_SD_HU))


@dataclass(frozen=True)
class BoneScale:
    """A straight line from bone's HU at 120 kVp behind 20 cm of water to its HU in another beam.

    Bone and marrow of one person lie on such a line whatever their share, so that what is drawn in the HU of 120 kVp
    can be shown at any voltage, and the truth be had back from the picture.
    """

    slope: float = 1.0
    offset_hu: float = 0.0

    @classmethod
    def to(
        cls, beam: Attenuation, yellow_fraction: float, yellow_shift_hu: float, enhancement_hu: float = 0.0
    ) -> "BoneScale":
        """The line that ends in ``beam``, for a person's marrow, which contrast medium lifts by ``enhancement_hu``."""
        at = TABLE[REFERENCE_KVP]
        slope = beam.bone_slope_ha / at.bone_slope_ha
        marrow, marrow_120 = (a.marrow_hu(yellow_fraction, yellow_shift_hu) for a in (beam, at))
        return cls(slope, marrow - slope * marrow_120 + enhancement_hu)

    def hu_at_120(self, hu: float) -> float:
        """Back from the other beam."""
        return (hu - self.offset_hu) / self.slope


def trabecular_hu(
    bmd_ha: float, yellow_fraction: float, kvp: int, yellow_shift_hu: float = MEASURED_YELLOW_SHIFT_HU
) -> float:
    """HU of trabecular bone with ``bmd_ha`` mg/cm3 hydroxyapatite and a yellow-marrow fraction in 0 to 1."""
    return TABLE[kvp].marrow_hu(yellow_fraction, yellow_shift_hu) + TABLE[kvp].bone_slope_ha * bmd_ha


def bmd_ha_from_qct(
    bmd_k2hpo4: float, yellow_fraction: float, yellow_shift_hu: float = MEASURED_YELLOW_SHIFT_HU
) -> float:
    """Hydroxyapatite mass in mg/cm3 of a vertebra that 120 kVp QCT reads as ``bmd_k2hpo4``."""
    at = TABLE[REFERENCE_KVP]
    return (bmd_k2hpo4 * at.slope_k2hpo4 - at.marrow_hu(yellow_fraction, yellow_shift_hu)) / at.bone_slope_ha


def qct_bmd(mean_hu_120: float) -> float:
    """What QCT reads, mg/cm3 K2HPO4-equivalent, from the noise-free mean HU at 120 kVp."""
    return mean_hu_120 / TABLE[REFERENCE_KVP].slope_k2hpo4
