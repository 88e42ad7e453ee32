"""What a person may hand over: each kind of file, each kind of mistake, and real CTs with known vertebrae."""

import json
import os
import zipfile
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest

from trabecula.errors import Refusal, WrongUsage
from trabecula.flow.read import read
from trabecula.formats.given import on_given_grid
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Volume

SHAPE = (30, 36, 40)  # (i, j, k) of a NIfTI with axes left, anterior, superior


def body(shape=SHAPE) -> np.ndarray:
    """A box of tissue with bone off its middle, in air; int16 HU."""
    hu = np.full(shape, -1000, np.int16)
    hu[5:-5, 5:-5] = -90
    hu[7:-7, 7:-7] = 45
    hu[9:14, 10:18, 5:20] = 260 + 20 * np.arange(15)
    return hu


AFFINE = np.asarray([[-2.5, 0, 0, 40], [0, 2, 0, -30], [0, 0, 3, 100], [0, 0, 0, 1.0]])


def nifti(path: Path, values=None, affine=AFFINE, name="ct.nii.gz") -> Path:
    nib.save(nib.Nifti1Image(body() if values is None else values, affine), path / name)
    return path / name


def refused(path: Path) -> str:
    with pytest.raises(Refusal) as caught:
        read(path)
    assert len(caught.value.message) > 20
    return caught.value.code


def codes(scan):
    return {reason.code for reason in scan.reasons}


# -- kinds of input


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz"])
def test_a_nifti_becomes_superior_posterior_left(tmp_path, name):
    scan = read(nifti(tmp_path, name=name))
    assert scan.volume.shape == (40, 36, 30)
    assert scan.volume.spacing_mm == (3.0, 2.0, 2.5)
    np.testing.assert_array_equal(scan.volume.hu, body().transpose(2, 1, 0)[:, ::-1, :])
    np.testing.assert_allclose(scan.volume.to_lps((0, 35, 0)), (-40, 30, 100))
    assert codes(scan) == {"acquisition-unknown"}


def test_a_label_map_goes_back_onto_the_ct_that_was_given(tmp_path):
    path = nifti(tmp_path)
    scan = read(path)
    labels = (scan.volume.hu > 250).astype(np.uint8)
    given, affine = on_given_grid(labels, scan.volume, scan.orientation)
    nib.save(nib.Nifti1Image(given, affine), tmp_path / "labels.nii.gz")
    ct, saved = nib.load(path), nib.load(tmp_path / "labels.nii.gz")
    np.testing.assert_allclose(saved.affine, ct.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(saved.dataobj), np.asarray(ct.dataobj) > 250)


def test_a_slope_in_the_header_is_applied(tmp_path):
    header = nib.Nifti1Image(body(), AFFINE).header
    header["scl_slope"], header["scl_inter"], header["vox_offset"] = 0.5, -1000, 352
    stored = ((body() + 1000) * 2).astype(np.int16)
    (tmp_path / "ct.nii").write_bytes(header.binaryblock + bytes(4) + stored.tobytes(order="F"))
    np.testing.assert_array_equal(read(tmp_path / "ct.nii").volume.hu, body().transpose(2, 1, 0)[:, ::-1, :])


def test_a_trailing_axis_of_one_is_no_fourth_dimension(tmp_path):
    assert read(nifti(tmp_path, body()[..., None])).volume.shape == (40, 36, 30)


def test_values_below_the_scale_are_air(tmp_path):
    values = body()
    values[0] = -2048
    assert read(nifti(tmp_path, values)).volume.hu.min() == -1000


