"""How closely measured densities follow reference densities: regression and Bland-Altman."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from trabecula.evaluation.clustered import resampled_together
from trabecula.evaluation.concordance import Intraclass, concordance, concordance_of, intraclass, intraclass_of
from trabecula.evaluation.interval import NONE, Z95, Estimate, bootstrap, mean, t95

SHAPIRO_MOST = 5000
"""Values beyond which Royston's approximation of the P of Shapiro and Wilk's W was not tried."""


@dataclass(frozen=True)
class Tested:
    """A figure with the two-sided P of its being none; nan where several values of a patient are not independent."""

    estimate: Estimate
    p: float


@dataclass(frozen=True)
class Agreement:
    """Differences are measured minus reference, in the unit of the input; correlations and slopes have none.

    ``r2`` is Pearson's r squared, which says how well a straight line fits but not whether that line is the identity;
    ``slope`` and ``intercept`` of measured on reference say that, and ``determination``, the share of the reference's
    variance that measured values explain as they stand. ``proportional`` is the slope of the differences on the means
    in Bland and Altman's plot. ``normality`` is Shapiro and Wilk's W of the differences: the limits of agreement
    presume that they are normal.
    """

    n: int
    bias: Estimate
    sd: float
    lower_limit: Estimate  # 95% limits of agreement
    upper_limit: Estimate
    r: Tested
    r2: Estimate
    determination: Estimate
    slope: Estimate
    intercept: Estimate
    mae: Estimate
    rmse: Estimate
    proportional: Tested
    normality: Tested
    icc: Intraclass
    ccc: Estimate


def agreement(
    measured: NDArray[np.float64],
    reference: NDArray[np.float64],
    *,
    patients: Sequence[str] | None = None,
    seed: int = 0,
) -> Agreement:
    """Compare paired values.

    Limits of agreement and their intervals after Bland and Altman 1986; r by Fisher's z; the intervals of the mean
    absolute and root-mean-square errors and of ``determination`` by a seeded bootstrap. Where pairs share ``patients``,
    every interval comes of a bootstrap of whole patients.

    Raises:
        ValueError: fewer than four pairs, unequal lengths, values that are not finite, or a constant series.
    """
    measured, reference = _pairs(measured, reference)
    if patients is not None and len(set(patients)) < len(patients):
        return _clustered(np.column_stack([measured, reference]), patients, seed)
    difference = measured - reference
    n = difference.size
    sd = float(difference.std(ddof=1))
    bias = mean(difference)
    half = t95(n - 1) * sd * float(np.sqrt(1 / n + Z95**2 / (2 * (n - 1))))
    lower, upper = bias.value - Z95 * sd, bias.value + Z95 * sd
    slope, intercept = _line(measured, reference)
    r = _pearson(measured, reference)
    both = np.column_stack([measured, reference])
    return Agreement(
        n=n,
        bias=bias,
        sd=sd,
        lower_limit=Estimate(lower, lower - half, lower + half),
        upper_limit=Estimate(upper, upper - half, upper + half),
        r=r,
        r2=_squared(r.estimate),
        determination=bootstrap(np.arange(float(n)), lambda rows: _determination(both[rows.astype(int)]), seed=seed),
        slope=slope,
        intercept=intercept,
        mae=bootstrap(np.abs(difference), lambda d: d.mean(-1), seed=seed),
        rmse=bootstrap(difference**2, lambda d: np.sqrt(d.mean(-1)), seed=seed),
        proportional=_proportional(difference, (measured + reference) / 2),
        normality=_normality(difference),
        icc=intraclass(both),
        ccc=concordance(measured, reference),
    )


def _pairs(
    measured: NDArray[np.float64], reference: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    measured, reference = np.asarray(measured, float), np.asarray(reference, float)
    if measured.shape != reference.shape or measured.ndim != 1 or measured.size < 4:
        raise ValueError(f"At least four pairs are needed; got {measured.shape} and {reference.shape}")
    if not (np.isfinite(measured).all() and np.isfinite(reference).all()):
        raise ValueError("Every value must be finite; leave out what was not measured and say how many")
    if np.ptp(measured) == 0 or np.ptp(reference) == 0:
        raise ValueError("A constant series has no correlation")
    return measured, reference


def _clustered(pairs: NDArray[np.float64], patients: Sequence[str], seed: int) -> Agreement:
    """The same figures; whole patients are drawn for their intervals, and nothing is tested."""
    bias, lower, upper, r, r2, determination, slope, intercept, mae, rmse, proportional, absolute, consistency, ccc = (
        resampled_together(pairs, patients, _all_at_once, seed=seed)
    )
    difference = pairs[:, 0] - pairs[:, 1]
    untested = np.nan
    return Agreement(
        n=len(pairs),
        bias=bias,
        sd=float(difference.std(ddof=1)),
        lower_limit=lower,
        upper_limit=upper,
        r=Tested(r, untested),
        r2=r2,
        determination=determination,
        slope=slope,
        intercept=intercept,
        mae=mae,
        rmse=rmse,
        proportional=Tested(proportional, untested),
        normality=Tested(_normality(difference).estimate, untested),
        icc=Intraclass(absolute, consistency),
        ccc=ccc,
    )


def _all_at_once(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What ``_clustered`` names, of (measured, reference); nan where a series is constant."""
    measured, reference = pairs.T
    difference, middle = measured - reference, pairs.mean(axis=1)
    bias, sd = difference.mean(), difference.std(ddof=1)
    nothing = np.nan
    r = slope = intercept = determination = absolute = consistency = ccc = proportional = nothing
    if np.ptp(measured) > 0 and np.ptp(reference) > 0:
        covariance = np.asarray(np.cov(pairs.T))
        r = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        slope = covariance[0, 1] / covariance[1, 1]
        intercept = measured.mean() - slope * reference.mean()
        determination = float(_determination(pairs))
        absolute, consistency = intraclass_of(pairs)
        ccc = concordance_of(measured, reference)
    if np.ptp(middle) > 0:
        proportional = np.asarray(np.cov(difference, middle))[0, 1] / middle.var(ddof=1)
    errors = (np.abs(difference).mean(), np.sqrt((difference**2).mean()))
    limits = (bias - Z95 * sd, bias + Z95 * sd)
    line = (r, r**2, determination, slope, intercept)
    return np.array([bias, *limits, *line, *errors, proportional, absolute, consistency, ccc], float)


