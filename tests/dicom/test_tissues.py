"""Whether numbers are Hounsfield units, by a body with the noise of a scanner, shifted, scaled, cut and crossed."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from trabecula.errors import Refusal
from trabecula.flow.read import read
from trabecula.formats.levels import alternating, levels
from trabecula.formats.tissues import Peak, Tissues, Verdict, judge, measure
from trabecula.records import Effect, withholds

SHAPE = (40, 96, 96)


def body(noise_hu: float = 8.0, seed: int = 0, fat_hu: float = -102.0, muscle_hu: float = 55.0) -> np.ndarray:
    """(z, y, x) at 3 mm: fat and muscle around a vertebra, two lungs' worth of gas, in air."""
    z, y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij")
    radius = np.hypot(x / 42, y / 32)
    hu = np.where(radius < 1, fat_hu, -1000.0)
    hu = np.where(radius < 0.8, muscle_hu, hu)
    hu = np.where(np.hypot(x, y - 10) < 8, 160 + 4 * z, hu)
    hu = np.where(np.hypot(np.abs(x) - 18, y + 4) < 6, -850.0, hu)
    return (hu + np.random.default_rng(seed).normal(0, noise_hu, SHAPE)).astype(np.float32)


def nifti(folder: Path, hu: np.ndarray) -> Path:
    affine = np.diag([-3.0, -3.0, 3.0, 1.0])
    nib.save(nib.Nifti1Image(np.round(hu.transpose(2, 1, 0)).astype(np.int16), affine), folder / "ct.nii.gz")
    return folder / "ct.nii.gz"


def usable(path: Path) -> bool:
    """Whether a category may come of it."""
    try:
        return not withholds(read(path).reasons)
    except Refusal as refusal:
        assert refusal.code in ("not-hounsfield-units", "intensities-clipped")
        return False


@pytest.mark.parametrize("noise_hu", [3.0, 15.0, 40.0])
@pytest.mark.parametrize(("fat_hu", "muscle_hu"), [(-102, 55), (-114, 35), (-90, 65), (-100, 110)])
def test_scans_as_they_are_pass(tmp_path, noise_hu, fat_hu, muscle_hu):
    scan = read(nifti(tmp_path, body(noise_hu, fat_hu=fat_hu, muscle_hu=muscle_hu)))
    assert {reason.code for reason in scan.reasons} == {"acquisition-unknown"} and scan.gaps == ()


@pytest.mark.parametrize("offset_hu", [-150, -100, -60, -40, -30, 30, 40, 60, 100, 150])
def test_shifted_values_are_refused_or_withheld(tmp_path, offset_hu):
    assert not usable(nifti(tmp_path, body() + offset_hu))


@pytest.mark.parametrize("scale", [0.5, 0.7, 0.8, 0.9, 1.1, 1.2, 1.5, 2.0])
def test_scaled_values_are_refused_or_withheld(tmp_path, scale):
    assert not usable(nifti(tmp_path, body() * scale))


@pytest.mark.parametrize("offset_hu", [-150, -60, 50, 100])
def test_shifted_crops_without_air_are_refused_or_withheld(tmp_path, offset_hu):
    assert not usable(nifti(tmp_path, body()[:, 20:76, 60:92] + offset_hu))


def test_a_close_crop_with_fat_passes(tmp_path):
    assert usable(nifti(tmp_path, body()[:, 20:76, 52:88]))


def test_the_reason_names_what_was_measured(tmp_path):
    with pytest.raises(Refusal, match=r"air around the patient measures -9\d\d .* fat -\d\d ") as caught:
        read(nifti(tmp_path, body() + 60))
    assert caught.value.code == "not-hounsfield-units"


@pytest.mark.parametrize("low_hu, high_hu", [(-1000, 200), (-1000, 300), (-150, 250)])
def test_values_cut_to_a_window_are_refused(tmp_path, low_hu, high_hu):
    hu = body()
    hu[:, 50:58, 44:52] += 100 * np.arange(8)[:, None]  # cortex
    assert not usable(nifti(tmp_path, np.clip(hu, low_hu, high_hu)))