@pytest.mark.parametrize(
    ("space", "signs"),
    [("left-posterior-superior", (1, 1, 1)), ("RAS", (-1, -1, 1)), ("left-anterior-superior", (1, -1, 1))],
)
@pytest.mark.parametrize("detached", [False, True])
def test_an_nrrd_lies_where_its_space_says(tmp_path, space, signs, detached):
    directions, origin = np.diag([2.5, 2.0, 3.0]) * signs, np.asarray([-40.0, -30.0, 100.0]) * signs
    header = {"space": space, "space directions": directions, "space origin": origin, "encoding": "gzip"}
    path = tmp_path / ("ct.nhdr" if detached else "ct.nrrd")
    nrrd.write(str(path), body(), header, detached_header=detached)
    scan = read(path)
    np.testing.assert_allclose(scan.volume.to_lps((0, 0, 0)), (-40, -30, 100))
    np.testing.assert_array_equal(scan.volume.hu, body().transpose(2, 1, 0))
    assert codes(scan) == {"acquisition-unknown"}


@pytest.fixture
def series(tmp_path) -> Path:
    hu = np.ascontiguousarray(body().transpose(2, 1, 0), np.float32)
    affine = np.asarray([[0, 0, 2.5, -40], [0, 2, 0, -30], [3, 0, 0, 100], [0, 0, 0, 1.0]])
    header = StudyHeader(sex="F", age_years=70, slice_thickness_mm=3)
    write_dicom(Volume(hu, affine), tmp_path / "series", seed=1, header=header)
    return tmp_path / "series"


def test_our_own_series_is_read_as_it_was_written(series):
    scan = read(series)
    np.testing.assert_array_equal(scan.volume.hu, body().transpose(2, 1, 0))
    np.testing.assert_allclose(scan.volume.to_lps((0, 0, 0)), (-40, -30, 100))
    assert scan.acquisition.source == "dicom" and scan.acquisition.patient_age_years == 70
    assert codes(scan) == set()


def test_a_zip_of_a_folder_is_read_like_the_folder(series, tmp_path):
    with zipfile.ZipFile(tmp_path / "study", "w") as archive:  # no suffix: told by its content
        for path in series.iterdir():
            archive.write(path, f"PAT0001/{path.name}")
    np.testing.assert_array_equal(read(tmp_path / "study").volume.hu, read(series).volume.hu)


def test_one_slice_of_a_series_is_too_few(series):
    assert refused(next(series.iterdir())) == "too-few-slices"


# -- mistakes


def test_nothing_there_is_wrong_usage(tmp_path):
    with pytest.raises(WrongUsage) as caught:
        read(tmp_path / "nowhere")
    assert caught.value.code == "input-missing" and caught.value.exit_code == 2


def test_an_empty_folder(tmp_path):
    assert refused(tmp_path) == "empty-folder"


@pytest.mark.parametrize("content", [b"", b"some notes about a patient\n" * 20])
def test_a_text_file(tmp_path, content):
    (tmp_path / "notes.txt").write_bytes(content)
    assert refused(tmp_path / "notes.txt") == "unknown-format"


def test_a_zip_without_dicom(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "x" * 200)
    assert refused(tmp_path / "a.zip") == "no-dicom"


@pytest.mark.parametrize(
    "values",
    [
        np.clip((body() + 1000.0) / 1300, 0, 1).astype(np.float32),
        np.clip((body() + 1000.0) / 1300 * 255, 0, 255).astype(np.uint8),
        (body() + 1024).astype(np.uint16),
        np.where(abs(body()) < 200, 700, body()).astype(np.int16),
        np.full(SHAPE, -1000, np.int16),
    ],
    ids=["0 to 1", "0 to 255", "raised by 1024", "no tissue", "air alone"],
)
def test_other_intensities_are_not_hounsfield_units(tmp_path, values):
    assert refused(nifti(tmp_path, values)) == "not-hounsfield-units"


def test_a_display_window_is_refused(tmp_path):
    noisy = body() + np.random.default_rng(0).normal(0, 6, SHAPE)
    assert refused(nifti(tmp_path, np.clip(noisy, -1000, 200))) == "intensities-clipped"


def test_a_drawn_phantom_of_even_materials_is_not_taken_for_a_display_window(tmp_path):
    i, j, _ = np.indices(SHAPE)
    hu = np.where(np.hypot(i - 15, j - 18) < 12, 40, -1000)
    hu[14:17, 16:20, ::2], hu[14:17, 16:20, 1::2] = 140, 160
    read(nifti(tmp_path, hu[:, :, ::2].astype(np.int16)))
    read(nifti(tmp_path, hu.astype(np.int16)))


