"""Measure: how dense each region is. A Scan and its Regions go in, Densities come out.

As in Niu 2023, a 3-D DenseNet-121-BC sees the trabecular bone alone and gives a probability to each BMD bin; the BMD
is their expectation. Beside it stands the plain mean HU, and the straight-line calibration as a second opinion.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trabecula.calibration import MATERIAL, SYSTEMATIC_FRACTION, Calibration, by_voltage, to_reference_voltage
from trabecula.flow.blood import ENHANCED_ABOVE_HU, blood_hu
from trabecula.inference import about, network
from trabecula.messages import Phrase
from trabecula.records import Densities, Reason, Regions, Scan, VertebraDensity, VertebraRegion, reason
from trabecula.volume import Float32, Float64, Grid, Volume

UNEVEN_SD_HU = 100.0
"""Trabecular bone with the noise of a clinical scan stays well below this standard deviation."""

CONTRAST_ADDS_HU = 26.7
"""Mean rise of trabecular HU with contrast medium (Perez 2020); it differs between patients by as much again."""

DISAGREEMENT_FRACTION = 0.2
"""Network and calibration may differ by this share (at least 15 mg/cm3) before the vertebra is called doubtful."""


@dataclass(frozen=True)
class DensitySettings:
    """What the network sees: shapes are (z, y, x), the window is level and width in HU."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    window_hu: tuple[float, float]
    bins_mg_cm3: tuple[float, float, int]  # first, last, number
    precision: str = "f32"


def measure(scan: Scan, regions: Regions, weights: str, settings: DensitySettings) -> Densities:
    """The density of every region; ``bmd_mg_cm3`` is None where the region's own reasons withhold it.

    The interval holds the true QCT value with 95% probability if the simulated error and the error of calibrating
    without a phantom, 5 to 10%, are all there is; with contrast medium its lower end is moved down by what that adds.
    """
    kvp = scan.acquisition.tube_voltage_kvp
    line = by_voltage(kvp)
    blood = blood_hu(scan.volume, regions)
    enhanced = scan.acquisition.contrast_agent is not None or (blood is not None and blood > ENHANCED_ABOVE_HU)
    simulated_sd = float(about(weights).get("simulated_sd_mg_cm3", 5.0))
    errors = Errors(simulated_sd, CONTRAST_ADDS_HU / line.slope_hu_cm3_mg if enhanced else 0.0)
    vertebrae = tuple(
        _measure_one(
            scan, regions.labels, region, line, errors, partial(_network_bmd, weights=weights, settings=settings)
        )
        for region in regions.vertebrae
    )
    calibration = {
        "rung": Phrase("rung-network", {"line": line.rung}),
        "material": MATERIAL,
        "slope_hu_cm3_mg": round(line.slope_hu_cm3_mg, 4),
        "offset_hu": line.offset_hu,
        "tube_voltage_kvp": kvp,
        "systematic_sd_fraction": SYSTEMATIC_FRACTION,
        "simulated_sd_mg_cm3": simulated_sd,
        "blood_hu": None if blood is None else round(blood),
    }
    return Densities(vertebrae, calibration, _contrast_reason(blood) if enhanced else ())


def _contrast_reason(blood: float | None) -> tuple[Reason, ...]:
    if blood is not None and blood > ENHANCED_ABOVE_HU:
        return (reason("contrast-medium.blood", blood_hu=blood),)
    return (reason("contrast-medium.header"),)


@dataclass(frozen=True)
class Errors:
    """What widens an interval: the simulated deviation, and what contrast medium may have added (mg/cm3)."""

    simulated_sd: float
    contrast_adds: float

    def interval(self, bmd: float) -> tuple[float, float]:
        """The 95% interval of a density."""
        half = 1.96 * float(np.hypot(self.simulated_sd, SYSTEMATIC_FRACTION * bmd))
        return max(0.0, bmd - half - self.contrast_adds), bmd + half


def _measure_one(
    scan: Scan,
    labels: NDArray[np.uint8],
    region: VertebraRegion,
    line: Calibration,
    errors: Errors,
    network_bmd: Callable[[Volume, NDArray[np.bool_], VertebraRegion, float], float],
) -> VertebraDensity:
    mask = labels == region.level.verse_id
    hu = scan.volume.hu[mask]
    mean_hu = float(hu.mean())
    reasons = list(region.reasons)
    bmd = interval = None
    if not reasons:
        bmd = network_bmd(scan.volume, mask, region, to_reference_voltage(scan.acquisition.tube_voltage_kvp))
        interval = errors.interval(bmd)
        by_line = line.bmd_mg_cm3(mean_hu)
        if abs(bmd - by_line) > max(15.0, DISAGREEMENT_FRACTION * abs(by_line)):
            level = region.level
            reasons.append(reason("density-disagreement", level=level, network_mg_cm3=bmd, calibrated_mg_cm3=by_line))
    if hu.std() > UNEVEN_SD_HU:
        reasons.append(reason("uneven-density", level=region.level, sd_hu=float(hu.std())))
    return VertebraDensity(
        level=region.level,
        centroid_lps_mm=region.centroid_lps_mm,
        volume_mm3=region.volume_mm3,
        mean_hu=mean_hu,
        sd_hu=float(hu.std()),
        bmd_mg_cm3=bmd,
        bmd_interval_mg_cm3=interval,
        reasons=tuple(reasons),
    )


def _network_bmd(
    volume: Volume,
    mask: NDArray[np.bool_],
    region: VertebraRegion,
    voltage_factor: float,
    weights: str,
    settings: DensitySettings,
) -> float:
    """The network's expectation for one vertebra, everything outside its region blanked."""
    shape = (1, 1, *settings.shape)
    image = masked_crop(volume, mask, np.asarray(region.centroid_lps_mm), settings, voltage_factor)
    (scores,) = network(weights, shape, settings.precision)(image.reshape(shape))
    share = np.exp(scores[0] - scores[0].max())
    first, last, number = settings.bins_mg_cm3
    return float((share / share.sum() * np.linspace(first, last, number)).sum())


def masked_crop(
    volume: Volume, mask: NDArray[np.bool_], middle_lps_mm: Float64, settings: DensitySettings, voltage_factor: float
) -> Float32:
    """What the network sees: the windowed image around a point, zero outside the mask; ``settings.shape``."""
    spacing = np.asarray(settings.spacing_mm)
    scale = np.eye(4)
    scale[:3, :3] = np.diag(spacing / np.asarray(volume.spacing_mm))
    middle = volume.to_index(middle_lps_mm)
    scale[:3, 3] = middle - np.diag(scale)[:3] * (np.asarray(settings.shape) // 2)
    grid = Grid(settings.shape, volume.affine @ scale)
    around = tuple(
        slice(max(0, int(c - r)), int(c + r) + 2)
        for c, r in zip(middle, spacing * settings.shape / 2 / np.asarray(volume.spacing_mm) + 3, strict=True)
    )
    shift = np.eye(4)
    shift[:3, 3] = [part.start for part in around]
    affine = volume.affine @ shift
    inside = Volume(mask[around].astype(np.float32), affine).sample(grid) > 0.5
    hu = Volume(volume.hu[around], affine).sample(grid) * np.float32(voltage_factor)
    level_hu, width_hu = settings.window_hu
    return np.asarray(np.clip((hu - (level_hu - width_hu / 2)) / width_hu, 0, 1) * inside, np.float32)
