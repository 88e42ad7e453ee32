"""The Basic Application Confidentiality Profile (DICOM PS3.15, table E.1-1) for everything that is exported.

It is done to attributes; pixels stay as they are, and what is written says so.

The profile names what must go. Here it is turned about: only what is listed stays, and UIDs are replaced by new ones,
the same for the same; so private elements and whatever a site put into a free text go too.
"""

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from pydicom import Dataset
from pydicom.uid import UID, EncapsulatedPDFStorage, SecondaryCaptureImageStorage, generate_uid

from trabecula.records import Scan

KEPT = (
    *("SpecificCharacterSet", "SOPClassUID", "Modality", "Manufacturer", "ManufacturerModelName"),
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "SliceThickness"),
    *("InstanceNumber", "PatientPosition", "NumberOfFrames"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),  # only places: source.of_frames
)
"""Not in the table, and needed to lay regions on the images."""

REPLACED_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
EMPTIED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyID", "PositionReferenceIndicator"),
)
"""Action Z of the table: there, but empty."""

NO_DATE, NO_TIME = "19000101", "000000"
"""Dummy values where the standard wants a date (action D)."""

METHOD = "DICOM PS3.15 Basic Application Confidentiality Profile"
NOT_THE_PIXELS = "Pixel data not cleaned"
AS_SCANNED = ("ORIGINAL", "PRIMARY")
"""Of ImageType: the scanner's own numbers (PS3.3 C.7.6.1.1.2), over which nobody has written."""


class TextInPixels(StrEnum):
    """Whether the pictures may show a name, by what the headers of the source images say."""

    YES = "said"
    NO = "excluded"
    UNKNOWN = "unknown"


def text_in_pixels(instances: Iterable[Dataset]) -> TextInPixels:
    """Excluded only where every image says so, or says nothing and is as the scanner made it."""
    found = {_text_in(instance) for instance in instances}
    if TextInPixels.YES in found:
        return TextInPixels.YES
    return TextInPixels.NO if found == {TextInPixels.NO} else TextInPixels.UNKNOWN


def _text_in(instance: Dataset) -> TextInPixels:
    said = str(instance.get("BurnedInAnnotation") or "").strip().upper()
    if said in ("YES", "NO"):
        return TextInPixels[said]
    kind = instance.get("ImageType") or ()
    return TextInPixels.NO if not isinstance(kind, str) and tuple(kind[:2]) == AS_SCANNED else TextInPixels.UNKNOWN


class Pseudonyms:
    """New UIDs for old ones, the same for the same as long as the object lives; the pairs are never written down."""

    def __init__(self) -> None:
        self.pairs: dict[str, str] = {}

    def of(self, uid: str) -> str:
        return self.pairs.setdefault(uid, generate_uid())


def deidentified_headers(instances: Iterable[Dataset], pseudonyms: Pseudonyms) -> tuple[Dataset, ...]:
    """The headers of the source images with nothing in them but geometry, machine and new UIDs."""
    return tuple(_deidentified(instance, pseudonyms) for instance in instances)


def deidentified_scan(scan: Scan, pseudonyms: Pseudonyms) -> Scan:
    """The scan as the report tells it: no age, sex, descriptions or original UIDs."""
    said = scan.acquisition
    study, series = said.study_instance_uid, said.series_instance_uid
    acquisition = replace(
        said,
        contrast_agent=None if said.contrast_agent is None else "recorded",
        series_description=None,
        station=None,
        study_instance_uid=None if study is None else pseudonyms.of(study),
        series_instance_uid=None if series is None else pseudonyms.of(series),
        patient_sex=None,
        patient_age_years=None,
        scanned_on=None,
    )
    return replace(scan, acquisition=acquisition)


def marked_deidentified(made: Dataset, text: TextInPixels) -> Dataset:
    """An object of ours without the day it was made, and marked with what was done to it, no more.

    "Identity removed" is said of attributes and pixels together (PS3.3 C.7.1.1). Ours are never cleaned: it is not
    said over images with burned-in text, nor of pictures of images that may hold some.
    """
    for name in ("InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime"):
        if name in made:
            delattr(made, name)
    for name, dummy in (("ContentDate", NO_DATE), ("ContentTime", NO_TIME)):
        if name in made:
            setattr(made, name, dummy)
    shows_pixels = str(made.SOPClassUID) in (SecondaryCaptureImageStorage, EncapsulatedPDFStorage)
    removed = text is TextInPixels.NO or (text is TextInPixels.UNKNOWN and not shows_pixels)
    made.PatientIdentityRemoved = "YES" if removed else "NO"
    made.DeidentificationMethod = METHOD if removed and not shows_pixels else [METHOD, NOT_THE_PIXELS]
    made.LongitudinalTemporalInformationModified = "REMOVED"
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = "113100", "DCM"
    item.CodeMeaning = "Basic Application Confidentiality Profile"
    made.DeidentificationMethodCodeSequence = [item]
    return made


def _deidentified(instance: Dataset, pseudonyms: Pseudonyms) -> Dataset:
    clean = Dataset()
    for name in KEPT:
        if name in instance:
            setattr(clean, name, instance[name].value)
    for name in REPLACED_UIDS:
        if instance.get(name):
            setattr(clean, name, UID(pseudonyms.of(str(instance[name].value))))
    for name in EMPTIED:
        setattr(clean, name, "")
    return clean
