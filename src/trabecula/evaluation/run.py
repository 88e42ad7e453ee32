"""Screens a cohort and holds each result against what is known: ``trabecula evaluate RECIPE COHORT --out DIR``.

``DIR/rows.jsonl`` grows by a row a case; an interrupted run goes on where it stopped. The tables come of it.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from trabecula.cohort.case import Case, Cohort, Split
from trabecula.errors import TrabeculaError, WrongUsage
from trabecula.evaluation import pages
from trabecula.evaluation.reference import require_reference
from trabecula.evaluation.rows import CaseRow, Run, read_rows, run_of, to_line
from trabecula.evaluation.score import MASK, groups_of, score
from trabecula.recipes import recipe_named
from trabecula.screen import screen

ROWS = "rows.jsonl"


def judge_case(case: Case, recipe_name: str, run: Run) -> CaseRow:
    """Screens one case and scores what came of it; what was refused is a row too, and so is a failure of ours."""
    recipe = recipe_named(recipe_name)
    try:
        seen = case.load((MASK, "bodies"))
        started = time.perf_counter()
        assessment = screen(seen.scan, recipe)
        seconds = time.perf_counter() - started
    except TrabeculaError as error:
        return CaseRow(run, case.name, case.patient, refused=error.code, groups=groups_of(case.known, None))
    except Exception as error:
        # One scan that breaks the program must not lose the others; it is counted, and named by its kind alone.
        kind = f"defect-{type(error).__name__}"
        return CaseRow(run, case.name, case.patient, refused=kind, groups=groups_of(case.known, None))
    return score(case, seen, recipe, assessment, run, seconds)


def evaluate(
    recipe_name: str, cohort: Cohort, out: Path, workers: int, command: str, progress: Callable[[int, int], None]
) -> Path:
    """Screens the cases that have no row yet, then writes tables, plots and the page; returns the page.

    Cases marked for training or validation are left out where any is marked for testing. ``progress`` gets the number
    of cases done and of how many.

    Raises:
        WrongUsage: no such recipe; ``reference-missing``: nothing to judge it by; ``other-run``: ``out`` holds rows of
            another run; ``out`` cannot be written.
    """
    recipe = recipe_named(recipe_name)
    run, cases = run_of(recipe, cohort), judged_cases(cohort)
    require_reference(recipe, cohort, cases)
    path = out / ROWS
    rows = {row.case: row for row in read_rows(path, run)}
    missing = [case for case in cases if case.name not in rows]
    progress(len(cases) - len(missing), len(cases))
    try:
        out.mkdir(parents=True, exist_ok=True)
        _mend(path)
        with path.open("a", encoding="utf-8") as file:
            for row in _judged(missing, recipe_name, run, workers):
                rows[row.case] = row
                print(to_line(row), file=file, flush=True)
                progress(len(cases) - len(missing) + sum(case.name in rows for case in missing), len(cases))
        return pages.write([rows[case.name] for case in cases], out, command)
    except OSError as error:
        raise WrongUsage("output-unwritable", f"{out} cannot be written: {error.strerror}.") from error


def judged_cases(cohort: Cohort) -> list[Case]:
    """Those marked for testing where any is, else all."""
    marked = [case for case in cohort.cases if case.split is Split.TEST]
    return marked or list(cohort.cases)


def _judged(cases: list[Case], recipe_name: str, run: Run, workers: int) -> Iterator[CaseRow]:
    if workers <= 1 or len(cases) < 2:
        for case in cases:
            yield judge_case(case, recipe_name, run)
        return
    try:
        with ProcessPoolExecutor(workers, initializer=_one_thread) as pool:
            jobs = [pool.submit(judge_case, case, recipe_name, run) for case in cases]
            for job in as_completed(jobs):
                yield job.result()
    except BrokenProcessPool as error:
        raise WrongUsage(
            "worker-lost",
            f"One of {workers} --workers was stopped from outside, most often for lack of memory; give fewer."
            " The rows that are there are whole; run it again to go on.",
        ) from error


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"


def _mend(path: Path) -> None:
    """Takes away what a killed run had begun to write after the last whole line."""
    if path.exists():
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            path.write_bytes(whole)
