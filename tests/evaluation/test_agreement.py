import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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
    for name in ("bias", "lower_limit", "upper_limit", "r2", "slope", "intercept", "mae", "rmse"):
        one, other = getattr(plain, name), getattr(clustered, name)
        assert other.value == pytest.approx(one.value), name
        assert other.low <= other.value <= other.high
    assert clustered.bias.high - clustered.bias.low > 1.6 * (plain.bias.high - plain.bias.low)
    assert agreement(measured, reference, patients=[str(i) for i in range(100)]) == plain
