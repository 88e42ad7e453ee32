"""Swapping and reversing whole axes must be undone without a trace, for every axis order there is."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from trabecula.formats.given import RAS_FROM_LPS, on_given_grid, volume_from_given

AXIS_ORDERS = [
    "".join(pair[side] for pair, side in zip(order, sides, strict=True))
    for order in permutations(("LR", "PA", "IS"))
    for sides in product((0, 1), repeat=3)
]


def oblique_affine(axis_order: str) -> np.ndarray:
    """An affine to RAS with these axes, unequal spacing, an offset and a turn of a few degrees."""
    turn = np.radians(8)
    spin = np.asarray([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    columns = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    affine = np.eye(4)
    affine[:3, :3] = spin @ np.transpose([columns[c] for c in axis_order]) @ np.diag((1.5, 2.0, 3.0))
    affine[:3, 3] = 11, -47, 230
    return affine


@pytest.mark.parametrize("axis_order", AXIS_ORDERS)
def test_every_axis_order_comes_to_zyx_and_back(axis_order):
    affine_ras = oblique_affine(axis_order)
    assert "".join(nib.aff2axcodes(affine_ras)) == axis_order
    given = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    volume, orientation = volume_from_given(given, RAS_FROM_LPS @ affine_ras)

    columns = volume.affine[:3, :3]
    assert columns[2, 0] > 0 and columns[1, 1] > 0 and columns[0, 2] > 0
    index = np.argwhere(given > -1)
    world_lps = index @ (RAS_FROM_LPS @ affine_ras)[:3, :3].T + (RAS_FROM_LPS @ affine_ras)[:3, 3]
    at = np.rint(volume.to_index(world_lps)).astype(int)
    np.testing.assert_array_equal(volume.hu[tuple(at.T)], given.ravel())

    back, affine_back = on_given_grid(volume.hu, volume, orientation)
    np.testing.assert_array_equal(back, given)
    np.testing.assert_allclose(affine_back, affine_ras, atol=1e-9)
