"""Shapes are as large as they should be, also when thinner than a voxel, and lie where they should."""

import numpy as np
import pytest

from trabecula.virtual.canvas import Canvas, segment_distance, smooth_max, smooth_min
from trabecula.volume import Grid, Volume


def blank(spacing_mm: float = 1.0, size_mm: float = 60.0, centre: tuple[float, float, float] = (0, 0, 0)) -> Canvas:
    n = round(size_mm / spacing_mm)
    canvas = Canvas(Grid.axial(centre, (n, n, n), (spacing_mm,) * 3))
    canvas.hu[:] = 0
    return canvas


def painted_mm3(canvas: Canvas, hu: float) -> float:
    return float(canvas.hu.sum(dtype=float) / hu * canvas.h**3)


@pytest.mark.parametrize("spacing_mm", [1.0, 1.7, 2.0])
def test_a_balls_volume_does_not_depend_on_the_grid(spacing_mm: float) -> None:
    canvas = blank(spacing_mm)
    canvas.ellipsoid(np.array([3.3, -2.1, 0.7]), (15.0, 15.0, 15.0), 100.0)
    assert painted_mm3(canvas, 100.0) == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.01)


def test_a_ball_lies_in_its_place() -> None:
    canvas = blank(1.5, centre=(100.0, -40.0, 900.0))
    centre = np.array([103.3, -42.1, 905.7])
    canvas.ellipsoid(centre, (12.0, 12.0, 12.0), 100.0)
    index = np.argwhere(canvas.hu > 0)
    weight = canvas.hu[canvas.hu > 0]
    middle = Volume(canvas.hu, canvas.grid.affine).to_lps((index * weight[:, None]).sum(0) / weight.sum())
    np.testing.assert_allclose(middle, centre, atol=0.05)


def test_an_ellipsoids_radii_are_x_y_z() -> None:
    canvas = blank(1.0)
    canvas.ellipsoid(np.zeros(3), (20.0, 10.0, 5.0), 100.0)
    z, y, x = (np.ptp(axis) for axis in np.nonzero(canvas.hu > 50))
    assert (z, y, x) == pytest.approx((9, 19, 39), abs=1.01)


@pytest.mark.parametrize("spacing_mm", [1.0, 2.0])
def test_a_shell_thinner_than_a_voxel_keeps_its_mass(spacing_mm: float) -> None:
    canvas = blank(spacing_mm)
    x, y, z = canvas.points(canvas.everything)
    distance = np.sqrt(x**2 + y**2 + z**2) - np.float32(20)
    canvas.paint(canvas.everything, distance, 0.0, 0.4, 1000.0)
    assert painted_mm3(canvas, 1000.0) == pytest.approx(4 / 3 * np.pi * (20**3 - 19.6**3), rel=0.05)


def test_a_tube_is_a_capsule() -> None:
    canvas = blank(1.0)
    canvas.tube(np.array([[-12.0, 0, 0], [0, 0, 0], [12, 0, 0]]), 6.0, 100.0)
    assert painted_mm3(canvas, 100.0) == pytest.approx(np.pi * 36 * 24 + 4 / 3 * np.pi * 6**3, rel=0.02)


def test_a_capsule_from_a_to_b() -> None:
    points = tuple(np.array([v], np.float32) for v in (5.0, 4.0, 0.0))
    a, b = np.zeros(3), np.array([10.0, 0, 0])
    assert segment_distance(points, a, b, 1.0, 3.0)[0] == pytest.approx(4 - 2)  # type: ignore[arg-type]
    beyond = tuple(np.array([v], np.float32) for v in (14.0, 0.0, 3.0))
    assert segment_distance(beyond, a, b, 1.0, 3.0)[0] == pytest.approx(5 - 3)  # type: ignore[arg-type]


def test_what_misses_the_canvas_paints_nothing() -> None:
    canvas = blank()
    canvas.ellipsoid(np.array([500.0, 0, 0]), (10.0, 10.0, 10.0), 100.0)
    canvas.tube(np.array([[0, 400.0, 0], [0, 420, 0]]), 6.0, 100.0)
    assert not canvas.hu.any()
    assert canvas.box(np.array([500.0, 0, 0]), np.array([510.0, 5, 5])) is None


def test_a_shape_cut_by_the_canvas_is_drawn_as_far_as_it_is_in_view() -> None:
    canvas = blank()
    canvas.ellipsoid(np.array([0.0, 0.0, 30.0]), (12.0, 12.0, 12.0), 100.0)
    assert painted_mm3(canvas, 100.0) == pytest.approx(2 / 3 * np.pi * 12**3, rel=0.03)


def test_unions_and_intersections() -> None:
    a, b = (np.array(v, np.float32) for v in ([-3.0, 0.0, 5.0], [4.0, 0.0, 5.5]))
    np.testing.assert_allclose(smooth_min(a, b, 2.0), [-3, -0.5, 5 - 1.5**2 / 8], atol=1e-6)
    np.testing.assert_allclose(smooth_max(a, b, 2.0), [4, 0.5, 5.5 + 1.5**2 / 8], atol=1e-6)


def test_smooth_noise_has_unit_deviation_and_its_correlation() -> None:
    canvas = blank(1.0, 80)
    noise = canvas.smooth_noise(canvas.everything, np.random.default_rng(1), 4.0)
    assert noise.shape == canvas.grid.shape
    assert abs(noise.mean()) < 0.1
    assert noise.std() == pytest.approx(1, abs=0.25)

    def alike(shift: int) -> float:
        return float(np.corrcoef(noise[shift:].ravel(), noise[:-shift].ravel())[0, 1])

    assert alike(1) > 0.8
    assert abs(alike(12)) < 0.1