def test_colours_are_refused(tmp_path):
    colours = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert refused(nifti(tmp_path, colours)) == "not-hounsfield-units"


def test_four_dimensions_are_refused(tmp_path):
    assert refused(nifti(tmp_path, np.stack([body()] * 2, -1))) == "not-three-dimensional"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path, bad):
    values = body().astype(np.float32)
    values[3, 4, 5] = bad
    assert refused(nifti(tmp_path, values)) == "not-finite"


@pytest.mark.parametrize(
    ("affine", "code"),
    [
        (np.zeros((4, 4)), "affine-singular"),
        (AFFINE @ np.diag([1, 1, 0, 1]), "affine-singular"),
        (AFFINE @ np.asarray([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "affine-singular"),
        (np.where(AFFINE == 2, np.nan, AFFINE), "affine-singular"),
        (np.eye(4) + np.eye(4, k=1) * 0.05, "affine-sheared"),
        (np.diag([1000, 1000, 1000, 1.0]), "spacing-implausible"),
        (np.diag([0.001, 0.001, 0.001, 1.0]), "spacing-implausible"),
    ],
)
def test_unsound_affines_are_refused(tmp_path, affine, code):
    image = nib.Nifti1Image(body(), AFFINE)
    header = image.header
    header["qform_code"], header["sform_code"], header["vox_offset"] = 0, 1, 352
    header["srow_x"], header["srow_y"], header["srow_z"] = affine[:3]
    (tmp_path / "ct.nii").write_bytes(header.binaryblock + bytes(4) + body().tobytes(order="F"))
    assert refused(tmp_path / "ct.nii") == code


def test_an_affine_rounded_to_three_decimals_is_tolerated(tmp_path):
    turn = np.radians(7)
    spin = np.eye(4)
    spin[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    assert read(nifti(tmp_path, affine=np.round(spin @ AFFINE, 3))).volume.shape == (40, 36, 30)


def test_a_nifti_without_orientation_is_refused(tmp_path):
    image = nib.Nifti1Image(body(), AFFINE)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "ct.nii")
    assert refused(tmp_path / "ct.nii") == "orientation-missing"


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz"])
@pytest.mark.parametrize("kept", [0.02, 0.6])
def test_a_truncated_nifti(tmp_path, name, kept):
    path = nifti(tmp_path, np.random.default_rng(1).normal(0, 99, SHAPE).astype(np.float32), name=name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    assert refused(path) == "file-unreadable"


def test_a_nifti_that_declares_more_than_memory_is_refused_before_allocation(tmp_path):
    path = nifti(tmp_path, name="ct.nii")
    image = nib.load(path)
    image.header["dim"][1:4] = 32000
    path.write_bytes(image.header.binaryblock + bytes(100))
    assert refused(path) == "too-large"


def nhdr(tmp_path, **changed) -> Path:
    fields = {
        "type": "short",
        "dimension": 3,
        "space": "left-posterior-superior",
        "sizes": "30 36 40",
        "space directions": "(2.5,0,0) (0,2,0) (0,0,3)",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(0,0,0)",
        "data file": "ct.raw",
    } | {key.replace("_", " "): value for key, value in changed.items()}
    (tmp_path / "ct.raw").write_bytes(body().tobytes(order="F"))
    lines = ["NRRD0005", *(f"{key}: {value}" for key, value in fields.items() if value is not None), ""]
    (tmp_path / "ct.nhdr").write_text("\n".join(lines))
    return tmp_path / "ct.nhdr"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"data_file": "../secret.raw"}, "file-outside"),
        ({"data_file": "/etc/passwd"}, "file-outside"),
        ({"data_file": "gone.raw"}, "file-unreadable"),
        ({"space": None}, "orientation-missing"),
        ({"space": "scanner-xyz"}, "orientation-missing"),
        ({"space_directions": "(2.5,0,0) (0,2,0) (0,0,0)"}, "affine-singular"),
        ({"space_directions": "(2.5,0,0) (0.5,2,0) (0,0,3)"}, "affine-sheared"),
        ({"sizes": "30 36 99999999"}, "too-large"),
        ({"sizes": "30 36 41"}, "file-unreadable"),
        ({"encoding": "bzip2"}, "file-unreadable"),
        (
            {"dimension": 4, "sizes": "30 36 4 10", "space_directions": "(2,0,0) (0,2,0) (0,0,3) none"},
            "not-three-dimensional",
        ),
    ],
    ids=str,
)
def test_nrrd_headers_that_mislead(tmp_path, changed, code):
    assert refused(nhdr(tmp_path, **changed)) == code


