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
    whole, members = float(statistic(values)), _members(patients)
    if len(members) < FEWEST:
        return Estimate(whole, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        drawn.append(statistic(values[rows]))
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Estimate(whole, float(low), float(high))


def _members(patients: Sequence[str]) -> list[NDArray[np.int64]]:
    """The items of each patient."""
    index: dict[str, list[int]] = {}
    for item, patient in enumerate(patients):
        index.setdefault(patient, []).append(item)
    return [np.array(items) for items in index.values()]
