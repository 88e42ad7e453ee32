"""What the density network is shown of a vertebra, and what is read off it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.flow.calibrate.ladder import LadderCalibration
from trabecula.flow.measure.network import NetworkDensity
from trabecula.messages import Phrase
from trabecula.quantity import VBMD_K2HPO4
from trabecula.records import Acquisition, Calibration, Readings, Regions, Scan, Spine, VertebraRegion
from trabecula.view import View
from trabecula.volume import Orientation, Volume
from trabecula.weights import weights_named

SPACING_MM = (2.5, 0.8, 0.7)
ORIGIN_LPS_MM = (-70.0, -60.0, 500.0)
HALF_MM = (9.0, 12.0, 15.0)
CENTRE_MM = (62.0, 50.0, 68.0)
MEASURE = NetworkDensity("niu2023-densitometer")
VIEW = weights_named(MEASURE.weights).view
WIDE = replace(VIEW, window_hu=(500.0, 4000.0))
"""A window that clips nothing here, so that every HU can be read back."""
SPINE = Spine((), 60.0)


def offset_mm(volume_shape: tuple[int, ...]) -> list[np.ndarray]:
    return [index * s - c for index, s, c in zip(np.indices(volume_shape), SPACING_MM, CENTRE_MM, strict=True)]


@pytest.fixture(scope="module")
def scene() -> tuple[Volume, Regions]:
    """An ellipsoid L1 whose HU tell the place: 100 + z, 1 HU a mm, in bright surroundings."""
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = SPACING_MM
    affine[:, 3] = (*ORIGIN_LPS_MM, 1)
    z, y, x = offset_mm((50, 130, 200))
    inside = sum((o / h) ** 2 for o, h in zip((z, y, x), HALF_MM, strict=True)) < 1
    volume = Volume(np.where(inside, 100 + z, 900).astype(np.float32), affine)
    labels = np.where(inside, Level.L1.verse_id, 0).astype(np.uint8)
    return volume, regions_of(labels, volume)


def regions_of(labels: np.ndarray, volume: Volume) -> Regions:
    mask = labels == Level.L1.verse_id
    x, y, z = volume.to_lps(np.argwhere(mask).mean(axis=0))
    region = VertebraRegion(Level.L1, 0.9, (x, y, z), float(mask.sum() * volume.voxel_volume_mm3))
    return Regions(labels, (region,))


def shown(volume: Volume, regions: Regions, view: View = WIDE, hu_factor: float = 1.0) -> np.ndarray:
    """What the network sees of L1."""
    middle = volume.to_index(np.array(regions.vertebrae[0].centroid_lps_mm))
    return view.cut_masked(volume, regions.labels, Level.L1.verse_id, middle, hu_factor)


def crop_hu(volume: Volume, regions: Regions, hu_factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The crop in HU again, and where it is not blank."""
    image = shown(volume, regions, hu_factor=hu_factor)
    assert image.shape == VIEW.shape
    return image * 4000 - 1500, image > 0


