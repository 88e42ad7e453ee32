"""What every grid must be: sound in its affine, bearable in its size, made of numbers."""

import math

import numpy as np

from trabecula.errors import refusal
from trabecula.volume import PADDING_HU, Float32, Float64

MAX_VOXELS = 2**30  # 4 GiB as float32
MIN_SIDE = 3
MAX_COSINE_OF_SHEAR = 5e-3  # headers rounded to single precision or to quaternions stay below 1e-3
SPACING_LIMITS_MM = (0.05, 20.0)
LOWEST_HU = -1024.0
"""CT numbers begin here; what lies below is a scanner's mark for 'outside the field of view'."""


def require_bearable(shape: tuple[int, ...]) -> None:
    """Refuse a declared size before anything is allocated for it."""
    voxels = math.prod(int(n) for n in shape)
    if voxels > MAX_VOXELS or min(shape) < 1:
        raise refusal("too-large.voxels", shape=" x ".join(map(str, shape)), most=MAX_VOXELS)


def spatial_shape(shape: tuple[int, ...], spatial: tuple[int, ...]) -> tuple[int, int, int]:
    """The three ``spatial`` axes of a declared shape, the others being of length 1, before anything is allocated.

    Raises:
        Refusal: there is more than one volume, too few voxels or too many.
    """
    others = [n for axis, n in enumerate(shape) if axis not in spatial]
    if len(spatial) != 3 or any(n != 1 for n in others):
        raise refusal("not-three-dimensional.shape", number=len(shape), shape=" x ".join(map(str, shape)))
    i, j, k = (shape[axis] for axis in spatial)
    require_bearable((i, j, k))
    if min(i, j, k) < MIN_SIDE:
        raise refusal("too-few-slices.voxels", shape=f"{i} x {j} x {k}")
    return i, j, k


def require_sound_affine(affine: Float64) -> None:
    """Refuse an affine from which no place in the patient can be told.

    Raises:
        Refusal: it is not finite, is singular, is sheared, or its spacing is not one of millimetres.
    """
    columns = affine[:3, :3]
    lengths = np.linalg.norm(columns, axis=0)
    if (
        not np.isfinite(lengths).all()
        or not np.isfinite(affine).all()
        or (lengths == 0).any()
        or abs(np.linalg.det(columns / lengths)) < 1e-3
    ):
        raise refusal("affine-singular")
    low, high = SPACING_LIMITS_MM
    if lengths.min() < low or lengths.max() > high:
        spacing = " x ".join(f"{n:.3g}" for n in lengths)
        raise refusal("spacing-implausible", spacing=spacing, least=low, most=high)
    cosines = columns / lengths
    shear = float(np.abs(cosines.T @ cosines - np.eye(3)).max())
    if shear > MAX_COSINE_OF_SHEAR:
        raise refusal("affine-sheared", degrees=math.degrees(math.asin(min(shear, 1.0))))


def require_finite(values: Float32) -> None:
    """Refuse NaN and infinity: nothing says what stood there."""
    # a sum is not finite when any term is not; cheaper than a mask of every voxel
    with np.errstate(invalid="ignore"):  # of two infinities
        total = values.sum(dtype=np.float64)
    if not np.isfinite(total):
        raise refusal("not-finite")


def mask_outside(hu: Float32) -> Float32:
    """Replace, in place, everything below the CT scale by air; slice by slice, so that no mask of all is held."""
    for part in hu if hu.ndim > 2 else (hu,):
        np.copyto(part, np.float32(PADDING_HU), where=part < LOWEST_HU)
    return hu
