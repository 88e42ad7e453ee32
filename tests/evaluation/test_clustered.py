"""Intervals that count people, not vertebrae."""

import numpy as np
import pytest
from scipy import stats

from trabecula.evaluation.clustered import resampled, share
from trabecula.evaluation.interval import clopper_pearson


def test_one_item_a_patient_is_clopper_and_pearsons_interval() -> None:
    hits = [True] * 21 + [False]
    assert share(hits, [str(i) for i in range(22)]) == clopper_pearson(21, 22)


def test_all_right_counts_each_patient_once() -> None:
    """Nothing tells how alike a patient's vertebrae are, so seven of each of four patients are four."""
    estimate = share([True] * 28, [str(i // 7) for i in range(28)])
    assert (estimate.value, estimate.low, estimate.high) == (1.0, clopper_pearson(4, 4).low, 1.0)
    assert estimate.low == pytest.approx(0.025 ** (1 / 4))


def test_vertebrae_that_fail_together_widen_the_interval() -> None:
    patients = [str(i // 6) for i in range(120)]
    together = share([i // 6 >= 4 for i in range(120)], patients)  # all six of four patients wrong
    apart = share([i % 5 != 0 for i in range(120)], patients)
    assert together.value == apart.value == pytest.approx(0.8)
    assert together.high - together.low > 1.8 * (apart.high - apart.low)
    # As if each patient was one item: 16 of 20, a little wider for the variance that was estimated.
    single = clopper_pearson(16, 20)
    assert together.low == pytest.approx(single.low, abs=0.03)
    assert together.high == pytest.approx(single.high, abs=0.03)


def test_nobody_gives_no_figure_and_unequal_lengths_an_error() -> None:
    assert np.isnan(share([], []).value)
    with pytest.raises(ValueError, match="2 items of 1 patients"):
        share([True, False], ["a"])


def test_patients_are_drawn_whole() -> None:
    rng = np.random.default_rng(1)
    own = rng.normal(5, 3, 40)  # each patient errs alike in six vertebrae
    values, patients = np.repeat(own, 6), [str(i // 6) for i in range(240)]
    estimate = resampled(values, patients, lambda v: float(v.mean()))
    half = 1.96 * own.std(ddof=1) / np.sqrt(40)
    assert estimate.value == pytest.approx(own.mean())
    assert (estimate.high - estimate.low) / 2 == pytest.approx(half, rel=0.12)
    naive = stats.sem(values) * 1.96
    assert (estimate.high - estimate.low) / 2 > 2 * naive
    few = resampled(values[:54], patients[:54], lambda v: float(v.mean()))  # nine patients
    assert few.value == pytest.approx(own[:9].mean())
    assert np.isnan(few.low)
