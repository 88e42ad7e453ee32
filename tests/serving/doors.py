"""Other doors that write, ``simulate``, ``batch`` and an upload to ``serve``: killed, or on a disk that fills up."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as parquet

from trabecula.studies.folders import Folders
from trabecula.studies.listing import ANY
from trabecula.studies.store import Store
from trabecula.studies.tables import connect

from .interrupted import PROGRAM, STUB_FOLDER
from .web.conftest import Server, end, launch

SAID = ("[temporary-disk-full]", "[output-unwritable]", "[temporary-disk-unwritable]")
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Door:
    """A command that goes on where it is started again. ``contents`` are what its folder holds, by what must be the
    same after any interruption; ``complaint`` is what is wrong with what can be seen meanwhile."""

    name: str
    command: Callable[[Path], list[str]]
    contents: Callable[[Path], dict[str, Any]]
    complaint: Callable[[Path, dict[str, Any]], str | None]


@dataclass(frozen=True)
class Spot:
    """A folder for results, one for temporary files."""

    results: Path
    temporary: Path

    @property
    def out(self) -> Path:
        return self.results / "out"

    def start(self, door: Door) -> "subprocess.Popen[str]":
        for folder in (self.results, self.temporary):
            folder.mkdir(exist_ok=True)
        paths = [str(STUB_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
        about = {"PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(self.temporary), "TRABECULA_STUB_PROTOCOL": "tiny"}
        return subprocess.Popen(
            [*PROGRAM, *door.command(self.out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | about,
            start_new_session=True,
        )

    def goes_on(self, door: Door, whole: dict[str, Any]) -> list[str]:
        """What is wrong once the command was started again and has ended."""
        ran = self.start(door)
        _, told = ran.communicate(timeout=PATIENCE_SECONDS)
        if ran.returncode != 0:
            return [f"started again: exit {ran.returncode}: {told[-300:]}"]
        found = door.contents(self.out)
        wrong = [f"other contents: {sorted(set(found) ^ set(whole)) or 'of the same names'}"] if found != whole else []
        return wrong + [f"left behind: {left}" for left in [self.left_behind()] if left]

    def left_behind(self) -> list[str]:
        hidden = [path.name for path in self.results.rglob(".*")] + [path.name for path in self.results.rglob("*.part")]
        beside = [path.name for path in self.results.iterdir() if path.name != "out"]
        return sorted(hidden + beside + [path.name for path in self.temporary.iterdir()])


def kill_at(door: Door, spot: Spot, after_seconds: float, alone: bool) -> bool:
    """Kills a command after so long, with all that it started or ``alone``; False where it had ended before."""
    ran = spot.start(door)
    try:
        ran.wait(timeout=after_seconds)
    except subprocess.TimeoutExpired:
        if alone:
            ran.kill()
        else:
            os.killpg(ran.pid, signal.SIGKILL)
    ran.communicate(timeout=PATIENCE_SECONDS)  # until nothing that it started holds its output any more
    return ran.returncode == -signal.SIGKILL


def ended_full(door: Door, spot: Spot, whole: dict[str, Any]) -> tuple[bool, list[str]]:
    """Whether a command ended for want of room, and what is wrong with how it ended."""
    ran = spot.start(door)
    _, told = ran.communicate(timeout=PATIENCE_SECONDS)
    wrong = [said for said in [door.complaint(spot.out, whole)] if said]
    if ran.returncode == 0:
        return False, wrong
    lines = [line for line in told.splitlines() if line.strip()]
    if ran.returncode != 2 or not any(code in told for code in SAID) or "Traceback" in told or len(lines) > 3:
        wrong.append(f"exit {ran.returncode}: {told[-400:]}")
    left = [path.name for path in spot.temporary.iterdir()]
    return True, wrong + ([f"left behind: {left}"] if left else [])


# -- simulate


def simulated() -> Door:
    """Two small virtual patients as DICOM."""

    def command(out: Path) -> list[str]:
        return ["simulate", "-n", "2", "--seed", "4", "--workers", "1", "--protocol", "tiny", "--out", str(out)]

    return Door("simulate", command, digests, incomplete_subject)


def digests(out: Path) -> dict[str, Any]:
    """Every file by its bytes."""
    files = (path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def incomplete_subject(out: Path, whole: dict[str, Any]) -> str | None:
    """A subject that can be seen is there whole."""
    seen = [path.name for path in out.glob("subject-*")]
    for name, digest in digests(out).items() if out.exists() else ():
        if name.split("/")[0] in seen and whole.get(name) != digest:
            return f"{name} is not what it should be"
    lacking = [name for name in whole if name.split("/")[0] in seen and not (out / name).exists()]
    return f"lacking: {lacking}" if lacking else None


# -- batch


def batched(given: Path) -> Door:
    """A folder of studies by the recipe that runs no network."""

    def command(out: Path) -> list[str]:
        return ["batch", str(given), "--out", str(out), "--recipe", "stub", "--workers", "1"]

    return Door("batch", command, table, incomplete_batch)


def table(out: Path) -> dict[str, Any]:
    """The rows without their seconds, and which files stand beside them."""
    with (out / "studies.csv").open(newline="") as file:
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]
    names = {str(path.relative_to(out)): "" for path in out.rglob("*") if path.is_file()}
    return {"rows": rows, **names}


def incomplete_batch(out: Path, whole: dict[str, Any]) -> str | None:
    """Results and tables that can be seen are there whole."""
    for record in out.glob("results/[!.]*"):
        try:
            named = json.loads((record / "assessment.json").read_text())["run"]["files"]
        except (OSError, ValueError) as error:
            return f"{record.name} has no record: {error}"
        if lacking := [name for name in named if not (record / name).exists()]:
            return f"{record.name} lacks {lacking}"
    if (out / "studies.parquet").exists():
        parquet.read_table(out / "studies.parquet")
    if (out / "index.html").exists() and "</html>" not in (out / "index.html").read_text():
        return "index.html is cut short"
    return None


# -- an upload to serve


@dataclass
class Upload:
    """What became of one upload: its id once the server had acknowledged it, or the status and code it answered."""

    study: str = ""
    status: int = 0
    code: str = ""


def send(server: Server, given: Path) -> Upload:
    """An upload as a page sends it, to a server that may go away."""
    try:
        fields = {"csrf": server.csrf()}
        sent = [("files", (given.name, given.read_bytes()))]
        answer = server.client.post("/studies", data=fields, files=sent, headers={"accept": "application/json"})
        told = answer.json()
    except (httpx.TransportError, ValueError):
        return Upload()
    return Upload(told.get("id", ""), answer.status_code, told.get("code", ""))


def served(data: Path) -> Server:
    return launch(data, "--recipe", "stub")


def ended_studies(server: Server, seconds: float = PATIENCE_SECONDS) -> dict[str, str]:
    """Every study's state, once none waits or runs."""
    last = time.monotonic() + seconds
    while True:
        states = known_studies(server.data)
        if not {"queued", "running"} & set(states.values()):
            return states
        if time.monotonic() > last or server.process.poll() is not None:
            return states
        time.sleep(0.2)


