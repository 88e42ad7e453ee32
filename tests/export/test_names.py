"""Patient and study are carried over exactly, whatever characters their names are written in."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from trabecula.export.bundle import Wanted

NAMES = {
    "ISO_IR 192": "Nguyễn^Thị 𠮷=王^小东",
    "ISO_IR 100": "Müller^Jürgen Æneas",
    "ISO_IR 101": "Dvořák^Antonín",
    "ISO_IR 144": "Иванова^Анна",
    "ISO_IR 126": "Διονυσιος^Γεωργιος",
    "ISO_IR 138": "שרון^דבורה",
    "ISO_IR 166": "สมชาย^ใจดี",
    "GB18030": "Wang^XiaoDong=王^小东",
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "\\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
}
PATIENT_AND_STUDY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientComments", "EthnicGroup"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber"),
    *("ReferringPhysicianName", "PatientWeight"),
)
Study = Callable[..., Path]
Exported = Callable[..., Path]
Complaints = Callable[[Path], tuple[list[str], list[str]]]


def identified(charset: str) -> Callable[[pydicom.Dataset], None]:
    def edit(dataset: pydicom.Dataset) -> None:
        dataset.SpecificCharacterSet = charset.split("\\")
        dataset.PatientName = NAMES[charset]
        dataset.PatientID, dataset.PatientBirthDate, dataset.PatientWeight = " 00-17/Ä"[:6], "19570203", "61.5"
        dataset.PatientComments, dataset.EthnicGroup = NAMES[charset].replace("=", " "), "X"
        dataset.StudyDescription, dataset.AccessionNumber = "CT ABDOMEN", "ACC 1"
        dataset.ReferringPhysicianName = NAMES[charset]

    return edit


@pytest.mark.parametrize("charset", NAMES)
def test_valid_and_of_the_same_patient_whatever_the_characters(
    charset: str, study: Study, exported: Exported, complaints: Complaints, require: Any
) -> None:
    given = study(identified(charset), "FFS")
    out = exported(given, Wanted(dicom=True))
    source = pydicom.dcmread(next(given.iterdir()))
    assert str(source.PatientName) == NAMES[charset]
    objects = {path.name: pydicom.dcmread(path) for path in (out / "dicom").iterdir()}
    assert len(objects) == 4
    for name, made in objects.items():
        assert complaints(out / "dicom" / name) == ([], []), name
        for keyword in PATIENT_AND_STUDY:
            assert made[keyword].value == source[keyword].value, (name, keyword)
        assert made.SeriesInstanceUID != source.SeriesInstanceUID
        assert "research use only" in made.SeriesDescription
    assert len({made.SeriesInstanceUID for made in objects.values()}) == 4
    ran = subprocess.run([require("dsrdump"), "+Pl", out / "dicom" / "sr.dcm"], capture_output=True)
    assert ran.returncode == 0 and ran.stdout.count(b'"104.76" (mg/cm3,UCUM') == 5
    assert NAMES[charset].split("=")[0].replace(" ", "").encode() in ran.stdout.replace(b" ", b"")
