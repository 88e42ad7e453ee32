"""Computes the Hounsfield units that virtual scanners draw with: ``python tools/attenuation.py``.

Tungsten spectra (SpekPy), coefficients of the elements (xraylib, after NIST), tissues of ICRU Report 44. Each value is
that of a trace of the material in the middle of a ray that has passed ``water_mm`` of water and ``bone_ha_g_cm2`` of
bone mineral, corrected for water: what filtered back-projection shows there. Nothing is taken from the calibration that
judges the drawn scans. Needs the extra ``check``; writes ``src/trabecula/virtual/attenuation.json``.
"""

import json
from pathlib import Path

import numpy as np

from trabecula.evaluation.world.beam import (
    BONE_HA_MG_CM3,
    DISPLACED_BY_K2HPO4,
    K2HPO4,
    MATERIALS,
    WATER,
    Beam,
    Material,
    per_mm,
)

OUT = Path(__file__).parents[1] / "src/trabecula/virtual/attenuation.json"
VOLTAGES_KVP = (80, 100, 120, 140)
WATER_MM = (100, 150, 200, 250, 300, 350, 400, 500)
BONE_HA_G_CM2 = (0.0, 2.0, 4.0, 8.0)

HYDROXYAPATITE = Material(1.0, {1: 0.00201, 8: 0.41407, 15: 0.18498, 20: 0.39894})
IODINE = Material(1.0, {53: 1.0})

DISPLACED_BY_HA = 1 / 3.16
"""cm3 of water that a gram of hydroxyapatite displaces: one over its density."""


def coefficients(beam: Beam, water_mm: float, bone_ha_g_cm2: float) -> dict[str, float]:
    """HU (slopes: HU per mg/cm3) of a trace of each material behind water and bone."""
    mu = {name: per_mm(material, beam.energies_kev) for name, material in MATERIALS.items()}
    water = per_mm(WATER, beam.energies_kev)
    bone_mm = bone_ha_g_cm2 / (BONE_HA_MG_CM3 / 1000) * 10
    hardened = beam.weights * np.exp(-water * water_mm - mu["bone"] * bone_mm)
    # The scanner takes what it measures for water: its scale is that of the water path of the same signal.
    thickness = np.linspace(0, 900, 1801)
    signal = beam.signal((water * water_mm + mu["bone"] * bone_mm)[:, None])[0]
    as_water = np.interp(signal, beam.signal(np.outer(water, thickness)), thickness)
    scale = (beam.weights * np.exp(-water * as_water)) @ water / (beam.weights * np.exp(-water * as_water)).sum()

    def hu(per_mm_: np.ndarray) -> float:
        return float(1000 * (hardened @ per_mm_ / hardened.sum() / scale - 1))

    def per_mg(material: Material, displaced: float) -> float:
        added = hardened @ per_mm(material, beam.energies_kev) / hardened.sum() / scale
        return float(added - displaced * hardened @ water / hardened.sum() / scale)

    marrow = 0.5 * (hu(mu["red"]) + hu(mu["yellow"]))
    return {
        "water": hu(water),
        "yellow_marrow": hu(mu["yellow"]),
        "red_marrow": hu(mu["red"]),
        "bone_slope_ha": (hu(mu["bone"]) - marrow) / BONE_HA_MG_CM3,
        "slope_k2hpo4": per_mg(K2HPO4, DISPLACED_BY_K2HPO4),
        "slope_ha_water": per_mg(HYDROXYAPATITE, DISPLACED_BY_HA),
        "iodine": per_mg(IODINE, 0.2),
        "fat": hu(mu["adipose"]),
        "cortical": hu(mu["bone"]),
    }


def main() -> None:
    """Writes the table: voltage, coefficient, then (water path, bone path)."""
    table: dict[str, dict[str, list[list[float]]]] = {}
    for kvp in VOLTAGES_KVP:
        beam = Beam.of(kvp)
        rows = [[coefficients(beam, w, b) for b in BONE_HA_G_CM2] for w in WATER_MM]
        table[str(kvp)] = {name: [[round(c[name], 4) for c in row] for row in rows] for name in rows[0][0]}
    document = {
        "made_by": "python tools/attenuation.py",
        "water_mm": WATER_MM,
        "bone_ha_g_cm2": BONE_HA_G_CM2,
        "kvp": table,
    }
    text = json.dumps(document, separators=(",", ":")).replace('},"', '},\n"')
    OUT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
