"""A cohort by one worker, by two, and killed again and again: seconds, and whether the tables are the same.

    PYTHONPATH=src python benchmarks/batch.py CT --copies 6 --kills 5

The cohort is copies of one CT, a DICOM folder, each with UIDs of its own. The ratio of two workers to one is of wall
seconds from the first row to the last, so that starting up is left out; on a machine that others use it is theirs too.
"""

import argparse
import csv
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from node import study

PROGRAM = "from trabecula.serving.cli import main; main()"


def main() -> int:
    """Print a line of JSON for each run; exit status 1 where a table differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", type=Path)
    parser.add_argument("--copies", type=int, default=6)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--recipe", default="house")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "cohort").mkdir()
        for number in range(asked.copies):
            study(asked.ct, folder / "cohort" / f"{number:03d}", number)
        runs = [whole(folder, workers, asked) for workers in (1, 2)]
        for run in runs:
            print(json.dumps(run), flush=True)
        if asked.copies > 1:
            print(json.dumps({"two workers to one": round(runs[0]["rows_s"] / runs[1]["rows_s"], 2)}), flush=True)
        kills = killed(folder, asked)
        tables = [rows(folder / name) for name in ("by-1", "by-2", "killed")]
        same = tables[0] == tables[1] == tables[2]
        print(json.dumps({"killed": kills, "rows": len(tables[0]), "the same table": same}))
    return int(not same)


def command(folder: Path, out: str, workers: int, asked: argparse.Namespace) -> list[str]:
    """What is run."""
    options = ["--out", str(folder / out), "--workers", str(workers), "--recipe", asked.recipe, "--quiet"]
    return [sys.executable, "-c", PROGRAM, "batch", str(folder / "cohort"), *options]


def whole(folder: Path, workers: int, asked: argparse.Namespace) -> dict[str, Any]:
    """A run without a break: wall seconds between the first and the last row, processor seconds of all processes."""
    out, before = f"by-{workers}", resource.getrusage(resource.RUSAGE_CHILDREN)
    journal, times, seen = folder / out / "rows.jsonl", list[float](), 0
    started = time.monotonic()
    process = subprocess.Popen(command(folder, out, workers, asked))
    while process.poll() is None:
        lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
        times += [time.monotonic()] * (lines - seen)
        seen = max(seen, lines)
        time.sleep(0.05)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "workers": workers,
        "studies": asked.copies,
        "whole_s": round(time.monotonic() - started, 1),
        "rows_s": round(times[-1] - times[0], 1),
        "cpu_s": round(cpu, 1),
        "cpu_s_a_study": round(cpu / asked.copies, 1),
        "largest_process_mib": after.ru_maxrss >> 10,
        "load": round(os.getloadavg()[0], 1),
    }


def killed(folder: Path, asked: argparse.Namespace) -> int:
    """Kills the run so often (kill -9), each time a row later, then lets it end; how often it was under way."""
    journal, under_way = folder / "killed" / "rows.jsonl", 0
    for number in range(asked.kills):
        process = subprocess.Popen(command(folder, "killed", 1, asked), start_new_session=True)
        wanted = number * asked.copies // (asked.kills + 1) + 1
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < wanted):
            time.sleep(0.05)
        under_way += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command(folder, "killed", 1, asked), check=True)
    return under_way


def rows(out: Path) -> list[dict[str, str]]:
    """The table without its seconds."""
    with (out / "studies.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


if __name__ == "__main__":
    sys.exit(main())
