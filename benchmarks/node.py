"""A node under load: many associations at once, each with a study of its own; what is lost, how long, how much memory.

    PYTHONPATH=src:tests/stub python benchmarks/node.py --associations 20 --slices 100 --recipe stub
    PYTHONPATH=src:tests/stub python benchmarks/node.py --associations 100 --slices 500 --receive-only

The destination is a plain receiver in this process, which counts what it is given. With the recipe ``stub``
(tests/stub) no network runs, so that the node itself is measured; with ``house`` the whole of it. With
``--receive-only`` screening is held up until every study has its place in the queue, and the run then ends.
"""

import argparse
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.misc import is_dicom
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import AllStoragePresentationContexts

from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Volume

RULES = """
[node]
port = {port}
health_port = {health}
quiet_seconds = 5.0
associations = {associations}
free_disk_mib = 100
[[peer]]
title = "SENDER"
[[destination]]
name = "here"
title = "HERE"
host = "127.0.0.1"
port = {there}
[[rule]]
name = "all"
recipe = "{recipe}"
destinations = ["here"]
"""


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--associations", type=int, default=20)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--recipe", default="stub")
    parser.add_argument("--receive-only", action="store_true")
    parser.add_argument("--patience", type=float, default=3600)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), asked)))


def measure(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Sends everything at once and waits for every answer."""
    port, health, there = free_port(), free_port(), free_port()
    got: Counter[str] = Counter()
    receiver = receive(there, got)
    settings = vars(asked) | {"port": port, "health": health, "there": there}
    (folder / "rules.toml").write_text(RULES.format(**settings))
    program = "from trabecula.serving.cli import main; main()"
    command = [sys.executable, "-c", program, "node", "--rules", str(folder / "rules.toml"), "--data"]
    environment = os.environ | ({"TRABECULA_STUB_HOLD": str(folder / "rules.toml")} if asked.receive_only else {})
    with (folder / "node.log").open("w") as log:
        node = subprocess.Popen([*command, str(folder / "data")], stderr=log, env=environment)
    try:
        made = pattern(folder / "pattern", asked)
        studies = [study(made, folder / f"study-{number}", number) for number in range(asked.associations)]
        wait(lambda: figures(health) != {}, asked.patience)
        told = send_all(port, studies)
        received, after_receiving = told["seconds"], peak_bytes(node.pid)
        print(json.dumps(told | {"node_peak_mib": after_receiving >> 20}), file=sys.stderr, flush=True)
        started, expected = time.monotonic(), 4 * asked.associations
        if asked.receive_only:
            wait(lambda: queued(health) >= asked.associations, asked.patience)
            kept = len(list((folder / "data" / "node" / "spool").glob("*/*.dcm")))
            return {
                **{
                    "associations": asked.associations,
                    "slices": asked.slices,
                    "sent": asked.associations * asked.slices,
                },
                **{name: told[name] for name in ("acknowledged", "sent_again")},
                "kept": kept,
                "received_s": round(received, 1),
                "queued": queued(health),
                "queued_after_s": round(time.monotonic() - started, 1),
                "node_cpu_s": round(cpu_seconds(node.pid), 1),
                "node_peak_mib": peak_bytes(node.pid) >> 20,
                "load": round(os.getloadavg()[0], 1),
            }
        wait(lambda: sum(got.values()) >= expected, asked.patience, must=False)
        peak = peak_bytes(node.pid)
        return {
            **{"associations": asked.associations, "slices": asked.slices, "recipe": asked.recipe},
            "acknowledged": told["acknowledged"],
            "sent_again": told["sent_again"],
            "received_s": round(received, 1),
            "instances_per_s": round(told["acknowledged"] / received, 1),
            "answered_s": round(time.monotonic() - started, 1),
            "studies_answered": len(got),
            "objects": sum(got.values()),
            "objects_each": sorted(set(got.values())),
            "node_peak_mib": peak >> 20,
            "load": round(os.getloadavg()[0], 1),
        }
    finally:
        node.terminate()
        node.wait(timeout=60)
        receiver.shutdown()


def pattern(folder: Path, asked: argparse.Namespace) -> Path:
    """A small virtual study: soft tissue with bright blocks where the recipe ``stub`` looks."""
    rng = np.random.default_rng(1)
    hu = rng.normal(40, 15, (asked.slices, asked.pixels, asked.pixels)).astype(np.float32)
    edge = asked.pixels // 12
    hu[:, :edge] = hu[:, -edge:] = -1000
    side = asked.pixels * 2 // 5
    hu[:, side : side + asked.pixels // 6, side : side + asked.pixels // 5] += 110
    hu[asked.slices // 2, asked.pixels // 3, asked.pixels // 2] = 900
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]], affine[3, 3] = (3.0, 2.5, 2.5), 1.0
    header = StudyHeader(sex="F", age_years=67, slice_thickness_mm=3.0)
    write_dicom(Volume(hu, affine), folder, seed=1, header=header)
    return folder


def study(made: Path, folder: Path, number: int) -> Path:
    """The pattern as another study: each of its UIDs becomes another of the same length."""
    folder.mkdir()
    for path in sorted(one for one in made.iterdir() if is_dicom(one)):
        told = dcmread(path, stop_before_pixels=True)
        data = path.read_bytes()
        for uid in (told.StudyInstanceUID, told.SeriesInstanceUID, told.FrameOfReferenceUID, told.SOPInstanceUID):
            digits = str(int(hashlib.sha256(f"{number} {uid}".encode()).hexdigest(), 16))
            other = f"2.25.1{digits}"[: len(uid)]
            data = data.replace(uid.encode(), other.encode())
        (folder / path.name).write_bytes(data)
    return folder


def send_all(port: int, studies: list[Path]) -> dict[str, Any]:
    """Every study by a storescu (dcmtk) of its own, all begun together; what was broken off is sent again."""
    command = [
        "storescu",
        "-aet",
        "SENDER",
        "-aec",
        "TRABECULA",
        "-to",
        "600",
        "-ta",
        "600",
        "-td",
        "600",
        "-xe",
        "+sd",
    ]
    started, again = time.monotonic(), 0
    waiting = list(studies)
    while waiting:
        running = [(one, subprocess.Popen([*command, "127.0.0.1", str(port), str(one)])) for one in waiting]
        waiting = [one for one, process in running if process.wait() != 0]
        again += len(waiting)
    acknowledged = sum(len(list(one.iterdir())) for one in studies)
    return {"acknowledged": acknowledged, "sent_again": again, "seconds": time.monotonic() - started}


def receive(port: int, got: Counter[str]) -> Any:
    """A destination that counts objects by study."""
    ae = ApplicationEntity("HERE")
    ae.supported_contexts = AllStoragePresentationContexts

    def store(event: evt.Event) -> int:
        got[str(event.dataset.StudyInstanceUID)] += 1
        return 0

    return ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])


def peak_bytes(pid: int) -> int:
    """The most memory that a process has held since it began, by the kernel's own count."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def cpu_seconds(pid: int) -> float:
    """Processor time of a process."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def queued(health: int) -> int:
    """How many studies have their place in the queue, by the node's own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{health}/metrics", timeout=300) as answer:
        lines = answer.read().decode().splitlines()
    name = 'trabecula_node_deliveries{state="queued"}'
    return next((int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(name)), 0)


def figures(health: int) -> dict[str, Any]:
    """What /health says; empty where nothing answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{health}/health", timeout=30) as answer:
            told: dict[str, Any] = json.loads(answer.read())
            return told
    except OSError:
        return {}


def wait(holds: Callable[[], bool], patience_s: float, must: bool = True) -> None:
    """Until it holds, or for as long as asked.

    Raises:
        TimeoutError: it never held, and it must.
    """
    end = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > end:
            if must:
                raise TimeoutError("what was waited for never came")
            return
        time.sleep(0.2)


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


if __name__ == "__main__":
    main()
