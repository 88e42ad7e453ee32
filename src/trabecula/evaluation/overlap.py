"""How well a region found covers the true one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SurfaceDistance:
    """Distance from each surface voxel of one region to the other's surface, both ways, in mm."""

    mean_mm: float
    p95_mm: float  # the larger of the two directions' 95th percentiles: the robust Hausdorff distance


def dice(found: Mask, true: Mask) -> float:
    """Twice the common voxels over the sum of both, 0 to 1; nan where both are empty.

    Raises:
        ValueError: the shapes differ.
    """
    found, true = _same_shape(found, true)
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else float("nan")


def surface_distance(found: Mask, true: Mask, spacing_mm: tuple[float, ...]) -> SurfaceDistance:
    """Mean and 95th percentile distance between the surfaces; nan where either is empty.

    Surface voxels are those with a face neighbour outside; the edge of the array counts as outside.

    Raises:
        ValueError: the shapes differ.
    """
    found, true = _same_shape(found, true)
    if not (found.any() and true.any()):
        return SurfaceDistance(float("nan"), float("nan"))
    box = ndimage.find_objects((found | true).astype(np.uint8))[0]
    surfaces = [_surface(mask[box]) for mask in (found, true)]
    far = [ndimage.distance_transform_edt(~surface, sampling=spacing_mm) for surface in surfaces]
    there, back = far[1][surfaces[0]], far[0][surfaces[1]]
    return SurfaceDistance(
        mean_mm=float(np.concatenate([there, back]).mean()),
        p95_mm=float(max(np.quantile(there, 0.95), np.quantile(back, 0.95))),
    )


def _surface(mask: Mask) -> Mask:
    return np.asarray(mask & ~ndimage.binary_erosion(mask), bool)


def _same_shape(found: Mask, true: Mask) -> tuple[Mask, Mask]:
    if found.shape != true.shape:
        raise ValueError(f"Masks of different shapes: {found.shape} and {true.shape}")
    return np.asarray(found, bool), np.asarray(true, bool)
