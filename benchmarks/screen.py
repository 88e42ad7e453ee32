"""Seconds and peak memory of screening one CT, a row a stage, as a Markdown table.

Usage: screen.py CT [--runs 3] [--threads 2] [--recipe NAME]

Cold is a new process of the command-line program, as a user starts it; warm is a further run in a process that has
already done one. The process is bound to as many CPU cores as threads are asked for. Files are in the page cache.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Run:
    """One screening: the whole wall time, that of each stage by its own record, and the peak memory."""

    seconds: float
    stages: dict[str, float]
    peak_mib: float


def main() -> None:
    """Measure and print."""
    given = _arguments()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: given.threads]))
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    options = ["--recipe", given.recipe] if given.recipe else []
    cold = _repeat(_cold, given.ct, options, given.runs)
    warm = _repeat(_warm, given.ct, options, given.runs + 1)[1:]
    print(f"{given.ct.name}, {given.threads} threads of {_cpu_name()}, median of {given.runs} runs")
    print()
    print(table(cold, warm))


def table(cold: Sequence[Run], warm: Sequence[Run]) -> str:
    """The medians of both kinds of run; what no stage accounts for is start-up and imports."""
    lines = ["| | cold, s | warm, s |", "| --- | ---: | ---: |"]
    for stage in cold[0].stages:
        lines.append(f"| {stage} | {_median(cold, stage):.2f} | {_median(warm, stage):.2f} |")
    rest = [statistics.median(run.seconds - sum(run.stages.values()) for run in runs) for runs in (cold, warm)]
    whole = [statistics.median(run.seconds for run in runs) for runs in (cold, warm)]
    peak = [max(run.peak_mib for run in runs) for runs in (cold, warm)]
    lines.append(f"| start and the rest | {rest[0]:.2f} | {rest[1]:.2f} |")
    lines.append(f"| **whole** | **{whole[0]:.2f}** | **{whole[1]:.2f}** |")
    lines.append(f"| peak memory, MiB | {peak[0]:.0f} | {peak[1]:.0f} |")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--recipe")
    return parser.parse_args()


def _repeat(screen: Callable[[list[str]], tuple[float, float]], ct: Path, options: list[str], runs: int) -> list[Run]:
    results = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            seconds, peak_mib = screen(["screen", str(ct), "--out", str(out), *options])
            stages = json.loads((out / "assessment.json").read_text())["run"]["seconds"]
        results.append(Run(seconds, stages, peak_mib))
    return results


def _cold(arguments: list[str]) -> tuple[float, float]:
    """A new process; wall seconds and its own peak memory in MiB."""
    program = Path(sys.executable).with_name("trabecula")
    started = time.perf_counter()
    child = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, said = child.communicate()
    seconds = time.perf_counter() - started
    if child.returncode != 0:
        sys.exit(f"trabecula ended with {child.returncode}: {said.decode().strip()}")
    # The largest of all children so far, which for equal runs is the figure wanted.
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / KIB_PER_MIB


def _warm(arguments: list[str]) -> tuple[float, float]:
    """The same command in this process; wall seconds and this process's peak memory so far in MiB."""
    from trabecula.serving.cli import app

    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        app(arguments, standalone_mode=False)
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB


def _median(runs: Sequence[Run], stage: str) -> float:
    return statistics.median(run.stages.get(stage, 0.0) for run in runs)


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
