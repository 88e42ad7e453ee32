"""Patients by vendor, site, part, voltage, slices, sex, age and whatever else a cohort groups its cases by.

Every cell tells how many patients it rests on, and is empty of a figure where these are too few to mean anything.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trabecula.evaluation.agreement import Agreement, agreement
from trabecula.evaluation.clustered import FEWEST
from trabecula.evaluation.diagnosis import auc
from trabecula.evaluation.figures import one_a_patient, sickness
from trabecula.evaluation.interval import NONE, Estimate, clopper_pearson
from trabecula.evaluation.rows import CaseRow
from trabecula.quantity import QUANTITIES, Category


@dataclass(frozen=True)
class Cell:
    """A figure of some patients; nan where they are fewer than ``FEWEST``, or of one kind alone."""

    estimate: Estimate
    patients: int
    digits: int

    @property
    def text(self) -> str:
        """``0.97 (0.94 to 1.00), n 34``; the number alone where there is no figure."""
        if np.isnan(self.estimate.value):
            return f"n {self.patients}"
        value = self.estimate
        shown = value.text(self.digits) if np.isfinite(value.low) else f"{value.value:.{self.digits}f}"
        return f"{shown}, n {self.patients}"


@dataclass(frozen=True)
class Subgroup:
    """Patients that have something in common, one scan each; ``cells`` are named by ``CELLS``."""

    sort: str
    name: str
    patients: int
    refused: int
    undetermined: int  # among those not refused
    cells: dict[str, Cell]


CELLS = ("bias", "mean absolute error", "r", "accuracy", "osteoporosis: AUC", "abnormal: AUC")


def subgroups(rows: Sequence[CaseRow]) -> tuple[Subgroup, ...]:
    """All patients first, then every group of every sort; the first scan of a patient within each."""
    members: dict[tuple[str, str], list[CaseRow]] = {}
    for row in rows:
        for sort, name in row.groups.items():
            members.setdefault((sort, name), []).append(row)
    found = [_subgroup("all", "", rows)]
    return tuple(found + [_subgroup(*key, members[key]) for key in sorted(members)])


def _subgroup(sort: str, name: str, rows: Sequence[CaseRow]) -> Subgroup:
    people = one_a_patient(rows)
    refused = sum(row.refused is not None for row in people)
    open_ones = sum(row.refused is None and row.category == Category.UNDETERMINED for row in people)
    return Subgroup(sort, name, len(people), refused, open_ones, {**_density(people), **_diagnosis(people)})


def _density(people: Sequence[CaseRow]) -> dict[str, Cell]:
    both = [row for row in people if row.value is not None and row.reference is not None]
    values, references = (np.array([getattr(row, name) for row in both], float) for name in ("value", "reference"))
    quantity = next((QUANTITIES[row.quantity] for row in both if row.quantity in QUANTITIES), None)
    digits = 1 if quantity is None else quantity.digits
    enough = len(both) >= FEWEST and np.ptp(values) > 0 and np.ptp(references) > 0
    found = agreement(values, references) if enough else None

    def cell(figure: Callable[[Agreement], Estimate], shown: int) -> Cell:
        return Cell(NONE if found is None else figure(found), len(both), shown)

    return {
        "bias": cell(lambda a: a.bias, digits),
        "mean absolute error": cell(lambda a: a.mae, digits),
        "r": cell(lambda a: a.r.estimate, 3),
    }


def _diagnosis(people: Sequence[CaseRow]) -> dict[str, Cell]:
    judged = [row for row in people if row.true_category is not None and row.category != Category.UNDETERMINED]
    right, number = sum(row.category == row.true_category for row in judged), len(judged)
    cells = {"accuracy": Cell(clopper_pearson(right, number) if number >= FEWEST else NONE, number, 2)}
    ill = [Category.OSTEOPOROSIS.value]
    for name in ("osteoporosis", "abnormal"):
        true = np.array([row.true_category in ill for row in judged], bool)
        enough = number >= FEWEST and 2 <= true.sum() <= number - 2
        area = auc(np.array([sickness(row, ill) for row in judged]), true) if enough else NONE
        cells[f"{name}: AUC"] = Cell(area, number, 2)
        ill = [*ill, Category.OSTEOPENIA.value]
    return cells
