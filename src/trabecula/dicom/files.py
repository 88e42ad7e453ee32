"""Opening one DICOM file that nobody vouches for: bounded memory, one kind of failure."""

import io
import zlib
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_file_meta_info
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from trabecula.errors import refusal
from trabecula.formats.budget import Budget
from trabecula.formats.damage import MALFORMED as FILE_MALFORMED
from trabecula.formats.scratch import temporary_writes

DEFER_BYTES = 64 * 2**10
"""Longer values stay in the file until they are asked for, so that a folder of series does not fill the memory."""

CHUNK_BYTES = 2**20
READS_PER_CHECK = 20_000
"""An element takes two or three reads, so this is some MB of parsed headers."""

MALFORMED = (*FILE_MALFORMED, InvalidDicomError, BytesLengthException)
"""What pydicom and its codecs raise on damaged or hostile bytes."""


def open_dataset(path: Path, budget: Budget) -> Dataset | None:
    """The dataset of a DICOM file, its pixels left in the file; None when it is no DICOM.

    Raises:
        OverBudget: the input as a whole takes more memory, time or temporary disk than it may.
        Refusal: it begins as DICOM but cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(132)
        part10 = head[128:] == b"DICM"
        if not part10 and not _begins_as_bare_dataset(head):
            return None
        if part10 and read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            path = _inflated(path, budget)
        with _Metered(path, budget) as metered:
            return dcmread(metered, defer_size=DEFER_BYTES, force=not part10)
    except MALFORMED as error:
        raise refusal("file-unreadable.dicom") from error


class _Metered(io.BufferedReader):
    """A file that compares the input's budget from time to time: headers of a few MB can hold millions of elements."""

    def __init__(self, path: Path, budget: Budget) -> None:
        super().__init__(io.FileIO(str(path)))  # pydicom opens it anew by this name, for long values
        self._budget, self._reads = budget, 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads % READS_PER_CHECK == 0:
            self._budget.check()
        return super().read(size)


def _begins_as_bare_dataset(head: bytes) -> bool:
    """Old files carry no preamble: they begin with group 0002 or 0008, little endian, and a low element."""
    return len(head) > 8 and head[:2] in (b"\x02\x00", b"\x08\x00") and head[3] == 0 and head[2] <= 0x70


def _inflated(path: Path, budget: Budget) -> Path:
    """A temporary file of the same dataset, inflated; pydicom itself would inflate without a limit, into memory."""
    meta = read_file_meta_info(path)
    target = budget.temporary_file()
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    with temporary_writes(), path.open("rb") as source, target.open("wb") as sink:
        source.seek(132 + 12 + int(meta.FileMetaInformationGroupLength))
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        head = DicomBytesIO(b"\0" * 128 + b"DICM")
        head.seek(0, io.SEEK_END)
        write_file_meta_info(head, meta, enforce_standard=False)
        sink.write(head.getvalue())
        while not inflater.eof and (packed := source.read(CHUNK_BYTES)):
            budget.packed(len(packed))
            while packed:
                plain = inflater.decompress(packed, CHUNK_BYTES)
                packed = inflater.unconsumed_tail
                budget.unpacked(len(plain))
                budget.on_disk(len(plain))
                sink.write(plain)
    return target
