"""NIfTI: an array (i, j, k) and an affine to RAS, with no word of how the scan was made."""

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.imageglobals import ErrorLevel
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from trabecula.errors import Refusal, refusal
from trabecula.formats.damage import MALFORMED, muted
from trabecula.formats.given import RAS_FROM_LPS, volume_from_given
from trabecula.formats.grid import mask_outside, require_bearable, require_finite, require_sound_affine
from trabecula.records import Acquisition, Scan
from trabecula.volume import Float32

SUFFIXES = (".nii", ".nii.gz")


def read_nifti(path: Path) -> Scan:
    """A .nii or .nii.gz file as a scan, its values as they stand; the caller judges whether they are HU.

    Raises:
        Refusal: damaged, not three-dimensional, without orientation, or with an unsound affine or values.
    """
    try:
        # by default a damaged header is mended by guesses that are only logged
        with ErrorLevel(30), muted("nibabel.global"):
            image = nib.Nifti1Image.from_filename(path)
        affine_ras = np.asarray(image.affine, dtype=np.float64)
    except (*MALFORMED, ImageFileError, WrapStructError, HeaderDataError) as error:
        raise _damaged() from error
    shape = tuple(int(n) for n in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3:
        raise refusal("not-three-dimensional.shape", number=len(shape), shape=" x ".join(map(str, shape)))
    require_bearable(shape)
    header = image.header
    if int(header["sform_code"]) <= 0 and int(header["qform_code"]) <= 0:
        raise refusal("orientation-missing.nifti")
    require_sound_affine(affine_ras)
    values = _values(image).reshape(shape, order="F")
    require_finite(values)
    volume, orientation = volume_from_given(values, RAS_FROM_LPS @ affine_ras)
    mask_outside(volume.hu)
    return Scan(volume, orientation, Acquisition(source="nifti"))


def _values(image: nib.Nifti1Image) -> Float32:
    if image.get_data_dtype().kind not in "iuf":
        raise refusal("not-hounsfield-units.kind")
    try:
        return np.asarray(image.dataobj, dtype=np.float32)
    except MALFORMED as error:
        raise _damaged() from error


def _damaged() -> Refusal:
    return refusal("file-unreadable.nifti")
