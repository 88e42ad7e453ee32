"""Opening one DICOM file that nobody vouches for: bounded memory, one kind of failure."""

import io
import zlib
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_file_meta_info, read_partial
from pydicom.filewriter import write_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from trabecula.dicom.parts import DEFER_BYTES, READS_PER_CHECK, CountedFile, bounded
from trabecula.errors import refusal
from trabecula.formats.budget import Budget
from trabecula.formats.damage import MALFORMED as FILE_MALFORMED
from trabecula.formats.scratch import temporary_writes

CHUNK_BYTES = 2**20
STUDY = Tag("StudyInstanceUID")

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
        budget.expect_headers(path.stat().st_size)
        if part10 and read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            path = _inflated(path, budget)
        return _parsed(path, budget, force=not part10)
    except MALFORMED as error:
        budget.check()  # pydicom takes whatever is raised inside a sequence for damage
        raise refusal("file-unreadable.dicom") from error


def _parsed(path: Path, budget: Budget, force: bool) -> Dataset:
    """The dataset; of an instance that is no CT, once that takes long, what stands up to the study it is of."""
    with CountedFile(path, budget, most=READS_PER_CHECK) as file:
        try:
            return bounded(dcmread(file, defer_size=DEFER_BYTES, force=force), path, budget)
        except MALFORMED:
            if not file.ended:
                raise
    with CountedFile(path, budget) as file:
        head = read_partial(file, lambda tag, vr, length: tag > STUDY, defer_size=DEFER_BYTES, force=force)
        if head.get("Modality") != "CT":
            return head
    with CountedFile(path, budget) as file:
        return bounded(dcmread(file, defer_size=DEFER_BYTES, force=force), path, budget)


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