def _pearson(measured: NDArray[np.float64], reference: NDArray[np.float64]) -> Tested:
    """Pearson's r with the interval of Fisher's z and the P of Student's t."""
    found = stats.pearsonr(measured, reference)
    r = float(np.clip(found.statistic, -1, 1))
    if 1 - abs(r) < 1e-12:
        return Tested(Estimate(r, r, r), float(found.pvalue))
    half = Z95 / np.sqrt(measured.size - 3)
    low, high = np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)
    return Tested(Estimate(r, float(low), float(high)), float(found.pvalue))


def _squared(r: Estimate) -> Estimate:
    """Where r's interval reaches across 0, so does that of its square."""
    ends = sorted((r.low**2, r.high**2))
    return Estimate(r.value**2, 0.0 if r.low < 0 < r.high else ends[0], ends[1])


def _determination(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 less the squared errors over the reference's squared deviations: below 0 where its mean would do better.

    Of (..., pairs, 2); nan where the reference is constant.
    """
    measured, reference = pairs[..., 0], pairs[..., 1]
    spread = ((reference - reference.mean(-1, keepdims=True)) ** 2).sum(-1)
    errors = ((measured - reference) ** 2).sum(-1)
    return np.asarray(1 - errors / np.where(spread > 0, spread, np.nan))


def _line(measured: NDArray[np.float64], reference: NDArray[np.float64]) -> tuple[Estimate, Estimate]:
    """Slope and intercept of the least-squares line of measured on reference."""
    fit = stats.linregress(reference, measured)
    t = t95(measured.size - 2)
    slope, intercept = float(fit.slope), float(fit.intercept)
    slope_half, intercept_half = t * float(fit.stderr), t * float(fit.intercept_stderr)
    return (
        Estimate(slope, slope - slope_half, slope + slope_half),
        Estimate(intercept, intercept - intercept_half, intercept + intercept_half),
    )


def _proportional(difference: NDArray[np.float64], middle: NDArray[np.float64]) -> Tested:
    """The slope of differences on means, with Student's t interval and P; nan where the means are all the same."""
    if np.ptp(middle) == 0:
        return Tested(NONE, np.nan)
    fit = stats.linregress(middle, difference)
    half, slope = t95(difference.size - 2) * float(fit.stderr), float(fit.slope)
    return Tested(Estimate(slope, slope - half, slope + half), float(fit.pvalue))


def _normality(values: NDArray[np.float64]) -> Tested:
    """Shapiro and Wilk's W and its P; nan where all values are the same, or more than ``SHAPIRO_MOST``."""
    if np.ptp(values) < 1e-9 * max(1.0, float(np.abs(values).max())):
        return Tested(NONE, np.nan)
    if values.size > SHAPIRO_MOST:
        return Tested(NONE, np.nan)
    found = stats.shapiro(values)
    return Tested(Estimate(float(found.statistic), np.nan, np.nan), float(found.pvalue))
