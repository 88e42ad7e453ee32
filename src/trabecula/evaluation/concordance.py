"""How far two readings of the same cases agree in value, not only in rank: intraclass and concordance correlation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from trabecula.evaluation.interval import Z95, Estimate

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Intraclass:
    """Shrout and Fleiss' coefficients of a single reading: ``absolute`` is ICC(2,1), ``consistency`` ICC(3,1).

    The first falls where one reader is higher than the other throughout, the second does not.
    """

    absolute: Estimate
    consistency: Estimate


def intraclass(ratings: Floats) -> Intraclass:
    """ICC(2,1) and ICC(3,1) of (cases, readers), with the intervals of McGraw and Wong (1996).

    Raises:
        ValueError: fewer than two cases or readers, values that are not finite, or all of them equal.
    """
    ratings = np.asarray(ratings, float)
    if ratings.ndim != 2 or min(ratings.shape) < 2 or not np.isfinite(ratings).all() or np.ptp(ratings) == 0:
        raise ValueError(
            f"Finite and differing values of at least two cases by two readers are needed: {ratings.shape}"
        )
    n, k = ratings.shape
    between, readers, error = _mean_squares(ratings)
    absolute, consistency = intraclass_of(ratings)
    if error < 1e-12 * max(between, readers):
        return Intraclass(_without_error(absolute), Estimate(1.0, 1.0, 1.0))
    freedom = (n - 1, (n - 1) * (k - 1))
    ratio = between / error
    low, high = ratio / stats.f.ppf(0.975, *freedom), ratio * stats.f.ppf(0.975, *reversed(freedom))
    ends = ((float(f) - 1) / (float(f) + k - 1) for f in (low, high))
    return Intraclass(_absolute(absolute, n, k, between, readers, error), Estimate(consistency, *ends))


def intraclass_of(ratings: Floats) -> tuple[float, float]:
    """The same two coefficients alone, of finite and differing values."""
    n, k = ratings.shape
    between, readers, error = _mean_squares(ratings)
    absolute = (between - error) / (between + (k - 1) * error + k * (readers - error) / n)
    return absolute, (between - error) / (between + (k - 1) * error)


def _mean_squares(ratings: Floats) -> tuple[float, float, float]:
    """Of cases, of readers and of what is left: a two-way analysis of variance without repetition."""
    n, k = ratings.shape
    middle = ratings.mean()
    cases, readers = ratings.mean(axis=1) - middle, ratings.mean(axis=0) - middle
    left = ratings - middle - cases[:, None] - readers[None, :]
    return (
        float(k * (cases**2).sum() / (n - 1)),
        float(n * (readers**2).sum() / (k - 1)),
        float((left**2).sum() / ((n - 1) * (k - 1))),
    )


def _absolute(value: float, n: int, k: int, between: float, readers: float, error: float) -> Estimate:
    """ICC(2,1) with its interval by Satterthwaite's degrees of freedom."""
    a, b = k * value / (n * (1 - value)), 1 + k * value * (n - 1) / (n * (1 - value))
    freedom = (a * readers + b * error) ** 2 / ((a * readers) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1)))
    low, high = (float(stats.f.ppf(0.975, *pair)) for pair in ((n - 1, freedom), (freedom, n - 1)))
    among = k * readers + (k * n - k - n) * error
    return Estimate(
        value,
        n * (between - low * error) / (low * among + n * between),
        n * (high * between - error) / (among + n * high * between),
    )


def _without_error(value: float) -> Estimate:
    """ICC(2,1) where readers differ by a constant or not at all: nothing varies that an interval could rest on."""
    return Estimate(value, *((1.0, 1.0) if value > 1 - 1e-12 else (np.nan, np.nan)))


def concordance(first: Floats, second: Floats) -> Estimate:
    """Lin's concordance correlation with the interval of its inverse hyperbolic tangent (Lin 1989, corrected 2000).

    Raises:
        ValueError: fewer than four pairs, unequal lengths, values that are not finite, or a constant series.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape or first.ndim != 1 or first.size < 4:
        raise ValueError(f"At least four pairs are needed; got {first.shape} and {second.shape}")
    if not np.isfinite([first, second]).all() or np.ptp(first) == 0 or np.ptp(second) == 0:
        raise ValueError("Finite values that are not all the same are needed")
    value = concordance_of(first, second)
    if abs(value) > 1 - 1e-12:
        return Estimate(round(value, 9), round(value, 9), round(value, 9))
    r = float(np.corrcoef(first, second)[0, 1])
    if abs(r) < 1e-12:
        return Estimate(value, np.nan, np.nan)
    apart = (first.mean() - second.mean()) ** 2 / (first.std() * second.std())
    variance = (
        (1 - r**2) * value**2 / ((1 - value**2) * r**2)
        + 2 * value**3 * (1 - value) * apart / (r * (1 - value**2) ** 2)
        - value**4 * apart**2 / (2 * r**2 * (1 - value**2) ** 2)
    ) / (first.size - 2)
    half = Z95 * float(np.sqrt(max(variance, 0.0)))
    return Estimate(value, float(np.tanh(np.arctanh(value) - half)), float(np.tanh(np.arctanh(value) + half)))


def concordance_of(first: Floats, second: Floats) -> float:
    """The same coefficient alone; variances are those of the sample (n, not n - 1), as Lin has them."""
    common = float(((first - first.mean()) * (second - second.mean())).mean())
    return 2 * common / float(first.var() + second.var() + (first.mean() - second.mean()) ** 2)
