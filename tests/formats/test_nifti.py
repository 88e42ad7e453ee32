"""NIfTI as archives hold it: both versions, checksums, offsets, forms that disagree, units, names that mislead."""

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from trabecula.errors import Refusal
from trabecula.formats.grid import require_finite
from trabecula.formats.kinds import Kind, kind_of
from trabecula.formats.nifti import read_nifti
from trabecula.records import Effect, Scan

AFFINE = np.asarray([[-2.5, 0, 0, 40], [0, 2, 0, -30], [0, 0, 3, 100], [0, 0, 0, 1.0]])
VALUES = np.random.default_rng(3).integers(-1000, 1500, (7, 8, 9)).astype(np.int16)
KINDS = {"one": nib.Nifti1Image, "two": nib.Nifti2Image}


def saved(path: Path, values: NDArray[Any] = VALUES, affine: NDArray[Any] = AFFINE, kind: str = "one") -> Path:
    nib.save(KINDS[kind](values, affine), path)
    return path


def as_given(scan: Scan) -> NDArray[Any]:
    return scan.orientation.undo(scan.volume.hu)


def codes(scan: Scan) -> set[str]:
    return {reason.code for reason in scan.reasons}


def refused(path: Path) -> str:
    with pytest.raises(Refusal) as caught:
        read_nifti(path)
    return caught.value.code


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_in_both_byte_orders(tmp_path: Path, kind: str, name: str, order: str) -> None:
    header = KINDS[kind].header_class(endianness=order)
    header.set_data_dtype(np.int16)
    image = KINDS[kind](VALUES, AFFINE, header)
    assert image.header.endianness == order
    nib.save(image, tmp_path / name)
    scan = read_nifti(tmp_path / name)
    np.testing.assert_array_equal(as_given(scan), VALUES)
    np.testing.assert_allclose(scan.volume.to_lps((0, 7, 0)), (-40, 30, 100))
    assert scan.reasons == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, np.int64])
