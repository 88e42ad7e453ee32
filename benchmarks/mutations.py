"""Changes bytes and headers of small inputs at random, reads and screens each, and holds the answers to one rule.

    .venv/bin/python benchmarks/mutations.py --number 10000 --out out/mutations

The inputs hold one virtual patient, as DICOM in several syntaxes, zip, NIfTI and NRRD. What they are changed to ends
in a refusal with a code, or in densities within 0.5 mg/cm3 of those of the input unchanged, or in a reason that the
input unchanged does not get; in no traceback, within 20 s of CPU, and within 512 MB beyond the volume.

``--out`` keeps one line for each mutation, so that a run that was ended goes on; mutation ``i`` of a seed is always the
same. Exit status 1 where the rule is broken. Simulated.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from anomalies.mutants import KINDS, Mutant, base_inputs, mutant  # noqa: E402
from trabecula.errors import TrabeculaError, place_of  # noqa: E402
from trabecula.flow.read import read  # noqa: E402
from trabecula.formats.budget import MEMORY_BYTES  # noqa: E402
from trabecula.line import screen  # noqa: E402
from trabecula.recipes.house import HOUSE  # noqa: E402
from trabecula.records import Assessment, Scan  # noqa: E402

TOLERANCE_MG_CM3, MAX_SECONDS = 0.5, 20.0
SCREENED_WHOLE = 100
"""One mutation in so many is screened whole even where reading says something new, or where hardly anything changed."""

FEW_VOXELS = 1e-3
"""Where fewer changed, densities are read again in the regions of the unchanged input: a network takes seconds."""

BROKEN = ("traceback", "slow", "memory", "silent", "died")
"""Outcomes that the rule forbids."""


def main() -> int:
    """Run what is not yet done, in processes that may die, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="Leave out those before.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "mutations")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    lines = options.out / (f"seed-{options.seed}" + (f"-from-{options.first}" if options.first else "") + ".jsonl")
    if options.worker:
        work(lines, options.seed, options.first, options.number)
        return 0
    command = [sys.executable, __file__, *sys.argv[1:], "--worker"]
    while (done := len(told(lines))) < options.number:
        ended = subprocess.run(command)
        if ended.returncode and len(told(lines)) == done:
            raise SystemExit("the worker ends before its first mutation")
        if ended.returncode:  # an input brought it down
            number = options.first + len(told(lines))
            kind = mutant_kind(options.seed, number)
            with lines.open("a") as file:
                file.write(json.dumps({"number": number, "kind": kind, "outcome": "died"}) + "\n")
    return table(told(lines))