def known_studies(data: Path) -> dict[str, str]:
    engine = connect(f"sqlite:///{data / 'trabecula.sqlite'}")
    try:
        found, _ = Store(engine).studies(ANY, 0, 10_000)
        return {study.id: study.state for study in found}
    finally:
        engine.dispose()


def wrong_in(data: Path, states: dict[str, str]) -> list[str]:
    """What is wrong with a server's folder at rest: half of a result, or what belongs to no study."""
    folders, wrong = Folders(data), []
    strays = {path.name for path in folders.studies.iterdir()} - set(states)
    wrong += [f"folders of no study: {sorted(strays)}"] if strays else []
    for study, state in states.items():
        record = folders.version(study, 1) / "assessment.json"
        if state == "done":
            named = json.loads(record.read_text())["run"]["files"]
            wrong += [f"a result lacks {name}" for name in named if not (record.parent / name).exists()]
        elif state in ("queued", "running"):
            wrong.append(f"a study is {state} for ever")
    hidden = [path.name for path in data.rglob(".trabecula-*")]
    unfinished = [path.name for folder in (folders.incoming, folders.work) for path in folder.iterdir()]
    return wrong + ([f"left behind: {hidden + unfinished}"] if hidden + unfinished else [])


def stop(server: Server) -> None:
    with suppress(subprocess.TimeoutExpired):
        end(server)
    server.process.wait(timeout=60)
