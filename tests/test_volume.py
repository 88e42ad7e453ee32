"""Where voxels are: axis orders there and back, indices and millimetres, sampling held against linear fields."""

from itertools import permutations, product

import numpy as np
import pytest
from numpy.typing import NDArray

from trabecula.volume import PADDING_HU, Grid, Orientation, Volume

AXIS_ORDERS = [
    Orientation((a, b, c), flips)  # type: ignore[arg-type]
    for (a, b, c), flips in product(permutations(range(3)), product((False, True), repeat=3))
]


def oblique_affine(spacing_mm: tuple[float, float, float] = (3.0, 0.7, 0.9), degrees: float = 17.0) -> NDArray:
    """Turned about x and then about z; (z, y, x) index to (x, y, z) mm."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    tilt = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ tilt @ np.eye(3)[::-1] @ np.diag(spacing_mm)
    affine[:3, 3] = (-151.2, 37.9, 1234.5)
    return affine


def ramp(volume: Volume | Grid) -> NDArray:
    """3x - 2y + 0.5z at every voxel, and so exactly what a linear interpolation must give."""
    index = np.moveaxis(np.indices(volume.shape), 0, -1)
    lps = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return np.asarray(lps @ [3.0, -2.0, 0.5])


def test_there_are_48_axis_orders() -> None:
    assert len(set(AXIS_ORDERS)) == 48


@pytest.mark.parametrize("orientation", AXIS_ORDERS, ids=str)
def test_every_axis_order_is_undone(orientation: Orientation) -> None:
    given = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    canonical = orientation.apply(given)
    assert canonical.shape == tuple(given.shape[axis] for axis in orientation.axes)
    np.testing.assert_array_equal(orientation.undo(canonical), given)


@pytest.mark.parametrize("orientation", AXIS_ORDERS, ids=str)
def test_a_voxel_stays_in_its_place_in_every_axis_order(orientation: Orientation) -> None:
    given = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    canonical, affine = orientation.apply(given), oblique_affine()
    given_affine = orientation.undo_affine(affine, canonical.shape)
    for value in (0, 7, 13, 29):
        here, there = (np.append(np.argwhere(array == value)[0], 1) for array in (canonical, given))
        np.testing.assert_allclose(affine @ here, given_affine @ there, atol=1e-9)


def test_index_and_millimetres_are_inverse() -> None:
    volume = Volume(np.zeros((4, 5, 6), np.float32), oblique_affine())
    index = np.random.default_rng(0).uniform(-3, 9, (7, 2, 3))
    np.testing.assert_allclose(volume.to_index(volume.to_lps(index)), index, atol=1e-9)
    np.testing.assert_allclose(volume.to_lps(np.zeros(3)), (-151.2, 37.9, 1234.5))


def test_spacing_and_voxel_volume_do_not_depend_on_the_angle() -> None:
    for degrees in (0.0, 17.0, 80.0):
        volume = Volume(np.zeros((4, 5, 6), np.float32), oblique_affine(degrees=degrees))
        np.testing.assert_allclose(volume.spacing_mm, (3.0, 0.7, 0.9))
        assert volume.voxel_volume_mm3 == pytest.approx(1.89)


def test_an_axial_grid_has_its_centre_in_the_middle_and_the_patients_axes() -> None:
    grid = Grid.axial((10.0, -20.0, 30.0), (5, 8, 3), (2.0, 0.5, 1.5))
    place = Volume(np.zeros(grid.shape, np.float32), grid.affine).to_lps
    np.testing.assert_allclose(place(np.array([2.0, 3.5, 1.0])), (10, -20, 30))
    np.testing.assert_allclose(place(np.array([3.0, 3.5, 1.0])), (10, -20, 32))
    np.testing.assert_allclose(place(np.array([2.0, 4.5, 1.0])), (10, -19.5, 30))
    np.testing.assert_allclose(place(np.array([2.0, 3.5, 2.0])), (11.5, -20, 30))


@pytest.mark.parametrize("degrees", [0.0, 11.0, 33.0])
def test_a_linear_ramp_is_sampled_exactly(degrees: float) -> None:
    volume = Volume(np.zeros((24, 60, 50), np.float32), oblique_affine())
    volume = Volume(ramp(volume).astype(np.float32), volume.affine)
    middle = volume.to_lps((np.array(volume.shape) - 1) / 2)
    grid = Grid((9, 10, 11), oblique_affine((1.3, 0.8, 0.95), degrees))
    shift = middle - grid.affine[:3, :3] @ [4.3, 4.6, 5.2] - grid.affine[:3, 3]
    affine = grid.affine.copy()
    affine[:3, 3] += shift
    grid = Grid(grid.shape, affine)
    np.testing.assert_allclose(volume.sample(grid), ramp(grid), atol=0.02)


def test_a_ramp_stays_a_ramp_on_a_coarser_grid() -> None:
    volume = Volume(np.zeros((40, 60, 60), np.float32), oblique_affine((1.0, 0.7, 0.7), 0.0))
    volume = Volume(ramp(volume).astype(np.float32), volume.affine)
    x, y, z = volume.to_lps((np.array(volume.shape) - 1) / 2)
    grid = Grid.axial((x, y, z), (5, 5, 5), (3.0, 2.8, 2.8))
    np.testing.assert_allclose(volume.sample(grid), ramp(grid), atol=0.1)


def test_every_voxel_of_its_own_grid_comes_back_the_border_too() -> None:
    hu = np.random.default_rng(3).normal(0, 300, (6, 7, 8)).astype(np.float32)
    for degrees in (0.0, 5.0, 17.0, 61.0):
        volume = Volume(hu, oblique_affine(degrees=degrees))
        np.testing.assert_allclose(volume.sample(Grid(volume.shape, volume.affine)), hu, atol=0.01)


@pytest.mark.parametrize("order", [0, 1])
def test_outside_is_air_and_nothing_bleeds_in(order: int) -> None:
    volume = Volume(np.full((4, 4, 4), 100, np.float32), Grid.axial((0, 0, 0), (4, 4, 4), (1, 1, 1)).affine)
    sampled = volume.sample(Grid.axial((0, 0, 0), (10, 10, 10), (1, 1, 1)), order)
    inside = np.zeros((10, 10, 10), bool)
    inside[3:7, 3:7, 3:7] = True
    np.testing.assert_array_equal(sampled[inside], 100)
    np.testing.assert_array_equal(sampled[~inside], PADDING_HU)


def test_thin_slices_are_averaged_not_skipped_on_a_coarser_grid() -> None:
    stripes = np.where(np.arange(80) % 2, 300, -300).astype(np.float32)
    hu = np.broadcast_to(stripes[:, None, None], (80, 6, 6)).copy()
    volume = Volume(hu, Grid.axial((0, 0, 0), hu.shape, (1, 1, 1)).affine)
    coarse = volume.sample(Grid.axial((0, 0, 0), (13, 6, 6), (4, 1, 1)))
    assert np.abs(coarse).max() < 15  # skipping would leave +300 or -300
    same = volume.sample(Grid.axial((0, 0, 0), hu.shape, (1, 1, 1)))
    np.testing.assert_array_equal(same, hu)


def test_averaging_leaves_the_axes_that_are_not_coarser_alone() -> None:
    edge = np.where(np.arange(12) < 6, 0, 400).astype(np.float32)
    hu = np.broadcast_to(edge, (40, 12, 12)).copy()
    volume = Volume(hu, Grid.axial((0, 0, 0), hu.shape, (1, 1, 1)).affine)
    coarse = volume.sample(Grid.axial((0, 0, 0), (9, 12, 12), (4, 1, 1)))
    np.testing.assert_allclose(coarse[4], hu[0], atol=1e-3)
