"""What a beam shows of mineral, iodine and tissues, from its tube voltage, its filter and the water it passed.

Computed from tungsten spectra and mass attenuation coefficients (``tools/attenuation_table.py``), from 70 to 150 kVp,
with 0 to 0.6 mm of tin, behind any body.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from trabecula.volume import Float64

REFERENCE_KVP = 120.0
"""The voltage that spinal QCT is done at, and that its bands belong to."""

YELLOW_FRACTION = 0.45
"""Of the marrow of a lumbar body in middle age, by volume; its fat fraction is about 0.45 at 55 years."""


@dataclass(frozen=True)
class Beam:
    """A tube voltage in kVp, a tin filter in mm, and the water path in mm of the rays through what is measured.

    Raises:
        ValueError: a voltage outside 70 to 150 kVp or more than 0.6 mm of tin; nothing is computed for these.
    """

    kvp: float
    path_mm: float
    tin_mm: float = 0.0

    def __post_init__(self) -> None:
        axes = _table()
        if not axes["kvp"][0] <= self.kvp <= axes["kvp"][-1] or not 0 <= self.tin_mm <= axes["tin_mm"][-1]:
            raise ValueError(f"no computation for {self.kvp:g} kVp with {self.tin_mm:g} mm of tin")

    @property
    def slope_k2hpo4(self) -> float:
        """HU for 1 mg/cm3 of K2HPO4."""
        return self._figure("k2hpo4")

    @property
    def iodine(self) -> float:
        """HU for 1 mg/ml of iodine."""
        return self._figure("iodine")

    def tissue_hu(self, name: str) -> float:
        """HU of ``air``, ``fat``, ``muscle``, ``blood``, ``red_marrow`` or ``yellow_marrow``."""
        return self._figure(name)

    @property
    def marrow_hu(self) -> float:
        """HU of the marrow of middle age, without bone."""
        yellow = YELLOW_FRACTION * self.tissue_hu("yellow_marrow")
        return yellow + (1 - YELLOW_FRACTION) * self.tissue_hu("red_marrow")

    @property
    def marrow_shift_hu(self) -> float:
        """By how much marrow moves a reading off that of 120 kVp, in HU: fat is darker at lower voltages."""
        at = Beam(REFERENCE_KVP, self.path_mm)
        return self.marrow_hu - self.slope_k2hpo4 / at.slope_k2hpo4 * at.marrow_hu

    def _figure(self, name: str) -> float:
        # The path is extended in a straight line where a body is larger than any computed; the voltage never is.
        axes, figures = _beams(name)
        return _between(axes, figures, (self.tin_mm, self.kvp, self.path_mm))


def slope_at_energy(energy_kev: float) -> float:
    """HU for 1 mg/cm3 of K2HPO4 in a beam of one energy, 40 to 130 keV."""
    return float(np.interp(energy_kev, energies_kev(), at_energies("k2hpo4")))


def energies_kev() -> Float64:
    """The energies that ``at_energies`` holds figures for."""
    return np.asarray(_table()["energy_kev"], float)


def at_energies(name: str) -> Float64:
    """HU of a tissue at each of ``energies_kev``; for ``k2hpo4`` and ``iodine`` the HU of 1 mg/cm3."""
    return np.asarray(_table()["single"][name], float)


@cache
def _table() -> dict[str, Any]:
    source = files("trabecula.flow.calibrate") / "attenuation.json"
    return dict(json.loads(source.read_text(encoding="utf-8")))


@cache
def _beams(name: str) -> tuple[tuple[Float64, ...], Float64]:
    table = _table()
    axes = tuple(np.asarray(table[axis], float) for axis in ("tin_mm", "kvp", "path_mm"))
    return axes, np.asarray(table["beams"][name], float)


def _between(axes: tuple[Float64, ...], figures: Float64, place: tuple[float, ...]) -> float:
    """Linear along each axis, its last cell extended beyond the end; importing scipy for it takes half a second."""
    for axis, at in zip(axes, place, strict=True):
        low = int(np.clip(np.searchsorted(axis, at, side="right") - 1, 0, len(axis) - 2))
        share = (at - axis[low]) / (axis[low + 1] - axis[low])
        figures = figures[low] * (1.0 - share) + figures[low + 1] * share
    return float(figures)
