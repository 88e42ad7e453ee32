"""Density where QCT reads: the calibrated mean HU of an ellipse at mid height in the front of the body.

The whole trabecular region and a network stand beside it as second opinions. On unseen virtual people the straight line
is nearer to QCT than the network, whose error depends on a body's size and on noise.
"""

from dataclasses import dataclass

import numpy as np

from trabecula.flow.measure.network import NetworkDensity
from trabecula.flow.measure.qct import qct_share
from trabecula.messages import Phrase
from trabecula.quantity import Measurement
from trabecula.records import Calibration, Readings, Regions, Scan, Spine, VertebraReading, VertebraRegion
from trabecula.volume import Float32

PLACE_SD_MG_CM3 = 2.5
"""What placing the region by an outline that errs costs (simulated, see docs/results/number.md)."""

WHOLE_SD_MG_CM3 = 5.5
"""By how much the whole region differs from QCT's, beside lying above it (simulated)."""

NOISE_LENGTH_MM = 2.0
"""CT noise is correlated over about this length in the plane; slices have their own."""

THICK_FROM_MM = 2.5
THICK_SD_PER_MM = 0.7
"""Each mm of slice beyond 2.5 mm brings end plates and the cleft further into the region (simulated)."""

WHOLE_REGION, NETWORK, AS_SCANNED = "whole-region", "network", "as-scanned"
"""The names of the second opinions; ``as-scanned`` is the density with contrast medium."""


@dataclass(frozen=True)
class RegionDensity:
    """BMD in QCT's region; ``network`` reads each vertebra beside it, where there is one."""

    network: NetworkDensity | None = None

    def __call__(self, scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
        """The readings of every region."""
        assert regions is not None, "a density of regions needs a segmenter"
        beside = None if self.network is None else self.network(scan, spine, regions, calibration)
        vertebrae = []
        for region in regions.vertebrae:
            other = None if beside is None else beside.find(region.level)
            vertebrae.append(_reading(scan, regions, region, calibration, None if other is None else other.density))
        return Readings(tuple(vertebrae), Phrase("method-region"))


def _reading(
    scan: Scan, regions: Regions, region: VertebraRegion, calibration: Calibration, network: Measurement | None
) -> VertebraReading:
    part, volume = regions.part(region.level), scan.volume
    mask = regions.labels[part] == region.level.verse_id
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_lps(np.array([p.start for p in part]))
    hu = volume.hu[part]
    share = qct_share(mask, affine)
    whole, inner = hu[mask], hu[share > 0]
    own_sd = float(np.hypot(PLACE_SD_MG_CM3, noise_sd(inner, volume.spacing_mm) / calibration.slope_hu_cm3_mg))
    thickness = scan.acquisition.slice_thickness_mm or volume.spacing_mm[0]
    own_sd = float(np.hypot(own_sd, THICK_SD_PER_MM * max(0.0, thickness - THICK_FROM_MM)))
    read_hu = float(np.average(inner, weights=share[share > 0].astype(float)))
    opinions = {WHOLE_REGION: _measured(calibration, float(whole.mean(dtype=float)), WHOLE_SD_MG_CM3)}
    opinions |= {} if network is None else {NETWORK: network}
    if calibration.contrast_rise > 0:
        scanned, rise_free = calibration.as_scanned(read_hu), calibration.without_contrast
        opinions[AS_SCANNED] = Measurement(
            scanned, rise_free.interval(scanned, own_sd), calibration.quantity, own_sd
        )  # fmt: skip
    return VertebraReading(
        level=region.level,
        centroid_lps_mm=region.centroid_lps_mm,
        volume_mm3=region.volume_mm3,
        mean_hu=float(whole.mean(dtype=float)),
        sd_hu=float(whole.std(dtype=float)),
        density=_measured(calibration, read_hu, own_sd),
        read_hu=read_hu,
        opinions=opinions,
    )


def _measured(calibration: Calibration, hu: float, own_sd: float) -> Measurement:
    value = calibration.density(hu)
    return Measurement(value, calibration.interval(value, own_sd), calibration.quantity, own_sd)


def noise_sd(hu: Float32, spacing_mm: tuple[float, float, float]) -> float:
    """The standard error of a region's mean in HU: its voxels share their noise over some length in the plane."""
    cell = max(1.0, NOISE_LENGTH_MM**2 / (spacing_mm[1] * spacing_mm[2]))
    return float(hu.std(dtype=float) / np.sqrt(max(1.0, hu.size / cell)))
