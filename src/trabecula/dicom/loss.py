"""Whether images were compressed with loss: by their headers, and by the codestreams, which headers may belie."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import generate_frames, get_frame
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    RLELossless,
)

from trabecula.dicom.codestreams import coded_with_loss, is_jpeg_2000
from trabecula.dicom.files import MALFORMED
from trabecula.dicom.headers import text
from trabecula.dicom.pixels import ENCAPSULATED_UNCOMPRESSED, stored_pixels, used_bits
from trabecula.dicom.planes import Plane, transfer_syntax
from trabecula.errors import Refusal
from trabecula.records import Reason, reason

LOSSY_SYNTAXES = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
LOSSY_COMPRESSION = "113040"  # among DICOM's codes of how an image was derived

FULL_SHARE = 0.97
"""A slice coded anew without loss from what its JPEG 2000 codestream decodes to is as long as that, or shorter (of high
throughput: 1.06 to 1.08 on real CTs). One of which some was cut off is shorter than what its picture takes: on real
CTs 0.92 to 0.94 of it where values are off by 10 HU at most, 0.74 to 0.83 by 35 to 60; 0.95 on a virtual one by 19."""


def loss_reason(planes: Sequence[Plane]) -> Reason | None:
    """The doubt that follows where any plane was ever compressed with loss; None where none was."""
    if any(declared_lossy(plane.dataset, transfer_syntax(plane)) for plane in planes):
        return reason("lossy-compression")
    datasets = {id(plane.dataset): plane for plane in planes}.values()
    if any(_coded_with_loss(plane) for plane in datasets) or _cut_short(planes[len(planes) // 2]):
        return reason("lossy-compression.undeclared")
    return None


def declared_lossy(dataset: Dataset, syntax: UID) -> bool:
    """Whether the pixels were ever compressed with loss, as far as the instance says."""
    declared = text(dataset.get("LossyImageCompression"))
    if declared == "01" or syntax in LOSSY_SYNTAXES or text(dataset.get("LossyImageCompressionMethod")):
        return True
    derived = (text(code.get("CodeValue")) for code in dataset.get("DerivationCodeSequence") or ())
    return LOSSY_COMPRESSION in derived or (syntax in (JPEG2000, HTJ2K) and declared != "00")


def _has_codestreams(plane: Plane) -> bool:
    syntax = transfer_syntax(plane)
    return syntax.is_encapsulated and syntax not in (RLELossless, ENCAPSULATED_UNCOMPRESSED)


def _coded_with_loss(plane: Plane) -> bool:
    """Whether any codestream of a plane's instance says so."""
    try:
        if not _has_codestreams(plane):
            return False
        frames = int(plane.dataset.get("NumberOfFrames") or 1)
        return any(map(coded_with_loss, generate_frames(plane.dataset.PixelData, number_of_frames=frames)))
    except MALFORMED:
        return False  # a slice that cannot be read is left out and said elsewhere


def _cut_short(plane: Plane) -> bool:
    """Whether a plane's JPEG 2000 codestream is too short to hold all of its picture."""
    try:
        if not _has_codestreams(plane):
            return False
        frames = int(plane.dataset.get("NumberOfFrames") or 1)
        codestream = get_frame(plane.dataset.PixelData, plane.frame, number_of_frames=frames)
        if not is_jpeg_2000(codestream):
            return False
        return len(codestream) < FULL_SHARE * len(_anew(plane, used_bits(stored_pixels(plane), plane.dataset)))
    except (Refusal, *MALFORMED):
        return False


def _anew(plane: Plane, stored: NDArray[Any]) -> bytes:
    """A plane's picture as a JPEG 2000 codestream without loss."""
    encoded: bytes = get_encoder(JPEG2000Lossless).encode(
        np.ascontiguousarray(stored),
        rows=plane.rows,
        columns=plane.columns,
        number_of_frames=1,
        samples_per_pixel=1,
        bits_allocated=8 * stored.dtype.itemsize,
        bits_stored=8 * stored.dtype.itemsize,
        pixel_representation=int(stored.dtype.kind == "i"),
        photometric_interpretation="MONOCHROME2",
    )
    return encoded
