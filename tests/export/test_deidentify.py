"""Fifty planted identifiers: none survives ``--deidentify``, none is ever printed, and what is exported stays valid."""

import json
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from trabecula.export.bundle import Wanted

Study = Callable[..., Path]
Exported = Callable[..., Path]

PLANTED = (
    *("PatientName", "PatientID", "OtherPatientIDs", "PatientBirthName", "PatientMotherBirthName", "PatientAddress"),
    *("PatientTelephoneNumbers", "PatientComments", "EthnicGroup", "Occupation", "AdditionalPatientHistory"),
    *("PatientInsurancePlanCodeSequence", "MedicalRecordLocator", "MilitaryRank", "BranchOfService"),
    *("CountryOfResidence", "RegionOfResidence", "PatientReligiousPreference", "ResponsiblePerson"),
    *("ResponsibleOrganization", "MedicalAlerts", "Allergies", "SpecialNeeds", "PatientState", "AdmissionID"),
    *("AccessionNumber", "StudyID", "StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments"),
    *("ReferringPhysicianName", "ReferringPhysicianAddress", "PhysiciansOfRecord", "PerformingPhysicianName"),
    *("OperatorsName", "NameOfPhysiciansReadingStudy", "RequestingPhysician", "InstitutionName"),
    *("InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber"),
    *("RequestedProcedureDescription", "PerformedProcedureStepDescription", "PerformedProcedureStepID"),
    *("ContrastBolusAgent", "ClinicalTrialSubjectID", "PatientBirthDate", "StudyDate"),
)
"""Each is given a word or number that stands nowhere else."""


def marks() -> dict[str, str]:
    """Keyword to the text planted there."""
    days = {"PatientBirthDate": "19370113", "StudyDate": "20190717"}
    return {name: days.get(name, f"ZQ{number:02d}XY") for number, name in enumerate(PLANTED)}


def plant(dataset: Dataset) -> None:
    for name, mark in marks().items():
        if dictionary_VR(name) == "SQ":
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = mark, "99X", mark
            setattr(dataset, name, [item])
        else:
            setattr(dataset, name, mark)
    block = dataset.private_block(0x0013, "ZQ90XY", create=True)
    block.add_new(0x10, "LO", "ZQ91XY")


def everything_written(out: Path) -> bytes:
    """All bytes below ``out``, packed streams of the PDF unpacked too, names of files included."""
    parts = []
    for path in out.rglob("*"):
        parts.append(path.name.encode())
        if path.is_file():
            held = path.read_bytes()
            parts.append(held)
            for piece in held.split(b"stream")[1:]:
                try:
                    parts.append(zlib.decompressobj().decompress(piece.lstrip(b"\r\n")))
                except zlib.error:
                    continue
    return b"\0".join(parts)


