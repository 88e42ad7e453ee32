"""Between the grid a scan was given on and (z, y, x): whole axes are swapped and reversed, nothing is resampled."""

from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trabecula.volume import Float32, Float64, Orientation, Volume

WORLD_AXIS = (2, 1, 0)
"""The LPS axis that each of (z, y, x) runs along."""

RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""NIfTI's world looks right and anterior where DICOM's looks left and posterior; the matrix is its own inverse."""


def orientation_of(affine_lps: Float64) -> Orientation:
    """The whole-axis turn that brings an array to (z superior, y posterior, x left), its axes oblique or not.

    ``affine_lps`` is 4x4 and takes an index of the array as given to LPS mm.
    """
    columns = affine_lps[:3, :3]
    cosines = columns / np.linalg.norm(columns, axis=0)  # (world x y z, given axis)
    along = cosines[list(WORLD_AXIS)]  # (z y x, given axis)
    first, second, third = max(permutations(range(3)), key=lambda axes: float(sum(abs(along[range(3), axes]))))
    axes = (first, second, third)
    z, y, x = (bool(along[i, axis] < 0) for i, axis in enumerate(axes))
    return Orientation(axes, (z, y, x))


def room_for(shape: tuple[int, int, int], affine_lps: Float64) -> tuple[Volume, Orientation, Float32]:
    """A volume yet without values, and a view of it on the grid as given, (i, j, k), to be filled."""
    orientation = orientation_of(affine_lps)
    hu: Float32 = np.empty(_turned(shape, orientation), np.float32)
    step = orientation.undo_affine(np.eye(4), hu.shape)  # (z, y, x) index from given index
    return Volume(hu, np.asarray(affine_lps @ np.linalg.inv(step))), orientation, orientation.undo(hu)


def volume_from_given(given_hu: NDArray[Any], affine_lps: Float64) -> tuple[Volume, Orientation]:
    """An array on the grid as given, and its affine to LPS mm, as a volume in (z, y, x) and the way back."""
    orientation = orientation_of(affine_lps)
    hu: Float32 = np.ascontiguousarray(orientation.apply(given_hu), dtype=np.float32)
    a, b, c = given_hu.shape
    step = orientation.undo_affine(np.eye(4), _turned((a, b, c), orientation))  # (z, y, x) index from given index
    return Volume(hu, np.asarray(affine_lps @ np.linalg.inv(step))), orientation


def on_given_grid(array: NDArray[Any], volume: Volume, orientation: Orientation) -> tuple[NDArray[Any], Float64]:
    """An array on the volume's grid (labels, say), back on the grid as given, with the NIfTI affine (RAS mm) of it."""
    affine_lps = orientation.undo_affine(volume.affine, volume.shape)
    return orientation.undo(array), np.asarray(RAS_FROM_LPS @ affine_lps)


def _turned(shape: tuple[int, int, int], orientation: Orientation) -> tuple[int, int, int]:
    z, y, x = (shape[axis] for axis in orientation.axes)
    return z, y, x
