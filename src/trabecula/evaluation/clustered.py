"""Figures of vertebrae, several of which belong to one patient: they err alike, and count for less than people do."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from trabecula.evaluation.interval import Estimate, clopper_pearson_real, t95

FEWEST = 10
"""Patients below which none is drawn: the interval would be of the same few again and again, and too narrow."""


def share(hits: Sequence[bool], patients: Sequence[str]) -> Estimate:
    """A proportion with Korn and Graubard's interval: Clopper-Pearson's on the effective number of items.

    That number is what gives the proportion the variance it has between patients; where all or none are hits nothing
    shows how alike a patient's items are, and each patient counts once (Korn and Graubard, Surv Methodol 1998;24:193).
    With one item a patient it is Clopper and Pearson's exact interval. nan without items.

    Raises:
        ValueError: the lengths differ.
    """
    found = np.asarray(hits, float)
    if found.size != len(patients):
        raise ValueError(f"{found.size} items of {len(patients)} patients")
    if found.size == 0:
        return Estimate(np.nan, np.nan, np.nan)
    proportion, members = float(found.mean()), _members(patients)
    number = found.size
    if len(members) == number:
        return clopper_pearson_real(proportion, float(number))
    if proportion in (0.0, 1.0) or len(members) < 2:
        return clopper_pearson_real(proportion, float(len(members)))
    residuals = np.array([(found[of] - proportion).sum() for of in members])
    groups = len(members)
    variance = groups / (groups - 1) * float((residuals**2).sum()) / number**2
    effective = number if variance == 0 else min(float(number), proportion * (1 - proportion) / variance)
    # Korn and Graubard's correction for a variance that was itself estimated from few patients.
    effective *= (t95(number - 1) / t95(groups - 1)) ** 2
    return clopper_pearson_real(proportion, min(float(number), effective))


def resampled(
    values: NDArray[np.float64],
    patients: Sequence[str],
    statistic: Callable[[NDArray[np.float64]], float],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> Estimate:
    """A statistic of rows of ``values`` with its percentile interval over patients drawn with their rows.

    The interval is nan below ``FEWEST`` patients.
    """
    return resampled_together(values, patients, lambda v: np.array([statistic(v)]), seed=seed, resamples=resamples)[0]


def resampled_together(
    values: NDArray[np.float64],
    patients: Sequence[str],
    statistics: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> list[Estimate]:
    """Several statistics of the same draws of patients, each with its percentile interval.

    A draw in which a statistic is nan says nothing of it. Its interval is nan below ``FEWEST`` patients.
    """
    whole, members = np.asarray(statistics(values), float), _members(patients)
    if len(members) < FEWEST:
        return [Estimate(float(one), np.nan, np.nan) for one in whole]
    rng = np.random.default_rng(seed)
    drawn = np.empty((resamples, whole.size))
    alone = np.concatenate(members) if len(members) == len(values) else None
    for draw in drawn:
        chosen = rng.integers(0, len(members), len(members))
        rows = np.concatenate([members[i] for i in chosen]) if alone is None else alone[chosen]
        draw[:] = statistics(values[rows])
    return [_percentiles(float(one), some) for one, some in zip(whole, drawn.T, strict=True)]


def _percentiles(value: float, drawn: NDArray[np.float64]) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not known.size:
        return Estimate(value, np.nan, np.nan)
    low, high = np.quantile(known, (0.025, 0.975))
    return Estimate(value, float(low), float(high))


def _members(patients: Sequence[str]) -> list[NDArray[np.int64]]:
    """The items of each patient."""
    index: dict[str, list[int]] = {}
    for item, patient in enumerate(patients):
        index.setdefault(patient, []).append(item)
    return [np.array(items) for items in index.values()]
