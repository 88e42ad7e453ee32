"""A real archive (Orthanc, on this machine only) takes every object by C-STORE and STOW and gives it back unchanged."""

import json
import subprocess
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from toys.archive import Archive, orthanc
from trabecula.export.bundle import Wanted

Exported = Callable[..., Path]
BOUNDARY = "trabecula-boundary"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with orthanc(tmp_path / "orthanc") as running:
        yield running


def unchanged(given: dict[str, bytes], sent: list[Path]) -> None:
    assert len(given) == len(sent)
    for path in sent:
        mine = pydicom.dcmread(path)
        theirs = pydicom.dcmread(BytesIO(given[str(mine.SOPInstanceUID)]))
        assert theirs == mine
        assert theirs.file_meta.TransferSyntaxUID == mine.file_meta.TransferSyntaxUID


def test_store_and_stow(archive: Archive, study: Callable[..., Path], exported: Exported) -> None:
    def named(dataset: pydicom.Dataset) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName, dataset.PatientID = "Wang^XiaoDong=王^小东", "4711"

    given = study(named)
    sent = sorted((exported(given, Wanted(dicom=True)) / "dicom").iterdir())
    assert len(sent) == 4
    subprocess.run(
        ["storescu", "--required", "-xe", "127.0.0.1", str(archive.dicom), *map(str, sent)],
        check=True,
        capture_output=True,
    )
    unchanged(archive.held(), sent)
    (patient,) = json.loads(archive.ask("/patients?expand"))
    assert patient["MainDicomTags"]["PatientName"] == "Wang^XiaoDong=王^小东"
    source = pydicom.dcmread(next(given.iterdir()))
    (there,) = json.loads(archive.ask("/studies?expand"))
    assert there["MainDicomTags"]["StudyInstanceUID"] == source.StudyInstanceUID
    assert len(there["Series"]) == 4

    archive.empty()
    assert archive.held() == {}
    parts = [b"Content-Type: application/dicom\r\n\r\n" + path.read_bytes() for path in sent]
    mark = f"--{BOUNDARY}".encode()
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--"
    kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
    archive.ask("/dicom-web/studies", body, "POST", kind)
    unchanged(archive.held(), sent)
