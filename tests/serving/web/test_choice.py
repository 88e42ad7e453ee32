"""An upload that holds several studies: they are offered on its page, and the one chosen is screened."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

from trabecula.virtual.cohort import VirtualCt
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Volume

from .conftest import Server


@pytest.fixture(scope="module")
def two_studies(virtual: VirtualCt, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of two studies of one virtual person; of the later one only half was scanned."""
    folder = tmp_path_factory.mktemp("two")
    for study, volume in enumerate((virtual.volume, Volume(virtual.volume.hu[:30], virtual.volume.affine))):
        header = StudyHeader(sex="F", age_years=70, slice_thickness_mm=2.5, study=study)
        write_dicom(volume, folder / str(study), seed=1, header=header)
    return sorted(folder.glob("*/*.dcm"))


def test_the_study_chosen_is_screened(server: Server, two_studies: list[Path]) -> None:
    study = server.upload(*two_studies)
    assert server.wait(study) == "refused"
    page = server.client.get(f"/studies/{study}", headers={"accept": "text/html"}).text
    whole = len(two_studies) - 30
    assert "Which study shall be screened?" in page
    assert [int(n) for n in re.findall(r"patient 1: (\d+) images", page)] in ([whole, 30], [30, whole])
    number = 1 if f"Study 1, patient 1: {whole}" in page else 2

    csrf = server.csrf()
    wrong = server.client.post(f"/studies/{study}/choice", data={"csrf": csrf, "choice": "3"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "study-not-found")
    assert server.state(study)["state"] == "refused"
    forged = server.client.post(f"/studies/{study}/choice", data={"csrf": "0", "choice": "1"})
    assert forged.status_code == 403

    chosen = server.client.post(f"/studies/{study}/choice", data={"csrf": csrf, "choice": f"{number}"})
    assert chosen.status_code == 303
    assert server.wait(study) == "done"
    again = server.client.post(f"/studies/{study}/choice", data={"csrf": csrf, "choice": f"{number}"})
    assert again.status_code == 400
    found = server.client.get(f"/studies/{study}/versions/1/files/assessment.json").json()
    said = next(one["message"] for one in found["reasons"] if one["code"] == "files-left-out")
    assert "30 of another study" in said


def test_what_is_offered_names_nobody(server: Server, two_studies: list[Path]) -> None:
    study = server.upload(*two_studies)
    assert server.wait(study) == "refused"
    with sqlite3.connect(server.data / "trabecula.sqlite") as database:
        ((kept,),) = database.execute("SELECT offered FROM studies WHERE id = ?", [study])
    for one in json.loads(kept):
        assert (one["date"], one["description"]) == (None, None)
        assert all(series["description"] is None for series in one["series"])
