"""Drawings as addresses that hold them, so that a page needs nothing beside itself and prints the same."""

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from trabecula.acceptance.charts import Chart

INK, ACCENT, ALARM, FAINT = "#1f2933", "#1f6f8b", "#b3261e", "#9aa5b1"


def picture_of(figure: "Figure") -> str:
    """The figure as SVG in a data: address; the same figure gives the same bytes."""
    import matplotlib

    held = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "trabecula"}):
        figure.savefig(held, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(held.getvalue()).decode()}"


def picture_of_chart(chart: "Chart") -> str:
    """The chart: each point, its weighted mean, centre and limits; alarms stand out by colour and mark."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 2.4), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    places = range(len(chart.points))
    axes.plot(places, [one.value for one in chart.points], "o", color=FAINT, markersize=4, label="each")
    axes.plot(places, [one.ewma for one in chart.points], "-", color=ACCENT, linewidth=1.4, label="EWMA")
    axes.axhline(chart.centre, color=INK, linewidth=0.8)
    for sign in (-1, 1):
        ends = [chart.centre + sign * one.ewma_half_width for one in chart.points]
        axes.plot(places, ends, "--", color=INK, linewidth=0.8)
    told = [place for place, one in enumerate(chart.points) if one.alarm]
    axes.plot(told, [chart.points[place].ewma for place in told], "X", color=ALARM, markersize=8, label="alarm")
    step = max(1, len(chart.points) // 12)
    axes.set_xticks(
        list(places)[::step], [one.when for one in chart.points][::step], rotation=30, ha="right", fontsize=7
    )
    axes.set_ylabel(chart.unit, fontsize=8)
    axes.legend(frameon=False, fontsize=7, loc="upper left", ncols=3)
    return picture_of(figure)
