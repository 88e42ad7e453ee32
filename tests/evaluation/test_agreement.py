from operator import attrgetter

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from trabecula.evaluation.agreement import agreement

REFERENCE = np.array([80.0, 100, 120, 140, 160])
MEASURED = REFERENCE + np.array([2, 1, -1, 2, 1])


def test_agreement_by_hand() -> None:
    result = agreement(MEASURED, REFERENCE)
    assert result.n == 5
    assert result.bias.value == pytest.approx(1)
    assert result.sd == pytest.approx(np.sqrt(1.5))
    assert result.lower_limit.value == pytest.approx(1 - 1.959964 * 1.2247449, abs=1e-6)
    assert result.upper_limit.value == pytest.approx(1 + 1.959964 * 1.2247449, abs=1e-6)
    assert result.slope.value == pytest.approx(3980 / 4000)
    assert result.intercept.value == pytest.approx(121 - 0.995 * 120)
    assert result.r2.value == pytest.approx(3980**2 / (4000 * 3966))
    assert result.mae.value == pytest.approx(7 / 5)
    assert result.rmse.value == pytest.approx(np.sqrt(11 / 5))
    assert result.r.estimate.value == pytest.approx(3980 / np.sqrt(4000 * 3966))
    assert result.determination.value == pytest.approx(1 - 11 / 4000)
    assert result.ccc.value == pytest.approx(2 * 3980 / (4000 + 3966 + 5))  # sums in place of means


def test_figures_are_those_of_statsmodels_and_sklearn() -> None:
    rng = np.random.default_rng(7)
    reference = rng.normal(110, 40, 60)
    measured = 0.9 * reference + 12 + rng.normal(0, 10, 60)
    result = agreement(measured, reference)
    line = sm.OLS(measured, sm.add_constant(reference)).fit()
    slope = (result.slope.value, result.slope.low, result.slope.high)
    assert slope == pytest.approx((line.params[1], *line.conf_int()[1]))
    assert result.r.p == pytest.approx(line.pvalues[1])  # that of the slope is that of r
    difference, middle = measured - reference, (measured + reference) / 2
    tilt = sm.OLS(difference, sm.add_constant(middle)).fit()
    found = result.proportional
    ends = (found.estimate.value, found.estimate.low, found.estimate.high, found.p)
    assert ends == pytest.approx((tilt.params[1], *tilt.conf_int()[1], tilt.pvalues[1]))
    assert result.determination.value == pytest.approx(r2_score(reference, measured))
    assert result.mae.value == pytest.approx(mean_absolute_error(reference, measured))
    assert result.rmse.value == pytest.approx(root_mean_squared_error(reference, measured))
    theirs = stats.pearsonr(measured, reference).confidence_interval()
    r = result.r.estimate
    assert (r.low, r.high) == pytest.approx(tuple(theirs))
    assert r.value == pytest.approx(pd.Series(measured).corr(pd.Series(reference)))


def test_normality_of_the_example_of_shapiro_and_wilk() -> None:
    """Biometrika 1965;52:591: the weights of eleven men give W .79."""
    weights = np.array([148.0, 154, 158, 160, 161, 162, 166, 170, 182, 195, 236])
    result = agreement(weights + np.arange(11.0), np.arange(11.0))
    assert result.normality.estimate.value == pytest.approx(0.79, abs=0.005)
    assert result.normality.p < 0.01
    rng = np.random.default_rng(3)
    reference = rng.uniform(40, 200, 200)
    assert agreement(reference + rng.normal(2, 6, 200), reference).normality.p > 0.05


def test_differences_that_are_all_the_same_test_nothing() -> None:
    result = agreement(REFERENCE + 3, REFERENCE)
    assert np.isnan(result.normality.p)
    assert result.proportional.estimate.value == pytest.approx(0)
    assert result.icc.consistency.value == 1
    many = np.linspace(0, 100, 6000)
    assert np.isnan(agreement(many + np.sin(many), many).normality.p)


