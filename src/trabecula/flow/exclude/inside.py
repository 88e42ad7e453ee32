"""What a check sees of the inside of a vertebra: its region's HU, and where in the body each voxel lies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.flow.body import body_frame
from trabecula.flow.exclude import Evidence
from trabecula.volume import Float32, Float64

MARGIN_MM = 4.0
SMOOTH_MM = 1.5
LEAST_VOXELS = 100


@dataclass(frozen=True)
class Inside:
    """A region's part of the scan, (z, y, x); per voxel of the region (n): HU, smoothed HU, place in the body.

    ``height`` is -1 at the bottom and 1 at the top, ``ahead`` -1 at the back and 1 at the front, ``aside`` -1 to 1.
    """

    region: NDArray[np.bool_]
    hu: Float32
    smooth: Float32
    height: Float64
    ahead: Float64
    aside: Float64
    spacing_mm: tuple[float, float, float]

    @property
    def voxel_cm3(self) -> float:
        return float(np.prod(self.spacing_mm)) / 1000

    @property
    def values(self) -> Float32:
        """Smoothed HU of the region's voxels."""
        return self.smooth[self.region]

    @property
    def core(self) -> NDArray[np.bool_]:
        """Which of the voxels lie in the middle: neither near an end plate nor near the rim, before the cleft."""
        flat = (np.abs(self.height) < 0.4) & (self.ahead > -0.3)
        return np.asarray(flat & (np.hypot(self.ahead, self.aside) < 0.75))

    @property
    def usual(self) -> tuple[float, float]:
        """Median and robust standard deviation of smoothed HU in the middle."""
        values = self.values[self.core] if self.core.any() else self.values
        middle = float(np.median(values))
        return middle, float(1.4826 * np.median(np.abs(values - middle)))

    def pieces(self, chosen: NDArray[np.bool_]) -> list[tuple[float, NDArray[np.bool_]]]:
        """The connected pieces of some of the region's voxels: volume in cm3 and which voxels, largest first."""
        full = np.zeros(self.region.shape, bool)
        full[self.region] = chosen
        names, count = ndimage.label(full)
        mine = names[self.region]
        sizes = np.bincount(mine, minlength=count + 1)[1:]
        order = np.argsort(-sizes)
        return [(float(sizes[k]) * self.voxel_cm3, np.asarray(mine == k + 1)) for k in order]


def look_inside(evidence: Evidence, level: Level) -> Inside | None:
    """The inside of a vertebra, worked out once for all checks; None where it has no region to speak of."""
    if level not in evidence.looked_at:
        evidence.looked_at[level] = _look_inside(evidence, level)
    found: Inside | None = evidence.looked_at[level]
    return found


def _look_inside(evidence: Evidence, level: Level) -> Inside | None:
    if evidence.regions is None:
        return None
    labels, volume = evidence.regions.labels, evidence.scan.volume
    part = evidence.regions.part(level)
    reach = [int(np.ceil(MARGIN_MM / s)) for s in volume.spacing_mm]
    wider = tuple(slice(max(0, p.start - r), p.stop + r) for p, r in zip(part, reach, strict=True))
    region = labels[wider] == level.verse_id
    if region.sum() < LEAST_VOXELS:
        return None
    hu = volume.hu[wider]
    smooth = ndimage.gaussian_filter(hu, [SMOOTH_MM / 2.355 * 1.5 / s for s in volume.spacing_mm])
    points = np.argwhere(region) @ volume.affine[:3, :3].T
    local = body_frame(points).local(points)
    shares = []
    for axis in range(3):
        low, high = np.percentile(local[:, axis], (1, 99))
        shares.append(2 * (local[:, axis] - low) / max(high - low, 1e-6) - 1)
    return Inside(region, hu, np.asarray(smooth, np.float32), shares[2], shares[1], shares[0], volume.spacing_mm)
