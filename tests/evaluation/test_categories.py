import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from statsmodels.stats.inter_rater import cohens_kappa

from trabecula.evaluation.categories import (
    Weights,
    auc_by_category,
    classification,
    compare_by_category,
    kappa,
    macro_auc,
)
from trabecula.evaluation.diagnosis import auc
from trabecula.evaluation.interval import clopper_pearson

NAMES = ("normal", "osteopenia", "osteoporosis")


def labels(table: list[list[int]]) -> tuple[list[str], list[str]]:
    """Found and true categories with this matrix, the truth in rows."""
    cells = [(NAMES[j], NAMES[i]) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return [found for found, _ in cells], [true for _, true in cells]


def read(seed: int, cases: int = 90, noise: float = 1.0) -> tuple[np.ndarray, list[str]]:
    """Probabilities of a reader that errs, and the truth; each category at least twice."""
    rng = np.random.default_rng(seed)
    place = np.concatenate([[0, 0, 1, 1, 2, 2], rng.integers(0, 3, cases - 6)])
    scores = np.exp(-((place[:, None] - np.arange(3)) ** 2) + rng.normal(0, noise, (cases, 3)))
    return np.round(scores / scores.sum(axis=1, keepdims=True), 2), [NAMES[i] for i in place]


def test_a_matrix_by_hand() -> None:
    """Precision 8/10, 6/10, 4/5; recall 8/10, 6/9, 4/6; F1 8/10, 12/19, 8/11; accuracy 18/25."""
    found, true = labels([[8, 2, 0], [2, 6, 1], [0, 2, 4]])
    result = classification(found, true, NAMES)
    assert result.accuracy == clopper_pearson(18, 25)
    assert result.precision.value == pytest.approx((0.8 + 0.6 + 0.8) / 3)
    assert result.recall.value == pytest.approx((0.8 + 6 / 9 + 4 / 6) / 3)
    assert result.specificity.value == pytest.approx((13 / 15 + 12 / 16 + 18 / 19) / 3)
    assert result.f1.value == pytest.approx((0.8 + 12 / 19 + 8 / 11) / 3)
    assert result.rates["osteoporosis"].true_positive == 4
    for one in (result.precision, result.recall, result.specificity, result.f1):
        assert 0 < one.low < one.value < one.high < 1


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_macro_figures_are_those_of_sklearn(seed: int) -> None:
    probabilities, true = read(seed, 40)
    found = [NAMES[i] for i in probabilities.argmax(axis=1)]
    result = classification(found, true, NAMES)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        true, found, labels=NAMES, average="macro", zero_division=0
    )
    assert (result.precision.value, result.recall.value, result.f1.value) == pytest.approx((precision, recall, f1))
    assert result.accuracy.value == pytest.approx(metrics.accuracy_score(true, found))
    np.testing.assert_array_equal(result.table, metrics.confusion_matrix(true, found, labels=NAMES))
    for weights, name in zip(Weights, (None, "linear", "quadratic"), strict=True):
        assert result.kappa[weights].value == pytest.approx(metrics.cohen_kappa_score(true, found, weights=name))


def test_macro_auc_is_that_of_sklearn_and_each_category_delongs() -> None:
    probabilities, true = read(3)
    probabilities[:, 2] = 1 - probabilities[:, :2].sum(axis=1)  # sklearn wants a sum of 1
    estimate = macro_auc(probabilities, true, NAMES)
    theirs = metrics.roc_auc_score(true, probabilities, multi_class="ovr", average="macro", labels=NAMES)
    assert estimate.value == pytest.approx(theirs)
    assert estimate.low < estimate.value < estimate.high
    each = auc_by_category(probabilities, true, NAMES)
    assert each["osteopenia"] == auc(probabilities[:, 1], np.array([t == "osteopenia" for t in true]))
    assert np.mean([one.value for one in each.values()]) == pytest.approx(estimate.value)


def test_the_interval_of_macro_auc_is_as_wide_as_the_spread_of_its_samples() -> None:
    values = [macro_auc(*read(seed), NAMES) for seed in range(40)]
    spread = np.std([one.value for one in values], ddof=1)
    half = np.mean([(one.high - one.low) / 2 for one in values])
    assert half == pytest.approx(1.96 * spread, rel=0.25)


def test_scans_of_one_patient_widen_the_intervals() -> None:
    probabilities, true = read(8, 60)
    found = [NAMES[i] for i in probabilities.argmax(axis=1)]
    patients = [str(i) for i in range(60)] * 4
    four = (np.tile(probabilities, (4, 1)), true * 4)
    naive, whole = macro_auc(*four, NAMES), macro_auc(*four, NAMES, patients=patients)
    assert whole.value == naive.value
    assert whole.high - whole.low > 1.6 * (naive.high - naive.low)
    apart, together = (
        classification(found * 4, true * 4, NAMES),
        classification(found * 4, true * 4, NAMES, patients=patients),
    )
    for name in ("accuracy", "f1", "recall"):
        narrow, wide = getattr(apart, name), getattr(together, name)
        assert wide.value == narrow.value
        assert wide.high - wide.low > 1.6 * (narrow.high - narrow.low), name


