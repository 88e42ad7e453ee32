"""CPU-seconds and peak memory of making virtual patients, as a Markdown table.

Usage: generator.py [--subjects 3]

The torso from T9 to L5 is drawn and scanned on one grid of 2, 1.5 and 1 mm; a whole patient as ``trabecula simulate``
makes it is drawn at 2 and 1 mm and scanned at 3 mm, with its truth. Torsos to count on are what
``draw_torso`` makes, truth and all. Each is a process of its own with one thread; the
seconds are those the processor spent on it, start and imports left out.
"""

import argparse
import multiprocessing
import os
import platform
import resource
import statistics
import time
from dataclasses import dataclass

KIB_PER_MIB = 1024
SPACINGS_MM = (2.0, 1.5, 1.0)


@dataclass(frozen=True)
class Made:
    """One volume: millions of voxels, CPU-seconds of drawing and scanning, peak memory of the process."""

    mega_voxels: float
    draw_s: float
    scan_s: float
    peak_mib: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=3)
    subjects = range(parser.parse_args().subjects)
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"Median of {len(subjects)} subjects, one thread of {platform.processor() or platform.machine()},")
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print()
    print("| | million voxels | draw, s | scan, s | whole, s | peak memory, MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for spacing_mm in SPACINGS_MM:
        print(
            _row(f"torso at {spacing_mm:g} mm", [_apart(_torso, (seed, spacing_mm)) for seed in subjects]), flush=True
        )
    for field in ("chest", "trunk", "abdomen"):
        for spacing_mm in (3.0, 2.0):
            made = [_apart(_counted, (seed, spacing_mm, field)) for seed in subjects]
            print(_row(f"`draw_torso`, {field} at {spacing_mm:g} mm", made), flush=True)
    print(_row("whole patient, 3 mm slices", [_apart(_patient, (seed,)) for seed in subjects]))


def _row(name: str, made: list[Made]) -> str:
    voxels, draw, scan = (statistics.median(getattr(m, n) for m in made) for n in ("mega_voxels", "draw_s", "scan_s"))
    whole = statistics.median(m.draw_s + m.scan_s for m in made)
    separate = f"{draw:.2f} | {scan:.2f}" if draw else "- | -"
    return f"| {name} | {voxels:.1f} | {separate} | **{whole:.2f}** | {max(m.peak_mib for m in made):.0f} |"


def _apart(make: object, arguments: tuple[object, ...]) -> Made:
    """Runs in a new process, or peak memory would be that of the largest so far."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(make, arguments)


def _torso(seed: int, spacing_mm: float) -> Made:
    import numpy as np

    from trabecula.anatomy import Level
    from trabecula.virtual.cohort import draw, torso_grid
    from trabecula.virtual.scanner import Protocol, acquire
    from trabecula.virtual.subject import sample_subject

    subject = sample_subject(seed)
    high, low = (subject.vertebra(level).centre_lps_mm[2] for level in (Level.T9, Level.L5))
    grid = torso_grid(subject, (low - 25, high + 25), spacing_mm)
    started = time.process_time()
    drawn = draw(subject, grid)
    between = time.process_time()
    protocol = Protocol(pixel_mm=spacing_mm, thickness_mm=spacing_mm, increment_mm=spacing_mm)
    acquire(drawn.volume, protocol, np.random.default_rng(seed))
    return Made(np.prod(grid.shape) / 1e6, between - started, time.process_time() - between, _peak_mib())


def _counted(seed: int, spacing_mm: float, field: str) -> Made:
    from trabecula.virtual.torso import draw_torso

    draw_torso(seed, 12.0, field=field)  # loads what is loaded once
    started = time.process_time()
    torso = draw_torso(seed, spacing_mm, field=field)
    return Made(torso.volume.hu.size / 1e6, 0.0, time.process_time() - started, _peak_mib())


def _patient(seed: int) -> Made:
    import numpy as np

    from trabecula.anatomy import Level
    from trabecula.virtual.cohort import scan_patient
    from trabecula.virtual.order import PROTOCOLS
    from trabecula.virtual.subject import sample_subject

    protocol = PROTOCOLS["abdomen"](np.random.default_rng(seed))
    started = time.process_time()
    ct = scan_patient(sample_subject(seed), protocol, Level.T9, Level.S1)
    return Made(ct.volume.hu.size / 1e6, 0.0, time.process_time() - started, _peak_mib())


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB


if __name__ == "__main__":
    main()
