"""A spine with what lies round it, simple enough to know every HU."""

import numpy as np
import pytest

from trabecula.volume import Float32, Float64, Grid, Volume


class Scene:
    """Muscle in fat in air with a vertebral column of 200 HU, 280 mm long; z, y, x in steps of 4, 2, 2 mm."""

    shape, spacing_mm = (70, 150, 150), (4.0, 2.0, 2.0)

    def __init__(self) -> None:
        self.up, self.back, self.left = (
            (axis - (n - 1) / 2) * s
            for axis, n, s in zip(np.indices(self.shape), self.shape, self.spacing_mm, strict=True)
        )
        hu = np.full(self.shape, -1000, np.float32)
        hu[(self.left / 135) ** 2 + ((self.back + 15) / 105) ** 2 < 1] = -100
        hu[(self.left / 115) ** 2 + ((self.back + 15) / 88) ** 2 < 1] = 55
        hu[(self.left / 22) ** 2 + (self.back / 17) ** 2 < 1] = 200
        self.hu: Float32 = hu + np.random.default_rng(0).normal(0, 8, self.shape).astype(np.float32)

    def tube(self, left_mm: Float64 | float, back_mm: float, radius_mm: float, hu: float) -> None:
        """Draws a vessel along the spine, bent where ``left_mm`` has a value for each slice."""
        middle = np.broadcast_to(np.asarray(left_mm, float), (self.shape[0],))[:, None, None]
        self.hu[np.hypot(self.left - middle, self.back - back_mm) < radius_mm] = hu

    def ball(self, middle_mm: tuple[float, float, float], radii_mm: tuple[float, float, float], hu: float) -> None:
        """Draws an organ at (left, back, up)."""
        gap = sum(
            ((axis - m) / r) ** 2
            for axis, m, r in zip((self.left, self.back, self.up), middle_mm, radii_mm, strict=True)
        )
        self.hu[gap < 1] = hu

    @property
    def volume(self) -> Volume:
        return Volume(self.hu, Grid.axial((0.0, 0.0, 0.0), self.shape, self.spacing_mm).affine)

    @staticmethod
    def middles(count: int = 4) -> Float64:
        """Bodies 34 mm apart about the middle, LPS mm."""
        return np.array([[0.0, 0.0, 34.0 * (n - (count - 1) / 2)] for n in range(count)])


@pytest.fixture
def scene() -> Scene:
    return Scene()
