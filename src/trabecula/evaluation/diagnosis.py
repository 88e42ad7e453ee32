"""How well a screening tells the ill from the well: counts, rates, and the area under the ROC curve."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from trabecula.evaluation.interval import Z95, Estimate, clopper_pearson


@dataclass(frozen=True)
class Confusion:
    """Counts of a yes-or-no finding against the truth, and the rates that come of them."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def sensitivity(self) -> Estimate:
        """Share of the ill that were found."""
        return clopper_pearson(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> Estimate:
        """Share of the well that were left alone."""
        return clopper_pearson(self.true_negative, self.true_negative + self.false_positive)

    @property
    def positive_predictive_value(self) -> Estimate:
        """Share of the positive findings that were right; holds for this sample's prevalence only."""
        return clopper_pearson(self.true_positive, self.true_positive + self.false_positive)

    @property
    def negative_predictive_value(self) -> Estimate:
        """Share of the negative findings that were right; holds for this sample's prevalence only."""
        return clopper_pearson(self.true_negative, self.true_negative + self.false_negative)

    @property
    def accuracy(self) -> Estimate:
        """Share of all that were right."""
        right = self.true_positive + self.true_negative
        return clopper_pearson(right, right + self.false_positive + self.false_negative)


@dataclass(frozen=True)
class AucDifference:
    """DeLong's paired test: the first area less the second, its z and its two-sided P."""

    difference: Estimate
    z: float
    p: float


def confusion(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> Confusion:
    """Count findings (True is positive) against the truth.

    Raises:
        ValueError: the lengths differ.
    """
    found, true = np.asarray(found, bool), np.asarray(true, bool)
    if found.shape != true.shape:
        raise ValueError(f"{found.shape} findings against {true.shape} truths")
    return Confusion(
        int((found & true).sum()), int((found & ~true).sum()), int((~found & true).sum()), int((~found & ~true).sum())
    )


def cross_table(found: Sequence[str], true: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    """Counts of each true category (rows) by the category found (columns), both in the order of ``names``.

    Raises:
        ValueError: a category is not among ``names``, or the lengths differ.
    """
    place = {name: i for i, name in enumerate(names)}
    unknown = {*found, *true} - place.keys()
    if unknown:
        raise ValueError(f"Categories {sorted(unknown)} are not among {list(names)}")
    counts = np.zeros((len(names), len(names)), np.int64)
    for f, t in zip(found, true, strict=True):
        counts[place[t], place[f]] += 1
    return counts


def auc(scores: NDArray[np.float64], true: NDArray[np.bool_]) -> Estimate:
    """Area under the ROC curve with DeLong's interval, cut at 0 and 1. A higher score means more likely positive.

    A perfect separation leaves DeLong's variance at zero and its interval a point. Its interval is here that of as many
    independent pairs of a positive and a negative as there are of the rarer, all in order: an exact bound, and wide.

    Raises:
        ValueError: fewer than two positives or negatives, or scores that are not finite.
    """
    areas, covariance = _delong([scores], true)
    area = float(areas[0])
    if area in (0.0, 1.0):
        positive = int(np.asarray(true, bool).sum())
        pairs = min(positive, len(true) - positive)
        return clopper_pearson(round(area) * pairs, pairs)
    half = Z95 * float(np.sqrt(covariance[0, 0]))
    return Estimate(area, max(0.0, area - half), min(1.0, area + half))


def compare_auc(first: NDArray[np.float64], second: NDArray[np.float64], true: NDArray[np.bool_]) -> AucDifference:
    """DeLong's test of two areas on the same cases; P is nan where the areas differ but their variance is zero.

    Raises:
        ValueError: fewer than two positives or negatives, or scores that are not finite.
    """
    areas, covariance = _delong([first, second], true)
    difference = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = float(np.sqrt(max(variance, 0.0)))
    if error < 1e-12:  # the same ranking twice, or all pairs right against all pairs wrong
        p = 1.0 if abs(difference) < 1e-12 else float("nan")
        return AucDifference(Estimate(difference, difference, difference), float("nan"), p)
    z = difference / error
    interval = Estimate(difference, difference - Z95 * error, difference + Z95 * error)
    return AucDifference(interval, z, float(2 * stats.norm.sf(abs(z))))


def _delong(
    readings: Sequence[NDArray[np.float64]], true: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas (k,) and their covariance (k, k), after DeLong 1988 by way of midranks (Sun and Xu 2014)."""
    scores, true = np.stack([np.asarray(r, float) for r in readings]), np.asarray(true, bool)
    if scores.shape[1:] != true.shape or not np.isfinite(scores).all():
        raise ValueError(f"Finite scores, one a case, are needed; got {scores.shape[1:]} for {true.shape} cases")
    positive, negative = scores[:, true], scores[:, ~true]
    m, n = positive.shape[1], negative.shape[1]
    if m < 2 or n < 2:
        raise ValueError(f"At least two of each are needed; got {m} positive and {n} negative cases")
    ranks = stats.rankdata(np.concatenate([positive, negative], axis=1), axis=1)
    wins = (ranks[:, :m] - stats.rankdata(positive, axis=1)) / n  # share of negatives each positive beats
    losses = 1 - (ranks[:, m:] - stats.rankdata(negative, axis=1)) / m
    covariance = np.atleast_2d(np.cov(wins)) / m + np.atleast_2d(np.cov(losses)) / n
    return wins.mean(axis=1), covariance
