"""Kills each door that writes at many moments, and lets its disks fill up at many sizes; prints a line for each sweep.

    .venv/bin/python benchmarks/interrupted.py --moments 30 --sizes 20
    .venv/bin/python benchmarks/interrupted.py --doors serve --sweeps kills --moments 30

The recipe is a stub that runs no network and virtual patients are small: what is tried is reading, unpacking and
writing. ``screen`` writes all results with ``--dicom`` and ``--fhir``; ``simulate`` and ``batch`` are started again
after each interruption and must come to the same folder, byte by byte (of a batch: the same rows); an upload to
``serve`` that was acknowledged must come to a whole result. Mounting small disks needs root.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from serving.doors import (  # noqa: E402
    Door,
    Spot,
    Upload,
    batched,
    ended_full,
    ended_studies,
    kill_at,
    send,
    served,
    simulated,
    stop,
    wrong_in,
)
from serving.interrupted import Place, disk_full, killed, packed_ct, small_disk, whole_run_seconds  # noqa: E402
from trabecula.volume import Volume  # noqa: E402

ALL = ("--dicom", "--fhir")
DISKS_KB = {"temporary": 1200, "results": 1600}
"""What a whole screening needs of each is a little less."""

ENOUGH_KB = 200_000
SERVED_KB = (260, 3400)
"""From where a server starts at all to a little more than it and one study take."""


def main() -> int:
    """Print the table; exit status 1 where anything half-made was seen or stayed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=30)
    parser.add_argument("--sizes", type=int, default=20)
    parser.add_argument("--doors", nargs="*", choices=DOORS, default=list(DOORS))
    parser.add_argument("--sweeps", nargs="*", choices=("kills", "disks"), default=["kills", "disks"])
    options = parser.parse_args()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        given = packed_ct(blocks(), Path(folder))
        for name in options.doors:
            (Path(folder) / name).mkdir()
            killed_at, on_disks = DOORS[name]
            if "kills" in options.sweeps:
                wrong += killed_at(Path(folder) / name, given, options.moments)
            if "disks" in options.sweeps:
                wrong += on_disks(Path(folder) / name, given, options.sizes)
    print("\n".join(wrong), flush=True)
    return int(bool(wrong))


def blocks() -> Volume:
    """A cylinder of soft tissue with the blocks that the stub measures; 60 voxels of 3 mm each way."""
    z, y, x = np.ogrid[:60, :60, :60]
    hu = np.where((x - 30) ** 2 + (y - 30) ** 2 < 26**2, 40.0, -1000.0) + 0.0 * z
    for low in (8, 24, 40):
        hu[low : low + 10, 24:34, 24:36] = 140
        hu[low : low + 10, 24:34, 24:36:2] = 160
    hu[29, 20, 29] = 900
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]], affine[3, 3] = 3.0, 1.0
    return Volume(hu.astype(np.float32), affine)


def kills(folder: Path, given: Path, moments: int) -> list[str]:
    """Half of the runs have an earlier result in their place."""
    seconds = whole_run_seconds(Place(given, folder / "first", folder / "temporary"), *ALL)
    wrong, under_way, kept = [], 0, 0
    for number in range(moments):
        place = Place(given, folder / f"results-{number}", folder / "temporary")
        if number % 2:
            (folder / "first" / "out").rename(place.out)
        under_way += killed(place, (number + 0.5) / moments * seconds, *ALL)
        complaint, left = place.complaint(), place.left_behind()
        wrong += [f"killed at {number}: {what}" for what in (complaint, left) if what]
        if number % 2:
            kept += place.out.exists()
            place.out.rename(folder / "first" / "out")
    print(f"screen: killed at {moments} moments, {under_way} under way; earlier results kept {kept} of {moments // 2}")
    return wrong


def disks(folder: Path, given: Path, sizes: int) -> list[str]:
    """Disks of temporary files, then of results."""
    return [what for filled, most in DISKS_KB.items() for what in full_disks(folder, given, filled, most, sizes)]


def full_disks(folder: Path, given: Path, filled: str, most_kb: int, sizes: int) -> list[str]:
    """A disk of each of so many sizes, from a single page to what is enough."""
    wrong, full = [], 0
    for number in range(sizes):
        kilobytes = 4 + (most_kb - 4) * number // max(1, sizes - 1)
        with small_disk(folder / "disk", kilobytes) as disk:
            folders = {name: folder / f"{name}-{filled}-{number}" for name in DISKS_KB} | {filled: disk / filled}
            was_full, complaint = disk_full(Place(given, **folders), *ALL)
        full += was_full
        wrong += [f"disk of {filled} of {kilobytes} KB: {complaint}"] if complaint else []
    print(f"screen: disk of {filled} full at {full} of {sizes} sizes up to {most_kb} KB", flush=True)
    return wrong


# -- commands that go on where they are started again


def door_kills(folder: Path, door: Door, moments: int) -> list[str]:
    """A fresh folder for each moment; every other time the command is killed and what it started is not."""
    first = Spot(folder / "first", folder / "temporary")
    started = time.monotonic()
    wrong, under_way = first.goes_on(door, {}), 0
    seconds, whole = time.monotonic() - started, door.contents(first.out)
    wrong = [what for what in wrong if not what.startswith("other contents")]
    for number in range(moments):
        spot = Spot(folder / f"results-{number}", folder / "temporary")
        under_way += kill_at(door, spot, (number + 0.5) / moments * seconds, alone=bool(number % 2))
        seen = door.complaint(spot.out, whole)
        found = [*([seen] if seen else []), *spot.goes_on(door, whole)]
        wrong += [f"{door.name}, killed at {number}: {what}" for what in found]
    print(f"{door.name}: killed at {moments} moments, {under_way} under way, {seconds:.0f} s a run", flush=True)
    return wrong


