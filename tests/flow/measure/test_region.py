"""BMD from QCT's region: by hand, with its second opinions and its interval."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.flow.measure.region import AS_SCANNED, WHOLE_REGION, RegionDensity, noise_sd
from trabecula.messages import Phrase
from trabecula.records import (
    Acquisition,
    Calibration,
    Regions,
    Scan,
    Spine,
    VertebraReading,
    VertebraRegion,
)
from trabecula.volume import Grid, Orientation, Volume

LINE = Calibration(Phrase("rung-default"), 1.4, 3.0, 0.04, offset_sd_hu=4.0)
SHAPE, SPACING_MM = (40, 60, 60), (1.0, 1.0, 1.0)


def reading(line: Calibration = LINE, noise_hu: float = 0.0, thickness_mm: float = 1.0) -> VertebraReading:
    """One body, 100 HU at mid height and 180 towards its end plates."""
    grid = Grid.axial((0.0, 0.0, 0.0), SHAPE, SPACING_MM)
    z, y, x = (np.indices(SHAPE) - (np.array(SHAPE).reshape(3, 1, 1, 1) - 1) / 2).astype(float)
    mask = (np.hypot(x / 20, y / 14) < 1) & (np.abs(z) < 11)
    hu = np.where(np.abs(z) > 6, 180.0, 100.0) + np.random.default_rng(1).normal(0, noise_hu, SHAPE)
    volume = Volume(hu.astype(np.float32), grid.affine)
    labels = np.where(mask, Level.L1.verse_id, 0).astype(np.uint8)
    region = VertebraRegion(Level.L1, 0.9, (0.0, 0.0, 0.0), float(mask.sum()))
    scan = Scan(volume, Orientation(), Acquisition("nifti", slice_thickness_mm=thickness_mm))
    (found,) = RegionDensity()(scan, Spine((), 30.0), Regions(labels, (region,)), line).vertebrae
    return found


def test_the_density_is_that_of_mid_height_and_the_mean_hu_that_of_all() -> None:
    found = reading()
    assert found.density is not None and found.read_hu == pytest.approx(100, abs=0.1)
    assert found.density.value == pytest.approx((100 - 3) / 1.4, abs=0.1)
    assert found.mean_hu == pytest.approx((12 * 100 + 9 * 180) / 21, abs=4)
    assert found.opinions[WHOLE_REGION].value == pytest.approx((found.mean_hu - 3) / 1.4, abs=0.1)
    assert set(found.opinions) == {WHOLE_REGION}


def test_what_contrast_adds_is_taken_off_and_both_numbers_are_kept() -> None:
    enhanced = reading(replace(LINE, contrast_rise=12.0, contrast_rise_sd=4.0))
    assert enhanced.density is not None
    scanned = enhanced.opinions[AS_SCANNED].value
    assert scanned - enhanced.density.value == pytest.approx(12)
    plain = reading()
    assert plain.density is not None and scanned == pytest.approx(plain.density.value)
    assert width(enhanced) > width(plain)


def width(found: VertebraReading) -> float:
    assert found.density is not None
    low, high = found.density.interval
    return high - low


def test_noise_thick_slices_and_a_poorer_line_widen_the_interval() -> None:
    plain = width(reading())
    assert width(reading(noise_hu=120.0)) > plain
    assert width(reading(thickness_mm=6.0)) > plain
    assert width(reading(replace(LINE, systematic_sd_fraction=0.1))) > plain
    assert width(reading(replace(LINE, offset_sd_hu=12.0))) > plain


def test_the_interval_by_hand() -> None:
    value = LINE.density(143.0)
    low, high = LINE.interval(value, 3.0)
    sd = np.sqrt(3.0**2 + (0.04 * 100) ** 2 + (4 / 1.4) ** 2)
    assert (low, high) == pytest.approx((100 - 1.96 * sd, 100 + 1.96 * sd))
    assert LINE.interval(5.0, 9.0)[0] == 0.0


def test_the_error_of_a_mean_falls_with_its_voxels_and_not_below_their_correlation() -> None:
    hu = np.random.default_rng(0).normal(100, 30, 4000).astype(np.float32)
    assert noise_sd(hu, (1.0, 2.0, 2.0)) == pytest.approx(30 / np.sqrt(4000), rel=0.05)
    # Voxels of half a millimetre share their noise by sixteen.
    assert noise_sd(hu, (1.0, 0.5, 0.5)) == pytest.approx(30 / np.sqrt(4000 / 16), rel=0.05)
