"""Kills a node (kill -9) at twenty points of a study's way, each so many times: what was lost, what answered twice.

    PYTHONPATH=src python benchmarks/node_killed.py --times 20

Each time a study of its own comes to a node of real processes, which is killed and started again; what its sender had
no acknowledgement of is sent again, as a scanner does. Then the destination has to have each of the four objects
under one UID, and every instance that was acknowledged has to have been on the disk when the node was dead. The recipe
is ``stub`` (tests/stub), which runs no network. A sender has a minute to come again (``interrupted_seconds``): a node
that waits less takes what is there, and the rest makes a second delivery. ``--points``, a pattern, takes some of the
points alone.
"""

import argparse
import json
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import AllStoragePresentationContexts

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from node import pattern, study  # noqa: E402

from department.conftest import RULES, Node, connect, until  # noqa: E402
from toys.archive import free_port  # noqa: E402
from trabecula.department.spool import key_of  # noqa: E402

SLICES, OBJECTS = 20, 4
OUT_OF_RESOURCES = 0xA700


class Destination:
    """Keeps which objects it was given; ``hook`` is called before an object is acknowledged."""

    def __init__(self) -> None:
        self.port = free_port()
        self.away = False
        self.objects: dict[str, set[str]] = defaultdict(set)
        self.times: Counter[str] = Counter()
        self.hook: Callable[[int], None] = lambda number: None
        ae = ApplicationEntity("HERE")
        ae.supported_contexts = AllStoragePresentationContexts
        handlers = [(evt.EVT_C_STORE, self._store)]
        self.server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def _store(self, event: evt.Event) -> int:
        if self.away:
            return OUT_OF_RESOURCES
        uid = str(event.dataset.StudyInstanceUID)
        self.objects[uid].add(str(event.dataset.SOPInstanceUID))
        self.times[uid] += 1
        self.hook(len(self.objects[uid]))
        return 0


class Trial:
    """One study on its way through one kill."""

    def __init__(self, node: Node, there: Destination, folder: Path, rng: random.Random) -> None:
        self.node, self.there, self.rng = node, there, rng
        self.files = sorted(folder.iterdir(), key=lambda path: int(dcmread(path).InstanceNumber))
        self.uid = str(dcmread(self.files[0]).StudyInstanceUID)
        self.acknowledged: set[str] = set()
        self.released = False
        self.from_line = len(node.log) if (node.folder / "node.log").exists() else 0

    def send(self, killed_at: int | None = None, release: bool = True) -> None:
        """Sends the study; the node is killed while slice ``killed_at`` is on its way."""
        assoc = connect(self.node)
        for number, path in enumerate(self.files, 1):
            if number == killed_at:
                threading.Timer(self.rng.uniform(0.0, 0.03), self.node.kill).start()
            dataset = dcmread(path)
            try:
                status = assoc.send_c_store(dataset) if assoc.is_established else None
            except (RuntimeError, ValueError, OSError):
                status = None
            if status is None or status.get("Status") != 0:
                break
            self.acknowledged.add(str(dataset.SOPInstanceUID))
        if killed_at is None and release:
            assoc.release()
            self.released = len(self.acknowledged) == len(self.files)

    def said(self, event: str) -> bool:
        """Whether the node has told of an event since the study began."""
        return any(line.get("event") == event for line in self.node.log[self.from_line :])

    def lost(self) -> int:
        """Instances that were acknowledged and are not on the disk."""
        folder = self.node.data / "node" / "spool" / key_of(self.uid)
        return sum(not (folder / f"{key_of(one)}.dcm").is_file() for one in self.acknowledged)

    def answered(self) -> bool:
        return len(self.there.objects[self.uid]) >= OBJECTS and not self.node.figure(
            'trabecula_node_answers_waiting{destination="here"}'
        )


def while_slice(number: int) -> Callable[[Trial], None]:
    """While a slice is on its way."""

    def run(trial: Trial) -> None:
        trial.send(killed_at=number)

    return run


def all_but_released(trial: Trial) -> None:
    """When the last slice was acknowledged, and the association is open."""
    trial.send(release=False)
    trial.node.kill()


def after_release(seconds: float) -> Callable[[Trial], None]:
    """So long after the association ended."""

    def run(trial: Trial) -> None:
        trial.send()
        time.sleep(seconds)
        trial.node.kill()

    return run


def at_event(event: str) -> Callable[[Trial], None]:
    """When the node has told of an event."""

    def run(trial: Trial) -> None:
        trial.send()
        until(lambda: trial.said(event))
        trial.node.kill()

    return run


def while_screened(trial: Trial) -> None:
    """While the worker is at it."""
    waits = Path(f"{trial.node.hold}.pid")
    waits.unlink(missing_ok=True)
    trial.node.hold.touch()
    trial.send()
    until(waits.exists)
    trial.node.kill()
    trial.node.hold.unlink()


def while_results_are_written(trial: Trial) -> None:
    """At any moment of measuring and of writing the results."""
    waits = Path(f"{trial.node.hold}.pid")
    waits.unlink(missing_ok=True)
    trial.node.hold.touch()
    trial.send()
    until(waits.exists)
    trial.node.hold.unlink()
    time.sleep(trial.rng.uniform(0.0, 3.0))
    trial.node.kill()