def test_every_kind_of_number(tmp_path: Path, dtype: type) -> None:
    values = np.abs(VALUES) % 200
    image = nib.Nifti1Image(values.astype(dtype), AFFINE, dtype=dtype)
    nib.save(image, tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(as_given(read_nifti(tmp_path / "ct.nii.gz")), values)


@pytest.mark.parametrize("name", ["plain.nii.gz", "plain.nii", "CT", "ct.img", "ct.nii.gz.bak"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_a_file_is_called_matters_not(tmp_path: Path, name: str, packed: bool) -> None:
    plain = saved(tmp_path / "made.nii").read_bytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(plain) if packed else plain)
    assert kind_of(path) is Kind.NIFTI
    np.testing.assert_array_equal(as_given(read_nifti(path)), VALUES)


@pytest.mark.parametrize("named", ["ct.hdr", "ct.img"])
def test_a_pair_is_read_by_either_name(tmp_path: Path, named: str) -> None:
    nib.save(nib.Nifti1Pair(VALUES, AFFINE), tmp_path / "ct.hdr")
    assert kind_of(tmp_path / named) is Kind.NIFTI
    np.testing.assert_array_equal(as_given(read_nifti(tmp_path / named)), VALUES)
    (tmp_path / "ct.img").unlink()
    assert refused(tmp_path / "ct.hdr") == "file-alone"


@pytest.mark.parametrize("offset", [0, 1, 348, 351.0, 352])
def test_numbers_never_begin_before_the_header_ends(tmp_path: Path, offset: float) -> None:
    """nifti1.h: "If vox_offset is less than 352 in a .nii file, it is equivalent to 352"."""
    raw = bytearray(saved(tmp_path / "ct.nii").read_bytes())
    raw[108:112] = np.float32(offset).tobytes()
    (tmp_path / "ct.nii").write_bytes(raw)
    np.testing.assert_array_equal(as_given(read_nifti(tmp_path / "ct.nii")), VALUES)


@pytest.mark.parametrize("offset", [np.nan, np.inf, -400, 352.5, 1e12, 5000])
def test_an_offset_that_leads_nowhere(tmp_path: Path, offset: float) -> None:
    raw = bytearray(saved(tmp_path / "ct.nii").read_bytes())
    raw[108:112] = np.float32(offset).tobytes()
    (tmp_path / "ct.nii").write_bytes(raw)
    assert refused(tmp_path / "ct.nii") == "file-unreadable"


def test_an_extension_stands_before_the_numbers(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VALUES, AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"made up" * 30))
    nib.save(image, tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(as_given(read_nifti(tmp_path / "ct.nii.gz")), VALUES)


@pytest.mark.parametrize("at", [-1, -4, -5, -8])
def test_checksum_and_length_of_gzip_are_compared(tmp_path: Path, at: int) -> None:
    raw = bytearray(saved(tmp_path / "ct.nii.gz").read_bytes())
    raw[at] ^= 0x55
    (tmp_path / "ct.nii.gz").write_bytes(raw)
    assert refused(tmp_path / "ct.nii.gz") == "file-unreadable"


@pytest.mark.parametrize("missing", [1, 8, 200])
def test_gzip_cut_short(tmp_path: Path, missing: int) -> None:
    path = saved(tmp_path / "ct.nii.gz")
    path.write_bytes(path.read_bytes()[:-missing])
    assert refused(path) == "file-unreadable"


def test_gzip_in_several_members_and_padded_with_zeros(tmp_path: Path) -> None:
    plain = saved(tmp_path / "made.nii").read_bytes()
    path = tmp_path / "ct.nii.gz"
    path.write_bytes(gzip.compress(plain[:500]) + gzip.compress(plain[500:]) + bytes(512))
    np.testing.assert_array_equal(as_given(read_nifti(path)), VALUES)


@pytest.mark.parametrize("slope", [0.0, np.nan, np.inf])
def test_no_slope_means_no_scaling(tmp_path: Path, slope: float) -> None:
    raw = bytearray(saved(tmp_path / "ct.nii").read_bytes())
    raw[112:120] = np.float32(slope).tobytes() + np.float32(7).tobytes()
    (tmp_path / "ct.nii").write_bytes(raw)
    np.testing.assert_array_equal(as_given(read_nifti(tmp_path / "ct.nii")), VALUES)


# -- the two forms


def forms(path: Path, sform: NDArray[Any], sform_code: int, qform: NDArray[Any], qform_code: int) -> Path:
    image = nib.Nifti1Image(VALUES, AFFINE)
    image.set_qform(qform, qform_code)
    image.set_sform(sform, sform_code)
    nib.save(image, path)
    return path


def test_forms_that_agree_need_no_word(tmp_path: Path) -> None:
    scan = read_nifti(forms(tmp_path / "ct.nii", AFFINE, 1, AFFINE, 1))
    assert scan.reasons == ()


@pytest.mark.parametrize(
    ("sform_code", "qform_code", "used"), [(1, 1, "sform"), (2, 1, "sform"), (4, 1, "qform"), (4, 4, "sform")]
)
def test_forms_that_disagree_are_told(tmp_path: Path, sform_code: int, qform_code: int, used: str) -> None:
    upside_down = AFFINE @ np.diag([1, -1, -1, 1])
    scan = read_nifti(forms(tmp_path / "ct.nii", upside_down, sform_code, AFFINE, qform_code))
    told = next(reason for reason in scan.reasons if reason.code == "orientation-forms-disagree")
    assert f"by the {used}, which was followed" in told.message and told.effect is Effect.WITHHOLD
    expected = AFFINE if used == "qform" else upside_down
    given = scan.orientation.undo_affine(scan.volume.affine, scan.volume.shape)
    np.testing.assert_allclose(np.diag([-1, -1, 1, 1]) @ given, expected, atol=1e-4)


@pytest.mark.parametrize("other", [np.diag([-1.0, 1, 1, 1]), np.diag([1.0, 1, 1, 1]) + 3 * np.eye(4, k=3)])
def test_forms_between_which_head_and_back_stay_are_a_doubt(tmp_path: Path, other: NDArray[Any]) -> None:
    scan = read_nifti(forms(tmp_path / "ct.nii", other @ AFFINE, 1, AFFINE, 1))
    assert [(one.code, one.effect) for one in scan.reasons] == [("orientation-forms-disagree", Effect.DOUBT)]
    assert "the sform was followed" in scan.reasons[0].message


@pytest.mark.parametrize(("sign", "written"), [(-1.0, -1.0), (1.0, 1.0), (1.0, 0.0)])
def test_a_qform_alone(tmp_path: Path, sign: float, written: float) -> None:
    """A turned one; its third axis goes by the sign in pixdim[0], for which 0 counts as 1."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    affine = turn @ np.diag([2.5, 2.0, 3.0 * sign, 1.0])
    image = nib.Nifti1Image(VALUES, affine)
    image.set_qform(affine, 1)
    image.set_sform(None, 0)
    nib.save(image, tmp_path / "ct.nii")
    raw = bytearray((tmp_path / "ct.nii").read_bytes())
    raw[76:80] = np.float32(written).tobytes()
    (tmp_path / "ct.nii").write_bytes(raw)
    scan = read_nifti(tmp_path / "ct.nii")
    given = scan.orientation.undo_affine(scan.volume.affine, scan.volume.shape)
    np.testing.assert_allclose(np.diag([-1, -1, 1, 1]) @ given, affine, atol=1e-4)


def test_voxel_sizes_that_disagree_with_the_form_are_told(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VALUES, AFFINE)
    nib.save(image, tmp_path / "ct.nii")
    raw = bytearray((tmp_path / "ct.nii").read_bytes())
    raw[88:92] = np.float32(5.0).tobytes()
    (tmp_path / "ct.nii").write_bytes(raw)
    scan = read_nifti(tmp_path / "ct.nii")
    assert codes(scan) == {"voxel-sizes-disagree"} and scan.volume.spacing_mm == (3.0, 2.0, 2.5)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e-3), ("micron", 1e3), ("mm", 1.0)])
def test_lengths_in_other_units(tmp_path: Path, unit: str, factor: float) -> None:
    image = nib.Nifti1Image(VALUES, np.diag([factor, factor, factor, 1.0]) @ AFFINE)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "ct.nii")
    scan = read_nifti(tmp_path / "ct.nii")
    np.testing.assert_allclose(scan.volume.spacing_mm, (3.0, 2.0, 2.5), rtol=1e-5)
    assert codes(scan) == (set() if unit == "mm" else {"unit-of-length"})


def test_a_unit_that_cannot_be_meant(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VALUES, AFFINE)
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "ct.nii")
    scan = read_nifti(tmp_path / "ct.nii")
    assert scan.volume.spacing_mm == (3.0, 2.0, 2.5) and codes(scan) == {"unit-of-length"}


@pytest.mark.parametrize("shape", [(7, 8, 9, 1), (7, 8, 9, 1, 1)])
def test_one_volume_of_a_series_of_one(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(as_given(read_nifti(saved(tmp_path / "ct.nii", VALUES.reshape(shape)))), VALUES)


def test_a_fourth_axis_of_length_zero_is_none(tmp_path: Path) -> None:
    raw = bytearray(saved(tmp_path / "ct.nii").read_bytes())
    raw[40:42], raw[48:50] = (4).to_bytes(2, "little"), bytes(2)
    (tmp_path / "ct.nii").write_bytes(raw)
    np.testing.assert_array_equal(as_given(read_nifti(tmp_path / "ct.nii")), VALUES)


@pytest.mark.parametrize(
    ("shape", "code"),
    [((7, 8, 1, 9), "not-three-dimensional"), ((7, 72), "not-three-dimensional"), ((252, 2, 1), "too-few-slices")],
)
def test_shapes_that_are_no_volume(tmp_path: Path, shape: tuple[int, ...], code: str) -> None:
    assert refused(saved(tmp_path / "ct.nii", VALUES.reshape(shape))) == code


@pytest.mark.parametrize("odd", [(np.nan,), (np.inf,), (np.inf, -np.inf)])
def test_what_is_not_finite_is_refused_without_a_warning(odd: tuple[float, ...]) -> None:
    values = np.zeros((4, 4, 4), np.float32)
    values.flat[: len(odd)] = odd
    with pytest.raises(Refusal) as refused:
        require_finite(values)
    assert refused.value.code == "not-finite"
