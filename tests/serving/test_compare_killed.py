"""``trabecula compare`` killed (kill -9) in the middle and run again: the tables are those of a run without a break."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

STUB_FOLDER = Path(__file__).parents[1] / "stub"
PROGRAM = (sys.executable, "-c", "from trabecula.serving.cli import main; main()")
RECIPES = ("stub", "stub-classes", "stub-areal")
CASES = 12


def table(folder: Path, ct: Path) -> Path:
    """People whose references differ, all with the same scan."""
    lines = ["case,path,qct_L1,qct_L2,dxa_g_cm2,sex"]
    lines += [f"n{n},{ct},{60 + 10 * n},{62 + 10 * n},{0.6 + 0.03 * n:.2f},F" for n in range(CASES)]
    path = folder / "site.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def started(given: Path, out: Path, hold: Path, workers: int) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(STUB_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
    surroundings = {**os.environ, "PYTHONPATH": path, "TRABECULA_STUB_HOLD": str(hold)}
    words = ["compare", str(given), "--recipes", ",".join(RECIPES), "--out", str(out), "--workers", str(workers)]
    return subprocess.Popen([*PROGRAM, *words], env=surroundings, start_new_session=True, stderr=subprocess.DEVNULL)


def rows(out: Path) -> int:
    paths = [out / name / "rows.jsonl" for name in RECIPES]
    return min(path.read_bytes().count(b"\n") if path.exists() else 0 for path in paths)


def waited_for(what: str, there: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    for _ in range(6000):
        if there():
            return
        assert process.poll() is None, f"ended before {what}"
        time.sleep(0.01)
    raise AssertionError(f"never {what}")


def killed_in_the_middle(given: Path, out: Path, hold: Path, workers: int, wanted: int) -> int:
    """Kills the run and its workers while they work on a case, with at least so many rows there; how many there are."""
    process = started(given, out, hold, workers)
    try:
        waited_for("rows", lambda: rows(out) >= wanted, process)
        hold.touch()
        waited_for("held", Path(f"{hold}.pid").exists, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    hold.unlink()
    Path(f"{hold}.pid").unlink()
    return rows(out)


def tables(out: Path) -> dict[str, str]:
    """The tables and the pages' text, but for the seconds."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.suffix in (".csv", ".md"):
            lines = path.read_text(encoding="utf-8").splitlines()
            text = "\n".join(line for line in lines if "seconds" not in line.lower())
            found[path.relative_to(out).as_posix()] = text
    return found


def test_a_killed_comparison_goes_on_to_the_same_tables(cylinder_nifti: Path, tmp_path: Path) -> None:
    workers, given, hold = 2, table(tmp_path, cylinder_nifti), tmp_path / "hold"
    whole, broken = tmp_path / "whole" / "out", tmp_path / "broken" / "out"
    assert started(given, whole, hold, workers).wait() == 0
    there = killed_in_the_middle(given, broken, hold, workers, 2)
    assert 2 <= there < CASES
    assert not (broken / "index.html").exists()
    # What a kill within a line leaves behind the rows.
    with (broken / "stub" / "rows.jsonl").open("a") as file:
        file.write('{"run": {"rec')
    before = {name: (broken / name / "rows.jsonl").read_text().splitlines()[:there] for name in RECIPES}
    assert started(given, broken, hold, workers).wait() == 0
    for name in RECIPES:
        assert (broken / name / "rows.jsonl").read_text().splitlines()[:there] == before[name]  # not worked out again
        assert all('"refused": null' in line for line in before[name])
        lines = (broken / name / "rows.jsonl").read_text().splitlines()
        assert len({json.loads(line)["case"] for line in lines}) == len(lines) == CASES  # nothing torn is left
    assert tables(broken) == tables(whole)
    assert {"side-by-side.csv", "one-vs-rest.csv", "delong.csv", "kappa.csv", "results.md"} <= set(tables(whole))
