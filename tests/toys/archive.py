"""Orthanc (Debian's), a real archive, on this machine only."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pydicom
import pytest

DICOM_WEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


class Archive(NamedTuple):
    http: int
    dicom: int

    def ask(self, path: str, body: bytes | None = None, method: str | None = None, kind: str = "") -> bytes:
        url = f"http://127.0.0.1:{self.http}{path}"
        asked = urllib.request.Request(url, body, {"Content-Type": kind} if kind else {}, method=method)
        with urllib.request.urlopen(asked, timeout=120) as answer:
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


@contextmanager
def orthanc(folder: Path, at: Archive | None = None, **more: Any) -> Iterator[Archive]:
    """An archive that keeps its things in ``folder``, at free ports where none are given."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None or not DICOM_WEB.exists() or shutil.which("storescu") is None:
        pytest.skip("Orthanc, its DICOMweb plugin or dcmtk is not installed; tools/apt.sh installs them")
    made = at or Archive(free_port(), free_port())
    folder.mkdir(exist_ok=True)
    settings = {
        "StorageDirectory": str(folder / "archive"),
        "IndexDirectory": str(folder / "archive"),
        "HttpPort": made.http,
        "DicomPort": made.dicom,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(DICOM_WEB)],
        **more,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("w") as log:
        running = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            wait_for(made, running)
            yield made
        finally:
            running.terminate()
            running.wait(timeout=60)


def wait_for(archive: Archive, running: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert running.poll() is None, "Orthanc ended by itself"
        try:
            archive.ask("/system")
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("Orthanc did not answer within two minutes")
