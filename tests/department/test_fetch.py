"""The node asks a real archive for new studies, and answers each once; what it cannot ask is said."""

import json
from datetime import date
from pathlib import Path

import pydicom
import pytest

from toys.archive import Archive, free_port, orthanc

from .conftest import MakeNode, Node, send, until
from .test_node import c_store, objects

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def today(slices: list[Path]) -> list[Path]:
    """The study as if made today."""
    for path in slices:
        dataset = pydicom.dcmread(path)
        dataset.StudyDate = f"{date.today():%Y%m%d}"
        dataset.save_as(path, enforce_file_format=True)
    return slices


def source(port: int, **more: object) -> str:
    told = {"name": "archive", "dicomweb": f"http://127.0.0.1:{port}/dicom-web", "every_seconds": 0.5} | more
    return "[[source]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in told.items())


def upload(archive: Archive, files: list[Path]) -> None:
    for path in files:
        archive.ask("/instances", path.read_bytes(), "POST", "application/dicom")


def fetched(node: Node) -> list[list[int]]:
    """What is remembered of the archive's studies."""
    (book,) = (node.data / "node" / "fetched").glob("*.json")
    return list(json.loads(book.read_text()).values())


def test_new_studies_are_fetched_and_answered_once(make_node: MakeNode, today: list[Path], tmp_path: Path) -> None:
    with orthanc(tmp_path / "pacs") as pacs:
        old = pydicom.dcmread(today[0])
        old.StudyDate, old.StudyInstanceUID, old.SeriesInstanceUID, old.SOPInstanceUID = (
            *("20200101", "2.25.71", "2.25.72", "2.25.73"),
        )
        old.file_meta.MediaStorageSOPInstanceUID = "2.25.73"
        old.save_as(tmp_path / "old.dcm", enforce_file_format=True)
        upload(pacs, [tmp_path / "old.dcm", *today[:-6]])
        node = make_node({"pacs": c_store(pacs)}, more=source(pacs.http))
        until(lambda: len(objects(pacs)) == 4)

        # Our answers make the study larger there, and change nothing; nor does a node that was killed.
        until(lambda: fetched(node) == [[len(today) - 6 + 4, len(today) - 6]])
        node.kill()
        node.start()
        upload(pacs, today[-6:])
        until(lambda: len(objects(pacs)) == 8)
        until(lambda: fetched(node) == [[len(today) + 8, len(today)]])
        (told,) = node.status()
        assert (told["sender"], told["delivery"], told["result"], told["waiting"]) == ("archive", 2, "settled", 0)
        assert [line["instances"] for line in node.log if line["event"] == "study-fetched"] == [len(today) - 6, 6]

        # What was fetched and is then sent too is the same study.
        assert send(node, today) == len(today)
        until(lambda: all(one["state"] == "whole" for one in node.status()))
        assert len(node.status()) == 1
        said = (tmp_path / "node.log").read_text()
        assert not [word for word in ("Secret", "4711", pydicom.dcmread(today[0]).StudyInstanceUID) if word in said]


def test_a_source_that_is_away_is_said_and_asked_again(make_node: MakeNode, today: list[Path], tmp_path: Path) -> None:
    away = Archive(free_port(), free_port())
    node = make_node({"pacs": c_store(away)}, more=source(away.http, seconds_silent=2.0))
    until(lambda: any(line["event"] == "source-unreachable" for line in node.log))
    assert node.figure("trabecula_node_sources_unreachable") == 1
    checked = node.command("--check")
    assert checked.returncode == 1 and "archive: [archive-silent]" in checked.stdout
    with orthanc(tmp_path / "pacs", away) as pacs:
        upload(pacs, today)
        until(lambda: len(objects(pacs)) == 4)
        assert node.figure("trabecula_node_sources_unreachable") == 0
        assert "archive: answers" in node.command("--check").stdout
