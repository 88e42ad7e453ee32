"""A real archive (Orthanc, on this machine only) takes every object by C-STORE and STOW and gives it back unchanged."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pydicom
import pytest

from trabecula.export.bundle import Wanted

Exported = Callable[..., Path]
DICOM_WEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
BOUNDARY = "trabecula-boundary"


class Archive(NamedTuple):
    http: int
    dicom: int

    def ask(self, path: str, body: bytes | None = None, method: str | None = None, kind: str = "") -> bytes:
        url = f"http://127.0.0.1:{self.http}{path}"
        asked = urllib.request.Request(url, body, {"Content-Type": kind} if kind else {}, method=method)
        with urllib.request.urlopen(asked, timeout=20) as answer:
            held: bytes = answer.read()
        return held

    def held(self) -> dict[str, bytes]:
        """Every instance it holds as the file it gives back, by SOP instance UID."""
        files = [self.ask(f"/instances/{one}/file") for one in json.loads(self.ask("/instances"))]
        return {str(pydicom.dcmread(BytesIO(file)).SOPInstanceUID): file for file in files}

    def empty(self) -> None:
        for one in json.loads(self.ask("/studies")):
            self.ask(f"/studies/{one}", method="DELETE")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None or not DICOM_WEB.exists() or shutil.which("storescu") is None:
        pytest.skip("Orthanc, its DICOMweb plugin or dcmtk is not installed; tools/apt.sh installs them")
    made = Archive(free_port(), free_port())
    settings = {
        "StorageDirectory": str(tmp_path / "archive"),
        "IndexDirectory": str(tmp_path / "archive"),
        "HttpPort": made.http,
        "DicomPort": made.dicom,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(DICOM_WEB)],
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    with (tmp_path / "orthanc.log").open("w") as log:
        running = subprocess.Popen([program, str(tmp_path / "orthanc.json")], stdout=log, stderr=log)
        try:
            wait_for(made, running)
            yield made
        finally:
            running.terminate()
            running.wait(timeout=20)


def wait_for(archive: Archive, running: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert running.poll() is None, "Orthanc ended by itself"
        try:
            archive.ask("/system")
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("Orthanc did not answer within 30 s")


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
