"""A real server process, a real browser, a virtual patient. Nothing is stood in for."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import nibabel as nib
import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright

from trabecula.anatomy import Level
from trabecula.formats.given import RAS_FROM_LPS
from trabecula.serving.demo import PROTOCOL
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.subject import sample_subject

PROGRAM = (sys.executable, "-c", "from trabecula.serving.cli import main; main()")
BROWSER_FLAGS = (
    *("--no-sandbox", "--no-first-run", "--hide-scrollbars", "--disable-quic", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader"),
    "--enable-unsafe-swiftshader",
)
START_SECONDS, RESULT_SECONDS = 60, 900


@dataclass
class Server:
    """A ``trabecula serve`` of its own, and a client that keeps its cookies."""

    data: Path
    port: int
    process: "subprocess.Popen[bytes]"
    client: httpx.Client

    @property
    def url(self) -> str:
        return str(self.client.base_url).rstrip("/")

    @property
    def log(self) -> str:
        return (self.data.parent / "server.log").read_text()

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', self.client.get("/").text)
        assert found is not None
        return found[1]

    def upload(
        self, *files: Path, label: str = "", deidentify: bool = False, names: Callable[[Path], str] | None = None
    ) -> str:
        """Sends files as the page does; returns the study's name in addresses."""
        fields = {"csrf": self.csrf(), "label": label} | ({"deidentify": "yes"} if deidentify else {})
        named = names or (lambda path: path.name)
        sent = [("files", (named(path), path.read_bytes())) for path in files]
        answer = self.client.post("/studies", data=fields, files=sent, headers={"accept": "application/json"})
        assert answer.status_code == 201, answer.text
        study: str = answer.json()["id"]
        return study

    def state(self, study: str) -> dict[str, Any]:
        told: dict[str, Any] = self.client.get(f"/studies/{study}/state").json()
        return told

    def wait(self, study: str, seconds: float = RESULT_SECONDS) -> str:
        """Until the study has ended; how."""
        until = time.monotonic() + seconds
        while (state := self.state(study)["state"]) in ("queued", "running"):
            assert time.monotonic() < until, f"still {state}"
            time.sleep(0.1)
        return str(state)

    def wait_for_files(self, study: str, seconds: float = RESULT_SECONDS) -> str:
        until = time.monotonic() + seconds
        while (files := self.state(study)["files"]) == "pending":
            assert time.monotonic() < until
            time.sleep(0.1)
        return str(files)

    def kill(self) -> None:
        """As a loss of power ends it: nothing is tidied."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


Start = Callable[..., Server]


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def launch(data: Path, *options: str) -> Server:
    port = free_port()
    with (data.parent / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*PROGRAM, "serve", "--data", str(data), "--port", str(port), *options], stdout=log, stderr=log
        )
    scheme = "https" if "--certificate" in options else "http"  # with a certificate that nobody vouches for
    client = httpx.Client(base_url=f"{scheme}://127.0.0.1:{port}", timeout=60, verify=False)
    server = Server(data, port, process, client)
    until = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, server.log
        assert time.monotonic() < until, server.log
        with suppress(httpx.TransportError):
            if server.client.get("/health").text == "ok":
                return server
        time.sleep(0.1)


def end(server: Server) -> None:
    server.client.close()
    server.process.terminate()
    try:
        server.process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.process.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers over one data folder; they end with the test."""
    servers: list[Server] = []

    def run(*options: str) -> Server:
        servers.append(launch(tmp_path / "data", *options))
        return servers[-1]

    yield run
    for server in servers:
        end(server)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a module."""
    started = launch(tmp_path_factory.mktemp("web") / "data")
    yield started
    end(started)


@pytest.fixture(scope="session")
def virtual() -> VirtualCt:
    """The demo's virtual patient in pixels twice as wide, so that everything is quick."""
    return scan_patient(sample_subject(0), replace(PROTOCOL, pixel_mm=1.5), Level.T9, Level.L5, 0)


@pytest.fixture(scope="session")
def ct(virtual: VirtualCt, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The virtual patient as a NIfTI."""
    volume = virtual.volume
    path = tmp_path_factory.mktemp("virtual") / "ct.nii.gz"
    affine_ras = (RAS_FROM_LPS @ volume.affine)[:, [2, 1, 0, 3]]
    nib.save(nib.Nifti1Image(np.rint(volume.hu).astype(np.int16).transpose(2, 1, 0), affine_ras), path)
    return path


@pytest.fixture(scope="session")
def not_hounsfield(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What has to be refused: intensities from 0 to 255."""
    path = tmp_path_factory.mktemp("refused") / "mri.nii.gz"
    values = np.random.default_rng(0).integers(0, 255, (40, 40, 40)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([3.0, 3.0, 3.0, 1.0])), path)
    return path


@pytest.fixture(scope="session")
def real_ct() -> Path:
    """A real CT of 160 slices."""
    if "TRABECULA_REAL_CT" not in os.environ:
        pytest.skip("TRABECULA_REAL_CT does not name the folder of real CTs")
    return Path(os.environ["TRABECULA_REAL_CT"]) / "tcga-ov-09-2043"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed; tools/apt.sh installs it")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(BROWSER_FLAGS))
        yield opened
        opened.close()
