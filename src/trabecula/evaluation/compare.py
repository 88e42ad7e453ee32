"""Several recipes over one cohort: ``trabecula compare COHORT --recipes all --out DIR``.

Each case is loaded once for all of them. ``DIR/RECIPE`` holds what ``evaluate`` writes, and goes on where it stopped;
``DIR/index.html`` sets them side by side. A recipe that cannot be judged on the cohort is told, and the others go on.
"""

from collections.abc import Callable
from pathlib import Path

from trabecula.cohort.case import Cohort
from trabecula.errors import Defect, TrabeculaError
from trabecula.evaluation import compared, pages
from trabecula.evaluation.reference import require_reference
from trabecula.evaluation.reporting import facts_of
from trabecula.evaluation.rows import Run, run_of
from trabecula.evaluation.run import collect, judged_cases, told_as_unwritable
from trabecula.recipes import recipe_named, recipes_named


def compare(
    names: str, cohort: Cohort, out: Path, workers: int, command: str, progress: Callable[[int, int], None]
) -> Path:
    """Screens with every recipe the cases that it has no row of yet, then writes its page and that of all.

    ``names`` are recipes with commas between them, or all. Cases as ``evaluate`` takes them.

    Raises:
        WrongUsage: no such recipe; ``other-run``: ``out`` holds rows of another run; ``out`` cannot be written.
        TrabeculaError: no recipe can be judged on the cohort.
    """
    recipes, cases = recipes_named(names), judged_cases(cohort)
    runs: list[tuple[Run, Path]] = []
    left_out: dict[str, TrabeculaError] = {}
    for recipe in recipes:
        try:
            runs.append((run_of(recipe, cohort), out / recipe.name))
            require_reference(recipe, cohort, cases)
        except TrabeculaError as error:
            # Whatever else is wrong is wrong with the first case, which had to be drawn: it will be a row of its own.
            if isinstance(error, Defect) or error.code == "reference-missing":
                left_out[recipe.name] = error
    runs = [(run, folder) for run, folder in runs if run.recipe not in left_out]
    if not runs:
        raise next(iter(left_out.values()))
    with told_as_unwritable(out):
        rows = collect(cases, runs, workers, progress)
        for some, (run, folder) in zip(rows, runs, strict=True):
            pages.write(some, folder, command, facts_of(cohort, cases, recipe_named(run.recipe)))
        return compared.write(rows, recipes, left_out, out, command)
