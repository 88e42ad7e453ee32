"""Internal calibration: the effective energy at which air, fat, muscle and blood would read as they do in the scan.

After Michalski 2020: the tissues' HU are held against those computed for each energy, and mineral's slope is that of
the energy that fits best. People's fat and muscle differ, so that the slope is sure to about a fifth; at least three
tissues are needed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.flow.calibrate.around import Surroundings
from trabecula.flow.calibrate.beam import at_energies, energies_kev, slope_at_energy
from trabecula.messages import Phrase
from trabecula.records import Rung
from trabecula.volume import Float32, Float64

TISSUE_SD_HU = {"air": 4.0, "subcutaneous_fat": 10.0, "muscle": 12.0, "blood": 8.0}
"""How far a person's tissue lies from its tabulated composition, 1 SD: muscle holds fat, and more of it with age. With
7, 8 and 6 HU the line of unseen virtual people erred by 1.9 times what it said of itself (simulated)."""

LIKELY_KEV = (48.0, 104.0)
"""What beams of 70 to 150 kVp come to behind a body, with and without tin."""

NEEDED = 3
OFFSET_SD_HU = 4.0
BIN_HU = 3.0
EVEN_HU = 40.0


@dataclass(frozen=True)
class EffectiveEnergy:
    """The energy that explains the tissues best, how sure it is, and how far the tissues lie from it (rms, HU)."""

    kev: float
    sd_kev: float
    misfit_hu: float


def read_tissues(around: Surroundings, blood_hu: float | None) -> dict[str, float]:
    """HU of the tissues that are in view; ``blood_hu`` is None where there is contrast medium in it."""
    boxes = around.box((-130, 130), (35, 130)), around.box((-55, 55), (25, 80))
    even = _even(around, boxes[0] | boxes[1])
    found = {
        "air": _air(around),
        "subcutaneous_fat": _commonest(around, (-135.0, -70.0), boxes[0], even),
        "muscle": _commonest(around, (20.0, 85.0), boxes[1], even),
        "blood": blood_hu,
    }
    return {name: hu for name, hu in found.items() if hu is not None}


def effective_energy(tissues_hu: dict[str, float]) -> EffectiveEnergy | None:
    """The energy that fits; None where fewer than three tissues were read."""
    if len(tissues_hu) < NEEDED:
        return None
    likely = (energies_kev() >= LIKELY_KEV[0]) & (energies_kev() <= LIKELY_KEV[1])
    energies = energies_kev()[likely]
    off = np.array([hu - at_energies(name)[likely] for name, hu in tissues_hu.items()])  # (tissue, energy)
    # A scanner whose water is off shifts every tissue alike, but air, to which it is calibrated daily.
    shared = np.array([0.0 if name == "air" else OFFSET_SD_HU for name in tissues_hu])
    covariance = np.diag([TISSUE_SD_HU[name] ** 2 for name in tissues_hu]) + np.outer(shared, shared)
    misfits = (off * np.linalg.solve(covariance, off)).sum(axis=0)
    weights = np.exp(-(misfits - misfits.min()) / 2)
    weights /= weights.sum()
    # Not their mean: tissues hardly change at high energies, where the curve of fits has a long tail.
    kev = float(energies[int(np.argmin(misfits))])
    sd = float(np.sqrt(weights @ (energies - kev) ** 2))
    misfit = [hu - np.interp(kev, energies_kev(), at_energies(name)) for name, hu in tissues_hu.items()]
    return EffectiveEnergy(kev, sd, float(np.sqrt(np.mean(np.square(misfit)))))


def tissues_rung(energy: EffectiveEnergy) -> Rung:
    """The line of the effective energy."""
    slope = slope_at_energy(energy.kev)
    ends = [slope_at_energy(energy.kev + side * energy.sd_kev) for side in (-1, 1)]
    return Rung(Phrase("rung-tissues"), slope, 0.0, (ends[0] - ends[1]) / 2 / slope, OFFSET_SD_HU)


def _air(around: Surroundings) -> float | None:
    """The median of what lies about -1000 and is no padding of one value."""
    values = around.hu[(around.hu > -1020) & (around.hu < -960)]
    if values.size < 5000 or np.ptp(values) < 1:
        return None
    return float(np.median(values))


def _even(around: Surroundings, where: NDArray[np.bool_]) -> Float32:
    """Smoothed HU where it is even, else no number; only the rows of ``where`` are told."""
    sigma, size = [2.0 / s for s in around.spacing_mm], [max(3, round(8.0 / s)) for s in around.spacing_mm]
    told = np.full(around.hu.shape, np.nan, np.float32)
    rows = np.flatnonzero(where.any(axis=(0, 2)))
    if rows.size:
        # So many rows more that the edge of the part changes nothing in these.
        margin = int(2 * sigma[1] + 0.5) + size[1]
        part = np.s_[:, max(0, rows[0] - margin) : rows[-1] + 1 + margin]
        smooth = ndimage.gaussian_filter(around.hu[part], sigma, truncate=2)
        spread = ndimage.maximum_filter(smooth, size) - ndimage.minimum_filter(smooth, size)
        told[part] = np.where(spread < EVEN_HU, smooth, np.nan)
    return told


def _commonest(around: Surroundings, hu: tuple[float, float], where: NDArray[np.bool_], even: Float32) -> float | None:
    values: Float64 = even[where & (even > hu[0]) & (even < hu[1])].astype(float)
    if values.size * float(np.prod(around.spacing_mm)) < 10_000:
        return None
    count, edges = np.histogram(values, np.arange(*hu, BIN_HU))
    return float(edges[int(np.argmax(ndimage.uniform_filter1d(count.astype(float), 5)))] + BIN_HU / 2)
