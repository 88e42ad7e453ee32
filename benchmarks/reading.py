"""Whether a CT is read as quickly as by another version: pairs of readings in turn, by the CPU seconds they take.

    .venv/bin/python benchmarks/reading.py CT --before OTHER_CHECKOUT/src --pairs 6

Each reading is warm: the second one in a process of its own. The ratio of a pair does not depend on what else the
machine does; seconds do.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / "src"
READ = """
import sys, time
from pathlib import Path
from trabecula.flow.read import read
read(Path(sys.argv[1]))
started = time.process_time()
read(Path(sys.argv[1]))
print(time.process_time() - started)
"""


def main() -> None:
    """Print the seconds of each pair and the median of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", type=Path)
    parser.add_argument("--before", type=Path, required=True, help="The folder src of the other version.")
    parser.add_argument("--pairs", type=int, default=6)
    options = parser.parse_args()
    ratios = []
    for number in range(options.pairs):
        order = (options.before, HERE) if number % 2 else (HERE, options.before)
        seconds = {source: cpu_seconds(source, options.ct) for source in order}
        ratios.append(seconds[HERE] / seconds[options.before])
        print(f"{seconds[options.before]:.3f} s before, {seconds[HERE]:.3f} s now, ratio {ratios[-1]:.3f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.3f} of {len(ratios)} pairs")


def cpu_seconds(source: Path, ct: Path) -> float:
    """What one warm reading takes."""
    environment = os.environ | {"PYTHONPATH": str(source)}
    ran = subprocess.run([sys.executable, "-c", READ, str(ct)], env=environment, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    return float(ran.stdout)


if __name__ == "__main__":
    main()