def test_the_vertebra_lies_in_the_middle_and_its_surroundings_are_blank(scene: tuple[Volume, Regions]) -> None:
    volume, regions = scene
    hu, lit = crop_hu(volume, regions)
    middle = np.argwhere(lit).mean(axis=0)
    np.testing.assert_allclose(middle, np.array(VIEW.shape) // 2, atol=0.3)
    assert hu[lit].max() < 650  # of 900 HU around it only what interpolation mixes in at the rim
    assert np.abs(hu[ndimage.binary_erosion(lit, iterations=2)] - 100).max() < 20
    size_mm3 = lit.sum() * np.prod(VIEW.spacing_mm)
    assert size_mm3 == pytest.approx(regions.vertebrae[0].volume_mm3, rel=0.05)
    extent = np.ptp(np.argwhere(lit), axis=0) * VIEW.spacing_mm
    np.testing.assert_allclose(extent, 2 * np.array(HALF_MM), atol=4.1)


def test_every_voxel_is_where_it_says(scene: tuple[Volume, Regions]) -> None:
    volume, regions = scene
    hu, lit = crop_hu(volume, regions)
    z = (np.arange(VIEW.shape[0]) - VIEW.shape[0] // 2) * VIEW.spacing_mm[0]
    # The rim is mixed with what lies around.
    core = ndimage.binary_erosion(lit[:, 13:20, 12:21].all(axis=(1, 2)), iterations=2)
    found = hu[:, 13:20, 12:21].mean(axis=(1, 2))[core]
    np.testing.assert_allclose(found, 100 + z[core], atol=1.5)
    assert core.sum() >= 2


def test_the_voltage_factor_is_applied_to_hu_before_the_window(scene: tuple[Volume, Regions]) -> None:
    volume, regions = scene
    plain, lit = crop_hu(volume, regions)
    other, _ = crop_hu(volume, regions, 0.75)
    np.testing.assert_allclose(other[lit], 0.75 * plain[lit], atol=0.1)


def test_the_window_of_the_shipped_weights(scene: tuple[Volume, Regions]) -> None:
    volume, regions = scene
    image = shown(volume, regions, VIEW)
    level, width = VIEW.window_hu
    z, y, x = (n // 2 for n in VIEW.shape)
    centre = image[z - 1 : z + 2, y - 2 : y + 2, x - 2 : x + 2].mean()
    assert centre == pytest.approx((100.0 - (level - width / 2)) / width, abs=0.005)
    assert image.min() == 0
    assert image.max() <= 1


@pytest.mark.parametrize("slices", [slice(0, 27), slice(23, 50)])
def test_a_vertebra_at_the_edge_of_the_scan_can_be_shown(scene: tuple[Volume, Regions], slices: slice) -> None:
    volume, regions = scene
    shift = np.eye(4)
    shift[0, 3] = slices.start
    part = Volume(volume.hu[slices], volume.affine @ shift)
    _, lit = crop_hu(part, regions_of(regions.labels[slices], part))
    np.testing.assert_allclose(np.argwhere(lit).mean(axis=0), np.array(VIEW.shape) // 2, atol=0.4)


def measured(scan: Scan, regions: Regions) -> Readings:
    return MEASURE(scan, SPINE, regions, LadderCalibration()(scan, SPINE, regions))


def test_beside_the_density_stand_the_plain_numbers_of_the_ct_as_given(scene: tuple[Volume, Regions]) -> None:
    volume, regions = scene
    found = measured(Scan(volume, Orientation(), Acquisition("nifti", tube_voltage_kvp=100.0)), regions)
    (vertebra,) = found.vertebrae
    mask = regions.labels == Level.L1.verse_id
    assert vertebra.mean_hu == pytest.approx(float(volume.hu[mask].mean()), abs=0.01)
    assert vertebra.sd_hu == pytest.approx(float(volume.hu[mask].std()), abs=0.01)
    assert (vertebra.volume_mm3, vertebra.reasons) == (regions.vertebrae[0].volume_mm3, ())
    assert vertebra.density is not None and vertebra.density.quantity == VBMD_K2HPO4


def test_the_method_says_how_it_errs_as_the_weights_do(scene: tuple[Volume, Regions]) -> None:
    volume, _ = scene
    nothing = Regions(np.zeros(volume.shape, np.uint8), ())
    found = measured(Scan(volume, Orientation(), Acquisition("nifti")), nothing)
    assert found.vertebrae == ()
    error_sd = weights_named(MEASURE.weights).error_sd
    assert error_sd is not None
    assert f"simulated error {error_sd:.1f} mg/cm3" in str(found.method)


def test_the_interval_by_hand() -> None:
    line = Calibration(Phrase("rung-default"), 1.422, 0.0, systematic_sd_fraction=0.07)
    half = 1.96 * np.hypot(6.0, 7.0)
    assert line.interval(100.0, 6.0) == pytest.approx((100 - half, 100 + half))
    assert line.interval(5.0, 6.0)[0] == 0.0
    # With contrast medium the line errs of what was scanned, and the rise by its own.
    half = 1.96 * np.linalg.norm([6.0, 0.07 * 119.0, 4.0])
    enhanced = replace(line, contrast_rise=19.0, contrast_rise_sd=4.0)
    assert enhanced.interval(100.0, 6.0) == pytest.approx((100 - half, 100 + half))


@pytest.mark.parametrize(("kvp", "factor"), [(120.0, 1.0), (80.0, 1.906 / 1.422)])
@pytest.mark.parametrize("bmd", [60.0, 140.0])
def test_the_shipped_network_reads_an_even_vertebra(bmd: float, kvp: float, factor: float) -> None:
    z, y, x = offset_mm((50, 130, 200))
    inside = sum(np.abs(o / h) ** 3 for o, h in zip((z, y, x), HALF_MM, strict=True)) < 1
    hu = np.where(inside, 1.422 * factor * bmd, 60) + np.random.default_rng(0).normal(0, 15, inside.shape)
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = SPACING_MM
    affine[:, 3] = (*ORIGIN_LPS_MM, 1)
    volume = Volume(hu.astype(np.float32), affine)
    regions = regions_of(np.where(inside, Level.L1.verse_id, 0).astype(np.uint8), volume)
    scan = Scan(volume, Orientation(), Acquisition("nifti", tube_voltage_kvp=kvp))
    line = LadderCalibration()(scan, SPINE, regions)
    (vertebra,) = MEASURE(scan, SPINE, regions, replace(line, contrast_rise=0.0)).vertebrae
    assert vertebra.density is not None
    assert vertebra.density.value == pytest.approx(bmd, abs=20)
    low, high = vertebra.density.interval
    assert low < vertebra.density.value < high
    assert high - low >= 2 * 1.96 * line.systematic_sd_fraction * vertebra.density.value
