"""Fifty identifiers planted in a DICOM study: none is told in a page, an address, a name of a file or a log."""

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from trabecula.serving.demo import PROTOCOL
from trabecula.virtual.study import header_of, write_dicom
from trabecula.virtual.subject import sample_subject
from trabecula.volume import Volume

from .conftest import Server, until

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
DAYS = {"PatientBirthDate": "19370113", "StudyDate": "20190717"}
MARKS = [DAYS.get(name, f"ZQ{number:02d}XY") for number, name in enumerate(PLANTED)]
FOR_THE_ARCHIVE = ("dicom.zip", "fhir.json")  # these belong to the patient's own study and carry their headers


def plant(dataset: Dataset) -> None:
    for name, mark in zip(PLANTED, MARKS, strict=True):
        if dictionary_VR(name) == "SQ":
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = mark, "99X", mark
            setattr(dataset, name, [item])
        else:
            setattr(dataset, name, mark)


@pytest.fixture(scope="module")
def planted(cylinder: Volume, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[str]]:
    """The slices, in files named after the patient, and every mark and UID in them."""
    folder = tmp_path_factory.mktemp("planted") / "ZQ00XY"
    write_dicom(cylinder, folder, seed=0, header=header_of(sample_subject(0), PROTOCOL))
    for number, path in enumerate(sorted(folder.iterdir())):
        dataset = pydicom.dcmread(path)
        plant(dataset)
        dataset.save_as(folder / f"ZQ00XY^{number}.dcm", enforce_file_format=True)
        path.unlink()
    uids = [str(dataset[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")]
    return sorted(folder.iterdir()), [*MARKS, *uids]


@pytest.fixture(scope="module")
def study(server: Server, planted: tuple[list[Path], list[str]]) -> Iterator[str]:
    """The study screened, and corrected once."""
    made = server.upload(*planted[0])
    assert server.wait(made) == "done"
    fields = {"csrf": server.csrf(), "version": "1", "exclude-L1": "sclerosis", "by": "reader", "shift": "yes"}
    assert server.client.post(f"/studies/{made}/corrections", data=fields).status_code == 303
    assert server.wait_for_files(made) == "ready"
    yield made


def told(text: bytes | str, marks: list[str]) -> set[str]:
    content = text.encode() if isinstance(text, str) else text
    return {mark for mark in marks if mark.encode() in content}


def test_fifty_are_planted() -> None:
    assert len(set(MARKS)) == len(PLANTED) == 50


def test_no_page_and_no_file_for_people_tells_one(
    server: Server, study: str, planted: tuple[list[Path], list[str]]
) -> None:
    marks = planted[1]
    paths = ["/", "/cohort", "/queue", f"/studies/{study}", f"/studies/{study}/state"]
    for version in (1, 2):
        paths.append(f"/studies/{study}/versions/{version}")
        for name in ("report.html", "report.pdf", "assessment.json", "regions.nii.gz"):
            paths.append(f"/studies/{study}/versions/{version}/files/{name}")
    for path in paths:
        answer = server.client.get(path)
        assert answer.status_code == 200, path
        assert told(answer.content, marks) == set(), path
        assert told(str(answer.headers), marks) == set(), path


def test_no_log_no_name_and_no_database_tells_one(
    server: Server, study: str, planted: tuple[list[Path], list[str]]
) -> None:
    marks = planted[1]
    until(lambda: "worker job 1 done" in server.log)
    assert told(server.log, marks) == set()
    assert [path for path in server.data.rglob("*") if told(str(path.relative_to(server.data)), marks)] == []
    for database in server.data.glob("trabecula.sqlite*"):
        assert told(database.read_bytes(), marks) == set()


def test_what_goes_back_to_the_archive_names_the_patient_unless_told_not_to(
    server: Server, study: str, planted: tuple[list[Path], list[str]]
) -> None:
    files, marks = planted
    kept = server.client.get(f"/studies/{study}/versions/2/files/fhir.json")
    assert "ZQ00XY" in kept.text
    anonymous = server.upload(*files, deidentify=True)
    assert server.wait(anonymous) == "done"
    for name in FOR_THE_ARCHIVE:
        content = server.client.get(f"/studies/{anonymous}/versions/1/files/{name}").content
        assert content and told(content, marks) == set()
    assert "not recorded" in server.client.get(f"/studies/{anonymous}").text  # age and sex are left out too
