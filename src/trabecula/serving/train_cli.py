"""The commands ``train``, ``learning-curve``, ``evaluate`` and ``compare``: from a cohort to weights and to figures."""

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from trabecula.serving.spoken import say, spoken, tell

CohortGiven = Annotated[
    str,
    typer.Argument(
        metavar="COHORT",
        help="A folder that simulate wrote, a table (.csv), virtual:NUMBER[:FAMILY], or like:PUBLICATION[:SHARE].",
    ),
]
AtATime = Annotated[int, typer.Option("--workers", min=1, help="How many scans at a time.")]
Preset = Annotated[str, typer.Option(help="full, or small to see within minutes that all of it works.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
Figures = Annotated[Path, typer.Option("--out", help="Folder for the figures; new, or of the same run to go on.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the whole traceback if the program itself fails.")]
Folds = Annotated[int | None, typer.Option(help="Cross-validation: how many folds patients are dealt into by lot.")]
Instead = Annotated[
    Path | None, typer.Option("--weights", help="Folder of a training of yours: its weights instead of those shipped.")
]
LeaveOut = Annotated[bool, typer.Option("--leave-out-bad", help="Go on without the rows that cannot be used.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (train, learning_curve, evaluate, compare):
        app.command()(command)


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Whose networks; see 'trabecula recipes'.")],
    cohort: CohortGiven,
    out: Annotated[Path, typer.Option("--out", help="Folder for the training; new, or with --resume its own.")],
    preset: Preset = "full",
    device: Device = "auto",
    only: Annotated[list[str] | None, typer.Option(help="Only these weights of the recipe; may be repeated.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Fewer steps than the preset has.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that cut shards and make batches.")] = 0,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Go on from trained weights: shipped, or the folder of a training of yours."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in the folder.")] = False,
    folds: Folds = None,
    fold: Annotated[int | None, typer.Option(help="With --folds: the one that judges; the others teach.")] = None,
    leave_out_bad: LeaveOut = False,
    debug: Debug = False,
) -> None:
    """Train a recipe's networks on a cohort and export them."""
    if debug:
        sys.excepthook = sys.__excepthook__
    _require_training()
    from trabecula.cohort.read import read_cohort
    from trabecula.training.run import Wanted, train_recipe

    given = read_cohort(cohort, judging=False, leave_out_bad=leave_out_bad)
    if folds is not None or fold is not None:
        from trabecula.cohort.folds import in_fold

        given = in_fold(given, fold or 0, folds or 0)
    wanted = Wanted(preset, device, tuple(only or ()), workers, resume, steps, start)
    train_recipe(recipe, given, out, wanted, lambda said: tell(said.told(spoken())))
    print(out / "weights")


def _require_training() -> None:
    from importlib.util import find_spec

    from trabecula.errors import defect

    missing = [name for name in ("torch", "safetensors", "onnx") if find_spec(name) is None]
    if missing:
        raise defect("train-missing", packages=missing)


def learning_curve(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Whose segmentation; see 'trabecula recipes'.")],
    cohort: CohortGiven,
    out: Annotated[Path, typer.Option("--out", help="Folder for the trainings and the curve; run again to go on.")],
    people: Annotated[str, typer.Option(help="How many to train on, with commas between them.")] = "100,200,300",
    preset: Preset = "full",
    device: Device = "auto",
    steps: Annotated[int | None, typer.Option(min=1, help="Fewer steps than the preset has, at every point.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that cut shards; scans at a time.")] = 2,
    leave_out_bad: LeaveOut = False,
    debug: Debug = False,
) -> None:
    """Train a recipe's segmentation on more and more people and plot its Dice on others."""
    if debug:
        sys.excepthook = sys.__excepthook__
    _require_training()
    from trabecula.cohort.read import read_cohort
    from trabecula.evaluation.learning import write
    from trabecula.recipes import recipe_named
    from trabecula.serving.learning import learned, sizes
    from trabecula.training.run import Wanted

    chosen, numbers = recipe_named(recipe, trained=False), sizes(people)
    teaching, judging = (read_cohort(cohort, judging=one, leave_out_bad=leave_out_bad) for one in (False, True))
    wanted = Wanted(preset, device, workers=workers, steps=steps)
    points = learned(chosen, teaching, judging, numbers, out, wanted, TimeLeft())
    words = ["trabecula", "learning-curve", recipe, cohort, "--people", people, "--preset", preset]
    words += [] if steps is None else ["--steps", str(steps)]
    print(write(points, recipe, out, simulated=teaching.simulated, command=shlex.join(words)))


def evaluate(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Which recipe; see 'trabecula recipes'.")],
    cohort: CohortGiven,
    out: Figures,
    weights: Instead = None,
    workers: AtATime = 2,
    folds: Folds = None,
    fold: Annotated[int | None, typer.Option(help="With --folds: the one whose patients are screened.")] = None,
    leave_out_bad: LeaveOut = False,
    debug: Debug = False,
) -> None:
    """Screen a cohort and hold the results against what is known of it."""
    if debug:
        sys.excepthook = sys.__excepthook__
    from trabecula.cohort.folds import held_out, in_fold, require_of_fold
    from trabecula.cohort.read import read_cohort
    from trabecula.evaluation.run import evaluate as run
    from trabecula.recipes import recipe_named

    folded = folds is not None or fold is not None
    given = read_cohort(cohort, judging=not folded, leave_out_bad=leave_out_bad)
    words = ["trabecula", "evaluate", recipe, cohort, "--out", out.name]
    if folded:
        given = held_out(in_fold(given, fold or 0, folds or 0))
        words += ["--folds", str(folds), "--fold", str(fold)]
    if weights is not None:
        from trabecula.training.fit import use_fitting

        use_fitting(recipe_named(recipe, trained=False), weights)
        words += ["--weights", weights.name]
    if folded:
        require_of_fold(given, recipe_named(recipe))
    page = run(
        recipe,
        given,
        out,
        workers,
        shlex.join(words),
        TimeLeft(),
    )
    print(page)


def compare(
    cohort: CohortGiven,
    out: Figures,
    recipes: Annotated[str, typer.Option(help="Which recipes, with commas between them, or all.")] = "all",
    workers: AtATime = 2,
    leave_out_bad: LeaveOut = False,
    debug: Debug = False,
) -> None:
    """Screen a cohort with several recipes and set their figures side by side."""
    if debug:
        sys.excepthook = sys.__excepthook__
    from trabecula.cohort.read import read_cohort
    from trabecula.evaluation.compare import compare as run
    from trabecula.recipes import recipes_named

    recipes_named(recipes)  # before a long cohort is read
    given = read_cohort(cohort, judging=True, leave_out_bad=leave_out_bad)
    words = ["trabecula", "compare", cohort, "--recipes", recipes, "--out", out.name]
    print(run(recipes, given, out, workers, shlex.join(words), TimeLeft()))


class TimeLeft:
    """Progress in lines on stderr, with about how long the rest will take."""

    def __init__(self) -> None:
        self.begun: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        started, before = self.begun = self.begun or (now, done)
        if done > before and done < total:
            left = left_words((now - started) / (done - before) * (total - done))
            tell(say("scans-done.left", done=done, total=total, left=left))
        else:
            tell(say("scans-done", done=done, total=total))


def left_words(seconds: float) -> str:
    """A length of time in the unit that a person would use."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
