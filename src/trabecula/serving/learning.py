"""``trabecula learning-curve``: Dice of a recipe's segmentation against the number of people it was trained on.

DIR/NUMBER/                    the training on so many people, as ``trabecula train`` leaves it
DIR/NUMBER/judged/rows.jsonl   what it does on people that no training saw
DIR/learning-curve.md, .csv, .png
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from trabecula.cohort.case import Case, Cohort, Split, lot, validation_split
from trabecula.errors import wrong_usage
from trabecula.evaluation.figures import figures
from trabecula.evaluation.learning import Point
from trabecula.evaluation.rows import run_of
from trabecula.evaluation.run import collect, told_as_unwritable
from trabecula.recipe import Recipe
from trabecula.serving.spoken import spoken, tell
from trabecula.training.fit import use_fitting, weights_folder
from trabecula.training.run import Wanted, train_recipe


def learned(
    recipe: Recipe,
    teaching: Cohort,
    judging: Cohort,
    numbers: Sequence[int],
    out: Path,
    wanted: Wanted,
    progress: Callable[[int, int], None],
) -> list[Point]:
    """A point for each number of people: trained on them, unless ``out`` holds that already, and judged.

    Raises:
        WrongUsage: as ``segmenter_of``, ``parts_of``, ``training.run.train_recipe`` and ``evaluation.run.collect``;
            ``no-dice``.
    """
    wanted = replace(wanted, only=(segmenter_of(recipe),))
    parts = {number: parts_of(teaching, judging, number) for number in numbers}
    return [
        _point(recipe, part, judged, number, out / str(number), wanted, progress)
        for number, (part, judged) in parts.items()
    ]


def sizes(given: str) -> list[int]:
    """Numbers of people, fewest first, each once.

    Raises:
        WrongUsage: ``people-unusable``.
    """
    words = [word.strip() for word in given.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise wrong_usage("people-unusable", given=given)
    return sorted({int(word) for word in words})


def segmenter_of(recipe: Recipe) -> str:
    """The name of the weights that outline vertebrae.

    Raises:
        WrongUsage: ``nothing-outlined``: the recipe outlines none.
    """
    weights: str | None = getattr(recipe.segment, "weights", None)
    if weights is None:
        raise wrong_usage("nothing-outlined", recipe=recipe.name)
    return weights


def parts_of(teaching: Cohort, judging: Cohort, number: int) -> tuple[Cohort, Cohort]:
    """So many people to train on with those who pick the checkpoint, and the people who judge: the same for any number.

    A larger number holds everybody of a smaller one. Where nobody is marked for the test, and the cohort has no others
    for it, a fifth of the patients is.

    Raises:
        WrongUsage: ``too-few-patients``.
    """
    tested = _tested(teaching, judging)
    patients = {case.patient for case in tested}
    rest = tuple(case for case in teaching.cases if case.patient not in patients)
    training, validation = validation_split(rest)
    order = sorted({case.patient for case in training}, key=lot)
    if number > len(order):
        raise wrong_usage("too-few-patients.people", number=len(order), asked=number)
    chosen = set(order[:number])
    cases = tuple(replace(case, split=Split.TRAIN) for case in training if case.patient in chosen)
    cases += tuple(replace(case, split=Split.VALIDATION) for case in validation)
    part = replace(teaching, cases=cases, digest=f"{teaching.digest}, {number} people of {len(order)}")
    return part, replace(judging, cases=tuple(tested), digest=f"{judging.digest}, {len(tested)} judged")


def _tested(teaching: Cohort, judging: Cohort) -> Sequence[Case]:
    marked = [case for case in judging.cases if case.split is Split.TEST]
    if marked:
        return marked
    known = {case.patient for case in teaching.cases}
    if not known & {case.patient for case in judging.cases}:
        return judging.cases
    last = set(sorted(known, key=lot)[-max(1, len(known) // 5) :])
    return [case for case in judging.cases if case.patient in last]


def _point(
    recipe: Recipe,
    part: Cohort,
    judged: Cohort,
    number: int,
    folder: Path,
    wanted: Wanted,
    progress: Callable[[int, int], None],
) -> Point:
    if weights_folder(folder) is None:
        going_on = replace(wanted, resume=(folder / "training.json").exists())
        train_recipe(recipe.name, part, folder, going_on, lambda said: tell(said.told(spoken())))
    use_fitting(recipe, folder)
    with told_as_unwritable(folder):
        (rows,) = collect(judged.cases, [(run_of(recipe, judged), folder / "judged")], wanted.workers, progress)
    dice = next((one for one in figures(rows) if one.name == "Dice of a case, mean"), None)
    if dice is None:
        raise wrong_usage("no-dice", cohort=judged.name)
    return Point(number, round(dice.estimate.value, 4), round(dice.sd or 0.0, 4), dice.of)
