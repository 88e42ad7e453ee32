import numpy as np
import pandas as pd
import pingouin
import pytest

from trabecula.evaluation.concordance import concordance, intraclass

SHROUT_AND_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])


def test_the_example_of_shrout_and_fleiss() -> None:
    """Psychol Bull 1979;86:420, tables 2 to 4: ICC(2,1) .29 and ICC(3,1) .71, with the latter's interval .34 to .95."""
    result = intraclass(SHROUT_AND_FLEISS)
    assert round(result.absolute.value, 2) == 0.29
    assert round(result.consistency.value, 2) == 0.71
    ends = (result.absolute.low, result.absolute.high, result.consistency.low, result.consistency.high)
    assert ends == pytest.approx((0.019, 0.761, 0.342, 0.946), abs=5e-4)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # pingouin's way of calling pandas
@pytest.mark.parametrize(("seed", "cases", "readers", "error"), [(1, 12, 2, 30), (2, 40, 2, 3), (3, 30, 3, 15)])
def test_intraclass_is_that_of_pingouin(seed: int, cases: int, readers: int, error: float) -> None:
    rng = np.random.default_rng(seed)
    ratings = rng.normal(110, 30, (cases, 1)) + np.arange(readers) * 5 + rng.normal(0, error, (cases, readers))
    rows = [(i, j, ratings[i, j]) for i in range(cases) for j in range(readers)]
    table = pingouin.intraclass_corr(pd.DataFrame(rows, columns=list("trv")), targets="t", raters="r", ratings="v")
    theirs = table.set_index("Type")
    ours = intraclass(ratings)
    for kind, estimate in (("ICC(A,1)", ours.absolute), ("ICC(C,1)", ours.consistency)):
        assert estimate.value == pytest.approx(theirs.loc[kind, "ICC"])
        assert (estimate.low, estimate.high) == pytest.approx(tuple(theirs.loc[kind, "CI95"]), abs=0.0051)  # rounded


def test_a_constant_difference_costs_absolute_agreement_alone() -> None:
    """Cases' mean square 2 x 1000 / 4 = 500, readers' 5 x 2 x 25 = 250, no error: 500 / (500 + 2 x 250 / 5)."""
    reference = np.array([100.0, 90, 80, 110, 120])
    result = intraclass(np.column_stack([reference + 10, reference]))
    assert result.consistency.value == 1
    assert result.absolute.value == pytest.approx(500 / 600)
    same = intraclass(np.column_stack([reference, reference]))
    assert (same.absolute.value, same.absolute.low) == (1, 1)


def test_concordance_by_hand() -> None:
    """Means 3 and 4, variances 2 and 2 of the sample, covariance 1.8: 3.6 / (4 + 1)."""
    first, second = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 4, 3, 5, 6])
    assert concordance(first, second).value == pytest.approx(3.6 / 5)
    assert concordance(first, first).value == 1
    assert concordance(first, 6 - first).value == pytest.approx(-1)


def test_the_interval_of_concordance_holds_the_truth_about_95_times_in_100() -> None:
    """Two normal readings, SD 30 and 33, r .9, means 6 apart: 2 x .9 x 990 / (900 + 1089 + 36) = .88."""
    rng = np.random.default_rng(5)
    covariance = [[900.0, 891.0], [891.0, 1089.0]]
    held = 0
    for _ in range(500):
        pairs = rng.multivariate_normal([100, 106], covariance, 60)
        estimate = concordance(pairs[:, 0], pairs[:, 1])
        held += estimate.low <= 0.88 <= estimate.high
    assert 460 <= held <= 490


@pytest.mark.parametrize("unfit", [np.ones((4, 2)), np.ones((1, 2)), np.array([[1.0, np.nan], [2, 3]]), np.ones(4)])
def test_unfit_ratings_are_an_error(unfit: np.ndarray) -> None:
    with pytest.raises(ValueError, match="two readers"):
        intraclass(unfit)


def test_unfit_pairs_are_an_error() -> None:
    with pytest.raises(ValueError, match="four pairs"):
        concordance(np.arange(3.0), np.arange(3.0))
    with pytest.raises(ValueError, match="not all the same"):
        concordance(np.arange(4.0), np.ones(4))
