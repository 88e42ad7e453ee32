"""Figures with their 95% intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Z95 = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Estimate:
    """A figure and the ends of its 95% interval; nan where it cannot be had."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 2, scale: float = 1.0) -> str:
        """As tables show it: ``2.21 (1.05 to 3.37)``; ``scale`` 100 turns a fraction into a percentage."""
        value, low, high = (f"{scale * figure:.{digits}f}" for figure in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"


def p_text(p: float) -> str:
    """A P as journals print it."""
    return "P < 0.001" if p < 0.001 else f"P = {p:.3f}"


NONE = Estimate(np.nan, np.nan, np.nan)
"""What cannot be had at all."""


def clopper_pearson(successes: int, trials: int) -> Estimate:
    """A proportion with Clopper and Pearson's exact interval (1934), never too narrow; nan without trials.

    Raises:
        ValueError: more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if trials == 0:
        return Estimate(np.nan, np.nan, np.nan)
    return clopper_pearson_real(successes / trials, float(trials))


def clopper_pearson_real(share: float, trials: float) -> Estimate:
    """The same for a share of any number of trials, whole or not."""
    hits = share * trials
    low = 0.0 if hits <= 0 else float(stats.beta.ppf(0.025, hits, trials - hits + 1))
    high = 1.0 if hits >= trials else float(stats.beta.ppf(0.975, hits + 1, trials - hits))
    return Estimate(share, min(low, share), max(high, share))


def mean(values: NDArray[np.float64]) -> Estimate:
    """The mean with Student's t interval; a single value has no interval."""
    values = np.asarray(values, float)
    middle = float(values.mean())
    if values.size < 2:
        return Estimate(middle, np.nan, np.nan)
    half = t95(values.size - 1) * float(values.std(ddof=1)) / np.sqrt(values.size)
    return Estimate(middle, float(middle - half), float(middle + half))


def t95(degrees_of_freedom: int) -> float:
    """The two-sided 95% quantile of Student's t."""
    return float(stats.t.ppf(0.975, degrees_of_freedom))


def bootstrap(
    values: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Estimate:
    """A statistic with its percentile bootstrap interval. ``statistic`` reduces the last axis.

    A draw in which it is nan is left out.
    """
    values = np.asarray(values, float)
    drawn = np.random.default_rng(seed).integers(0, values.size, (resamples, values.size))
    found = statistic(values[drawn])
    low, high = np.quantile(found[np.isfinite(found)], (0.025, 0.975))
    return Estimate(float(statistic(values)), float(low), float(high))
