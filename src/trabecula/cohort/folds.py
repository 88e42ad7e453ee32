"""Cross-validation: patients are dealt into folds by lot, the same ones each time; those of the test are in none.

With four folds and nobody marked for the test, a fifth of the patients is kept for it: 6:2:2, as in Niu 2023.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from trabecula.cohort.case import Case, Cohort, Split, lot
from trabecula.errors import wrong_usage
from trabecula.recipe import Recipe
from trabecula.weights import weights_named


def in_fold(cohort: Cohort, number: int, folds: int) -> Cohort:
    """The cohort with every case's split set: fold ``number`` (from 1) of ``folds`` judges, the others are trained on.

    Cases marked for the test stay there; whether others are marked for training or validation does not count.

    Raises:
        WrongUsage: ``fold-unusable``: there is no such fold; ``too-few-patients``: fewer patients than parts.
    """
    if folds < 2 or not 1 <= number <= folds:
        raise wrong_usage("fold-unusable", number=number, folds=folds)
    places = dealt(cohort.cases, folds)
    split = {0: Split.TEST, number: Split.VALIDATION}
    cases = tuple(replace(case, split=split.get(places[case.patient], Split.TRAIN)) for case in cohort.cases)
    # More patients are dealt otherwise, and a virtual cohort's own digest does not tell how many there are.
    people = hashlib.sha256(" ".join(sorted(places)).encode()).hexdigest()[:12]
    return replace(
        cohort,
        digest=f"{cohort.digest}, fold {number} of {folds} of {people}",
        cases=cases,
        given=f"{cohort.given} --folds {folds} --fold {number}",
    )


def held_out(cohort: Cohort) -> Cohort:
    """The cases alone that a fold is judged by."""
    return replace(cohort, cases=tuple(case for case in cohort.cases if case.split is Split.VALIDATION))


def require_of_fold(fold: Cohort, recipe: Recipe) -> None:
    """Refuses to judge networks that were not trained on this fold: they may know those who are to judge them.

    Raises:
        WrongUsage: ``weights-other-fold``.
    """
    for name in recipe.weights:
        data = weights_named(name).training.get("data")
        if not isinstance(data, Mapping) or data.get("digest") != fold.digest:
            raise wrong_usage("weights-other-fold", name=name, recipe=recipe.name, given=fold.given)


def dealt(cases: tuple[Case, ...], folds: int) -> dict[str, int]:
    """Each patient's fold, from 1 on; 0 is the test.

    Raises:
        WrongUsage: ``too-few-patients``.
    """
    patients = sorted({case.patient for case in cases}, key=lot)
    tested = {case.patient for case in cases if case.split is Split.TEST}
    rest = [patient for patient in patients if patient not in tested]
    parts = folds if tested else folds + 1
    if len(rest) < parts:
        raise wrong_usage("too-few-patients.folds", number=len(rest), parts=parts)
    first = 1 if tested else 0
    return dict.fromkeys(tested, 0) | {patient: first + at % parts for at, patient in enumerate(rest)}
