"""Patients are dealt into folds by lot: nobody judges who was trained on, and those of the test are in no fold."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trabecula.cohort.case import Case, Cohort, Known, Split, validation_split
from trabecula.cohort.drawn import Drawn
from trabecula.cohort.folds import held_out, in_fold, require_of_fold
from trabecula.cohort.read import read_cohort
from trabecula.errors import WrongUsage
from trabecula.recipes import RECIPES
from trabecula.weights import FOLDER, INSTEAD, MANIFEST, catalogue

FOLDS = 4


def cohort(patients: int, marked: dict[int, Split] | None = None) -> Cohort:
    """Two scans of each patient."""
    cases = tuple(
        Case(f"c{at}-{scan}", f"p{at}", Drawn(at), Known(), (marked or {}).get(at))
        for at in range(patients)
        for scan in range(2)
    )
    return Cohort("site", "digest", cases)


def patients(of: Cohort, split: Split) -> set[str]:
    return {case.patient for case in of.cases if case.split is split}


def test_four_folds_are_six_two_two_and_each_patient_judges_once() -> None:
    folds = [in_fold(cohort(100), number, FOLDS) for number in range(1, FOLDS + 1)]
    for fold in folds:
        sizes = [len(patients(fold, split)) for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)]
        assert sizes == [60, 20, 20]
        training, judging = validation_split(fold.cases)
        assert {case.patient for case in judging} == patients(fold, Split.VALIDATION)
        assert {case.patient for case in training} == patients(fold, Split.TRAIN)
    (tested,) = {frozenset(patients(fold, Split.TEST)) for fold in folds}
    judged = [patient for fold in folds for patient in patients(fold, Split.VALIDATION)]
    assert sorted([*judged, *tested]) == sorted({case.patient for case in cohort(100).cases})


def test_patients_marked_for_the_test_are_in_no_fold_and_other_marks_do_not_count() -> None:
    marked = {0: Split.TEST, 1: Split.TEST, 2: Split.VALIDATION, 3: Split.TRAIN}
    folds = [in_fold(cohort(10, marked), number, FOLDS) for number in range(1, FOLDS + 1)]
    assert {frozenset(patients(fold, Split.TEST)) for fold in folds} == {frozenset(("p0", "p1"))}
    held = [{case.patient for case in held_out(fold).cases} for fold in folds]
    assert set().union(*held) == {f"p{at}" for at in range(2, 10)}
    assert [len(one) for one in held] == [2, 2, 2, 2]


def test_the_lot_falls_alike_each_time_and_in_any_order() -> None:
    turned = replace(cohort(30), cases=tuple(reversed(cohort(30).cases)))
    one, other = in_fold(cohort(30), 2, FOLDS), in_fold(turned, 2, FOLDS)
    assert patients(one, Split.VALIDATION) == patients(other, Split.VALIDATION)
    assert one.digest == other.digest


def test_folds_differ_in_their_digest_and_so_do_those_of_more_patients() -> None:
    """A virtual cohort's own digest does not tell how many people there are: with more, they are dealt otherwise."""
    fewer, more = (read_cohort(f"virtual:{number}", judging=False) for number in (20, 40))
    assert fewer.digest == more.digest
    digests = {in_fold(one, number, FOLDS).digest for one in (fewer, more) for number in (1, 2)}
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("number", "folds", "people", "code"),
    [
        (0, 4, 20, "fold-unusable"),
        (5, 4, 20, "fold-unusable"),
        (1, 1, 20, "fold-unusable"),
        (1, 0, 20, "fold-unusable"),
        (1, 4, 4, "too-few-patients"),
    ],
)
def test_folds_that_there_are_not(number: int, folds: int, people: int, code: str) -> None:
    with pytest.raises(WrongUsage) as refused:
        in_fold(cohort(people), number, folds)
    assert refused.value.code == code


def test_weights_that_may_know_the_patients_do_not_judge_a_fold() -> None:
    """Those shipped were trained on virtual patients of the same seeds."""
    fold = held_out(in_fold(read_cohort("virtual:20", judging=False), 1, FOLDS))
    with pytest.raises(WrongUsage, match="train niu2023 virtual:20 --folds 4 --fold 1") as refused:
        require_of_fold(fold, RECIPES["niu2023"])
    assert refused.value.code == "weights-other-fold"


def test_weights_trained_on_the_fold_judge_it_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, virtual = RECIPES["niu2023"], read_cohort("virtual:20", judging=False)
    first, second = (held_out(in_fold(virtual, number, FOLDS)) for number in (1, 2))
    entries = json.loads((FOLDER / MANIFEST).read_text())
    trained = {name: entries[name] | {"data": {"digest": first.digest}} for name in recipe.weights}
    monkeypatch.setenv(INSTEAD, str(tmp_path))

    def given(**shown: Any) -> None:
        (tmp_path / MANIFEST).write_text(json.dumps(shown))
        catalogue.cache_clear()

    given(**trained)
    require_of_fold(first, recipe)
    for fold, missing in ((second, None), (first, recipe.weights[0])):  # another fold; one network as it is shipped
        given(**{name: entry for name, entry in trained.items() if name != missing})
        with pytest.raises(WrongUsage) as refused:
            require_of_fold(fold, recipe)
        assert refused.value.code == "weights-other-fold"
    monkeypatch.undo()
    catalogue.cache_clear()
