"""The report as a PDF, and as an Encapsulated PDF of the study."""

import logging
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from html import escape

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage

from trabecula.errors import defect
from trabecula.export.series import TRANSFER_SYNTAX, NewSeries, finished
from trabecula.formats.scratch import libraries_write_here
from trabecula.messages import messages

SERIES = NewSeries(9003, "report")


def pdf_of(html: str) -> bytes:
    """The page printed; nothing is fetched, its pictures are part of it.

    Raises:
        Defect: the system library that sets text is not installed.
    """
    try:
        with nullcontext() if "weasyprint" in sys.modules else libraries_write_here():
            from weasyprint import HTML
            from weasyprint.urls import URLFetcher
    except OSError as error:
        raise defect("pdf-library-missing") from error
    printed: bytes = HTML(string=html, url_fetcher=URLFetcher(allowed_protocols=["data"])).write_pdf()
    return printed


def require_fonts(language: str) -> None:
    """Find out before a long computation whether every character of a language can be printed.

    Raises:
        Defect: no installed font holds them, or the system library that sets text is not installed.
    """
    told = messages(language)
    missing, logger = _Missing(), logging.getLogger("weasyprint")
    logger.addHandler(missing)
    try:
        letters = escape("".join(sorted(set("".join(told.values())))))
        pdf_of(f'<html lang="{told["html-language"]}"><body>{letters}</body></html>')
    finally:
        logger.removeHandler(missing)
    if missing.characters:
        raise defect("pdf-font-missing", letters=missing.characters[:8])


class _Missing(logging.Handler):
    """Listens to weasyprint for characters that it draws as empty boxes."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.characters = ""

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r'notdef glyph.*"(.)"', record.getMessage(), re.DOTALL)
        self.characters += found.group(1) if found else ""


def encapsulated(pdf: bytes, instances: Sequence[Dataset]) -> Dataset:
    """The PDF as a DICOM object of the study, not verified by anybody."""
    first = instances[0]
    made = hd.SOPClass(
        study_instance_uid=first.StudyInstanceUID,
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        transfer_syntax_uid=TRANSFER_SYNTAX,
        content_date=datetime.now().date(),
        content_time=datetime.now().time(),
        **SERIES.arguments(),
    )
    made.ConversionType = "WSD"
    made.AcquisitionDateTime = None
    made.DocumentTitle = "Trabecula: bone density from CT; preliminary, unverified, research use only"
    title = codes.DCM.ImagingMeasurementReport
    made.ConceptNameCodeSequence = [hd.sr.CodedConcept.from_code(title)]
    made.VerificationFlag = "UNVERIFIED"
    made.SourceInstanceSequence = [_reference(instance) for instance in instances]
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocumentLength = len(pdf)
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return finished(made, first)


def _reference(instance: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = instance.SOPClassUID
    item.ReferencedSOPInstanceUID = instance.SOPInstanceUID
    return item