def door_disks(folder: Path, door: Door, sizes: int) -> list[str]:
    """Disks of results from one page to a little more than a whole run takes; then there is room."""
    first = Spot(folder / "enough", folder / "temporary")
    first.goes_on(door, {})
    whole, wrong, full = door.contents(first.out), [], 0
    most_kb = 64 + sum(-(-path.stat().st_size // 4096) * 4 + 4 for path in first.out.rglob("*"))
    for number in range(sizes):
        kilobytes = 4 + (most_kb - 4) * number // max(1, sizes - 1)
        with small_disk(folder / "disk", kilobytes) as disk:
            spot = Spot(disk / "results", folder / "temporary")
            was_full, found = ended_full(door, spot, whole)
            give_room(disk)
            found += spot.goes_on(door, whole)
        full += was_full
        wrong += [f"{door.name}, disk of {kilobytes} KB: {what}" for what in found]
    print(f"{door.name}: disk of results full at {full} of {sizes} sizes up to {most_kb} KB", flush=True)
    return wrong


def give_room(disk: Path) -> None:
    """Makes a small disk a large one."""
    subprocess.run(["mount", "-o", f"remount,size={ENOUGH_KB}k", str(disk)], check=True)


def studies_in(folder: Path, given: Path) -> Path:
    """What a batch is given: two studies and a letter."""
    made = folder / "studies"
    if not made.exists():
        made.mkdir()
        (made / "a.zip").write_bytes(given.read_bytes())
        (made / "b.zip").write_bytes(given.read_bytes())
        (made / "c.txt").write_text("Dear colleague")
    return made


# -- an upload


def serve_kills(folder: Path, given: Path, moments: int) -> list[str]:
    """One folder of a server that is killed again and again, from the first byte of an upload to the end of the job."""
    data, wrong, acknowledged = folder / "data", [], set[str]()
    server = served(data)
    started = time.monotonic()
    acknowledged.add(send(server, given).study)
    ended_studies(server)
    seconds = time.monotonic() - started
    for number in range(moments):
        sent: list[Upload] = []
        sending = threading.Thread(target=lambda server=server, sent=sent: sent.append(send(server, given)))
        sending.start()
        # half of the moments lie in the upload itself, which is short
        time.sleep((number / 2 + 0.5) / moments * seconds if number % 2 else number / moments * 1.0)
        server.kill()
        sending.join()
        acknowledged |= {one.study for one in sent if one.study}
        server = served(data)
        states = ended_studies(server)
        found = wrong_in(data, states)
        found += ["an acknowledged upload is gone"] if acknowledged - set(states) else []
        found += [f"a study ended as {state}" for state in states.values() if state != "done"]
        wrong += [f"serve, killed at {number}: {what}" for what in found]
    stop(server)
    print(f"serve: killed at {moments} moments, {len(acknowledged) - 1} uploads acknowledged before", flush=True)
    return wrong


def serve_disks(folder: Path, given: Path, sizes: int) -> list[str]:
    """A server on a disk of each size is sent one study, and another once there is room."""
    wrong: list[str] = []
    ends = {"not started": 0, "not taken": 0, "failed": 0, "done": 0}
    low, high = SERVED_KB
    for number in range(sizes):
        kilobytes = low + (high - low) * number**2 // max(1, sizes - 1) ** 2
        (folder / f"{number}").mkdir()
        with small_disk(folder / f"{number}" / "disk", kilobytes) as disk:
            how, found = served_on(disk, given)
        ends[how] += 1
        wrong += [f"serve, disk of {kilobytes} KB: {what}" for what in found]
    print(f"serve: {sizes} disks of {low} to {high} KB: {ends}", flush=True)
    return wrong


def served_on(disk: Path, given: Path) -> tuple[str, list[str]]:
    """How an upload ends on a disk, and what is wrong with that."""
    data = disk / "data"
    try:
        server = served(data)
    except AssertionError as error:
        said = str(error)
        told = "[output-unwritable]" in said or "[disk-full]" in said or "[database-" in said
        return "not started", [] if told and "Traceback" not in said else [f"does not start: {said[-300:]}"]
    sent = send(server, given)
    states = ended_studies(server, 60)
    found = wrong_in(data, {study: state for study, state in states.items() if state == "done"} | states)
    how = states.get(sent.study, "not taken")
    if how == "not taken" and (sent.status, sent.code) != (507, "disk-full"):
        found.append(f"answered {sent}")
    if how == "failed":
        page = server.client.get(f"/studies/{sent.study}").text
        found += [] if "disk-full" in page else ["failed, but not for want of room"]
    give_room(disk)
    again = send(server, given)
    states = ended_studies(server)
    found += wrong_in(data, states)
    found += [] if states.get(again.study) == "done" else [f"with room: {again}, {states.get(again.study)}"]
    found += ["a traceback in the log"] if "Traceback" in server.log else []
    stop(server)
    return how if how in ("not taken", "failed", "done") else "failed", found


Sweep = Callable[[Path, Path, int], list[str]]
DOORS: dict[str, tuple[Sweep, Sweep]] = {
    "screen": (kills, disks),
    "simulate": (
        lambda folder, given, moments: door_kills(folder, simulated(), moments),
        lambda folder, given, sizes: door_disks(folder, simulated(), sizes),
    ),
    "batch": (
        lambda folder, given, moments: door_kills(folder, batched(studies_in(folder, given)), moments),
        lambda folder, given, sizes: door_disks(folder, batched(studies_in(folder, given)), sizes),
    ),
    "serve": (serve_kills, serve_disks),
}

if __name__ == "__main__":
    sys.exit(main())
