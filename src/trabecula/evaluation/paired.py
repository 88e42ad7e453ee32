"""Recipes against one another on the cases that both judged: DeLong's test of their AUC, Cohen's kappa."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from trabecula.evaluation.categories import Weights, kappa
from trabecula.evaluation.diagnosis import AucDifference, auc, compare_auc
from trabecula.evaluation.figures import NAMES, sickness
from trabecula.evaluation.interval import NONE, Estimate
from trabecula.evaluation.rows import CaseRow
from trabecula.quantity import Category

FINDINGS = {
    "osteoporosis": (Category.OSTEOPOROSIS.value,),
    "abnormal": (Category.OSTEOPOROSIS.value, Category.OSTEOPENIA.value),
}
"""What is looked for, by the categories that mean it."""

TESTED = {**FINDINGS, "osteopenia": (Category.OSTEOPENIA.value,)}
"""What DeLong's test is made of; as Pan 2024, whose normal against the rest is abnormal against normal."""


@dataclass(frozen=True)
class AucPair:
    """Two recipes' areas for one finding, on the ``patients`` that both judged and whose references agree on it.

    ``apart`` counts those left out because the references differ: other vertebrae, or DXA and QCT. ``test`` is None
    where there are too few with or without the finding, or a recipe does not rank it.
    """

    first: str
    second: str
    finding: str
    patients: int
    apart: int
    areas: tuple[Estimate, Estimate]
    test: AucDifference | None


@dataclass(frozen=True)
class KappaPair:
    """How far two recipes' categories agree beyond chance, on the ``patients`` to whom both give one."""

    first: str
    second: str
    patients: int
    same: int
    plain: Estimate
    linear: Estimate


def auc_pairs(rows: Sequence[Sequence[CaseRow]]) -> list[AucPair]:
    """Every two recipes, for every finding. ``rows`` are those of a recipe each, of the same cases."""
    return [
        _auc_pair(one, other, finding, ill) for finding, ill in TESTED.items() for one, other in combinations(rows, 2)
    ]


def kappa_pairs(rows: Sequence[Sequence[CaseRow]]) -> list[KappaPair]:
    """Every two recipes."""
    return [_kappa_pair(one, other) for one, other in combinations(rows, 2)]


def _auc_pair(one: Sequence[CaseRow], other: Sequence[CaseRow], finding: str, ill: tuple[str, ...]) -> AucPair:
    both = [pair for pair in _both(one, other) if None not in (pair[0].true_category, pair[1].true_category)]
    same = [(a, b) for a, b in both if (a.true_category in ill) == (b.true_category in ill)]
    true = np.array([a.true_category in ill for a, _ in same], bool)
    first, second = (np.array([sickness(pair[i], ill) for pair in same], float) for i in (0, 1))
    enough = 2 <= true.sum() <= len(same) - 2 and bool(np.isfinite([first, second]).all())
    return AucPair(
        one[0].run.recipe,
        other[0].run.recipe,
        finding,
        len(same),
        len(both) - len(same),
        (auc(first, true), auc(second, true)) if enough else (NONE, NONE),
        compare_auc(first, second, true) if enough else None,
    )


def _kappa_pair(one: Sequence[CaseRow], other: Sequence[CaseRow]) -> KappaPair:
    both = _both(one, other)
    first, second = ([pair[i].category for pair in both] for i in (0, 1))
    plain, linear = (
        kappa(first, second, NAMES, weights) if both else NONE for weights in (Weights.PLAIN, Weights.LINEAR)
    )
    same = sum(a == b for a, b in zip(first, second, strict=True))
    return KappaPair(one[0].run.recipe, other[0].run.recipe, len(both), same, plain, linear)


def _both(one: Sequence[CaseRow], other: Sequence[CaseRow]) -> list[tuple[CaseRow, CaseRow]]:
    """The first scan of each patient to which both give a category."""
    by_case = {row.case: row for row in other}
    pairs = [(row, by_case[row.case]) for row in one if row.case in by_case]
    first: dict[str, tuple[CaseRow, CaseRow]] = {}
    for a, b in pairs:
        if Category.UNDETERMINED not in (a.category, b.category):
            first.setdefault(a.patient, (a, b))
    return list(first.values())
