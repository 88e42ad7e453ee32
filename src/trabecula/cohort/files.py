"""A case that lies in files: a CT in any format that is read, and masks as NIfTI on its grid.

NIfTI is also read with numpy alone, so that training runs on a machine where nibabel and pydicom are not installed.
"""

import gzip
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trabecula.cohort.case import Field, Known, Labelled, Masks, Seen
from trabecula.cohort.labels import LABELS, Labels
from trabecula.errors import TrabeculaError, wrong_usage
from trabecula.formats.given import RAS_FROM_LPS, volume_from_given
from trabecula.formats.grid import mask_outside, require_bearable, require_finite, require_sound_affine
from trabecula.records import Acquisition, Scan
from trabecula.volume import Float64, Volume

NIFTI = (".nii", ".nii.gz")


@dataclass(frozen=True)
class Files:
    """A CT and its masks by kind; ``labels`` is the masks' numbering."""

    ct: Path
    mask_files: Mapping[str, Path] = field(default_factory=dict)
    labels: Labels = LABELS["verse"]

    @property
    def masks(self) -> tuple[str, ...]:
        return tuple(self.mask_files)

    def load(self, known: Known, masks: tuple[str, ...]) -> Seen:
        scan = read_ct(self.ct)
        if scan.acquisition.tube_voltage_kvp is None and known.tube_voltage_kvp is not None:
            # NIfTI says nothing of how a scan was made; what the cohort tells takes the header's place.
            told = replace(scan.acquisition, tube_voltage_kvp=known.tube_voltage_kvp)
            scan = replace(scan, acquisition=told)
        return Seen(scan, self._read(masks, scan.volume), known)

    def labelled(self, known: Known, masks: tuple[str, ...], field: Field) -> Labelled:
        scan = read_ct(self.ct)
        return Labelled(scan.volume, self._read(masks, scan.volume), known)

    def _read(self, masks: tuple[str, ...], volume: Volume) -> Masks:
        return {kind: read_mask(self.mask_files[kind], volume, self.labels) for kind in masks}


def read_ct(path: Path) -> Scan:
    """A CT as every door reads it; NIfTI with numpy alone where what that takes is not installed.

    Raises:
        WrongUsage: ``package-missing``: the format needs packages that are not installed.
        TrabeculaError: the CT cannot be used.
    """
    try:
        from trabecula.flow.read import read
    except ModuleNotFoundError as error:
        if not path.name.endswith(NIFTI):
            raise wrong_usage("package-missing.file", name=path.name, package=str(error.name)) from error
        values, affine_lps = read_nifti(path)
        require_finite(values)
        volume, orientation = volume_from_given(values, affine_lps)
        mask_outside(volume.hu)
        return Scan(volume, orientation, Acquisition(source="nifti"))
    return read(path)


def read_mask(path: Path, volume: Volume, labels: Labels) -> NDArray[np.uint8]:
    """A mask as VerSe ids (z, y, x) on the grid of ``volume``; labels that name no vertebra become 0.

    Raises:
        WrongUsage: ``mask-unreadable``; ``mask-elsewhere`` where it lies on another grid than its CT;
            ``mask-numbering`` where it is numbered otherwise.
    """
    try:
        values, affine_lps = read_nifti(path)
        mask, _ = volume_from_given(values, affine_lps)
    except (OSError, ValueError, EOFError, zlib.error, TrabeculaError) as error:
        raise wrong_usage("mask-unreadable", name=path.name) from error
    near = mask.shape == volume.shape and np.allclose(
        mask.affine, volume.affine, rtol=0, atol=0.02 * min(volume.spacing_mm) + 0.01
    )
    if not near:
        raise wrong_usage("mask-elsewhere", name=path.name, mask=str(mask.shape), ct=str(volume.shape))
    return labels.to_verse(mask.hu, path.name)


_KINDS = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}


def read_nifti(path: Path) -> tuple[NDArray[Any], Float64]:
    """A NIfTI-1 file's values (i, j, k), float32, and its affine to LPS mm, by the standard's header (nifti1.h).

    Raises:
        OSError, ValueError, EOFError, zlib.error: it is damaged or no three-dimensional NIfTI-1 file.
        Refusal: its size or affine is unsound.
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    if len(content) < 352 or content[344:347] not in (b"n+1", b"ni1"):
        raise ValueError("no NIfTI-1 header")
    order = "<" if struct.unpack("<i", content[:4])[0] == 348 else ">"
    dims = struct.unpack(f"{order}8h", content[40:56])
    if not 3 <= dims[0] <= 7 or any(n != 1 for n in dims[4 : dims[0] + 1]):
        raise ValueError(f"{dims[0]} dimensions")
    shape = dims[1:4]
    require_bearable(shape)
    kind = _KINDS.get(struct.unpack(f"{order}h", content[70:72])[0])
    if kind is None:
        raise ValueError("values of an unknown kind")
    offset, slope, intercept = struct.unpack(f"{order}3f", content[108:120])
    values = np.frombuffer(content, f"{order}{kind}", int(np.prod(shape)), int(offset)).reshape(shape, order="F")
    values = values.astype(np.float32)
    if np.isfinite(slope) and slope != 0:
        values = values * np.float32(slope) + np.float32(intercept)
    affine = _affine(content, order)
    require_sound_affine(affine)
    return values, np.asarray(RAS_FROM_LPS @ affine)


def _affine(content: bytes, order: str) -> Float64:
    """The sform where it is set, else the qform: indices (i, j, k) to RAS mm."""
    qform, sform = struct.unpack(f"{order}2h", content[252:256])
    affine = np.eye(4)
    if sform > 0:
        affine[:3] = np.array(struct.unpack(f"{order}12f", content[280:328])).reshape(3, 4)
        return affine
    if qform <= 0:
        raise ValueError("no orientation")
    pixdim = struct.unpack(f"{order}8f", content[76:108])
    b, c, d, *offset = struct.unpack(f"{order}6f", content[256:280])
    a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    affine[:3, :3] = turn * [pixdim[1], pixdim[2], pixdim[3] * (-1.0 if pixdim[0] < 0 else 1.0)]
    affine[:3, 3] = offset
    return affine
