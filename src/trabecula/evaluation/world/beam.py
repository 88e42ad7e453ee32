"""One slice of a virtual patient through a polychromatic X-ray beam, water correction and filtered back-projection.

The generator states Hounsfield units by a table. Here they are computed anew from physics: a tungsten spectrum, mass
attenuation coefficients of the elements, tissues as mixtures of ICRU-44 materials, every ray of a parallel beam through
the whole body. Spectra by SpekPy, coefficients by xraylib: the optional packages of the extra ``check``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trabecula.volume import Float64

ALUMINIUM_MM = 7.0
"""Filtration at which the mean energy behind 20 cm of water is that of the specification's table, 77 keV at 120 kVp."""

ANODE_DEG = 8.0

ANGLES = 270
"""Projections over half a turn."""


@dataclass(frozen=True)
class Material:
    """A tissue: g/cm3 and the mass fractions of its elements by atomic number."""

    density_g_cm3: float
    elements: dict[int, float]


MATERIALS = {
    "air": Material(0.0012, {7: 0.755, 8: 0.232, 18: 0.013}),
    "muscle": Material(
        1.05, {1: 0.102, 6: 0.143, 7: 0.034, 8: 0.710, 11: 0.001, 15: 0.002, 16: 0.003, 17: 0.001, 19: 0.004}
    ),
    "adipose": Material(0.95, {1: 0.114, 6: 0.598, 7: 0.007, 8: 0.278, 11: 0.001, 16: 0.001, 17: 0.001}),
    "red": Material(
        1.03, {1: 0.105, 6: 0.414, 7: 0.034, 8: 0.439, 15: 0.001, 16: 0.002, 17: 0.002, 19: 0.002, 26: 0.001}
    ),
    "yellow": Material(0.98, {1: 0.115, 6: 0.644, 7: 0.007, 8: 0.231, 11: 0.001, 16: 0.001, 17: 0.001}),
    "bone": Material(
        1.92, {1: 0.034, 6: 0.155, 7: 0.042, 8: 0.435, 11: 0.001, 12: 0.002, 15: 0.103, 16: 0.003, 20: 0.225}
    ),
}
"""ICRU Report 44's tissues; ``bone`` is cortical."""

WATER = Material(1.0, {1: 0.1119, 8: 0.8881})
K2HPO4 = Material(1.0, {1: 0.00579, 8: 0.36743, 15: 0.17783, 19: 0.44895})

DISPLACED_BY_K2HPO4 = 0.2174
"""cm3 of water that a gram of K2HPO4 displaces in solution (Mindways)."""

BONE_HA_MG_CM3 = 1.92 * 0.225 / 0.3989 * 1000
"""Hydroxyapatite in cortical bone: its calcium over the calcium of Ca10(PO4)6(OH)2, which is 39.89%."""


def per_mm(material: Material, energies_kev: Float64) -> Float64:
    """Linear attenuation in 1/mm at each energy."""
    import xraylib

    total = sum(
        share * np.array([xraylib.CS_Total(z, float(e)) for e in energies_kev])
        for z, share in material.elements.items()
    )
    return np.asarray(total * material.density_g_cm3 / 10)


@dataclass(frozen=True)
class Beam:
    """Energies in keV and what an energy-integrating detector makes of each without a patient (sum 1)."""

    kvp: int
    energies_kev: Float64
    weights: Float64

    @classmethod
    def of(cls, kvp: int) -> "Beam":
        """The beam of a tungsten tube at a voltage."""
        import spekpy

        spectrum = spekpy.Spek(kvp=kvp, th=ANODE_DEG, dk=1.0).filter("Al", ALUMINIUM_MM)
        energies, fluence = spectrum.get_spectrum()
        kept = energies > 15
        weights = fluence[kept] * energies[kept]
        return cls(kvp, energies[kept], weights / weights.sum())

    def signal(self, attenuation: Float64) -> Float64:
        """-log of what is detected, for line integrals (energy, ray)."""
        return -np.log(self.weights @ np.exp(-attenuation))

    def hu_per_mg(self, material: Material, displaced: float, water_mm: float) -> float:
        """HU that one mg/cm3 of a material adds to water, of which a gram displaces ``displaced`` cm3."""
        water = per_mm(WATER, self.energies_kev)
        behind = self.weights * np.exp(-water * water_mm)
        return float(behind @ per_mm(material, self.energies_kev) / (behind @ water)) - displaced

    def mean_hu(self, material: Material, water_mm: float) -> float:
        """HU of a trace of ``material`` in the middle of a water path."""
        water = per_mm(WATER, self.energies_kev)
        behind = self.weights * np.exp(-water * water_mm)
        return float(1000 * (behind @ per_mm(material, self.energies_kev) / (behind @ water) - 1))


