"""Lengths in other units than millimetres."""

import numpy as np

from trabecula.formats.grid import SPACING_LIMITS_MM
from trabecula.records import Reason, reason
from trabecula.volume import Float64


def mm_per_unit(declared: float, affine: Float64) -> tuple[float, list[Reason]]:
    """What to multiply an affine's lengths with; ``declared`` is what the header's unit says.

    A unit by which the voxels cannot be a CT's, while they can in millimetres, was written down wrongly. Both are said.
    """
    if declared == 1.0:
        return 1.0, []
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = SPACING_LIMITS_MM
    as_declared = lengths.min() * declared >= low and lengths.max() * declared <= high
    if not as_declared and lengths.min() >= low and lengths.max() <= high:
        return 1.0, [reason("unit-of-length.ignored")]
    return declared, [reason("unit-of-length", factor=declared)]
