from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_curve

from trabecula.evaluation.agreement import agreement
from trabecula.evaluation.diagnosis import auc
from trabecula.evaluation.plots import bland_altman, roc, roc_points, save, scatter

REFERENCE = np.random.default_rng(4).uniform(40, 200, 30)
MEASURED = REFERENCE + np.random.default_rng(5).normal(2, 6, 30)


def test_bland_altman_draws_the_bias_and_the_limits() -> None:
    result = agreement(MEASURED, REFERENCE)
    axes = bland_altman(MEASURED, REFERENCE, title="t").axes[0]
    heights = [line.get_ydata()[0] for line in axes.lines]
    assert heights == [result.bias.value, result.lower_limit.value, result.upper_limit.value, 0]
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(points, np.column_stack([(MEASURED + REFERENCE) / 2, MEASURED - REFERENCE]))


def test_scatter_has_the_reference_across_and_the_measured_up() -> None:
    axes = scatter(MEASURED, REFERENCE, title="t").axes[0]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), np.column_stack([REFERENCE, MEASURED]))
    assert "R$^2$" in axes.get_legend().get_texts()[1].get_text()


def test_roc_points_are_those_of_sklearn_and_the_legend_tells_the_area() -> None:
    true = REFERENCE < 100
    scores = np.round(-MEASURED, -1)  # with ties
    false_rate, true_rate, _ = roc_curve(true, scores, drop_intermediate=False)
    ours = roc_points(scores, true)
    np.testing.assert_allclose(ours, (false_rate, true_rate))
    axes = roc({"ill": (scores, true), "well": (-scores, ~true)}, title="t").axes[0]
    np.testing.assert_allclose(axes.lines[1].get_xdata(), false_rate)
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert told[0] == f"ill: AUC {auc(scores, true).text(3)}"
    assert len(told) == 2


@pytest.mark.parametrize("draw", [bland_altman, scatter])
def test_the_same_figure_is_the_same_file(draw: Callable[..., object], tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save(draw(MEASURED, REFERENCE, title="Simulated"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (750, 630)
        assert len(np.unique(np.asarray(image).reshape(-1, 4), axis=0)) > 20
