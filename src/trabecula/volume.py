"""A CT as an array with its place in the patient. The axis order is stated here and holds everywhere.

Arrays are (z, y, x): axis 0 runs from inferior to superior, axis 1 from anterior to posterior, axis 2 from the
patient's right to the left. World coordinates are DICOM's LPS in millimetres, written (x, y, z): left, posterior,
superior grow. A volume whose slices are oblique keeps its obliquity in the affine; only whole axes are ever swapped
or reversed when a scan is brought to this order.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

Point = tuple[float, float, float]


def point(values: NDArray[Any]) -> Point:
    """Three numbers of an array as a plain tuple."""
    a, b, c = (float(v) for v in values)
    return a, b, c


PADDING_HU = -1000.0
"""What fills a sample outside the scan: air."""


@dataclass(frozen=True)
class Orientation:
    """How an array as given was turned into (z, y, x): first ``axes`` is applied as a transpose, then ``flips``."""

    axes: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)

    def apply(self, given: NDArray[Any]) -> NDArray[Any]:
        """Given axis order to (z, y, x). A view, not a copy."""
        return np.flip(given.transpose(self.axes), tuple(i for i, f in enumerate(self.flips) if f))

    def undo(self, canonical: NDArray[Any]) -> NDArray[Any]:
        """(z, y, x) back to the axis order as given. A view, not a copy."""
        flipped = np.flip(canonical, tuple(i for i, f in enumerate(self.flips) if f))
        return flipped.transpose(tuple(np.argsort(self.axes)))

    def undo_affine(self, affine: Float64, shape: tuple[int, int, int]) -> Float64:
        """The affine of the array as given, from that of the (z, y, x) array of ``shape``."""
        step = np.zeros((4, 4))  # canonical index from given index
        step[3, 3] = 1.0
        for canonical_axis, (given_axis, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            step[canonical_axis, given_axis] = -1.0 if flip else 1.0
            step[canonical_axis, 3] = shape[canonical_axis] - 1 if flip else 0.0
        return np.asarray(affine @ step)


@dataclass(frozen=True)
class Volume:
    """Hounsfield units on a regular grid.

    ``hu`` is (z, y, x) float32; ``affine`` is 4x4 and takes an index (z, y, x, 1) to LPS millimetres (x, y, z, 1).
    """

    hu: Float32
    affine: Float64

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = self.hu.shape
        return z, y, x

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along (z, y, x)."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def voxel_volume_mm3(self) -> float:
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def to_lps(self, index_zyx: NDArray[Any]) -> Float64:
        """Indices (..., 3) in (z, y, x), fractions allowed, to LPS mm (..., 3) in (x, y, z)."""
        return np.asarray(np.asarray(index_zyx, float) @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, lps_mm: NDArray[Any]) -> Float64:
        """LPS mm (..., 3) in (x, y, z) to fractional indices (..., 3) in (z, y, x)."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(np.asarray(lps_mm, float) @ inverse[:3, :3].T + inverse[:3, 3])

    def sample(self, grid: "Grid", order: int = 1) -> Float32:
        """This volume on another grid, (z, y, x) float32; air outside the scan.

        Where the grid is coarser than the scan, neighbouring voxels are averaged first, so that thin slices are
        not merely skipped (aliasing).
        """
        # Rounded, or a grid that ends on the scan's last voxel falls outside by 1e-13 of a voxel and gets air there.
        index_from_grid = np.round(np.linalg.inv(self.affine) @ grid.affine, 9)
        coarser = np.asarray(grid.spacing_mm) / np.asarray(self.spacing_mm)
        sigma = np.where(coarser > 1.5, coarser / 2.355, 0.0)
        corners = np.array(np.meshgrid(*((0, n - 1) for n in grid.shape))).reshape(3, -1)
        reach = (index_from_grid[:3, :3] @ corners).T + index_from_grid[:3, 3]
        low = np.clip(np.floor(reach.min(axis=0) - 4 * sigma - 1), 0, self.shape).astype(int)
        high = np.clip(np.ceil(reach.max(axis=0) + 4 * sigma + 2), 0, self.shape).astype(int)
        if (low >= high).any():
            return np.full(grid.shape, PADDING_HU, np.float32)
        hu = self.hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        if sigma.any():
            hu = ndimage.gaussian_filter(hu, sigma, mode="nearest")
        return np.asarray(
            ndimage.affine_transform(
                hu,
                index_from_grid[:3, :3],
                index_from_grid[:3, 3] - low,
                grid.shape,
                order=order,
                mode="grid-constant" if order == 0 else "constant",
                cval=PADDING_HU,
                output=np.float32,
            )
        )


@dataclass(frozen=True)
class Grid:
    """Where samples lie: the shape (z, y, x) of an array and its affine to LPS mm. A volume without its values."""

    shape: tuple[int, int, int]
    affine: Float64 = field(repr=False)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @classmethod
    def axial(
        cls,
        centre_lps_mm: tuple[float, float, float],
        shape: tuple[int, int, int],
        spacing_mm: tuple[float, float, float],
    ) -> "Grid":
        """A grid whose axes are the patient's own, with ``centre_lps_mm`` (x, y, z) at its middle."""
        affine = np.eye(4)
        affine[:3, :3] = np.zeros((3, 3))
        for world_axis, array_axis in ((2, 0), (1, 1), (0, 2)):
            affine[world_axis, array_axis] = spacing_mm[array_axis]
        middle = affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
        affine[:3, 3] = np.asarray(centre_lps_mm) - middle
        return cls(shape, affine)
