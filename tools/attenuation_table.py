"""Computes ``src/trabecula/flow/calibrate/attenuation.json``: what a CT scanner shows of mineral, iodine and tissues.

    python tools/attenuation_table.py

Spectra of a tungsten tube by SpekPy, mass attenuation coefficients by xraylib, compositions of ICRU Reports 44 and 46;
both packages come with the extra ``check``. Every figure holds for a trace of the material in the middle of a water
path, on a detector that weighs photons by their energy. The virtual scanner's own table
(``virtual/attenuation.py``) is not used.
"""

import json
from pathlib import Path

import numpy as np
import spekpy
import xraylib
from numpy.typing import NDArray

OUT = Path(__file__).parents[1] / "src/trabecula/flow/calibrate/attenuation.json"

ALUMINIUM_MM = 8.0
"""Tube, housing and the middle of a body filter: 7.3 mm Al half-value layer at 120 kVp."""

ANODE_DEG = 8.0
VOLTAGES_KVP = list(range(70, 151, 10))
TIN_MM = [0.0, 0.4, 0.6]
"""Spectral shaping: 0.4 mm of tin on older dual-source scanners, 0.6 mm on newer ones."""

PATHS_MM = list(range(100, 501, 50))
ENERGIES_KEV = list(range(40, 131, 2))

# g/cm3 and mass fractions by atomic number: ICRU Report 44; K2HPO4 by its formula.
WATER = (1.0, {1: 0.1119, 8: 0.8881})
TISSUES: dict[str, tuple[float, dict[int, float]]] = {
    "air": (0.0012, {7: 0.755, 8: 0.232, 18: 0.013}),
    "fat": (0.95, {1: 0.114, 6: 0.598, 7: 0.007, 8: 0.278, 11: 0.001, 16: 0.001, 17: 0.001}),
    # ICRU Report 46's third adipose tissue, the fattest: what lies under an adult's skin.
    "subcutaneous_fat": (0.93, {1: 0.116, 6: 0.681, 7: 0.002, 8: 0.198, 11: 0.001, 16: 0.001, 17: 0.001}),
    "muscle": (1.05, {1: 0.102, 6: 0.143, 7: 0.034, 8: 0.71, 11: 0.001, 15: 0.002, 16: 0.003, 17: 0.001, 19: 0.004}),
    "blood": (1.06, {1: 0.102, 6: 0.11, 7: 0.033, 8: 0.745, 11: 0.001, 15: 0.001, 16: 0.002, 17: 0.003, 19: 0.002, 26: 0.001}),  # noqa: E501
    "red_marrow": (1.03, {1: 0.105, 6: 0.414, 7: 0.034, 8: 0.439, 15: 0.001, 16: 0.002, 17: 0.002, 19: 0.002, 26: 0.001}),  # noqa: E501
    "yellow_marrow": (0.98, {1: 0.115, 6: 0.644, 7: 0.007, 8: 0.231, 11: 0.001, 16: 0.001, 17: 0.001}),
}  # fmt: skip
_ATOMS = {19: 2 * 39.0983, 1: 1.00794, 15: 30.97376, 8: 4 * 15.9994}
K2HPO4 = {z: mass / sum(_ATOMS.values()) for z, mass in _ATOMS.items()}

DISPLACED = 0.2174
"""1 mg of K2HPO4 takes the place of 0.2174 mg of water in solution (the constant of Mindways' calibration)."""

Floats = NDArray[np.float64]


def per_mass(elements: dict[int, float], energies_kev: Floats) -> Floats:
    """Mass attenuation in cm2/g at each energy."""
    each = [share * np.array([xraylib.CS_Total(z, float(e)) for e in energies_kev]) for z, share in elements.items()]
    return np.asarray(np.sum(each, axis=0))


def seen(energies_kev: Floats, weights: Floats) -> dict[str, float]:
    """Slopes in HU for 1 mg/cm3 of K2HPO4 and 1 mg/ml of iodine, and tissues' HU, for detected energies."""
    water = weights @ per_mass(WATER[1], energies_kev)
    figures = {
        "k2hpo4": weights @ per_mass(K2HPO4, energies_kev) / water - DISPLACED,
        "iodine": weights @ per_mass({53: 1.0}, energies_kev) / water,
    }
    for name, (density, elements) in TISSUES.items():
        figures[name] = 1000 * (density * (weights @ per_mass(elements, energies_kev)) / water - 1)
    return figures


def table() -> dict[str, object]:
    """All figures, rounded; axes first."""
    beams: dict[str, list[list[list[float]]]] = {name: [] for name in ("k2hpo4", "iodine", *TISSUES)}
    for tin_mm in TIN_MM:
        by_voltage: dict[str, list[list[float]]] = {name: [] for name in beams}
        for kvp in VOLTAGES_KVP:
            spectrum = spekpy.Spek(kvp=kvp, th=ANODE_DEG, dk=1.0).filter("Al", ALUMINIUM_MM)
            energies, fluence = spectrum.filter("Sn", tin_mm).get_spectrum() if tin_mm else spectrum.get_spectrum()
            kept = energies > 15
            energies, detected = energies[kept], (fluence * energies)[kept]
            water = per_mass(WATER[1], energies)
            paths = [seen(energies, detected * np.exp(-water * path_mm / 10)) for path_mm in PATHS_MM]
            for name, rows in by_voltage.items():
                rows.append([round(float(figures[name]), 4) for figures in paths])
        for name, rows in by_voltage.items():
            beams[name].append(rows)
    single: dict[str, list[float]] = {name: [] for name in beams}
    for energy in ENERGIES_KEV:
        for name, value in seen(np.array([float(energy)]), np.ones(1)).items():
            single[name].append(round(float(value), 4))
    return {
        "made_by": "python tools/attenuation_table.py",
        "spekpy": spekpy.__version__,
        "xraylib": xraylib.__version__,
        "tin_mm": TIN_MM,
        "kvp": VOLTAGES_KVP,
        "path_mm": PATHS_MM,
        "energy_kev": ENERGIES_KEV,
        "beams": beams,  # tissue: [tin][kvp][path]
        "single": single,  # tissue: [energy]
    }


if __name__ == "__main__":
    OUT.write_text(json.dumps(table()) + "\n", encoding="utf-8")
