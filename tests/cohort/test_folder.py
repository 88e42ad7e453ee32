"""What ``simulate`` wrote is read back: the same voxels by both readers, masks on them, the truth of each scan."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.cohort.case import Field
from trabecula.cohort.files import read_ct, read_mask, read_nifti
from trabecula.cohort.folder import read_folder
from trabecula.cohort.labels import LABELS
from trabecula.errors import WrongUsage
from trabecula.formats.given import volume_from_given


def test_each_scan_is_a_case_and_both_of_a_person_are_one_patient(simulated: Path) -> None:
    cohort = read_folder(simulated)
    assert cohort.simulated
    assert cohort.family == "a"
    first, second = cohort.cases
    assert first.patient == second.patient
    truth = json.loads((simulated / "subject-000011" / "truth.json").read_text())
    assert first.known.density[Level.L1] == truth["levels"]["L1"]["bmd_qct_region_k2hpo4"]
    assert first.known.areal_bmd_g_cm2 == truth["dxa"]["measured_g_cm2"]  # as DXA would give it, errors and all
    assert first.known.tube_voltage_kvp == truth["protocol"]["kvp"]
    assert first.known.groups["slices"] == "5 mm"
    assert first.known.whole_levels is not None
    assert set(first.known.whole_levels) >= {Level.L1, Level.L2}
    assert second.known.density == first.known.density


def test_masks_lie_where_the_truth_says_the_vertebrae_are(simulated: Path) -> None:
    case = read_folder(simulated).cases[0]
    seen = case.load(("trabecular", "bodies"))
    assert seen.scan.acquisition.tube_voltage_kvp == case.known.tube_voltage_kvp
    for level in (Level.T12, Level.L2, Level.L4):
        body = seen.masks["bodies"] == level.verse_id
        assert (body[seen.masks["trabecular"] == level.verse_id]).all()
        middle = seen.scan.volume.to_lps(np.argwhere(body).mean(axis=0))
        assert np.linalg.norm(middle - case.known.centres_lps_mm[level]) < 6
        assert body.sum() * seen.scan.volume.voxel_volume_mm3 > 8000


def test_numpy_alone_reads_nifti_as_nibabel_does(simulated: Path, tmp_path: Path) -> None:
    path = simulated / "subject-000011" / "ct.nii.gz"
    by_nibabel = read_ct(path).volume
    volume, _ = volume_from_given(*read_nifti(path))
    np.testing.assert_array_equal(volume.hu, by_nibabel.hu)
    np.testing.assert_allclose(volume.affine, by_nibabel.affine, atol=1e-5)


@pytest.mark.parametrize("kind", ["qform", "big-endian", "scaled", "flipped"])
def test_other_nifti_headers_are_read_as_nibabel_does(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(-900, 900, (5, 6, 7)).astype(np.int16)
    affine = np.array([[0, -0.8, 0, 12], [0.7, 0, 0, -5], [0, 0, 1.5, 3], [0, 0, 0, 1.0]])
    if kind == "flipped":
        affine[:, 2] *= -1
    header = nib.Nifti1Header(endianness=">" if kind == "big-endian" else "<")
    header.set_data_dtype(np.int16)
    image = nib.Nifti1Image(values.astype(np.float64) * 0.5 + 3 if kind == "scaled" else values, affine, header)
    if kind == "qform":
        image.set_sform(None, 0)
        image.set_qform(affine, 1)
    path = tmp_path / "x.nii"
    nib.save(image, path)
    found, affine_lps = read_nifti(path)
    saved = nib.load(path)
    np.testing.assert_allclose(found, saved.get_fdata(), atol=1e-3)
    np.testing.assert_allclose(np.diag([-1, -1, 1, 1]) @ affine_lps, saved.affine, atol=1e-5)


def test_totalsegmentator_labels_are_named_from_below() -> None:
    table = LABELS["totalsegmentator"].verse_ids
    expected = {26: Level.S1, 27: Level.L5, 31: Level.L1, 32: Level.T12, 43: Level.T1, 44: Level.C7, 50: Level.C1}
    assert {label: table[label] for label in expected} == {k: level.verse_id for k, level in expected.items()}


def test_a_mask_that_is_damaged_or_lies_elsewhere_is_a_sentence(simulated: Path, tmp_path: Path) -> None:
    folder = simulated / "subject-000011"
    volume = read_ct(folder / "ct.nii.gz").volume
    (tmp_path / "cut.nii.gz").write_bytes((folder / "bodies.nii.gz").read_bytes()[:5000])
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.eye(4)), tmp_path / "other.nii.gz")
    for name, code in (("cut", "mask-unreadable"), ("gone", "mask-unreadable"), ("other", "mask-elsewhere")):
        with pytest.raises(WrongUsage) as refused:
            read_mask(tmp_path / f"{name}.nii.gz", volume, LABELS["verse"])
        assert refused.value.code == code


def test_a_mask_that_is_needed_and_is_not_there_is_a_sentence(simulated: Path, tmp_path: Path) -> None:
    shutil.copytree(simulated, tmp_path / "c", ignore=shutil.ignore_patterns("bodies.nii.gz"))
    case = read_folder(tmp_path / "c").cases[0]
    with pytest.raises(WrongUsage) as refused:
        case.labelled(("bodies", "trabecular"), Field.SPINE)
    assert refused.value.code == "mask-missing"
    assert "bodies" in refused.value.message


def test_a_damaged_truth_is_a_sentence(simulated: Path, tmp_path: Path) -> None:
    shutil.copytree(simulated, tmp_path / "c", ignore=shutil.ignore_patterns("*.nii.gz"))
    (tmp_path / "c" / "subject-000011" / "truth.json").write_text("{}")
    with pytest.raises(WrongUsage) as refused:
        read_folder(tmp_path / "c")
    assert refused.value.code == "truth-damaged"
