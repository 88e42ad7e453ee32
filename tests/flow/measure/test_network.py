"""What the density network is shown, and what is said of a region that may not be measured."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from trabecula import inference
from trabecula.anatomy import Level
from trabecula.flow.measure import DensitySettings, masked_crop, measure
from trabecula.recipes.niu2023 import DENSITY
from trabecula.records import Acquisition, Reason, Regions, Scan, VertebraRegion
from trabecula.volume import Orientation, Volume

SPACING_MM = (2.5, 0.8, 0.7)
ORIGIN_LPS_MM = (-70.0, -60.0, 500.0)
HALF_MM = (9.0, 12.0, 15.0)
CENTRE_MM = (62.0, 50.0, 68.0)
WIDE = DensitySettings(DENSITY.shape, DENSITY.spacing_mm, (500.0, 4000.0), DENSITY.bins_mg_cm3)
"""A window that clips nothing here, so that every HU can be read back."""


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


def regions_of(labels: np.ndarray, volume: Volume, *reasons: Reason) -> Regions:
    mask = labels == Level.L1.verse_id
    x, y, z = volume.to_lps(np.argwhere(mask).mean(axis=0))
    region = VertebraRegion(Level.L1, 0.9, (x, y, z), float(mask.sum() * volume.voxel_volume_mm3), reasons)
    return Regions(labels, (region,))


def crop_hu(volume: Volume, regions: Regions, voltage_factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The crop in HU again, and where it is not blank."""
    mask = regions.labels == Level.L1.verse_id
    image = masked_crop(volume, mask, np.array(regions.vertebrae[0].centroid_lps_mm), WIDE, voltage_factor)
    assert image.shape == DENSITY.shape
    return image * 4000 - 1500, image > 0


def test_the_vertebra_lies_in_the_middle_and_its_surroundings_are_blank(scene: tuple[Volume, Regions]) -> None:
    volume, regions = scene
    hu, shown = crop_hu(volume, regions)
    middle = np.argwhere(shown).mean(axis=0)
    np.testing.assert_allclose(middle, np.array(DENSITY.shape) // 2, atol=0.3)
    assert hu[shown].max() < 650  # of 900 HU around it only what interpolation mixes in at the rim
    assert np.abs(hu[ndimage.binary_erosion(shown, iterations=2)] - 100).max() < 20
    size_mm3 = shown.sum() * np.prod(DENSITY.spacing_mm)
    assert size_mm3 == pytest.approx(regions.vertebrae[0].volume_mm3, rel=0.05)
    extent = np.ptp(np.argwhere(shown), axis=0) * DENSITY.spacing_mm
    np.testing.assert_allclose(extent, 2 * np.array(HALF_MM), atol=4.1)


def test_every_voxel_is_where_it_says(scene: tuple[Volume, Regions]) -> None:
    volume, regions = scene
    hu, shown = crop_hu(volume, regions)
    z = (np.arange(DENSITY.shape[0]) - DENSITY.shape[0] // 2) * DENSITY.spacing_mm[0]
    # The rim is mixed with what lies around.
    core = ndimage.binary_erosion(shown[:, 13:20, 12:21].all(axis=(1, 2)), iterations=2)
    found = hu[:, 13:20, 12:21].mean(axis=(1, 2))[core]
    np.testing.assert_allclose(found, 100 + z[core], atol=1.5)
    assert core.sum() >= 2


def test_the_voltage_factor_is_applied_to_hu_before_the_window(scene: tuple[Volume, Regions]) -> None:
    volume, regions = scene
    plain, shown = crop_hu(volume, regions)
    other, _ = crop_hu(volume, regions, 0.75)
    np.testing.assert_allclose(other[shown], 0.75 * plain[shown], atol=0.1)


def test_the_window_of_the_recipe(scene: tuple[Volume, Regions]) -> None:
    volume, regions = scene
    mask = regions.labels == Level.L1.verse_id
    image = masked_crop(volume, mask, np.array(regions.vertebrae[0].centroid_lps_mm), DENSITY, 1.0)
    level, width = DENSITY.window_hu
    z, y, x = (n // 2 for n in DENSITY.shape)
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
    _, shown = crop_hu(part, regions_of(regions.labels[slices], part))
    np.testing.assert_allclose(np.argwhere(shown).mean(axis=0), np.array(DENSITY.shape) // 2, atol=0.4)


@pytest.fixture
def known_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A manifest that knows the network and no file to run: a withheld region needs none."""
    entry = {"file": "none.onnx", "sha256": "", "simulated_sd_mg_cm3": 6.0}
    (tmp_path / "manifest.json").write_text(json.dumps({"density": entry}))
    monkeypatch.setattr(inference, "WEIGHTS", tmp_path)
    inference.manifest.cache_clear()
    yield
    inference.manifest.cache_clear()


@pytest.mark.usefixtures("known_weights")
def test_a_withheld_region_keeps_its_reason_and_gets_no_density(scene: tuple[Volume, Regions]) -> None:
    volume, regions = scene
    metal = Reason("metal", "L1 holds metal or cement (over 2000 HU).")
    scan = Scan(volume, Orientation(), Acquisition("nifti", tube_voltage_kvp=100.0))
    found = measure(scan, regions_of(regions.labels, volume, metal), "density", DENSITY)
    (vertebra,) = found.vertebrae
    assert (vertebra.bmd_mg_cm3, vertebra.bmd_interval_mg_cm3, vertebra.measurable) == (None, None, False)
    assert vertebra.reasons == (metal,)
    mask = regions.labels == Level.L1.verse_id
    assert vertebra.mean_hu == pytest.approx(float(volume.hu[mask].mean()))
    assert vertebra.sd_hu == pytest.approx(float(volume.hu[mask].std()))
    assert vertebra.volume_mm3 == regions.vertebrae[0].volume_mm3


@pytest.mark.usefixtures("known_weights")
def test_the_calibration_says_what_the_numbers_rest_on(scene: tuple[Volume, Regions]) -> None:
    volume, _ = scene
    nothing = Regions(np.zeros(volume.shape, np.uint8), ())
    scan = Scan(volume, Orientation(), Acquisition("nifti", tube_voltage_kvp=100.0))
    found = measure(scan, nothing, "density", DENSITY)
    assert found.vertebrae == ()
    assert found.calibration["material"] == "K2HPO4"
    assert found.calibration["slope_hu_cm3_mg"] == pytest.approx(1.596)
    assert found.calibration["tube_voltage_kvp"] == 100.0
    assert found.calibration["simulated_sd_mg_cm3"] == 6.0
    unknown = measure(Scan(volume, Orientation(), Acquisition("nifti")), nothing, "density", DENSITY)
    assert "120 kVp assumed" in str(unknown.calibration["rung"])


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
    (vertebra,) = measure(scan, regions, "niu2023-densitometer", DENSITY).vertebrae
    assert vertebra.bmd_mg_cm3 == pytest.approx(bmd, abs=20)
    assert vertebra.bmd_interval_mg_cm3 is not None
    low, high = vertebra.bmd_interval_mg_cm3
    assert low < vertebra.bmd_mg_cm3 < high
    assert high - low >= 2 * 1.96 * 0.07 * vertebra.bmd_mg_cm3  # calibration without a phantom errs by 7%
