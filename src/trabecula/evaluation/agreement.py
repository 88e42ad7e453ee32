"""How closely measured densities follow reference densities: regression and Bland-Altman."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from trabecula.evaluation.clustered import resampled
from trabecula.evaluation.interval import Z95, Estimate, bootstrap, mean, t95


@dataclass(frozen=True)
class Agreement:
    """Differences are measured minus reference; all in the unit of the input but ``r2`` and ``slope``.

    ``r2`` is Pearson's r squared, which says how well a straight line fits but not whether that line is the identity;
    ``slope`` and ``intercept`` of measured on reference say that.
    """

    n: int
    bias: Estimate
    sd: float
    lower_limit: Estimate  # 95% limits of agreement
    upper_limit: Estimate
    r2: Estimate
    slope: Estimate
    intercept: Estimate
    mae: Estimate
    rmse: Estimate


def agreement(
    measured: NDArray[np.float64],
    reference: NDArray[np.float64],
    *,
    patients: Sequence[str] | None = None,
    seed: int = 0,
) -> Agreement:
    """Compare paired values.

    Limits of agreement and their intervals after Bland and Altman 1986; r2 by Fisher's z; the intervals of the mean
    absolute and root-mean-square errors by a seeded bootstrap. Where pairs share ``patients``, every interval comes of
    a bootstrap of whole patients.

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
    return Agreement(
        n=n,
        bias=bias,
        sd=sd,
        lower_limit=Estimate(lower, lower - half, lower + half),
        upper_limit=Estimate(upper, upper - half, upper + half),
        r2=_r2(measured, reference),
        slope=slope,
        intercept=intercept,
        mae=bootstrap(np.abs(difference), lambda d: d.mean(-1), seed=seed),
        rmse=bootstrap(difference**2, lambda d: np.sqrt(d.mean(-1)), seed=seed),
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
    """The same figures; whole patients are drawn for their intervals."""

    def of(statistic: Callable[[NDArray[np.float64]], float]) -> Estimate:
        return resampled(pairs, patients, statistic, seed=seed)

    def error(p: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(p[:, 0] - p[:, 1])

    def slope(p: NDArray[np.float64]) -> float:
        both = np.asarray(np.cov(p.T))
        return float(both[0, 1] / both[1, 1]) if both[1, 1] > 0 else float("nan")

    def r2(p: NDArray[np.float64]) -> float:
        return float(np.asarray(np.corrcoef(p.T))[0, 1] ** 2) if p.std(axis=0).all() else float("nan")

    return Agreement(
        n=len(pairs),
        bias=of(lambda p: float(error(p).mean())),
        sd=float(error(pairs).std(ddof=1)),
        lower_limit=of(lambda p: float(error(p).mean() - Z95 * error(p).std(ddof=1))),
        upper_limit=of(lambda p: float(error(p).mean() + Z95 * error(p).std(ddof=1))),
        r2=of(r2),
        slope=of(slope),
        intercept=of(lambda p: float(p[:, 0].mean() - slope(p) * p[:, 1].mean())),
        mae=of(lambda p: float(np.abs(error(p)).mean())),
        rmse=of(lambda p: float(np.sqrt((error(p) ** 2).mean()))),
    )


def _r2(measured: NDArray[np.float64], reference: NDArray[np.float64]) -> Estimate:
    """Pearson's r squared. Where r's interval reaches across 0, so does that of its square."""
    r = float(np.clip(np.corrcoef(measured, reference)[0, 1], -1, 1))
    if abs(r) == 1:
        return Estimate(1.0, 1.0, 1.0)
    half = Z95 / np.sqrt(measured.size - 3)
    low, high = np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)
    ends = sorted((float(low**2), float(high**2)))
    return Estimate(r**2, 0.0 if low < 0 < high else ends[0], ends[1])


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
