import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from trabecula.evaluation.diagnosis import Confusion, auc, compare_auc, confusion, cross_table


def test_niu2023_table_1_from_its_counts() -> None:
    counts = Confusion(true_positive=21, false_positive=7, false_negative=1, true_negative=71)
    figures = (counts.sensitivity, counts.specificity, counts.positive_predictive_value)
    assert [round(100 * f.value, 2) for f in figures] == [95.45, 91.03, 75.00]
    assert counts.negative_predictive_value.value == pytest.approx(71 / 72)  # printed there as 98.60
    assert counts.accuracy.value == pytest.approx(0.92)
    assert (counts.sensitivity.low, counts.sensitivity.high) == pytest.approx((0.7716, 0.9988), abs=5e-5)


def test_confusion_counts_each_quarter() -> None:
    found = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0], bool)
    true = np.array([1, 0, 0, 1, 1, 1, 0, 0, 0, 0], bool)
    assert confusion(found, true) == Confusion(true_positive=1, false_positive=2, false_negative=3, true_negative=4)
    with pytest.raises(ValueError, match="findings against"):
        confusion(found, true[:5])


def test_cross_table_has_truth_in_rows() -> None:
    table = cross_table(["a", "b", "b", "none"], ["a", "a", "b", "b"], ["a", "b", "none"])
    np.testing.assert_array_equal(table, [[1, 1, 0], [0, 1, 1], [0, 0, 0]])
    with pytest.raises(ValueError, match="'c'"):
        cross_table(["c"], ["a"], ["a", "b"])


def test_auc_by_hand() -> None:
    """Positives win 1, 1 and 1/2 of the negatives (variance 1/12); negatives lose to 2/3 and 1 (variance 1/18)."""
    estimate = auc(np.array([0.9, 0.6, 0.4, 0.5, 0.3]), np.array([1, 1, 1, 0, 0], bool))
    error = np.sqrt(1 / 12 / 3 + 1 / 18 / 2)
    assert estimate.value == pytest.approx(5 / 6)
    assert estimate.low == pytest.approx(5 / 6 - 1.959964 * error, abs=1e-6)
    assert estimate.high == 1


def readings(seed: int, cases: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth and two correlated readings of it with ties."""
    rng = np.random.default_rng(seed)
    true = rng.random(cases) < 0.4
    shared = rng.normal(size=cases)
    first = np.round(1.4 * true + shared + rng.normal(size=cases), 1)
    second = np.round(0.8 * true + shared + rng.normal(size=cases), 1)
    return true, first, second


@given(st.integers(0, 10_000), st.integers(12, 80))
def test_auc_is_that_of_sklearn(seed: int, cases: int) -> None:
    true, scores, _ = readings(seed, cases)
    if 2 <= true.sum() <= cases - 2:
        estimate = auc(scores, true)
        assert estimate.value == pytest.approx(roc_auc_score(true, scores))
        assert estimate.low <= estimate.value <= estimate.high
        assert auc(-scores, true).value == pytest.approx(1 - estimate.value)
        assert auc(np.exp(scores), true) == estimate  # the ranking alone counts


def placements(scores: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's structural components straight from their definition: every positive against every negative."""
    beats = np.array([[1.0 if p > n else 0.5 if p == n else 0.0 for n in scores[~true]] for p in scores[true]])
    return beats.mean(axis=1), beats.mean(axis=0)


@pytest.mark.parametrize("seed", range(5))
def test_the_paired_test_follows_its_definition(seed: int) -> None:
    true, first, second = readings(seed)
    (a10, a01), (b10, b01) = placements(first, true), placements(second, true)
    variance = np.var(a10 - b10, ddof=1) / true.sum() + np.var(a01 - b01, ddof=1) / (~true).sum()
    result = compare_auc(first, second, true)
    assert result.difference.value == pytest.approx(a10.mean() - b10.mean())
    assert result.z == pytest.approx((a10.mean() - b10.mean()) / np.sqrt(variance))
    assert result.p == pytest.approx(2 * stats.norm.sf(abs(result.z)))
    swapped = compare_auc(second, first, true)
    assert (swapped.difference.value, swapped.z, swapped.p) == pytest.approx(
        (-result.difference.value, -result.z, result.p)
    )


# What MLstatkit 0.1.91 gives for the same readings: P of the pair, interval of the first area.
@pytest.mark.parametrize(
    ("seed", "p", "interval"),
    [
        (0, 0.12824319958, (0.60685512084, 0.86514487916)),
        (1, 0.38078305717, (0.53842370826, 0.83898322371)),
        (2, 0.17756517929, (0.68469888009, 0.94405111991)),
    ],
)
def test_delong_is_that_of_mlstatkit(seed: int, p: float, interval: tuple[float, float]) -> None:
    true, first, second = readings(seed)
    estimate = auc(first, true)
    assert compare_auc(first, second, true).p == pytest.approx(p, abs=1e-10)
    assert (estimate.low, estimate.high) == pytest.approx(interval, abs=1e-10)


def test_the_paired_test_errs_about_one_time_in_twenty_when_nothing_differs() -> None:
    rng = np.random.default_rng(2)
    false_alarms = 0
    for _ in range(400):
        true = np.arange(80) < 35
        shared = 1.2 * true + rng.normal(size=80)
        p = compare_auc(shared + rng.normal(size=80), shared + rng.normal(size=80), true).p
        false_alarms += p < 0.05
    assert 8 <= false_alarms <= 34  # 20 expected, within about three standard deviations


def test_the_same_reading_twice_differs_in_nothing() -> None:
    true, first, _ = readings(3)
    result = compare_auc(first, first, true)
    assert (result.difference.value, result.p) == (0, 1)


def test_unfit_scores_are_an_error() -> None:
    true, first, _ = readings(3)
    with pytest.raises(ValueError, match="At least two of each"):
        auc(first, np.zeros_like(true))
    with pytest.raises(ValueError, match="Finite scores"):
        auc(np.where(true, np.nan, first), true)
    with pytest.raises(ValueError, match="Finite scores"):
        auc(first[:-1], true)


def test_four_positives_told_apart_perfectly_are_not_certainty() -> None:
    """DeLong's interval would be a point. Were the true area 0.39, four pairs in order come about one time in 40."""
    scores = np.concatenate([np.arange(4) + 100.0, np.arange(20.0)])
    estimate = auc(scores, np.arange(24) < 4)
    assert (estimate.value, estimate.high) == (1, 1)
    assert estimate.low == pytest.approx(0.025 ** (1 / 4))
    worst = auc(-scores, np.arange(24) < 4)
    assert (worst.value, worst.low) == (0, 0)
    assert worst.high == pytest.approx(1 - 0.025 ** (1 / 4))


def test_the_bound_of_a_perfect_separation_is_not_too_narrow() -> None:
    """Of samples from a population with that area, at most one in forty is separated perfectly."""
    rng = np.random.default_rng(8)
    bound = auc(np.arange(12.0), np.arange(12) >= 8).low
    shift = np.sqrt(2) * stats.norm.ppf(bound)
    perfect = sum((rng.normal(shift, 1, 4).min() > rng.normal(0, 1, 8).max()) for _ in range(4000))
    assert perfect / 4000 <= 0.025
