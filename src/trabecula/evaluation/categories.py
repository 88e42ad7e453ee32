"""Three categories at once: AUC of each against the rest, macro figures, the confusion matrix and Cohen's kappa.

Categories are names in an order that says how far apart two of them are, densest first or last. Probabilities are
(cases, categories) in that order. A figure that needs a category nobody has is nan, in value and interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from trabecula.evaluation.clustered import resampled, resampled_together, share
from trabecula.evaluation.diagnosis import AucDifference, Confusion, auc, compare_auc, confusion, cross_table
from trabecula.evaluation.interval import NONE, Z95, Estimate, clopper_pearson

Floats = NDArray[np.float64]


class Weights(StrEnum):
    """What a disagreement costs: the same always, or by how many categories lie between (Cohen 1968)."""

    PLAIN = "plain"
    LINEAR = "linear"
    QUADRATIC = "quadratic"


@dataclass(frozen=True)
class Classification:
    """Categories found against true ones. ``table`` has the truth in rows; macro figures are means over categories.

    A category that is there and never found has a precision of 0 in the macro figure. ``rates`` are those of each
    category against the rest.
    """

    names: tuple[str, ...]
    table: NDArray[np.int64]
    rates: Mapping[str, Confusion]
    accuracy: Estimate
    precision: Estimate
    recall: Estimate
    specificity: Estimate
    f1: Estimate
    kappa: Mapping[Weights, Estimate]


def classification(
    found: Sequence[str], true: Sequence[str], names: Sequence[str], *, patients: Sequence[str] | None = None
) -> Classification:
    """Count categories and work out their figures.

    Accuracy has the exact interval of ``clustered.share``; macro figures have one of whole patients drawn, or, where
    all are right and nothing varies, the mean of the exact intervals of the categories.

    Raises:
        ValueError: no case, unequal lengths, or a category that is not among ``names``.
    """
    if not len(true):
        raise ValueError("no case")
    table = cross_table(found, true, names)
    patients = _own(len(true)) if patients is None else patients
    place = {name: i for i, name in enumerate(names)}
    coded = np.array([(place[t], place[f]) for t, f in zip(true, found, strict=True)], float)
    macro = resampled_together(coded, patients, lambda rows: _macro(_table(rows, len(names))))
    rates = {
        name: confusion(np.array([f == name for f in found]), np.array([t == name for t in true])) for name in names
    }
    if int(np.trace(table)) == len(true) and not np.isnan(macro[0].value):
        macro = _all_right(rates)
    hits = [f == t for f, t in zip(found, true, strict=True)]
    precision, recall, specificity, f1 = macro
    return Classification(
        names=tuple(names),
        table=table,
        rates=rates,
        accuracy=share(hits, patients),
        precision=precision,
        recall=recall,
        specificity=specificity,
        f1=f1,
        kappa={weights: kappa(found, true, names, weights) for weights in Weights},
    )


def _own(number: int) -> list[str]:
    return [str(i) for i in range(number)]


def _table(coded: Floats, number: int) -> NDArray[np.int64]:
    cells = coded[:, 0].astype(int) * number + coded[:, 1].astype(int)
    return np.bincount(cells, minlength=number**2).reshape(number, number)


def _macro(table: NDArray[np.int64]) -> Floats:
    """Mean precision, recall, specificity and F1 of the categories; nan where one has no case."""
    right, true, found = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    if not true.all() or (true == table.sum()).any():
        return np.full(4, np.nan)
    false_positive = found - right
    precision = right / np.maximum(found, 1)
    specificity = 1 - false_positive / (table.sum() - true)
    return np.array([one.mean() for one in (precision, right / true, specificity, 2 * right / (true + found))])


def _all_right(rates: Mapping[str, Confusion]) -> list[Estimate]:
    """The macro figures where nothing is wrong: 1, down to the mean of the categories' exact lower ends."""
    lows = np.array(
        [(one.positive_predictive_value.low, one.sensitivity.low, one.specificity.low) for one in rates.values()]
    )
    f1 = 2 * lows[:, 0] * lows[:, 1] / (lows[:, 0] + lows[:, 1])
    return [Estimate(1.0, float(low), 1.0) for low in (*lows.mean(axis=0), f1.mean())]


def auc_by_category(probabilities: Floats, true: Sequence[str], names: Sequence[str]) -> dict[str, Estimate]:
    """The AUC of each category against the rest, with DeLong's interval; nan below two cases of it or of the rest.

    Raises:
        ValueError: probabilities that are not finite, of another shape, or a true category not among ``names``.
    """
    probabilities = _checked(probabilities, true, names)
    return {name: _auc(probabilities[:, i], np.array([t == name for t in true])) for i, name in enumerate(names)}


def _auc(scores: Floats, positive: NDArray[np.bool_]) -> Estimate:
    return auc(scores, positive) if _enough(positive) else NONE


