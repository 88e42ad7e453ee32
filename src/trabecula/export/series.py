"""What every object of ours says of itself: a new series in the original study, for research, by this program."""

from dataclasses import dataclass
from typing import Any

from highdicom import SOPClass
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from trabecula import __version__
from trabecula.export.codes import declared_scheme

MANUFACTURER = "Trabecula"
MODEL = "Trabecula"
SERIAL_NUMBER = "0"
"""A program has none, and the standard wants one."""

IDENTITY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyID"),
)
"""What every object must say of patient and study, be it empty (type 2)."""

RETIRED = ("OtherPatientIDs", "EthnicGroup")
"""Of the Patient module as scanners write it, though newer editions of the standard left it out."""

RESEARCH_ONLY = "research use only"


@dataclass(frozen=True)
class NewSeries:
    """A series that holds one object. Numbers are high, so that they come after what the scanner made."""

    number: int
    what: str

    def arguments(self) -> dict[str, Any]:
        """The arguments by which highdicom names an instance and its series."""
        return {
            "series_instance_uid": generate_uid(),
            "series_number": self.number,
            "sop_instance_uid": generate_uid(),
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": MODEL,
            "software_versions": __version__,
            "device_serial_number": SERIAL_NUMBER,
            "series_description": f"Trabecula {self.what} - {RESEARCH_ONLY}",
        }


def nameless(header: Dataset) -> Dataset:
    """A header as highdicom is given it: it would reject or quote a name, a sex or a date that is not as it should be.

    ``finished`` puts them back as they are.
    """
    made = Dataset()
    for element in header:
        if element.keyword not in IDENTITY:
            made.add(element)
    for name in IDENTITY:
        setattr(made, name, None)
    return made


def finished(made: SOPClass, source: Dataset) -> SOPClass:
    """The object in the patient and study of ``source``, in UTF-8, which holds any name; private codes declared."""
    for name in IDENTITY:
        setattr(made, name, source.get(name))
    made.copy_patient_and_study_information(source)
    for name in RETIRED:
        if name in source:
            setattr(made, name, source[name].value)
    made.SpecificCharacterSet = "ISO_IR 192"
    made.CodingSchemeIdentificationSequence = [declared_scheme()]
    return made


TRANSFER_SYNTAX = ExplicitVRLittleEndian
