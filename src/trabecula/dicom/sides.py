"""Whether left and right may have been exchanged: no anatomy tells that for certain, but where a picture lies may.

Scanners count from the middle of their bore, and pictures lie about it. One that a program mirrored by its headers
alone keeps the place of its first voxel, and reaches from there the wrong way, past the bore's wall.
"""

import numpy as np

from trabecula.dicom.planes import Plane

BORE_RADIUS_MM = 400.0
"""The widest bores have 425 mm, the widest pictures 400."""


def beside_mm(plane: Plane) -> float | None:
    """How far past the middle, left or right, an axial picture reaches that would lie in the bore if its rows ran the
    other way; None for one that lies there as it is."""
    width_mm = (plane.columns - 1) * plane.spacing_mm[1] * plane.row_direction[0]
    height_mm = (plane.rows - 1) * plane.spacing_mm[0] * plane.column_direction[0]
    reach, mirrored = (_reach_mm(plane.position_mm[0], sign * width_mm, sign * height_mm) for sign in (1, -1))
    return reach if mirrored <= BORE_RADIUS_MM < reach else None


def _reach_mm(first_mm: float, width_mm: float, height_mm: float) -> float:
    corners = first_mm + np.array([0, width_mm, height_mm, width_mm + height_mm])
    return float(np.abs(corners).max())
