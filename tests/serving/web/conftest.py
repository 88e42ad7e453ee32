"""Real server processes with a real worker, and a real browser.

Where the server, the queue or a form is tested and no network, the recipe is ``stub`` (tests/stub).
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nibabel as nib
import numpy as np
import pytest

PROGRAM = (sys.executable, "-c", "from trabecula.serving.cli import main; main()")
STUB = ("--recipe", "stub")
STUB_FOLDER = Path(__file__).parents[2] / "stub"
PATIENCE_SECONDS = 900
"""For what must come: no test depends on when."""


@dataclass
class Server:
    """A ``trabecula serve`` of its own, and a client that keeps its cookies."""

    data: Path
    url: str
    process: "subprocess.Popen[bytes]"
    client: httpx.Client

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return (self.data.parent / "server.log").read_text()

    @property
    def hold(self) -> Path:
        """While this file exists, the recipe ``stub`` waits."""
        return self.data.parent / "hold"

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

    def wait(self, study: str) -> str:
        """Until the study has ended; how."""
        until(lambda: self.state(study)["state"] not in ("queued", "running"))
        return str(self.state(study)["state"])

    def wait_for_files(self, study: str) -> str:
        """Until the files of the newest version are written, or known to fail; which."""
        until(lambda: self.state(study)["files"] != "pending")
        return str(self.state(study)["files"])

    def kill(self) -> None:
        """As a loss of power ends it: nothing is tidied."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


Start = Callable[..., Server]


def until(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for a condition, not for a time."""
    last = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < last, "what was waited for never came"
        time.sleep(0.1)


def launch(data: Path, *options: str, first: str = "") -> Server:
    """A server at a port of its own choice, which is read where it says so; its process does ``first`` first."""
    log_path = data.parent / "server.log"
    before = len(log_path.read_text()) if log_path.exists() else 0
    paths = [str(STUB_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "TRABECULA_STUB_HOLD": str(data.parent / "hold"),
    }
    with log_path.open("ab") as log:
        command = [*PROGRAM[:2], first + PROGRAM[2], "serve", "--data", str(data), "--port", "0", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def address() -> str | None:
        assert process.poll() is None, log_path.read_text()
        found = re.search(r"^Trabecula: (\S+)", log_path.read_text()[before:], re.MULTILINE)
        return found and found[1]

    until(lambda: address() is not None)
    url = str(address())
    client = httpx.Client(base_url=url, timeout=PATIENCE_SECONDS, verify=False)  # nobody vouches for its certificate
    server = Server(data, url, process, client)

    def answers() -> bool:
        assert process.poll() is None, server.log
        with suppress(httpx.TransportError):
            return client.get("/health").text == "ok"
        return False

    until(answers)
    return server


def end(server: Server) -> None:
    server.client.close()
    server.process.terminate()
    try:
        server.process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.process.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers with the recipe ``stub`` over one data folder; they end with the test."""
    servers: list[Server] = []

    def run(*options: str, first: str = "") -> Server:
        servers.append(launch(tmp_path / "data", *STUB, *options, first=first))
        return servers[-1]

    yield run
    for server in servers:
        end(server)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with the recipe ``stub`` for all tests of a module."""
    started = launch(tmp_path_factory.mktemp("web") / "data", *STUB)
    yield started
    end(started)


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