def found_in(written: bytes, given: Path) -> set[str]:
    source = pydicom.dcmread(next(given.iterdir()))
    uids = {name: str(source[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    uids["SOPInstanceUID"] = str(source.SOPInstanceUID)
    sought = marks() | uids | {"private creator": "ZQ90XY", "private": "ZQ91XY"}
    return {name for name, mark in sought.items() if mark.encode() in written}


def test_fifty_are_planted_and_carried_without_the_option(study: Study, exported: Exported) -> None:
    assert len(PLANTED) == len(set(PLANTED)) == 50
    given = study(plant)
    carried = found_in(everything_written(exported(given, Wanted(dicom=True, fhir=True))), given)
    assert carried >= {"PatientName", "PatientID", "StudyDescription", "StudyInstanceUID", "StudyDate", "Occupation"}
    assert not {"private", "private creator"} & carried


def test_none_survives(study: Study, exported: Exported, capfd: pytest.CaptureFixture[str]) -> None:
    given = study(plant)
    out = exported(given, Wanted(dicom=True, fhir=True, deidentify=True))
    assert found_in(everything_written(out), given) == set()
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""
    for path in (out / "dicom").iterdir():
        made = pydicom.dcmread(path)
        assert made.PatientIdentityRemoved == "YES"
        assert made.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
        assert str(made.PatientName) == made.PatientID == made.PatientBirthDate == made.PatientSex == ""
        assert "PatientAge" not in made and made.get("ContentDate", "19000101") == "19000101"
        checker = shutil.which("dciodvfy")
        if checker is None:
            pytest.skip("dciodvfy is not installed; tools/apt.sh installs it")
        ran = subprocess.run([checker, "-new", str(path)], capture_output=True, text=True, errors="replace")
        assert "Error" not in ran.stdout + ran.stderr, path.name
    bundle = json.loads((out / "fhir.json").read_text())
    assert bundle["meta"]["security"][0]["code"] == "ANONYED"
    patient = next(entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Patient")
    assert patient == {"resourceType": "Patient", "gender": "unknown"}


def test_new_uids_are_the_same_for_the_same(study: Study, exported: Exported) -> None:
    out = exported(study(plant), Wanted(dicom=True, deidentify=True))
    made = {path.name: pydicom.dcmread(path) for path in (out / "dicom").iterdir()}
    assert len({one.StudyInstanceUID for one in made.values()}) == 1
    assessment = json.loads((out / "assessment.json").read_text())
    assert assessment["scan"]["study_instance_uid"] == made["seg.dcm"].StudyInstanceUID
    assert assessment["scan"]["series_instance_uid"] == made["seg.dcm"].ReferencedSeriesSequence[0].SeriesInstanceUID
    assert assessment["scan"]["patient_age_years"] is assessment["scan"]["patient_sex"] is None
    assert assessment["run"]["written_utc"] == "removed"


def test_names_are_not_printed_when_they_are_odd(
    study: Study, exported: Exported, capfd: pytest.CaptureFixture[str]
) -> None:
    """Libraries warn of names and dates that break the standard, and quote them."""

    def edit(dataset: Dataset) -> None:
        dataset.PatientName, dataset.PatientSex, dataset.PatientBirthDate = "ZQJaneDoe", "X", "13.01.37"
        dataset.PatientID = "ZQ" * 40

    with pydicom.config.disable_value_validation():
        given = study(edit)
    out = exported(given, Wanted(dicom=True, fhir=True))
    assert str(pydicom.dcmread(out / "dicom" / "sr.dcm").PatientName) == "ZQJaneDoe"
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


# -- text that is burned into the pixels


def objects(out: Path) -> dict[str, Dataset]:
    return {path.name: pydicom.dcmread(path) for path in (out / "dicom").iterdir()}


def test_burned_in_text_is_said_and_carried_over(study: Study, exported: Exported) -> None:
    def burn(dataset: Dataset) -> None:
        if dataset.InstanceNumber == 7:  # one slice is enough
            dataset.BurnedInAnnotation = "YES"

    given = study(burn)
    out = exported(given, Wanted(dicom=True))
    assert "burned-in-annotation" in {
        one["code"] for one in json.loads((out / "assessment.json").read_text())["reasons"]
    }
    for name in ("report.dcm", "capture.dcm"):
        assert objects(out)[name].BurnedInAnnotation == "YES"
    hidden = exported(given, Wanted(dicom=True, fhir=True, deidentify=True))
    for one in objects(hidden).values():
        assert one.PatientIdentityRemoved == "NO"
        assert "Pixel data not cleaned" in one.DeidentificationMethod
        assert one.get("BurnedInAnnotation", "YES") == "YES"
    assert "security" not in json.loads((hidden / "fhir.json").read_text()).get("meta", {})
    assert json.loads((hidden / "assessment.json").read_text())["run"]["deidentified"] == "attributes, not pixels"


@pytest.mark.parametrize(
    ("said", "image_type", "removed"),
    [
        (None, ["ORIGINAL", "PRIMARY", "AXIAL"], "YES"),
        ("NO", ["DERIVED", "SECONDARY", "AXIAL"], "YES"),
        (None, ["DERIVED", "SECONDARY", "AXIAL"], "NO"),
    ],
)
def test_no_more_is_claimed_of_pictures_than_the_headers_warrant(
    study: Study, exported: Exported, said: str | None, image_type: list[str], removed: str
) -> None:
    def edit(dataset: Dataset) -> None:
        dataset.ImageType = image_type
        if said is not None:
            dataset.BurnedInAnnotation = said

    made = objects(exported(study(edit), Wanted(dicom=True, deidentify=True)))
    for name in ("report.dcm", "capture.dcm"):
        assert made[name].PatientIdentityRemoved == removed
        assert "Pixel data not cleaned" in made[name].DeidentificationMethod
    assert made["seg.dcm"].PatientIdentityRemoved == made["sr.dcm"].PatientIdentityRemoved == "YES"  # no pixels in them
