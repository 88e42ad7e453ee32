"""One case through all recipes by two source trees in turn: processor seconds of each, and whether the rows differ.

    python benchmarks/compare.py COHORT --before OLD/src --after src [--cases 2] [--rounds 2] [--recipes all]

Both processes stay up and work one at a time, so that whatever else the machine does is both's. A process's first round
compiles its networks and is told apart from the later ones. Exit status 1 where a row differs but for its seconds.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

WORKER = """
import json, resource, sys, time
from trabecula.cohort.read import read_cohort
from trabecula.evaluation.rows import run_of, to_line
from trabecula.evaluation.run import judge_together
from trabecula.recipes import recipes_named

cohort = read_cohort(sys.argv[1], judging=True)
cases = {case.name: case for case in cohort.cases}
runs = [run_of(recipe, cohort) for recipe in recipes_named(sys.argv[2])]
print(json.dumps(list(cases)), flush=True)
for name in sys.stdin:
    cpu, wall = time.process_time(), time.perf_counter()
    rows = [json.loads(to_line(row)) for row in judge_together(cases[name.strip()], runs)]
    for row in rows:
        del row["seconds"], row["run"]["code"]
    told = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "rows": rows}
    told["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(json.dumps(told), flush=True)
"""


class Tree:
    """A process that judges cases by one source tree."""

    def __init__(self, source: Path, cohort: str, recipes: str) -> None:
        surroundings = {**os.environ, "PYTHONPATH": str(source.resolve()), "OMP_NUM_THREADS": "1"}
        words = [sys.executable, "-c", WORKER, cohort, recipes]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=surroundings
        )
        self.cases: list[str] = self._answer()

    def judge(self, case: str) -> dict[str, Any]:
        """The rows of a case, and what they took."""
        assert self.process.stdin is not None
        print(case, file=self.process.stdin, flush=True)
        found: dict[str, Any] = self._answer()
        return found

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def main() -> int:
    """Print a line a case and round, then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort")
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--recipes", default="all")
    asked = parser.parse_args()
    trees = {name: Tree(getattr(asked, name), asked.cohort, asked.recipes) for name in ("before", "after")}
    differing, seconds = 0, dict[tuple[str, int], float]()
    for number in range(asked.rounds):
        for case in trees["before"].cases[: asked.cases]:
            found = {name: tree.judge(case) for name, tree in trees.items()}
            rows = [one.pop("rows") for one in found.values()]
            differing += sum(a != b for a, b in zip(*rows, strict=True))
            for name, one in found.items():
                seconds[name, number] = seconds.get((name, number), 0.0) + one["cpu_s"]
            print(json.dumps({"round": number, "case": case, **found, "rows": len(rows[0])}), flush=True)
        ratio = seconds["before", number] / seconds["after", number]
        print(json.dumps({"round": number, "before to after, processor seconds": round(ratio, 2)}), flush=True)
    for tree in trees.values():
        tree.end()
    print(json.dumps({"rows that differ": differing}))
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
