"""Opening one DICOM file that nobody vouches for: bounded memory, one kind of failure."""

import zlib
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from trabecula.errors import refusal
from trabecula.formats.damage import MALFORMED as FILE_MALFORMED

DEFER_BYTES = 64 * 2**10
"""Longer values stay in the file until they are asked for, so that a folder of series does not fill the memory."""

MAX_INFLATED_BYTES = 2**30

MALFORMED = (*FILE_MALFORMED, InvalidDicomError, BytesLengthException)
"""What pydicom and its codecs raise on damaged or hostile bytes."""


def open_dataset(path: Path) -> Dataset | None:
    """The dataset of a DICOM file, its pixels left in the file; None when it is no DICOM.

    Raises:
        Refusal: it begins as DICOM but cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(132)
        part10 = head[128:] == b"DICM"
        if not part10 and not _begins_as_bare_dataset(head):
            return None
        if part10 and read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return _inflated(path)
        return dcmread(path, defer_size=DEFER_BYTES, force=not part10)
    except MALFORMED as error:
        raise refusal("file-unreadable.dicom") from error


def _begins_as_bare_dataset(head: bytes) -> bool:
    """Old files carry no preamble: they begin with group 0002 or 0008, little endian, and a low element."""
    return len(head) > 8 and head[:2] in (b"\x02\x00", b"\x08\x00") and head[3] == 0 and head[2] <= 0x70


def _inflated(path: Path) -> Dataset:
    """A deflated dataset, inflated up to a limit; pydicom itself knows none."""
    meta = read_file_meta_info(path)
    with path.open("rb") as file:
        file.seek(132 + 12 + int(meta.FileMetaInformationGroupLength))
        packed = file.read()
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(packed, MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise ValueError("inflates without end")
    dataset = read_dataset(BytesIO(plain), is_implicit_VR=False, is_little_endian=True)
    dataset.file_meta = meta
    return dataset
