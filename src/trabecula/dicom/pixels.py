"""The stored numbers of one plane and their Hounsfield units."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from trabecula.dicom.codestreams import codestream_size, damaged_jpeg_2000
from trabecula.dicom.files import MALFORMED
from trabecula.dicom.planes import Plane, transfer_syntax
from trabecula.errors import refusal
from trabecula.formats.grid import mask_outside
from trabecula.formats.rle import decode_frame
from trabecula.volume import PADDING_HU, Float32

PIXEL_DATA = 0x7FE00010
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
HEADERS_BYTES = 2**26
"""Of a compressed file, what may stand beside its images."""

TISSUE_HU = (-900.0, 3000.0)
"""A padding value inside this range would be a header's mistake: masking it would punch holes into the patient."""


def hounsfield(plane: Plane) -> Float32:
    """The plane in HU, (row, column) float32, everything outside the field of view at -1000.

    Raises:
        Refusal: the pixels are damaged, cut short or not of the size declared.
    """
    return mask_outside(rescaled(plane))


def rescaled(plane: Plane) -> Float32:
    """The plane in HU, (row, column) float32, declared padding at -1000, but whatever lies below the scale as it is.

    Raises:
        Refusal: the pixels are damaged, cut short or not of the size declared.
    """
    try:
        stored = stored_pixels(plane)
        outside = _padding(stored, plane)
        hu = used_bits(stored, plane.dataset).astype(np.float32)
    except MALFORMED as error:
        raise refusal("file-unreadable.slice") from error
    if plane.slope != 1:
        hu *= np.float32(plane.slope)
    hu += np.float32(plane.intercept)
    if outside is not None:
        hu[outside] = PADDING_HU
    return hu


def stored_pixels(plane: Plane) -> NDArray[Any]:
    """The numbers of a plane as they are stored, (row, column), bits that hold no pixel among them.

    Raises:
        ValueError and the rest of ``files.MALFORMED``: the pixels are damaged, cut short or not of the size declared.
    """
    return _decoded(plane) if transfer_syntax(plane).is_encapsulated else _native(plane)


def _native(plane: Plane) -> NDArray[Any]:
    """Uncompressed pixels, read from the file for this frame alone."""
    dataset = plane.dataset
    dtype = _dtype(dataset)
    if transfer_syntax(plane) == ExplicitVRBigEndian:
        dtype = dtype.newbyteorder(">")
    size = plane.rows * plane.columns * dtype.itemsize
    element = dataset.get_item(PIXEL_DATA, keep_deferred=True)
    if isinstance(element, RawDataElement) and element.value is None:
        with open(dataset.filename, "rb") as file:  # noqa: PTH123 - the name may be a plain string
            file.seek(element.value_tell + plane.frame * size)
            pixels = file.read(size)
            file.seek(element.value_tell + element.length)
            _require_element(file.read(4), "big" if dtype.byteorder == ">" else "little")
    else:
        pixels = element.value[plane.frame * size : (plane.frame + 1) * size]
    if len(pixels) != size:
        raise EOFError("pixel data cut short")
    return np.frombuffer(pixels, dtype).reshape(plane.rows, plane.columns)


def _require_element(follows: bytes, order: Literal["little", "big"]) -> None:
    """What follows the pixels is nothing, zeros, or an element of a higher group (signatures, padding, private ones).

    Else bytes came in before or were lost, and the pixels do not lie where they should.
    """
    if any(follows) and int.from_bytes(follows[:2], order) not in (*range(0x7FE1, 0x8000), 0xFFFA, 0xFFFC):
        raise ValueError("no element after the pixels")


def _decoded(plane: Plane) -> NDArray[Any]:
    """Compressed pixels, once the codestream has the size that the header declares."""
    dataset, syntax = plane.dataset, transfer_syntax(plane)
    frames, size = int(dataset.get("NumberOfFrames") or 1), plane.rows * plane.columns * _dtype(dataset).itemsize
    most = 2 * size + 2**16  # noise packs to a little more than itself
    if Path(dataset.filename or "").is_file() and Path(dataset.filename).stat().st_size > frames * most + HEADERS_BYTES:
        raise ValueError("file larger than its images")
    codestream = get_frame(dataset.PixelData, plane.frame, number_of_frames=frames)
    if len(codestream) > most:
        raise ValueError("codestream larger than the image")
    if syntax == RLELossless:
        return decode_frame(codestream, plane.rows * plane.columns, _dtype(dataset)).reshape(plane.rows, plane.columns)
    if syntax == ENCAPSULATED_UNCOMPRESSED:
        return np.frombuffer(codestream[:size], _dtype(dataset)).reshape(plane.rows, plane.columns)
    if codestream_size(codestream) != (plane.rows, plane.columns, 1):
        raise ValueError("codestream of another size")
    if damaged_jpeg_2000(codestream):
        raise ValueError("codestream damaged")
    pixels, _ = get_decoder(syntax).as_array(dataset, index=plane.frame, raw=True)
    return pixels.reshape(plane.rows, plane.columns)


def _dtype(dataset: Dataset) -> np.dtype[Any]:
    allocated = int(dataset.BitsAllocated)
    if allocated not in (8, 16, 32):
        raise ValueError("bits allocated")
    return np.dtype(f"<{'i' if dataset.PixelRepresentation == 1 else 'u'}{allocated // 8}")


def _padding(stored: NDArray[Any], plane: Plane) -> NDArray[np.bool_] | None:
    """Where PixelPaddingValue (to PixelPaddingRangeLimit) stands. Compared before unused bits are cut off."""
    value = _whole(plane.dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = _whole(plane.dataset, "PixelPaddingRangeLimit")
    first, last = sorted((_as_stored(value, stored), _as_stored(value if limit is None else limit, stored)))
    for end in (first, last):
        if TISSUE_HU[0] < end * plane.slope + plane.intercept < TISSUE_HU[1]:
            return None
    return (stored >= first) & (stored <= last)


def _whole(dataset: Dataset, keyword: str) -> int | None:
    """A padding value; None also where text stands in its place, which programs have written there."""
    try:
        value = dataset.get(keyword)
        return None if value is None else int(str(value).strip())
    except MALFORMED:
        return None


def _as_stored(value: Any, stored: NDArray[Any]) -> int:
    """A padding value as a stored pixel would read: its VR is often the wrong one of US and SS."""
    bits = 8 * int(stored.dtype.itemsize)
    wrapped = int(value) % (1 << bits)
    return wrapped - (1 << bits) if stored.dtype.kind == "i" and wrapped >= 1 << (bits - 1) else wrapped


def used_bits(stored: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Cut off the bits that hold no pixel (old overlays) and carry the sign of fewer than all bits to the top."""
    allocated, used = 8 * stored.dtype.itemsize, int(dataset.BitsStored)
    above = allocated - 1 - int(dataset.get("HighBit", used - 1))
    if used == allocated:
        return stored
    if above < 0 or used < 1 or allocated - used < above:
        raise ValueError("bits stored")
    return np.asarray(np.right_shift(np.left_shift(stored, above), allocated - used))
