"""The tissues round a spine at 2 to 3 mm, in mm from it: to the left, backwards and up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trabecula.volume import Float32, Float64, Volume

COARSE_MM = 2.0


@dataclass(frozen=True)
class Surroundings:
    """Block-averaged HU (z, y, x) about a spine.

    ``left_mm`` (z, x) and ``back_mm`` (z, y) are distances from the line through the bodies' middles, ``up_mm`` (z)
    that along the scan from the lowest middle.
    """

    hu: Float32
    spacing_mm: tuple[float, float, float]
    left_mm: Float64
    back_mm: Float64
    up_mm: Float64
    middles_mm: Float64  # heights of the bodies' middles, rising

    def box(
        self, left: tuple[float, float], back: tuple[float, float], up: tuple[float, float] = (-np.inf, np.inf)
    ) -> NDArray[np.bool_]:
        """Where distances from the spine lie in these ranges, (z, y, x)."""
        x = (self.left_mm >= left[0]) & (self.left_mm <= left[1])
        y = (self.back_mm >= back[0]) & (self.back_mm <= back[1])
        z = (self.up_mm >= up[0]) & (self.up_mm <= up[1])
        return np.asarray(z[:, None, None] & y[:, :, None] & x[:, None, :])


def surroundings(volume: Volume, middles_lps_mm: Float64, reach_mm: float = 130.0) -> Surroundings:
    """What lies within ``reach_mm`` of a spine, given by the middles (n, 3) of one or more bodies in LPS mm."""
    index = volume.to_index(np.atleast_2d(middles_lps_mm))
    index = index[np.argsort(index[:, 0])]
    spacing = np.asarray(volume.spacing_mm)
    low = np.clip(index.min(axis=0) - reach_mm / spacing, 0, None).astype(int)
    high = np.minimum(np.ceil(index.max(axis=0) + reach_mm / spacing).astype(int), volume.shape)
    step = np.maximum(np.round(COARSE_MM / spacing), 1).astype(int)
    shape = np.maximum((high - low) // step, 1)
    part = volume.hu[tuple(slice(a, a + n * s) for a, n, s in zip(low, shape, step, strict=True))]
    (z, y, x), (p, q, r) = shape, step
    # One axis after another: many times as quick as all at once.
    hu = part[: z * p].reshape(z, p, *part.shape[1:]).mean(axis=1, dtype=np.float32)
    hu = hu[:, : y * q].reshape(z, y, q, part.shape[2]).mean(axis=2, dtype=np.float32)
    hu = hu[:, :, : x * r].reshape(z, y, x, r).mean(axis=3, dtype=np.float32)
    at = [a + s * (np.arange(n) + 0.5) - 0.5 for a, s, n in zip(low, step, shape, strict=True)]
    row, column = (np.interp(at[0], index[:, 0], index[:, axis]) for axis in (1, 2))
    return Surroundings(
        hu=hu,
        spacing_mm=(float(p * spacing[0]), float(q * spacing[1]), float(r * spacing[2])),
        left_mm=(at[2][None] - column[:, None]) * spacing[2],
        back_mm=(at[1][None] - row[:, None]) * spacing[1],
        up_mm=(at[0] - index[0, 0]) * spacing[0],
        middles_mm=(index[:, 0] - index[0, 0]) * spacing[0],
    )
