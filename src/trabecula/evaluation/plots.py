"""Figures of agreement, drawn with matplotlib's objects: no global state, no display."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trabecula.evaluation.agreement import Agreement, agreement
from trabecula.evaluation.diagnosis import auc
from trabecula.evaluation.interval import p_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, ACCENT, FAINT = "#1f2933", "#1f6f8b", "#9aa5b1"
LINES = (
    *((ACCENT, "-"), ("#c2570c", "-."), (INK, ":"), ("#6b4ba1", "--")),
    *(("#2f7d32", "-"), ("#b3261e", "--"), ("#8a6d00", "-."), ("#00695c", ":"), ("#5d4037", (0, (5, 1, 1, 1, 1, 1)))),
)
"""Told apart without colour as well."""


def bland_altman(
    measured: NDArray[np.float64], reference: NDArray[np.float64], *, title: str, unit: str = "mg/cm$^3$"
) -> "Figure":
    """Difference against mean, with the bias and the 95% limits of agreement.

    Raises:
        ValueError: as ``agreement``.
    """
    measured, reference = np.asarray(measured, float), np.asarray(reference, float)
    result = agreement(measured, reference)
    figure, axes = _axes(title)
    axes.scatter((measured + reference) / 2, measured - reference, s=14, color=ACCENT, linewidths=0)
    digits = 2 if abs(result.sd) > 0.1 else 3
    for level, style in ((result.bias.value, "-"), (result.lower_limit.value, "--"), (result.upper_limit.value, "--")):
        axes.axhline(level, color=INK, linestyle=style, linewidth=1)
        axes.annotate(f"{level:.{digits}f}", (1.01, level), xycoords=("axes fraction", "data"), va="center", size=8)
    axes.axhline(0, color=FAINT, linewidth=0.6)
    slope = result.proportional
    if np.isfinite(slope.p):
        told = f"slope on the mean {slope.estimate.value:.3f}, {p_text(slope.p)}"
        axes.annotate(told, (0.02, 0.02), xycoords="axes fraction", size=8)
    axes.set_xlabel(f"mean of measured and reference, {unit}")
    axes.set_ylabel(f"measured - reference, {unit}")
    return figure


def scatter(
    measured: NDArray[np.float64],
    reference: NDArray[np.float64],
    *,
    title: str,
    unit: str = "mg/cm$^3$",
    bands: tuple[float, ...] = (80.0, 120.0),
) -> "Figure":
    """Measured against reference, with the identity, the regression line and the diagnostic ``bands``.

    Raises:
        ValueError: as ``agreement``.
    """
    measured, reference = np.asarray(measured, float), np.asarray(reference, float)
    result = agreement(measured, reference)
    figure, axes = _axes(title)
    ends = np.array([min(reference.min(), measured.min()), max(reference.max(), measured.max())])
    for band in bands:
        axes.axvline(band, color=FAINT, linewidth=0.6)
        axes.axhline(band, color=FAINT, linewidth=0.6)
    axes.plot(ends, ends, color=FAINT, linestyle="--", linewidth=1, label="identity")
    line = result.intercept.value + result.slope.value * ends
    axes.plot(ends, line, color=INK, linewidth=1, label=_line_label(result))
    axes.scatter(reference, measured, s=14, color=ACCENT, linewidths=0)
    margin = 0.04 * float(np.ptp(ends))
    axes.set(aspect="equal", xlim=(ends[0] - margin, ends[1] + margin), ylim=(ends[0] - margin, ends[1] + margin))
    axes.set_xlabel(f"reference, {unit}")
    axes.set_ylabel(f"measured, {unit}")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def roc(curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.bool_]]], *, title: str) -> "Figure":
    """ROC curves, one a name: scores (higher for what is looked for) and whether it is there, with their AUC.

    Raises:
        ValueError: as ``auc``.
    """
    figure, axes = _axes(title)
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
    for (name, (scores, true)), (colour, style) in zip(curves.items(), cycle(LINES)):
        false_rate, true_rate = roc_points(scores, true)
        area = auc(scores, true)
        axes.plot(false_rate, true_rate, color=colour, linestyle=style, label=f"{name}: AUC {area.text(3)}")
    axes.set(aspect="equal", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def roc_points(scores: NDArray[np.float64], true: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rates from (0, 0) to (1, 1), a point for each distinct score."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
    hits, misses = np.cumsum(true[order])[last], np.cumsum(~true[order])[last]
    return np.append(0.0, misses / misses[-1]), np.append(0.0, hits / hits[-1])


def learning_curve(
    images: Sequence[int],
    means: Sequence[float],
    sds: Sequence[float],
    published: Mapping[str, tuple[int, float, float]],
    *,
    title: str,
) -> "Figure":
    """Dice against the number of training images, mean and 1 SD; published points, by their names, as open circles."""
    figure, axes = _axes(title)
    axes.errorbar(images, means, yerr=sds, color=ACCENT, marker="o", markersize=4, capsize=3, linewidth=1, label="ours")
    for name, (number, mean, sd) in published.items():
        axes.errorbar([number], [mean], yerr=[sd], color=INK, marker="o", mfc="none", capsize=3, ls="none", label=name)
    axes.set(xlim=(0, None), xlabel="training images", ylabel="Dice, mean and SD")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Write a PNG that differs only when the figure does."""
    figure.savefig(path, dpi=150, metadata={"Software": None})


def _line_label(result: Agreement) -> str:
    sign = "-" if result.intercept.value < 0 else "+"
    # Of an areal density a tenth is much.
    digits = 1 if abs(result.rmse.value) > 1 else 3
    line = f"{result.slope.value:.3f} x {sign} {abs(result.intercept.value):.{digits}f}, R$^2$ {result.r2.value:.3f}"
    return line + (f", {p_text(result.r.p)}" if np.isfinite(result.r.p) else "")


def _axes(title: str) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
