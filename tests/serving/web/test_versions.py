"""Versions as the page shows them: regions under their own names at once, confirmed names, no other's files."""

import gzip
import json
from pathlib import Path

import pytest

from trabecula.anatomy import Level

from .conftest import Server, until

NIFTI_HEADER_BYTES = 352


def levels_in(nifti: bytes) -> list[str]:
    """The names of the labels in a NIfTI of bytes, cranial first."""
    found = set(nifti[NIFTI_HEADER_BYTES:]) - {0}
    return [level.value for level in Level if level.verse_id in found]


def correct(server: Server, study: str, version: int, **asked: str) -> int:
    """Keeps a correction; returns the number of the new version."""
    fields = {"csrf": server.csrf(), "version": str(version), "by": "reader one", "shift": "yes", **asked}
    answer = server.client.post(f"/studies/{study}/corrections", data=fields)
    assert answer.status_code == 303, answer.text
    return int(answer.headers["location"].rpartition("/")[2])


@pytest.fixture(scope="module")
def study(server: Server, cylinder_nifti: Path) -> str:
    """T12, L1 and L2, renamed by a reader while the worker was at another study, then confirmed."""
    made = server.upload(cylinder_nifti)
    assert server.wait(made) == "done"
    server.hold.touch()
    other = server.upload(cylinder_nifti)
    until(lambda: server.state(other)["state"] == "running")
    assert correct(server, made, 1, **{"name-L1": "T12"}) == 2
    return made


def test_regions_have_their_new_names_before_any_file_is_written(server: Server, study: str) -> None:
    assert server.state(study)["files"] == "pending"
    here = f"/studies/{study}/versions"
    assert levels_in(server.client.get(f"{here}/1/labels.nii").content) == ["T12", "L1", "L2"]
    assert levels_in(server.client.get(f"{here}/2/labels.nii").content) == ["T11", "T12", "L1"]
    page = server.client.get(f"{here}/2").text
    assert f"{here}/2/labels.nii" in page and "L1 is now T12." in page
    for nothing in ("3/labels.nii", "2/files/assessment.json", "2/files/regions.nii.gz", "3"):
        assert server.client.get(f"{here}/{nothing}").status_code == 404


def test_confirmed_names_are_a_version_with_who_and_when(server: Server, study: str) -> None:
    number = correct(server, study, 2, confirm="yes")
    server.hold.unlink()
    assert server.wait_for_files(study) == "ready"
    page = server.client.get(f"/studies/{study}/versions/{number}").text
    assert "T11, T12, L1 were confirmed as the right names." in page and "reader one" in page
    told = json.loads(server.client.get(f"/studies/{study}/versions/{number}/files/assessment.json").content)
    assert [one["level"] for one in told["vertebrae"]] == ["T11", "T12", "L1"]
    assert "corrected-by-reader" in [one["code"] for one in told["reasons"]]


def test_the_files_of_a_version_are_its_own(server: Server, study: str) -> None:
    until(lambda: server.state(study)["files"] == "ready")
    for number, names in ((1, ["T12", "L1", "L2"]), (2, ["T11", "T12", "L1"])):
        files = f"/studies/{study}/versions/{number}/files"
        assert levels_in(gzip.decompress(server.client.get(f"{files}/regions.nii.gz").content)) == names
        told = json.loads(server.client.get(f"{files}/assessment.json").content)
        assert [one["level"] for one in told["vertebrae"]] == names
