"""A real node in a process of its own, with the recipe ``stub``; real senders and archives around it."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association

from toys.archive import free_port
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Volume

STUB_FOLDER = Path(__file__).parents[1] / "stub"
PROGRAM = (sys.executable, "-c", "from trabecula.serving.cli import main; main()")
PATIENCE_SECONDS = 900
"""For what must come: no test depends on when."""

CT = "1.2.840.10008.5.1.4.1.1.2"


def until(holds: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for a condition, not for a time."""
    last = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < last, "what was waited for never came"
        time.sleep(0.1)


@dataclass
class Node:
    """A ``trabecula node`` that can be killed and started again."""

    folder: Path
    rules: Path
    port: int
    health: int
    process: "subprocess.Popen[bytes] | None" = None
    hold: Path = field(init=False)

    def __post_init__(self) -> None:
        self.hold = self.folder / "hold"  # while this file exists, the recipe ``stub`` waits

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder / "node.log").read_text().splitlines()]

    def environment(self) -> dict[str, str]:
        paths = [str(STUB_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
        return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TRABECULA_STUB_HOLD": str(self.hold)}

    def start(self, before: str = "", **how: Any) -> None:
        """``before`` is what its process does first; ``how`` is told to ``Popen``."""
        command = [*PROGRAM[:2], before + PROGRAM[2], "node", "--rules", str(self.rules), "--data", str(self.data)]
        with (self.folder / "node.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment(), **how)
        until(self.ready)

    def ready(self) -> bool:
        assert self.process is not None and self.process.poll() is None, (self.folder / "node.log").read_text()
        return self.ask("/health")[0] == 200  # it receives; whether it can print is found out beside

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health}{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def figure(self, name: str) -> float:
        """A metric, by its name and labels as Prometheus reads them; 0 where it is not told."""
        lines = (line.rpartition(" ") for line in self.ask("/metrics")[1].splitlines() if not line.startswith("#"))
        return next((float(value) for key, _, value in lines if key == name), 0.0)

    def kill(self) -> None:
        """As a loss of power ends it: nothing is tidied."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=PATIENCE_SECONDS)

    def command(self, *options: str, **how: Any) -> "subprocess.CompletedProcess[str]":
        asked = [*PROGRAM, "node", "--rules", str(self.rules), "--data", str(self.data), *options]
        return subprocess.run(asked, capture_output=True, text=True, env=self.environment(), **how)

    def status(self) -> list[dict[str, object]]:
        told: list[dict[str, object]] = json.loads(self.command("--json").stdout)
        return told

    def spooled(self) -> int:
        return len(list((self.data / "node" / "spool").glob("*/*.dcm")))


RULES = """
[node]
port = {port}
health_port = {health}
interrupted_seconds = 600.0
quiet_seconds = 1.0
free_disk_mib = 100
memory_mib = 64
{node}

[retry]
first_seconds = 0.5
most_seconds = 2

[[peer]]
title = "SENDER"
addresses = ["127.0.0.1"]
{peer}

[[rule]]
name = "every CT"
recipe = "stub"
destinations = [{names}]

{more}
"""

MakeNode = Callable[..., Node]
LINES: list[socket.socket] = []
"""The senders' sockets: their library leaves one open when the other side is killed."""


@pytest.fixture(autouse=True)
def lines_closed() -> Iterator[None]:
    yield
    while LINES:
        LINES.pop().close()


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[MakeNode]:
    """Starts a node with the destinations given as TOML tables by their names."""
    made: list[Node] = []

    def make(
        destinations: dict[str, str],
        peer: str = "",
        tls: str = "",
        port: int = 0,
        more: str = "",
        told: str = "",
        **how: Any,
    ) -> Node:
        node = Node(tmp_path, tmp_path / "rules.toml", port or free_port(), free_port())
        tables = [f'[[destination]]\nname = "{name}"\n{table}' for name, table in destinations.items()]
        names = ", ".join(f'"{name}"' for name in destinations)
        node.rules.write_text(
            RULES.format(
                port=node.port,
                health=node.health,
                node=told,
                peer=peer,
                names=names,
                more="\n".join([*tables, more, f"[node.tls]\n{tls}" if tls else ""]),
            )
        )
        made.append(node)
        node.start(**how)
        return node

    yield make
    for node in made:
        node.hold.unlink(missing_ok=True)
        node.end()


@pytest.fixture
def slices(cylinder: Volume, tmp_path: Path) -> list[Path]:
    """A study of 60 slices, with a name in it, in their order along the body."""
    header = StudyHeader(sex="F", age_years=67, slice_thickness_mm=3.0)
    write_dicom(cylinder, tmp_path / "ct", seed=3, header=header)
    for path in (tmp_path / "ct").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PatientName, dataset.PatientID = "Secret^Person", "ID-4711"
        dataset.save_as(path, enforce_file_format=True)
    return sorted((tmp_path / "ct").iterdir(), key=lambda path: pydicom.dcmread(path).InstanceNumber)


def connect(node: Node, title: str = "SENDER", tls: ssl.SSLContext | None = None) -> Association:
    """An association as a scanner opens it."""
    ae = ApplicationEntity(title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = PATIENCE_SECONDS
    ae.add_requested_context(CT, "1.2.840.10008.1.2.1")
    secure = None if tls is None else (tls, "127.0.0.1")
    assoc = ae.associate("127.0.0.1", node.port, ae_title="TRABECULA", tls_args=secure)
    if assoc.dul.socket is not None and assoc.dul.socket.socket is not None:
        LINES.append(assoc.dul.socket.socket)
    return assoc


def send(node: Node, files: list[Path]) -> int:
    """Sends files and releases; how many were acknowledged."""
    assoc = connect(node)
    assert assoc.is_established
    acknowledged = sum(assoc.send_c_store(pydicom.dcmread(path)).get("Status") == 0 for path in files)
    assoc.release()
    return acknowledged
