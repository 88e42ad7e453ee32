"""NIfTI-1 and NIfTI-2: an array (i, j, k) and an affine to RAS, with no word of how the scan was made.

The header's fields are nibabel's; the numbers are read here, so that their checksum is verified and no second volume
is held. Citations are of nifti1.h.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from trabecula.errors import Refusal, refusal
from trabecula.formats.budget import Budget
from trabecula.formats.damage import MALFORMED
from trabecula.formats.given import RAS_FROM_LPS, room_for
from trabecula.formats.grid import require_finite, require_sound_affine, spatial_shape
from trabecula.formats.nifti_place import place_of
from trabecula.formats.stream import Stream, fill, opened, too_long
from trabecula.records import Acquisition, Scan

SUFFIXES = (".nii", ".nii.gz")
HEADERS: dict[int, Any] = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
MAGICS = {b"n+1\0": True, b"ni1\0": False, b"n+2\0": True, b"ni2\0": False}
"""Whether the numbers stand in the same file."""

MAX_OFFSET_BYTES = 2**26
"""Extensions stand between header and numbers: some KB as a rule."""


@dataclass(frozen=True)
class Form:
    """How the numbers are written."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    slope: float
    intercept: float
    offset_bytes: int
    one_file: bool


def read_nifti(path: Path, budget: Budget | None = None) -> Scan:
    """A NIfTI file (of a pair, either one), gzip or plain, as a scan; the caller judges whether its values are HU.

    Raises:
        Refusal: damaged, not three-dimensional, without orientation, or with an unsound affine or values.
    """
    budget = budget or Budget()
    if path.suffix.lower() == ".img" and path.with_suffix(".hdr").is_file():
        path = path.with_suffix(".hdr")
    try:
        with np.errstate(all="ignore"), opened(path, budget) as stream:  # headers of 1e300 are judged afterwards
            header = _header(stream)
            form = _form(header)
            place = place_of(header)
            shape = spatial_shape(form.shape, tuple(range(min(3, len(form.shape)))))
            require_sound_affine(place.affine_ras)
            volume, orientation, given = room_for(shape, np.asarray(RAS_FROM_LPS @ place.affine_ras))
            budget.expect_volume(volume.hu.nbytes)
            if form.one_file:
                trailing = _fill(given, stream, form)
            else:
                stream.finish()
                with opened(_image_of(path), budget) as image:
                    trailing = _fill(given, image, form)
    except (*MALFORMED, HeaderDataError) as error:
        raise _damaged() from error
    require_finite(volume.hu)
    return Scan(volume, orientation, Acquisition(source="nifti"), (*place.reasons, *too_long(trailing)))


def begins_as_nifti(head: bytes) -> bool:
    """Whether a file's first 352 bytes, unpacked, are those of a NIfTI header."""
    size = {int.from_bytes(head[:4], order) for order in ("little", "big")}
    return bool((348 in size and head[344:348] in MAGICS) or (540 in size and head[4:8] in MAGICS))


def _header(stream: Stream) -> Any:
    """The header as nibabel holds it, in the byte order in which its own size makes sense."""
    start = stream.exactly(4)
    for code in ("<", ">"):
        size = int.from_bytes(start, "little" if code == "<" else "big")
        if size in HEADERS:
            block = start + stream.exactly(size - 4)
            return HEADERS[size](block, endianness=code, check=False)
    raise ValueError("no NIfTI header")


def _form(header: Any) -> Form:
    magic = bytes(header["magic"].tobytes())[:4]
    if magic not in MAGICS:
        raise ValueError("magic")
    dimensions = [int(n) for n in header["dim"]]
    if not 1 <= dimensions[0] <= 7:
        raise ValueError("dim")
    shape = dimensions[1 : dimensions[0] + 1]
    shape[3:] = [max(n, 1) for n in shape[3:]]  # axes that are not used are often counted with 0
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise refusal("not-hounsfield-units.kind")
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not math.isfinite(slope):  # "if the scl_slope field is nonzero, then each voxel value ... scaled"
        slope, intercept = 1.0, 0.0
    if not math.isfinite(intercept):
        raise ValueError("scl_inter")
    return Form(tuple(shape), dtype, slope, intercept, _offset(header, magic), MAGICS[magic])


def _offset(header: Any, magic: bytes) -> int:
    """Where the numbers begin: "If vox_offset is less than 352 in a .nii file, it is equivalent to 352"."""
    declared = float(header["vox_offset"])
    if not (0 <= declared <= MAX_OFFSET_BYTES and declared == int(declared)):
        raise ValueError("vox_offset")
    least = int(header["sizeof_hdr"]) + 4 if MAGICS[magic] else 0
    return max(int(declared), least)


def _fill(given: Any, stream: Stream, form: Form) -> int:
    """Fills ``given`` with the numbers; returns by how many bytes the file is too long."""
    stream.skip(form.offset_bytes - stream.position)
    fill(given, stream, form.dtype, form.slope, form.intercept)
    return stream.finish()


def _image_of(path: Path) -> Path:
    """The numbers of a pair, whose header is ``path``."""
    beside = [path.with_suffix(".img"), path.with_suffix("").with_suffix(".img.gz")]
    found = next((image for image in beside if image.is_file()), None)
    if found is None:
        raise refusal("file-alone")
    return found


def _damaged() -> Refusal:
    return refusal("file-unreadable.nifti")