def told(lines: Path) -> list[dict[str, Any]]:
    """The mutations that are done."""
    return [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []


def mutant_kind(seed: int, number: int) -> str:
    """Which input a mutation changes."""
    return KINDS[int(np.random.default_rng([seed, number]).integers(len(KINDS)))]


def work(lines: Path, seed: int, first: int, number: int) -> None:
    """Mutations from where the lines end, each judged and written down."""
    with tempfile.TemporaryDirectory() as folder:
        bases = base_inputs(Path(folder) / "base")
        answers, known = Answers(), {}
        for kind, path in bases.items():
            scan = read(path)
            found = answers.of(scan)
            assert not isinstance(found, str), found
            known[kind] = scan, found
        with lines.open("a") as file:
            for index in range(first + len(told(lines)), first + number):
                rng = np.random.default_rng([seed, index])
                kind = KINDS[int(rng.integers(len(KINDS)))]
                made = mutant(bases[kind], kind, rng, Path(folder) / "mutant")
                line = judged(made, *known[kind], answers, index % SCREENED_WHOLE == 0)
                file.write(json.dumps({"number": index, **line}) + "\n")
                file.flush()


class Answers:
    """What was found in scans that several mutants give."""

    def __init__(self) -> None:
        self.kept: dict[tuple[Any, ...], Assessment | str] = {}

    def of(self, scan: Scan) -> Assessment | str:
        """The assessment, or the code of the refusal."""
        key = (hash(scan.volume.hu.tobytes()), scan.volume.affine.tobytes(), scan.acquisition, scan.gaps)
        if key not in self.kept:
            try:
                self.kept[key] = screen(scan, HOUSE)
            except TrabeculaError as error:
                self.kept[key] = error.code
        return self.kept[key]


def judged(made: Mutant, base: Scan, base_found: Assessment, answers: Answers, whole: bool) -> dict[str, Any]:
    """The outcome of one mutant; where reading alone gives a new reason it is screened only if ``whole``."""
    line: dict[str, Any] = {"kind": made.kind, "changes": made.changes}
    started, before = time.process_time(), peak_bytes()  # of the process: other work on the machine counts not
    scan: Scan | None = None
    try:
        scan = read(made.path)
        outcome = "read"
    except TrabeculaError as error:
        outcome, line["code"] = "refused", error.code
    except Exception as error:
        return {**line, "outcome": "traceback", "code": f"{type(error).__name__} in {place_of(error.__traceback__)}"}
    line["seconds"] = round(time.process_time() - started, 2)
    line["grown_mb"] = round((peak_bytes() - before) / 1e6)
    volume_bytes = base.volume.hu.nbytes if scan is None else scan.volume.hu.nbytes
    if line["seconds"] > MAX_SECONDS:
        return {**line, "outcome": "slow"}
    if line["grown_mb"] * 1e6 > MEMORY_BYTES + volume_bytes:
        return {**line, "outcome": "memory"}
    if scan is None:
        return {**line, "outcome": outcome}
    new = sorted({one.code for one in scan.reasons} - {one.code for one in base.reasons})
    if new and not whole:
        return {**line, "outcome": "told", "new": new}
    return {**line, **compared(scan, base, base_found, answers, whole)}


def compared(scan: Scan, base: Scan, base_found: Assessment, answers: Answers, whole: bool) -> dict[str, Any]:
    """Whether a scan that was read is the unchanged one, gives the same densities, or is said to be another."""
    same = scan.volume.shape == base.volume.shape and np.allclose(scan.volume.affine, base.volume.affine, atol=1e-5)
    if same and scan.acquisition == base.acquisition and np.array_equal(scan.volume.hu, base.volume.hu):
        return {"outcome": "same"}
    if same and not whole and scan.acquisition == base.acquisition:
        changed = float((scan.volume.hu != base.volume.hu).mean())
        off = remeasured(scan, base_found) if changed < FEW_VOXELS else None
        if off is not None and off <= TOLERANCE_MG_CM3:
            return {"outcome": "within", "off": off}
    try:
        found = answers.of(scan)
    except Exception as error:
        return {"outcome": "traceback", "code": f"{type(error).__name__} in {place_of(error.__traceback__)}"}
    if isinstance(found, str):
        return {"outcome": "refused", "code": found}
    new = sorted((codes(found) | {one.code for one in scan.reasons}) - codes(base_found))
    off = furthest(found, base_found)
    if off is not None and off <= TOLERANCE_MG_CM3:
        return {"outcome": "within", "off": off, "new": new}
    return {"outcome": "told" if new else "silent", "off": off, "new": new}


def remeasured(scan: Scan, base: Assessment) -> float | None:
    """By how much a density is off, at most, where the regions are those of the unchanged input. mg/cm3."""
    calibration = HOUSE.calibrate(scan, base.spine, base.regions)
    readings = HOUSE.measure(scan, base.spine, base.regions, calibration)
    return furthest(replace(base, readings=readings), base)


def furthest(found: Assessment, base: Assessment) -> float | None:
    """By how much a density is off, at most; None where a vertebra that was measured is not. mg/cm3."""
    off = 0.0
    for reading in base.readings.vertebrae:
        if reading.density is None:
            continue
        other = found.readings.find(reading.level)
        if other is None or other.density is None:
            return None
        off = max(off, abs(other.density.value - reading.density.value))
    return round(off, 3)


def codes(found: Assessment) -> set[str]:
    """Every reason of a result."""
    readings = (one.reasons for one in found.readings.vertebrae)
    return {one.code for one in found.reasons} | {one.code for reasons in readings for one in reasons}


def peak_bytes() -> int:
    """The most that this process has held."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def table(lines: list[dict[str, Any]]) -> int:
    """Prints the counts of outcomes by kind; 1 where the rule is broken."""
    columns = ("same", "within", "told", "refused", *BROKEN)
    print("| input | mutations | " + " | ".join(columns) + " |\n|" + " --- |" * (len(columns) + 2))
    for kind in (*KINDS, "all"):
        mine = [line for line in lines if kind in ("all", line["kind"])]
        counts = Counter(line["outcome"] for line in mine)
        print(f"| {kind} | {len(mine)} | " + " | ".join(str(counts[column]) for column in columns) + " |")
    slowest = max((line.get("seconds", 0.0) for line in lines), default=0.0)
    most = max((line.get("grown_mb", 0) for line in lines), default=0)
    print(f"\nSlowest reading {slowest:.1f} s; memory grew by {most} MB at most.")
    return int(any(line["outcome"] in BROKEN for line in lines))


if __name__ == "__main__":
    sys.exit(main())