def test_the_limits_of_niu2023_come_of_its_bias_and_sd() -> None:
    """A mean difference of 2.205 and SD 6.309 in 100 patients give the published -10.16 to 14.57 mg/cm3."""
    rng = np.random.default_rng(1)
    noise = rng.normal(size=100)
    difference = 2.205 + 6.309 * (noise - noise.mean()) / noise.std(ddof=1)
    reference = rng.uniform(40, 200, 100)
    result = agreement(reference + difference, reference)
    assert (result.lower_limit.value, result.upper_limit.value) == pytest.approx((-10.16, 14.57), abs=0.005)


def test_r2_says_nothing_of_bias_but_slope_and_bias_do() -> None:
    result = agreement(2 * REFERENCE - 30, REFERENCE)
    assert result.r2.value == pytest.approx(1)
    assert result.slope.value == pytest.approx(2)
    assert result.bias.value == pytest.approx(90)


def test_the_95_percent_intervals_hold_the_truth_about_95_times_in_100() -> None:
    """Truth: bias 3, SD 8, limits 3 -/+ 15.68, slope 1; 300 samples of 40."""
    held = dict.fromkeys(("bias", "lower_limit", "upper_limit", "slope", "mae", "rmse"), 0)
    truth = {"bias": 3, "lower_limit": 3 - 15.6797, "upper_limit": 3 + 15.6797, "slope": 1}
    truth |= {"rmse": np.sqrt(73), "mae": 6.8193}  # the mean of |N(3, 8)|
    rng = np.random.default_rng(11)
    for _ in range(300):
        reference = rng.normal(120, 40, 40)
        result = agreement(reference + rng.normal(3, 8, 40), reference)
        for name in held:
            estimate = getattr(result, name)
            held[name] += estimate.low <= truth[name] <= estimate.high
    assert all(270 <= count <= 297 for count in held.values()), held


series = arrays(float, 12, elements=st.floats(20, 250)).filter(lambda a: np.ptp(a) > 1)


@given(series, series, st.floats(-50, 50))
def test_shifting_the_measurements_shifts_the_bias_alone(m: np.ndarray, r: np.ndarray, shift: float) -> None:
    before, after = agreement(m, r), agreement(m + shift, r)
    assert after.bias.value == pytest.approx(before.bias.value + shift, abs=1e-6)
    assert after.sd == pytest.approx(before.sd, abs=1e-6)
    assert after.r2.value == pytest.approx(before.r2.value, abs=1e-6)
    assert after.slope.value == pytest.approx(before.slope.value, abs=1e-6)
    assert before.r2.low - 1e-12 <= before.r2.value <= before.r2.high + 1e-12
    assert before.mae.value <= before.rmse.value + 1e-9


@pytest.mark.parametrize(
    ("measured", "reference", "said"),
    [
        (REFERENCE[:3], REFERENCE[:3], "four pairs"),
        (REFERENCE, REFERENCE[:4], "four pairs"),
        (np.where(REFERENCE == 80, np.nan, REFERENCE), REFERENCE, "finite"),
        (np.full(5, 90.0), REFERENCE, "constant"),
    ],
)
def test_unfit_pairs_are_an_error(measured: np.ndarray, reference: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        agreement(measured, reference)


def test_vertebrae_of_one_patient_widen_every_interval_and_change_no_figure() -> None:
    rng = np.random.default_rng(6)
    own = np.repeat(rng.normal(3, 6, 20), 5)  # each patient's five vertebrae err alike
    reference = rng.uniform(40, 200, 100)
    measured = reference + own + rng.normal(0, 1, 100)
    plain = agreement(measured, reference)
    clustered = agreement(measured, reference, patients=[str(i // 5) for i in range(100)])
    names = ("bias", "lower_limit", "upper_limit", "r.estimate", "r2", "determination", "slope", "intercept", "mae")
    more = ("rmse", "proportional.estimate", "icc.absolute", "icc.consistency", "ccc")
    for name in (*names, *more):
        one, other = attrgetter(name)(plain), attrgetter(name)(clustered)
        assert other.value == pytest.approx(one.value), name
        assert other.low <= other.value <= other.high
    assert np.isnan([clustered.r.p, clustered.proportional.p, clustered.normality.p]).all()
    assert clustered.bias.high - clustered.bias.low > 1.6 * (plain.bias.high - plain.bias.low)
    assert agreement(measured, reference, patients=[str(i) for i in range(100)]) == plain