def at_object(number: int, before: bool = True) -> Callable[[Trial], None]:
    """When the destination has stored so many objects, ``before`` or after it says so."""

    def run(trial: Trial) -> None:
        killed = threading.Event()

        def kill() -> None:
            trial.node.kill()
            killed.set()

        def hook(stored: int) -> None:
            if stored == number and not killed.is_set():
                if before:
                    kill()
                else:
                    threading.Timer(trial.rng.uniform(0.0, 0.05), kill).start()

        trial.there.hook = hook
        trial.send()
        until(killed.is_set)
        trial.there.hook = lambda number: None

    return run


def while_away(trial: Trial) -> None:
    """While answers wait for a destination that takes none."""
    trial.there.away = True
    trial.send()
    until(lambda: trial.said("destination-unreachable"))
    trial.node.kill()
    trial.there.away = False


def after_a_second_sending(trial: Trial) -> None:
    """When all of it was answered and has been sent again."""
    trial.send()
    until(trial.answered)
    trial.send()
    trial.node.kill()


def while_starting(trial: Trial) -> None:
    """A second time, at any moment of the start after the first."""
    trial.send()
    trial.node.kill()
    try:
        threading.Timer(trial.rng.uniform(0.5, 4.0), trial.node.kill).start()
        trial.node.start()
    except (AssertionError, ValueError):  # it ended while it was waited for, which is what was wanted
        pass
    until(lambda: trial.node.process is not None and trial.node.process.poll() is not None)


POINTS: dict[str, Callable[[Trial], None]] = {
    **{f"slice {number} of {SLICES} comes": while_slice(number) for number in (1, 5, 10, 15, SLICES)},
    "all slices are here, the line is open": all_but_released,
    "the line was closed": after_release(0.0),
    "quiet is waited for": after_release(0.6),
    "taken": at_event("study-taken"),
    "screened": while_screened,
    "results are written": while_results_are_written,
    "answers are noted": at_event("study-answered"),
    **{f"object {number} is stored, not acknowledged": at_object(number) for number in range(1, OBJECTS + 1)},
    "object 2 was acknowledged": at_object(2, before=False),
    "the destination is away": while_away,
    "it was sent a second time": after_a_second_sending,
    "the node is just starting": while_starting,
}


def main() -> int:
    """Print a line of JSON for each point and one for all; exit status 1 where anything was lost or came twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--points", default="")
    asked = parser.parse_args()
    chosen = [name for name in POINTS if re.search(asked.points, name)]
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        there = Destination()
        node = node_in(Path(folder), there.port)
        node.start()
        try:
            made = pattern(Path(folder) / "pattern", argparse.Namespace(slices=SLICES, pixels=64))
            uids: list[str] = []
            for name in chosen:
                counts: Counter[str] = Counter()
                for time_number in range(asked.times):
                    rng = random.Random(f"{name} {time_number}")
                    trial = Trial(node, there, study(made, Path(folder) / f"study-{len(uids)}", len(uids)), rng)
                    uids.append(trial.uid)
                    counts += one(trial, POINTS[name])
                total += counts
                print(json.dumps({"killed when": name, **told(counts)}), flush=True)
            time.sleep(5)  # for what would come twice
            twice = sum(len(there.objects[uid]) != OBJECTS for uid in uids)
            states = Counter(f"{one['result']}, delivery {one['delivery']}" for one in node.status())
            load = round(os.getloadavg()[0], 1)
            print(json.dumps({"all": len(chosen), **told(total), "in the end": states, "twice": twice, "load": load}))
        finally:
            node.end()
            there.server.shutdown()
    return int(bool(total["lost"] or twice))


def one(trial: Trial, point: Callable[[Trial], None]) -> Counter[str]:
    """Kills once, and sees what is left."""
    point(trial)
    node = trial.node
    until(lambda: node.process is not None and node.process.poll() is not None)
    lost, acknowledged = trial.lost(), len(trial.acknowledged)
    node.start()
    if not trial.released:
        trial.send()
    until(trial.answered)
    objects = len(trial.there.objects[trial.uid])
    again = trial.there.times[trial.uid] - objects
    return Counter(kills=1, acknowledged=acknowledged, lost=lost, objects=objects, under_the_same_uid_again=again)


def told(counts: Counter[str]) -> dict[str, Any]:
    """The counts, those that are zero too."""
    names = ("kills", "acknowledged", "lost", "objects", "under_the_same_uid_again")
    return {name: counts[name] for name in names}


def node_in(folder: Path, there: int) -> Node:
    """A node that answers to one destination, quick to see that a study is whole."""
    node = Node(folder, folder / "rules.toml", free_port(), free_port())
    table = f'[[destination]]\nname = "here"\ntitle = "HERE"\nhost = "127.0.0.1"\nport = {there}'
    text = RULES.format(port=node.port, health=node.health, node="", peer="", names='"here"', more=table)
    node.rules.write_text(text.replace("interrupted_seconds = 600.0", "interrupted_seconds = 60.0"))
    return node


if __name__ == "__main__":
    sys.exit(main())
