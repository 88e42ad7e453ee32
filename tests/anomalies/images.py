"""Anomalies of NIfTI: intensities, affines, dimensions, checksums, offsets, forms, units."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomalies.register import OK, REFUSE, SAY, anomaly
from anomalies.scene import LPS_RAS, nifti, scene


@anomaly(15, REFUSE)
def zero_to_one(folder: Path) -> Path:
    """NIfTI with intensities from 0 to 1."""
    return nifti(folder / "ct.nii.gz", lambda hu: np.clip((hu + 1000) / 2000, 0, 1).astype(np.float32))


@anomaly(15, REFUSE)
def zero_to_255(folder: Path) -> Path:
    """NIfTI with intensities from 0 to 255."""
    return nifti(folder / "ct.nii.gz", lambda hu: np.clip((hu + 1000) / 2000 * 255, 0, 255).astype(np.uint8))


def _nifti_header(folder: Path, edit: Callable[[bytearray], None]) -> Path:
    path = nifti(folder / "ct.nii", lambda hu: hu.astype(np.int16))
    raw = bytearray(path.read_bytes())
    edit(raw)
    path.write_bytes(raw)
    return path


def _floats(*values: float) -> bytes:
    return np.asarray(values, "<f4").tobytes()


@anomaly(29, REFUSE)
def sheared(folder: Path) -> Path:
    """NIfTI whose affine is sheared."""

    def edit(raw: bytearray) -> None:
        raw[280:284] = _floats(-1.5)
        raw[288:292] = _floats(1.2)

    return _nifti_header(folder, edit)


@anomaly(29, REFUSE)
def zero_affine(folder: Path) -> Path:
    """NIfTI whose affine is zero."""
    return _nifti_header(folder, lambda raw: raw.__setitem__(slice(280, 328), bytes(48)))


@anomaly(29, REFUSE)
def four_dimensions(folder: Path) -> Path:
    """NIfTI of two volumes."""
    return nifti(folder / "ct.nii.gz", lambda hu: np.stack([hu, hu + 40], -1).astype(np.int16))


@anomaly(29, REFUSE)
def not_a_number(folder: Path) -> Path:
    """NIfTI with NaN outside the body."""
    return nifti(folder / "ct.nii.gz", lambda hu: np.where(hu < -900, np.nan, hu).astype(np.float32))


@anomaly(29, OK)
def offset_of_zero(folder: Path) -> Path:
    """NIfTI with vox_offset 0."""
    return _nifti_header(folder, lambda raw: raw.__setitem__(slice(108, 112), _floats(0)))


@anomaly(29, REFUSE)
def wrong_checksum(folder: Path) -> Path:
    """NIfTI, gzip, with a wrong checksum."""
    path = nifti(folder / "ct.nii.gz", lambda hu: hu.astype(np.int16))
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 0x55
    path.write_bytes(raw)
    return path


UPSIDE_DOWN = np.diag([1.0, -1, -1, 1])


def _two_forms(folder: Path, sform: NDArray[Any], qform: NDArray[Any]) -> Path:
    """The scan as NIfTI, each form turned by a matrix."""
    import nibabel as nib

    volume = scene().volume
    affine = LPS_RAS @ volume.affine[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(volume.hu.transpose(2, 1, 0).astype(np.int16), affine)
    image.set_qform(affine @ qform, 1)
    image.set_sform(affine @ sform, 1)
    nib.save(image, folder / "ct.nii.gz")
    return folder / "ct.nii.gz"


@anomaly(29, SAY)
def qform_upside_down(folder: Path) -> Path:
    """NIfTI with a qform that is upside down beside a right sform."""
    return _two_forms(folder, np.eye(4), UPSIDE_DOWN)


@anomaly(29, SAY)
def sform_upside_down(folder: Path) -> Path:
    """NIfTI with a sform that is upside down beside a right qform."""
    return _two_forms(folder, UPSIDE_DOWN, np.eye(4))


@anomaly(29, OK)
def plain_named_gz(folder: Path) -> Path:
    """NIfTI, plain, named .nii.gz."""
    path = nifti(folder / "ct.nii.gz", lambda hu: hu.astype(np.int16))
    path.write_bytes(gzip.decompress(path.read_bytes()))
    return path


@anomaly(29, SAY)
def nifti_in_metres(folder: Path) -> Path:
    """NIfTI in metres."""

    def edit(raw: bytearray) -> None:
        raw[123] = 1
        affine = np.frombuffer(bytes(raw[280:328]), "<f4") / 1000
        raw[280:328] = affine.astype("<f4").tobytes()
        raw[80:92] = (np.frombuffer(bytes(raw[80:92]), "<f4") / 1000).astype("<f4").tobytes()
        raw[252:254] = bytes(2)  # no qform

    return _nifti_header(folder, edit)


@anomaly(31, REFUSE)
def truncated_nifti(folder: Path) -> Path:
    """NIfTI cut short."""
    path = nifti(folder / "ct.nii.gz", lambda hu: hu.astype(np.int16))
    path.write_bytes(path.read_bytes()[:-200_000])
    return path


@anomaly(29, REFUSE)
def infinite(folder: Path) -> Path:
    """NIfTI with a voxel of infinity in every slice."""

    def change(hu: NDArray[Any]) -> NDArray[Any]:
        made = hu.astype(np.float32)
        made[made.shape[0] // 2, made.shape[1] // 2] = np.inf
        return made

    return nifti(folder / "ct.nii.gz", change)


@anomaly(30, REFUSE)
def magnetic_resonance(folder: Path) -> Path:
    """NIfTI of signals, as of a magnetic resonance image: air dark, fat bright, bone dark."""

    def change(hu: NDArray[Any]) -> NDArray[Any]:
        at = ([-1000, -500, -100, 40, 150, 400, 1500], [8, 20, 820, 330, 260, 60, 10])
        return np.rint(np.interp(hu, *at)).astype(np.int16)

    return nifti(folder / "ct.nii.gz", change)


@anomaly(15, SAY, REFUSE)
def scaled(folder: Path) -> Path:
    """NIfTI with values scaled by 0.8."""
    return nifti(folder / "ct.nii.gz", lambda hu: np.rint(hu * 0.8).astype(np.int16))


@anomaly(31, SAY, REFUSE)
def moved_voxels(folder: Path) -> Path:
    """NIfTI with two bytes more before the last few slices."""
    path = nifti(folder / "ct.nii", lambda hu: hu.astype(np.int16))
    raw = path.read_bytes()
    late = 352 + (len(raw) - 352) // 20 * 19 // 2 * 2
    path.write_bytes(raw[:late] + b"\x11\x00" + raw[late:])
    return path
