"""Screens a cohort and holds each result against what is known: ``trabecula evaluate RECIPE COHORT --out DIR``.

``DIR/rows.jsonl`` grows by a row a case; an interrupted run goes on where it stopped. The tables come of it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from pathlib import Path

from trabecula.causes import cause_of
from trabecula.cohort.case import Case, Cohort, Known, Seen, Split
from trabecula.errors import TrabeculaError, wrong_usage
from trabecula.evaluation import pages
from trabecula.evaluation.reference import reference_of, require_reference, true_category_of
from trabecula.evaluation.reporting import facts_of
from trabecula.evaluation.rows import CaseRow, Run, read_rows, run_of, to_line
from trabecula.evaluation.score import MASK, Truth, groups_of, score
from trabecula.line import Shared, screen
from trabecula.lock import one_run
from trabecula.recipe import Recipe
from trabecula.recipes import recipe_named
from trabecula.workers import worker_processes

ROWS = "rows.jsonl"


def judge_together(case: Case, runs: Sequence[Run]) -> list[CaseRow]:
    """Screens one case with the recipe of every run and scores what came of it.

    The case is loaded once, and what the recipes share is worked out once. What was refused is a row too, and so is a
    failure of ours.
    """
    recipes = [recipe_named(run.recipe) for run in runs]
    try:
        # Bodies only say where vertebrae are, and only where no trabecular mask does.
        seen = case.load((MASK,) if MASK in case.source.masks else ("bodies",))
    except Exception as error:
        return [_unread(case, case.known, recipe, run, error) for recipe, run in zip(recipes, runs, strict=True)]
    shared, truth = Shared(recipes), Truth(seen)
    return [_judge(case, seen, recipe, run, shared, truth) for recipe, run in zip(recipes, runs, strict=True)]


def _judge(case: Case, seen: Seen, recipe: Recipe, run: Run, shared: Shared, truth: Truth) -> CaseRow:
    try:
        assessment = screen(seen.scan, recipe, shared=shared)
        return score(case, seen, recipe, assessment, run, sum(assessment.run["seconds"].values()), truth)
    except Exception as error:
        return _unread(case, seen.known, recipe, run, error)


def _unread(case: Case, known: Known, recipe: Recipe, run: Run, error: Exception) -> CaseRow:
    """A case without a result. One scan that breaks the program must not lose the others: it is counted, and named by
    its kind alone.
    """
    true_category = true_category_of(known, recipe, None)
    return CaseRow(
        run,
        case.name,
        case.patient,
        refused=error.code if isinstance(error, TrabeculaError) else f"defect-{type(error).__name__}",
        reference=reference_of(known, recipe, None),
        true_category=None if true_category is None else true_category.value,
        groups=groups_of(known, None),
    )


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
    with told_as_unwritable(out):
        (rows,) = collect(cases, [(run, out)], workers, progress)
        return pages.write(rows, out, command, facts_of(cohort, cases, recipe))


def collect(
    cases: Sequence[Case], runs: Sequence[tuple[Run, Path]], workers: int, progress: Callable[[int, int], None]
) -> list[list[CaseRow]]:
    """The rows of every run, in the order of the cases; those that its folder does not hold yet are made and kept.

    No two runs may be of one recipe.

    Raises:
        WrongUsage: a folder holds rows of another run (``other-run``), is being written by one, or cannot be written.
        OSError: a folder cannot be written.
    """
    with ExitStack() as stack:
        for _, folder in runs:
            stack.enter_context(one_run(folder))
        kept = {run.recipe: {row.case: row for row in read_rows(folder / ROWS, run)} for run, folder in runs}
        wanted = [(case, [run for run, _ in runs if case.name not in kept[run.recipe]]) for case in cases]
        wanted = [(case, lacking) for case, lacking in wanted if lacking]
        done = len(cases) - len(wanted)
        progress(done, len(cases))
        files = {}
        for run, folder in runs:
            _mend(folder / ROWS)
            files[run.recipe] = stack.enter_context((folder / ROWS).open("a", encoding="utf-8"))
        for rows in _judged(wanted, workers):
            for row in rows:
                kept[row.run.recipe][row.case] = row
                print(to_line(row), file=files[row.run.recipe], flush=True)
            done += 1
            progress(done, len(cases))
    return [[kept[run.recipe][case.name] for case in cases] for run, _ in runs]


@contextmanager
def told_as_unwritable(out: Path) -> Iterator[None]:
    """Raises ``output-unwritable`` where a file of ``out`` cannot be written."""
    try:
        yield
    except OSError as error:
        raise wrong_usage("output-unwritable", path=str(out), cause=cause_of(error)) from error


def judged_cases(cohort: Cohort) -> list[Case]:
    """Those marked for testing where any is, else all."""
    marked = [case for case in cohort.cases if case.split is Split.TEST]
    return marked or list(cohort.cases)


def _judged(wanted: Sequence[tuple[Case, list[Run]]], workers: int) -> Iterator[list[CaseRow]]:
    """The rows of each case by the runs that lack it, as they come."""
    if workers <= 1 or len(wanted) < 2:
        for case, runs in wanted:
            yield judge_together(case, runs)
        return
    try:
        with worker_processes(workers) as pool:
            jobs = [pool.submit(judge_together, case, runs) for case, runs in wanted]
            for job in as_completed(jobs):
                yield job.result()
    except BrokenProcessPool as error:
        raise wrong_usage("worker-lost", workers=workers) from error


def _mend(path: Path) -> None:
    """Takes away what a killed run had begun to write after the last whole line."""
    if path.exists():
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            path.write_bytes(whole)
