"""The virtual scanner does what its protocol says: noise, sharpness, slices, scale and place."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from trabecula.virtual.scanner import Protocol, acquire, blur, correlated_noise, finish, sample_protocol, scan_grid
from trabecula.volume import Grid, Volume

SILENT = Protocol(noise_hu=0.0)


def block(hu: np.ndarray, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Volume:
    return Volume(hu.astype(np.float32), Grid.axial((5.0, -7.0, 300.0), hu.shape, spacing_mm).affine)


@pytest.mark.parametrize("noise_hu", [5.0, 20.0, 50.0])
@pytest.mark.parametrize(("thickness_mm", "increment_mm"), [(1.25, 1.25), (5.0, 5.0), (2.0, 1.0)])
def test_noise_has_the_deviation_that_is_asked_for(noise_hu: float, thickness_mm: float, increment_mm: float) -> None:
    protocol = replace(SILENT, noise_hu=noise_hu, thickness_mm=thickness_mm, increment_mm=increment_mm)
    noise = correlated_noise((8, 96, 96), (increment_mm, 0.75, 0.75), protocol, np.random.default_rng(0))
    assert noise.std() == pytest.approx(noise_hu, rel=0.05)
    assert abs(noise.mean()) < 0.1 * noise_hu


@pytest.mark.parametrize("peak_per_mm", [0.2, 0.3, 0.4])
def test_noise_power_peaks_where_it_is_asked_to(peak_per_mm: float) -> None:
    pixel_mm, n = 0.7, 128
    protocol = replace(SILENT, noise_hu=10.0, noise_peak_per_mm=peak_per_mm)
    noise = correlated_noise((24, n, n), (1.25, pixel_mm, pixel_mm), protocol, np.random.default_rng(1))
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(n, pixel_mm), np.fft.fftfreq(n, pixel_mm)))
    edges = np.arange(0, 0.7, 0.02)
    ring = np.digitize(f.ravel(), edges)
    radial = np.bincount(ring, power.ravel())[1:] / np.maximum(np.bincount(ring)[1:], 1)
    assert edges[radial[: len(edges) - 1].argmax()] + 0.01 == pytest.approx(peak_per_mm, rel=0.25)


def test_overlapping_slices_share_noise_and_others_do_not() -> None:
    def alike(increment_mm: float) -> float:
        protocol = replace(SILENT, noise_hu=10.0, thickness_mm=2.0, increment_mm=increment_mm)
        noise = correlated_noise((12, 64, 64), (increment_mm, 0.75, 0.75), protocol, np.random.default_rng(2))
        return float(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1])

    assert alike(1.0) > 0.3
    assert abs(alike(2.0)) < 0.05


def test_the_same_seed_gives_the_same_scan_bit_for_bit() -> None:
    drawn = block(np.random.default_rng(0).normal(40, 200, (12, 40, 40)))
    protocol = replace(sample_protocol(np.random.default_rng(3)), streak_hu=10.0)
    one, two, other = (acquire(drawn, protocol, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.hu, two.hu)
    np.testing.assert_array_equal(one.affine, two.affine)
    assert (one.hu != other.hu).mean() > 0.5


def test_an_even_body_keeps_its_hu_on_the_scanners_scale() -> None:
    drawn = block(np.full((20, 40, 40), 140.0))
    protocol = replace(SILENT, slope=1.02, offset_hu=-3.0)
    inner = Grid.axial((5.0, -7.0, 300.0), (8, 30, 30), (1.25, 0.75, 0.75))
    ct = acquire(drawn, protocol, np.random.default_rng(0), inner)
    np.testing.assert_array_equal(ct.hu, round(140 * 1.02 - 3.0))


def test_whole_hounsfield_units_within_twelve_bits() -> None:
    drawn = block(np.array([-5000.0, 40.3, 9000.0]).repeat(1200).reshape(3, 30, 40))
    hu = finish(drawn.hu, replace(SILENT, noise_hu=10.0), Grid(drawn.shape, drawn.affine), np.random.default_rng(0)).hu
    np.testing.assert_array_equal(hu, np.rint(hu))
    assert (hu.min(), hu.max()) == (-1024, 3071)
    assert hu.dtype == np.float32


@pytest.mark.parametrize("fwhm_mm", [1.0, 1.5, 2.4])
def test_a_point_is_spread_to_its_full_width_at_half_maximum(fwhm_mm: float) -> None:
    hu = np.zeros((3, 81, 81))
    hu[:, 40, 40] = 1000
    drawn = block(hu, (1.0, 0.25, 0.25))
    image = blur(drawn, replace(SILENT, psf_fwhm_mm=fwhm_mm, thickness_mm=1.0), Grid(drawn.shape, drawn.affine))
    offset = (np.arange(81) - 40) * 0.25
    profile = image[1, 40].astype(float)
    sigma = np.sqrt((profile * offset**2).sum() / profile.sum())
    assert 2.355 * sigma == pytest.approx(fwhm_mm, rel=0.05)
    assert profile.sum() > 0
    np.testing.assert_allclose(image[1, 40], image[1, :, 40], atol=1e-3)  # round


@pytest.mark.parametrize("thickness_mm", [3.0, 5.0])
def test_a_slice_holds_the_mean_of_its_thickness(thickness_mm: float) -> None:
    hu = np.zeros((31, 8, 8))
    hu[15] = 300
    drawn = block(hu)
    image = blur(drawn, replace(SILENT, thickness_mm=thickness_mm), Grid(drawn.shape, drawn.affine))[:, 4, 4]
    assert (image > 1).sum() == thickness_mm
    assert image.max() == pytest.approx(300 / thickness_mm, rel=0.01)
    assert image.sum() == pytest.approx(300, rel=0.01)
    assert (np.arange(31) * image).sum() / image.sum() == pytest.approx(15, abs=0.01)


def test_a_sharp_kernel_overshoots_at_an_edge_and_a_soft_one_does_not() -> None:
    drawn = block(np.where(np.arange(60) < 30, 0.0, 400.0) * np.ones((3, 60, 60)), (1.0, 0.4, 0.4))
    grid = Grid(drawn.shape, drawn.affine)
    soft, sharp = (blur(drawn, replace(SILENT, edge_overshoot=o), grid)[1, 30] for o in (0.0, 0.3))
    assert soft.max() == pytest.approx(400, abs=1)
    assert sharp.max() > 410
    assert sharp[5] == pytest.approx(0, abs=1)
    assert sharp[-5] == pytest.approx(400, abs=1)


def test_the_grid_has_the_protocols_voxels_over_all_that_was_drawn() -> None:
    drawn = block(np.zeros((40, 100, 120)), (2.0, 2.0, 2.0))
    protocol = replace(SILENT, pixel_mm=0.9, increment_mm=2.5, rotation_deg=8.0)
    grid = scan_grid(drawn, protocol, np.random.default_rng(0))
    np.testing.assert_allclose(grid.spacing_mm, (2.5, 0.9, 0.9))
    np.testing.assert_allclose(np.array(grid.shape) * grid.spacing_mm, (80, 200, 240), atol=2.5)
    right, back = grid.affine[:3, 2] / 0.9, grid.affine[:3, 1] / 0.9
    assert np.degrees(np.arccos(right[0])) == pytest.approx(8.0)
    assert right @ back == pytest.approx(0, abs=1e-9)
    assert np.linalg.det(grid.affine[:3, :3][:, ::-1]) > 0  # not mirrored


@pytest.mark.parametrize("increment_mm", [0.7, 1.25, 2.0, 5.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_slice_at_the_ends_is_air(increment_mm: float, seed: int) -> None:
    drawn = block(np.full((30, 40, 40), 50.0), (2.0, 2.0, 2.0))
    protocol = replace(SILENT, pixel_mm=1.5, increment_mm=increment_mm, thickness_mm=increment_mm)
    ct = acquire(drawn, protocol, np.random.default_rng(seed))
    assert (ct.hu[:, 20, 20] == 50).all()
    assert ct.shape[0] * increment_mm > 60 - 2 - 1 - increment_mm


def test_a_structure_stays_in_its_place() -> None:
    x, y, z = np.meshgrid(*(np.arange(n) * 2.0 for n in (50, 50, 40)), indexing="ij")
    ball = ((x - 61) ** 2 + (y - 43) ** 2 + (z - 37) ** 2 < 14**2).astype(float) * 300
    drawn = block(ball.transpose(2, 1, 0), (2.0, 2.0, 2.0))
    truth = drawn.to_lps(np.argwhere(drawn.hu > 150).mean(axis=0))
    protocol = replace(SILENT, pixel_mm=0.8, increment_mm=2.5, thickness_mm=2.5, rotation_deg=12.0)
    ct = acquire(drawn, protocol, np.random.default_rng(4))
    np.testing.assert_allclose(ct.to_lps(np.argwhere(ct.hu > 150).mean(axis=0)), truth, atol=0.5)


def test_iterative_noise_has_its_power_at_lower_frequencies() -> None:
    n, pixel_mm, peak = 128, 0.7, 0.2
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(n, pixel_mm), np.fft.fftfreq(n, pixel_mm)))

    def mean_frequency(iterative: bool) -> float:
        protocol = replace(SILENT, noise_hu=10.0, noise_peak_per_mm=peak, iterative=iterative)
        noise = correlated_noise((24, n, n), (1.25, pixel_mm, pixel_mm), protocol, np.random.default_rng(1))
        power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0)
        return float((power * f).sum() / power.sum())

    # The integrals of f^2 exp(-(f/f0)^2/2) and f^(p+1) exp(-(f/f0)^2/2): 1.60 f0 and, with p = 0.5, 1.43 * 0.7 f0.
    assert mean_frequency(True) / mean_frequency(False) == pytest.approx(1.43 * 0.7 / 1.60, rel=0.05)


def test_noise_is_strongest_in_the_middle_of_the_bore() -> None:
    grid = Grid.axial((0.0, -35.0, 0.0), (20, 200, 200), (1.0, 2.0, 2.0))
    protocol = replace(SILENT, noise_hu=20.0, noise_centre_to_edge=1.7, noise_peak_per_mm=0.25)
    hu = finish(np.zeros(grid.shape, np.float32), protocol, grid, np.random.default_rng(0)).hu
    edge = np.hypot(*np.meshgrid(*(2.0 * (np.arange(200) - 99.5),) * 2)) > 175
    centre = np.hypot(*np.meshgrid(*(2.0 * (np.arange(200) - 99.5),) * 2)) < 25
    assert hu[:, centre].std() / hu[:, edge].std() == pytest.approx(1.7, rel=0.05)
    assert hu[:, centre].std() == pytest.approx(20, rel=0.05)


def test_a_vendors_slope_stretches_bone_and_leaves_air_and_fat() -> None:
    hu = np.array([-1000.0, -100.0, 0.0, 200.0, 1500.0], np.float32).repeat(4).reshape(5, 2, 2)
    scanned = finish(hu, replace(SILENT, slope=1.05), Grid(hu.shape, np.eye(4)), np.random.default_rng(0)).hu
    np.testing.assert_array_equal(scanned[:, 0, 0], [-1000, -100, 0, 210, 1575])


def test_shading_is_slow_and_stays_within_its_amplitude() -> None:
    grid = Grid.axial((0.0, 0.0, 0.0), (30, 150, 150), (2.0, 2.0, 2.0))
    hu = finish(np.zeros(grid.shape, np.float32), replace(SILENT, shading_hu=4.0), grid, np.random.default_rng(3)).hu
    assert np.abs(hu).max() <= 4
    assert np.ptp(hu) >= 3
    assert max(np.abs(np.diff(hu, axis=axis)).max() for axis in range(3)) <= 1


def test_a_small_field_of_view_truncates_the_body_off_its_middle() -> None:
    drawn = block(np.full((12, 220, 220), 40.0), (2.0, 2.0, 2.0))
    protocol = replace(SILENT, pixel_mm=0.8, field_of_view_mm=340.0, off_centre_mm=(15.0, -25.0))
    grid = scan_grid(drawn, protocol, np.random.default_rng(0))
    assert np.array(grid.shape[1:]) * 0.8 == pytest.approx(340, abs=1)
    middle = Volume(np.empty((0, 0, 0), np.float32), grid.affine).to_lps((np.array(grid.shape) - 1) / 2)
    np.testing.assert_allclose(middle[:2], (5.0 + 15, -7.0 - 25), atol=1.0)
    assert (acquire(drawn, protocol, np.random.default_rng(0)).hu == 40).all()


def test_motion_doubles_edges_on_some_slices_only() -> None:
    hu = np.broadcast_to(np.where(np.arange(80) < 40, 0.0, 400.0), (150, 80, 80)).astype(np.float32)
    grid = Grid.axial((0.0, 0.0, 0.0), hu.shape, (2.0, 1.0, 1.0))
    moved = finish(hu, replace(SILENT, motion_mm=4.0), grid, np.random.default_rng(1)).hu
    wrong = np.abs(moved - hu).max(axis=(1, 2))
    assert 50 < wrong.max() <= 200
    assert (wrong == 0).mean() > 0.3
    np.testing.assert_array_equal(moved[:, :, [5, -5]], hu[:, :, [5, -5]])


def test_metal_and_only_metal_casts_a_star_that_fades() -> None:
    hu = np.full((3, 121, 121), 40.0, np.float32)
    hu[1, 55:66, 55:66] = 3000
    hu[2, 55:66, 55:66] = 1900  # compact bone at 80 kVp
    grid = Grid.axial((0.0, 0.0, 0.0), hu.shape, (2.0, 1.0, 1.0))
    scanned = finish(hu, replace(SILENT, metal_star_hu=200.0), grid, np.random.default_rng(1)).hu
    np.testing.assert_array_equal(scanned[[0, 2]], hu[[0, 2]])
    away = np.hypot(*np.mgrid[-60:61, -60:61])
    near, far = ((scanned[1] - 40)[(away > low) & (away < low + 8)].std() for low in (12, 50))
    assert near > 60
    assert near > 2.5 * far


def test_protocols_are_those_that_are_met() -> None:
    protocols = [sample_protocol(np.random.default_rng(seed)) for seed in range(800)]
    assert {p.thickness_mm for p in protocols} >= {1.0, 1.25, 3.0, 5.0}
    for p in protocols:
        assert 0.6 <= p.pixel_mm <= 0.98
        assert 0.5 * p.thickness_mm <= p.increment_mm <= p.thickness_mm
        assert 4 <= p.noise_hu <= 80
        assert 0.94 <= p.slope <= 1.06
        assert 1.5 <= p.noise_centre_to_edge <= 1.9
        assert p.field_of_view_mm is None or 320 <= p.field_of_view_mm <= 400
        assert max(map(abs, p.off_centre_mm)) <= 40
        assert abs(p.rotation_deg) <= 8

    def share(what: Callable[[Protocol], bool]) -> float:
        return float(np.mean([what(p) for p in protocols]))

    for kvp, p in {80: 0.1, 100: 0.15, 120: 0.65, 140: 0.1}.items():
        assert share(lambda q, kvp=kvp: q.kvp == kvp) == pytest.approx(p, abs=0.05)
    assert share(lambda q: q.edge_overshoot > 0) == pytest.approx(0.1, abs=0.04)
    assert share(lambda q: q.iterative) == pytest.approx(0.5, abs=0.06)
    assert share(lambda q: q.field_of_view_mm is not None) == pytest.approx(0.2, abs=0.05)
    assert share(lambda q: q.motion_mm > 0) == pytest.approx(0.05, abs=0.03)
    assert share(lambda q: q.phantom) == pytest.approx(0.15, abs=0.05)

    def median_noise(what: Callable[[Protocol], bool]) -> float:
        return float(np.median([p.noise_hu for p in protocols if what(p)]))

    assert 7 <= median_noise(lambda p: p.thickness_mm >= 3 and p.kvp == 120) <= 15
    assert median_noise(lambda p: p.thickness_mm <= 1.25) > median_noise(lambda p: p.thickness_mm >= 3)
    assert median_noise(lambda p: p.kvp == 80) > 1.5 * median_noise(lambda p: p.kvp == 120)
    assert median_noise(lambda p: p.iterative) < 0.7 * median_noise(lambda p: not p.iterative)
