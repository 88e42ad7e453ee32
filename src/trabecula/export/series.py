"""What every object of ours says of itself: a new series in the original study, for research, by this program."""

from dataclasses import dataclass
from typing import Any

from highdicom import UID
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from trabecula import __version__
from trabecula.export.codes import declared_scheme

MANUFACTURER = "Trabecula"
MODEL = "Trabecula"
SERIAL_NUMBER = "0"
"""A program has none, and the standard wants one."""

RESEARCH_ONLY = "research use only"


@dataclass(frozen=True)
class NewSeries:
    """A series that holds one object. Numbers are high, so that they come after what the scanner made."""

    number: int
    what: str

    def arguments(self) -> dict[str, Any]:
        """The arguments by which highdicom names an instance and its series."""
        return {
            "series_instance_uid": UID(),
            "series_number": self.number,
            "sop_instance_uid": UID(),
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": MODEL,
            "software_versions": __version__,
            "device_serial_number": SERIAL_NUMBER,
            "series_description": f"Trabecula {self.what} - {RESEARCH_ONLY}",
        }


def finished(made: Dataset) -> Dataset:
    """The object with texts in UTF-8, which holds any name, and the private codes declared."""
    made.SpecificCharacterSet = "ISO_IR 192"
    made.CodingSchemeIdentificationSequence = [declared_scheme()]
    return made


TRANSFER_SYNTAX = ExplicitVRLittleEndian