def materials_of(
    hu: Float64, bone: NDArray[np.bool_], yellow_fraction: float, yellow_hu: float, slope_ha: float
) -> dict[str, Float64]:
    """The materials that a slice drawn at 120 kVp stands for, as densities relative to each one's own.

    Args:
        hu: (y, x).
        bone: where marrow and bone tissue are mixed; elsewhere fat, muscle and air.
        yellow_fraction: of the marrow.
        yellow_hu: of the person's yellow marrow at 120 kVp.
        slope_ha: drawn HU for one mg/cm3 of hydroxyapatite.
    """
    marrow_hu = yellow_fraction * yellow_hu + (1 - yellow_fraction) * 10.0
    share = np.where(bone, (hu - marrow_hu) / slope_ha / BONE_HA_MG_CM3, 0.0)
    filled = np.where(bone, 1 - share, 0.0)
    muscle_hu, adipose_hu = 43.4, -79.0
    muscle = np.clip((hu - adipose_hu) / (muscle_hu - adipose_hu), 0, 1)
    denser = np.maximum(1000 + hu, 0) / (1000 + np.clip(hu, adipose_hu, muscle_hu))
    return {
        "muscle": np.where(bone, 0, muscle * denser),
        "adipose": np.where(bone, 0, (1 - muscle) * denser),
        "red": filled * (1 - yellow_fraction),
        # Real yellow marrow is fattier than ICRU's: as much thinner as its HU is lower.
        "yellow": filled * yellow_fraction * (1000 + yellow_hu) / (1000 - 52.0),
        "bone": share,
    }


@dataclass(frozen=True)
class Sinogram:
    """Line integrals (m, angle, bin) of m maps in mm; bins as wide as a pixel, the axis of rotation in the middle."""

    lines: Float64
    shape: tuple[int, int]
    pixel_mm: float

    @classmethod
    def of(cls, maps: list[Float64], pixel_mm: float, angles: int = ANGLES) -> "Sinogram":
        """Projects maps (y, x). Every pixel is cut in four, so that no bin is missed on the slant."""
        shape = maps[0].shape
        used = np.flatnonzero(np.any([m.ravel() != 0 for m in maps], axis=0))
        y, x = (v.ravel()[used] for v in _pixels((shape[0], shape[1])))
        values = [m.ravel()[used] / 4 * pixel_mm for m in maps]
        bins = _bins((shape[0], shape[1]))
        lines = np.zeros((len(maps), angles, bins))
        for k in range(angles):
            cos, sin = np.cos(np.pi * k / angles), np.sin(np.pi * k / angles)
            for dy, dx in ((-0.25, -0.25), (-0.25, 0.25), (0.25, -0.25), (0.25, 0.25)):
                t = (x + dx) * cos + (y + dy) * sin + bins // 2
                left = np.floor(t).astype(np.intp)
                part = t - left
                for line, value in zip(lines[:, k], values, strict=True):
                    line += np.bincount(left, value * (1 - part), bins) + np.bincount(left + 1, value * part, bins)
        return cls(lines, (shape[0], shape[1]), pixel_mm)

    def back_projected(self, lines: Float64) -> Float64:
        """The map (y, x) whose line integrals (angle, bin) these are: ramp filter (Ram-Lak) and back-projection."""
        angles, bins = lines.shape
        n = 2 ** int(np.ceil(np.log2(2 * bins)))
        kernel = np.zeros(n)
        odd = np.arange(1, n // 2, 2)
        kernel[0] = 0.25
        kernel[odd] = kernel[-odd] = -1 / (np.pi * odd) ** 2
        filtered = np.fft.irfft(np.fft.rfft(lines, n) * np.fft.rfft(kernel), n)[:, :bins] / self.pixel_mm
        y, x = _pixels(self.shape)
        image = np.zeros(self.shape)
        at = np.arange(bins) - bins // 2
        for k in range(angles):
            t = x * np.cos(np.pi * k / angles) + y * np.sin(np.pi * k / angles)
            image += np.interp(t, at, filtered[k])
        return np.asarray(image * np.pi / angles)


def _pixels(shape: tuple[int, int]) -> tuple[Float64, Float64]:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    return y - (shape[0] - 1) / 2, x - (shape[1] - 1) / 2


def _bins(shape: tuple[int, int]) -> int:
    return int(np.ceil(np.hypot(*shape))) + 6


def reconstruct(sinogram: Sinogram, names: list[str], beam: Beam) -> Float64:
    """HU (y, x) as a scanner of this beam shows them, its only correction the one for water.

    ``sinogram`` holds the materials ``names``, relative to their own densities.
    """
    coefficients = np.stack([per_mm(MATERIALS[name], beam.energies_kev) for name in names])  # (m, energy)
    m, angles, bins = sinogram.lines.shape
    signal = beam.signal(coefficients.T @ sinogram.lines.reshape(m, -1))
    thickness = np.linspace(0, 700, 1401)
    water = beam.signal(np.outer(per_mm(WATER, beam.energies_kev), thickness))
    as_water = np.interp(signal, water, thickness).reshape(angles, bins)
    return np.asarray(1000 * (sinogram.back_projected(as_water) - 1))