def test_a_painted_background_is_read_as_air_and_said(tmp_path):
    hu = body()
    outside = np.hypot(*np.meshgrid(*((np.arange(96) - 47.5) / r for r in (32, 42)), indexing="ij")) > 1
    whole, hu[:, outside] = hu.copy(), 0
    scan = read(nifti(tmp_path, hu))
    assert "background-replaced" in {reason.code for reason in scan.reasons}
    assert (scan.volume.hu[:, outside] == -1000).mean() > 0.99
    np.testing.assert_allclose(scan.volume.hu[:, ~outside], np.round(whole[:, ~outside]))


@pytest.mark.parametrize("kind", ["noise", "ramp", "labels"])
def test_what_is_no_scan_is_refused(tmp_path, kind):
    chance = np.random.default_rng(3)
    made = {
        "noise": chance.normal(0, 500, SHAPE),
        "ramp": np.broadcast_to(np.linspace(-1000, 1000, SHAPE[2]), SHAPE),
        "labels": np.repeat(np.arange(SHAPE[2]) // 16, SHAPE[1]).reshape(1, SHAPE[2], SHAPE[1]) + np.zeros(SHAPE),
    }
    assert not usable(nifti(tmp_path, made[kind].astype(np.float32)))


def test_one_slice_off_is_filled_and_its_place_marked(tmp_path):
    hu = body()
    whole = hu.copy()
    hu[17] += 30
    scan = read(nifti(tmp_path, hu))
    assert "slices-off-level" in {reason.code for reason in scan.reasons}
    assert [(gap.axis, gap.start, gap.stop) for gap in scan.gaps] == [(0, 16, 18)]
    assert abs(float(scan.volume.hu[17].mean() - whole[17].mean())) < 5


def test_the_part_of_another_phase_is_kept_and_marked(tmp_path):
    hu = body()
    hu[28:] += 50 * (hu[28:] > 0) * (hu[28:] < 900)
    (gap,) = read(nifti(tmp_path, hu)).gaps
    assert (gap.axis, gap.start, gap.stop) == (0, 27, 39)


def test_slices_that_alternate_between_two_scans_are_told(tmp_path):
    one = body(seed=1)
    other = one + 50 * ((one > 0) & (one < 900))
    mixed = np.where(np.arange(40)[:, None, None] % 2 == 0, one, other)
    assert alternating(mixed).all() and not alternating(one).any()
    partly = np.where(np.arange(40)[:, None, None] < 20, one, mixed)
    assert np.flatnonzero(alternating(partly))[0] in (18, 19, 20)


def test_levels_are_those_by_which_slices_were_shifted():
    hu = body()
    hu[5], hu[9:12] = hu[5] - 40, hu[9:12] + 1024
    found = levels(hu)
    np.testing.assert_allclose(found[[5, 9, 10, 11]], [-40, 1024, 1024, 1024], atol=6)
    assert np.abs(np.delete(found, [5, 9, 10, 11])).max() < 6


def test_low_voltage_lowers_fat():
    tissues = measure(body(fat_hu=-135.0))
    assert judge(tissues, 80.0) is Verdict.SOUND and judge(tissues, 120.0) is not Verdict.SOUND


def test_high_voltage_raises_fat() -> None:
    close_crop = Tissues(None, (Peak(-80.0, 0.5), Peak(60.0, 0.2)))
    assert judge(close_crop, 140.0) is Verdict.SOUND
    assert judge(close_crop, 120.0) is Verdict.DOUBTFUL


def test_fluid_between_fat_and_muscle_is_no_sign_of_another_scale() -> None:
    assert judge(Tissues(None, (Peak(-88.0, 0.5), Peak(10.0, 0.05), Peak(60.0, 0.2)))) is Verdict.SOUND
    assert judge(Tissues(None, (Peak(-88.0, 0.5), Peak(10.0, 0.2)))) is Verdict.DOUBTFUL


def test_numbers_without_anything_to_hold_them_against_are_refused():
    assert judge(Tissues(None, ())) is Verdict.OTHER


def test_a_doubt_withholds(tmp_path):
    scan = read(nifti(tmp_path, body() + 24))
    (doubt,) = (reason for reason in scan.reasons if reason.code == "hounsfield-doubtful")
    assert doubt.effect is Effect.WITHHOLD and "fat -7" in doubt.message