def test_perfection_is_not_certainty() -> None:
    found, true = labels([[10, 0, 0], [0, 8, 0], [0, 0, 6]])
    result = classification(found, true, NAMES)
    lows = [clopper_pearson(n, n).low for n in (10, 8, 6)]
    assert (result.recall.value, result.recall.low) == pytest.approx((1, np.mean(lows)))
    assert (result.f1.value, result.f1.low) == pytest.approx((1, np.mean(lows)))  # precision has the same counts
    perfect = np.array([[t == name for name in NAMES] for t in true], float)
    area = macro_auc(perfect, true, NAMES)
    assert (area.value, area.low) == pytest.approx((1, np.mean(lows)))
    agreed = kappa(found, true, NAMES, Weights.PLAIN)
    chance = (10**2 + 8**2 + 6**2) / 24**2
    assert (agreed.value, agreed.low) == pytest.approx((1, (clopper_pearson(24, 24).low - chance) / (1 - chance)))


def test_a_category_that_nobody_has_gives_none_and_no_traceback() -> None:
    probabilities, true = read(4, 40)
    kept = [i for i, t in enumerate(true) if t != "osteoporosis"]
    probabilities, true = probabilities[kept], [true[i] for i in kept]
    found = [NAMES[i] for i in probabilities.argmax(axis=1)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = classification(found, true, NAMES)
        each = auc_by_category(probabilities, true, NAMES)
        tests = compare_by_category(probabilities, probabilities, true, NAMES)
    assert np.isnan(result.f1.value)
    assert result.accuracy.value == pytest.approx(metrics.accuracy_score(true, found))
    assert np.isnan(each["osteoporosis"].value)
    assert each["normal"].value > 0.5
    assert np.isnan(macro_auc(probabilities, true, NAMES).value)
    assert tests["osteoporosis"] is None
    alike = ["normal"] * 12
    assert np.isnan(kappa(alike, alike, NAMES, Weights.LINEAR).value)
    assert np.isnan(classification(alike, alike, NAMES).recall.value)


def test_delong_one_category_at_a_time_against_a_paired_bootstrap() -> None:
    (first, true), (second, _) = read(5, 200, 1.0), read(5, 200, 1.0)
    second = second + np.random.default_rng(1).normal(0, 0.2, second.shape)
    tests = compare_by_category(first, second, true, NAMES)
    rng = np.random.default_rng(2)
    for i, name in enumerate(NAMES):
        positive = np.array([t == name for t in true])
        drawn = []
        for _ in range(300):
            some = rng.integers(0, 200, 200)
            drawn.append(
                metrics.roc_auc_score(positive[some], first[some, i])
                - metrics.roc_auc_score(positive[some], second[some, i])
            )
        test = tests[name]
        assert test is not None
        assert test.difference.value == pytest.approx(
            metrics.roc_auc_score(positive, first[:, i]) - metrics.roc_auc_score(positive, second[:, i])
        )
        assert test.difference.value / test.z == pytest.approx(np.std(drawn), rel=0.15)


def test_kappa_by_hand() -> None:
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: .7 seen, .5 by chance."""
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert kappa(first, second, ("no", "yes"), Weights.PLAIN).value == pytest.approx(0.4)


@pytest.mark.parametrize(("weights", "name"), [("plain", None), ("linear", "linear"), ("quadratic", "quadratic")])
@pytest.mark.parametrize("table", [[[20, 5, 1], [3, 15, 4], [0, 2, 10]], [[2, 5, 6], [3, 1, 4], [7, 2, 1]]])
def test_kappa_and_its_interval_are_those_of_statsmodels(
    weights: str, name: str | None, table: list[list[int]]
) -> None:
    theirs = cohens_kappa(np.array(table), wt=name)
    ours = kappa(*labels(table), NAMES, Weights(weights))
    assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.kappa, theirs.kappa_low, theirs.kappa_upp))


@pytest.mark.parametrize("unfit", [np.ones((3, 2)), np.full((4, 3), np.nan), np.ones((3, 3))])
def test_unfit_probabilities_are_an_error(unfit: np.ndarray) -> None:
    with pytest.raises(ValueError, match="Finite probabilities"):
        auc_by_category(unfit, ["normal"] * 4, NAMES)


def test_unknown_categories_and_nobody_are_errors() -> None:
    with pytest.raises(ValueError, match="'frail'"):
        macro_auc(np.ones((2, 3)), ["normal", "frail"], NAMES)
    with pytest.raises(ValueError, match="no case"):
        classification([], [], NAMES)
    with pytest.raises(ValueError, match="no case"):
        kappa([], [], NAMES, Weights.PLAIN)
