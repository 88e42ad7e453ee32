import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trabecula.evaluation.interval import Estimate, bootstrap, clopper_pearson, mean


# Newcombe, Stat Med 1998;17:857, table I, method 5 (Clopper and Pearson).
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
)
def test_clopper_pearson_gives_the_published_intervals(successes: int, trials: int, low: float, high: float) -> None:
    estimate = clopper_pearson(successes, trials)
    assert estimate.value == successes / trials
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_clopper_pearson_holds_its_figure_and_mirrors(counts: tuple[int, int]) -> None:
    successes, trials = counts
    estimate, mirrored = clopper_pearson(successes, trials), clopper_pearson(trials - successes, trials)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.low < estimate.high
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((estimate.low, estimate.high), abs=1e-9)


def test_no_trials_give_no_figure_and_impossible_counts_an_error() -> None:
    assert np.isnan(clopper_pearson(0, 0).value)
    with pytest.raises(ValueError, match="3 successes in 2 trials"):
        clopper_pearson(3, 2)


def test_mean_by_hand() -> None:
    estimate = mean(np.array([2.0, 1, -1, 2, 1]))  # SD sqrt(1.5), t(4) 2.776445
    half = 2.776445 * 1.2247449 / 5**0.5
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((1, 1 - half, 1 + half), abs=1e-6)
    assert np.isnan(mean(np.array([3.0])).low)


def test_bootstrap_of_a_mean_is_near_its_theory_and_repeats() -> None:
    values = np.random.default_rng(5).normal(10, 2, 400)
    estimate = bootstrap(values, lambda v: v.mean(-1), seed=1)
    half = 1.96 * values.std(ddof=1) / 20
    assert estimate.value == pytest.approx(values.mean())
    assert (estimate.low, estimate.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)
    assert estimate == bootstrap(values, lambda v: v.mean(-1), seed=1)


def test_an_estimate_as_text() -> None:
    assert Estimate(2.205, -0.049, 4.0).text(1) == "2.2 (-0.0 to 4.0)"
    assert Estimate(0.5, 0.25, 1).text(0, scale=100) == "50 (25 to 100)"