def _enough(positive: NDArray[np.bool_]) -> bool:
    return bool(2 <= positive.sum() <= positive.size - 2)


def macro_auc(
    probabilities: Floats,
    true: Sequence[str],
    names: Sequence[str],
    *,
    patients: Sequence[str] | None = None,
    seed: int = 0,
) -> Estimate:
    """The mean of the categories' AUC; whole patients are drawn for its interval. nan where a category has none.

    Where every category is separated perfectly nothing varies: the lower end is then the mean of their exact ones.

    Raises:
        ValueError: as ``auc_by_category``.
    """
    probabilities = _checked(probabilities, true, names)
    by_category = list(auc_by_category(probabilities, true, names).values())
    place = {name: i for i, name in enumerate(names)}
    rows = np.column_stack([[place[t] for t in true], probabilities])
    if any(np.isnan(one.value) for one in by_category):
        return NONE
    if all(one.value == 1 for one in by_category):
        return Estimate(1.0, float(np.mean([one.low for one in by_category])), 1.0)
    return resampled(rows, _own(len(true)) if patients is None else patients, _mean_area, seed=seed)


def _mean_area(rows: Floats) -> float:
    """The mean area of (cases, 1 + categories): the true category's place, then its probabilities."""
    areas = []
    for category in range(rows.shape[1] - 1):
        positive = rows[:, 0] == category
        m = int(positive.sum())
        if not 0 < m < len(rows):
            return np.nan
        ranks = _midranks(rows[:, 1 + category])
        areas.append((ranks[positive].sum() - m * (m + 1) / 2) / (m * (len(rows) - m)))
    return float(np.mean(areas))


def _midranks(values: Floats) -> Floats:
    """Ranks from 1, those of equal values their mean: scipy's, without what it checks a thousand times over."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[place])


def compare_by_category(
    first: Floats, second: Floats, true: Sequence[str], names: Sequence[str]
) -> dict[str, AucDifference | None]:
    """DeLong's paired test of two classifiers on the same cases, one category at a time; None where it is too rare.

    Raises:
        ValueError: as ``auc_by_category``.
    """
    first, second = _checked(first, true, names), _checked(second, true, names)
    tests: dict[str, AucDifference | None] = {}
    for i, name in enumerate(names):
        positive = np.array([t == name for t in true])
        tests[name] = compare_auc(first[:, i], second[:, i], positive) if _enough(positive) else None
    return tests


def _checked(probabilities: Floats, true: Sequence[str], names: Sequence[str]) -> Floats:
    probabilities = np.asarray(probabilities, float)
    if probabilities.shape != (len(true), len(names)) or not np.isfinite(probabilities).all():
        raise ValueError(
            f"Finite probabilities are needed, {len(names)} of each of {len(true)} cases; got {probabilities.shape}"
        )
    unknown = set(true) - set(names)
    if unknown:
        raise ValueError(f"Categories {sorted(unknown)} are not among {list(names)}")
    return probabilities


def kappa(first: Sequence[str], second: Sequence[str], names: Sequence[str], weights: Weights) -> Estimate:
    """Cohen's kappa of two readings of the same cases, with the interval of Fleiss, Cohen and Everitt (1969).

    Where all agree their variance is zero; the lower end is then that of the exact interval of the share agreeing, each
    disagreement counted whole. nan where both readings are one same category throughout.

    Raises:
        ValueError: no case, unequal lengths, or a category that is not among ``names``.
    """
    table = cross_table(first, second, names)
    number = int(table.sum())
    if not number:
        raise ValueError("no case")
    share_of = table / number
    rows, columns = share_of.sum(axis=1), share_of.sum(axis=0)
    agree = _agreement_weights(len(names), weights)
    observed, expected = float((agree * share_of).sum()), float(rows @ agree @ columns)
    if expected > 1 - 1e-12:
        return NONE
    value = (observed - expected) / (1 - expected)
    if np.trace(table) == number:
        low = (clopper_pearson(number, number).low - expected) / (1 - expected)
        return Estimate(value, low, 1.0)
    beside = (agree @ columns)[:, None] + (rows @ agree)[None, :]
    spread = float((share_of * (agree - beside * (1 - value)) ** 2).sum()) - (value - expected * (1 - value)) ** 2
    half = Z95 * float(np.sqrt(max(spread, 0.0) / number)) / (1 - expected)
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half))


def _agreement_weights(number: int, weights: Weights) -> Floats:
    """1 on the diagonal, down to 0 for categories at opposite ends; only the diagonal where plain."""
    if weights is Weights.PLAIN:
        return np.eye(number)
    apart = np.abs(np.subtract.outer(np.arange(number), np.arange(number))) / max(1, number - 1)
    return np.asarray(1 - apart ** (2 if weights is Weights.QUADRATIC else 1))