def test_a_plain_nhdr_is_read(tmp_path):
    np.testing.assert_array_equal(read(nhdr(tmp_path)).volume.hu, body().transpose(2, 1, 0))


def test_an_nrrd_that_unpacks_to_more_than_it_declares(tmp_path):
    path = tmp_path / "ct.nrrd"
    header = {"space": "LPS", "space directions": np.diag([2.5, 2, 3]), "space origin": np.zeros(3)}
    nrrd.write(str(path), np.zeros((300, 360, 40), np.int16), {**header, "encoding": "gzip"})
    path.write_bytes(path.read_bytes().replace(b"sizes: 300 360 40", b"sizes: 3 3 3"))
    assert refused(path) == "too-large"


# -- real CTs


@pytest.fixture
def real_ct() -> Path:
    folder = os.environ.get("TRABECULA_REAL_CT")
    if not folder:
        pytest.skip("TRABECULA_REAL_CT does not name a folder of real CTs")
    return Path(folder)


@pytest.mark.parametrize("case", ["tcga-ov-09-2043", "crlm-ct-1006", "totalsegmentator-example"])
def test_reference_masks_lie_on_the_vertebrae_of_real_cts(real_ct, case):
    facts = json.loads((real_ct / "reference.json").read_text())["cases"][case]
    scan = read(real_ct / facts["path"])
    mask = nib.load(real_ct / facts["trabecular_mask"])
    labels = np.asarray(mask.dataobj)
    for level, verse_id in (("L1", 20), ("L2", 21)):
        lps = nib.affines.apply_affine(mask.affine, np.argwhere(labels == verse_id)) * (-1, -1, 1)
        index = scan.volume.to_index(lps)
        assert np.abs(index - np.rint(index)).max() < 0.01  # the very same grid
        region = scan.volume.hu[tuple(np.rint(index).astype(int).T)]
        assert region.mean() == pytest.approx(facts["levels"][level]["roi_mean_hu"], abs=1)
        assert np.linalg.norm(lps.mean(axis=0) - facts["levels"][level]["centroid_lps_mm"]) < 4


@pytest.mark.parametrize(
    ("case", "shape", "expected"),
    [
        ("cptac-pda-c3n-00249", (102, 512, 512), {"files-left-out"}),
        ("totalsegmentator-slab-dicom", (20, 512, 512), {"files-left-out", "contrast-agent-recorded"}),
        ("crlm-ct-1006", (51, 512, 512), {"files-left-out", "contrast-agent-recorded", "thick-slices"}),
        ("tptbox-l3/sub-ct_label-22_ct.nii.gz", (47, 73, 73), {"acquisition-unknown"}),
    ],
)
def test_real_cts_are_read_with_their_doubts(real_ct, case, shape, expected):
    scan = read(real_ct / case)
    assert scan.volume.shape == shape and codes(scan) == expected


def test_a_label_map_goes_back_onto_a_real_nifti(real_ct):
    path = real_ct / "tptbox-l3" / "sub-ct_label-22_ct.nii.gz"
    scan = read(path)
    given, affine = on_given_grid(scan.volume.hu, scan.volume, scan.orientation)
    ct = nib.load(path)
    np.testing.assert_allclose(affine, ct.affine, atol=1e-5)
    np.testing.assert_array_equal(given, np.where(ct.get_fdata() < -1024, -1000, ct.get_fdata()))
