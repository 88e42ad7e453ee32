"""This person's results on one curve, with the least significant change around the one before the last."""

from datetime import date
from typing import Any

from trabecula.records.history import History, Point
from trabecula.report.words import Words, unit_shown

WIDTH, HEIGHT = 560.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 64.0, 14.0, 26.0
STEPS = {"mg/cm3": 20.0, "g/cm2": 0.1}
"""To which the ends of the scale are rounded, by unit."""


def curve(words: Words) -> dict[str, Any] | None:
    """The figure in the units of its own drawing, as the template takes it; None where there is no earlier result."""
    history = words.assessment.history
    if history is None:
        return None
    places, low, high = _places(history), *_ends(history)

    def x(at: float) -> float:
        return round(LEFT + at * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    points = [
        {
            "x": x(at),
            "y": y(one.density.value),
            "low": y(one.density.interval[0]),
            "high": y(one.density.interval[1]),
            "value": one.density.shown,
            "when": _when(one, words),
            "now": one is history.points[-1],
        }
        for at, one in zip(places, history.points, strict=True)
    ]
    before = history.points[-2].density
    least = history.least_significant
    return {
        "points": points,
        "band": {"top": y(before.value + least), "bottom": y(before.value - least), "from": points[-2]["x"]},
        "ticks": [{"y": y(value), "text": f"{value:g}"} for value in _ticks(low, high)],
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT + 14,
        "caption": words.say(
            "history-caption",
            levels=words.joined(history.levels),
            unit=unit_shown(before.quantity),
            least=before.quantity.shown(least),
        ),
    }


def _when(one: Point, words: Words) -> str:
    if one.scanned_on is not None:
        return one.scanned_on
    return "" if one.age_years is None else words.say("age", years=one.age_years)


def _places(history: History) -> list[float]:
    """Where each result lies from left to right, 0 to 1: by day, else by age, else evenly."""
    days = [None if one.scanned_on is None else date.fromisoformat(one.scanned_on) for one in history.points]
    ages = [one.age_years for one in history.points]
    if all(days):
        at = [float(day.toordinal()) for day in days if day is not None]
    elif None not in ages:
        at = [age for age in ages if age is not None]
    else:
        at = []
    if not at or at[-1] <= at[0]:
        return [n / (len(history.points) - 1) for n in range(len(history.points))]
    return [(one - at[0]) / (at[-1] - at[0]) for one in at]


def _ends(history: History) -> tuple[float, float]:
    before, least = history.points[-2].density.value, history.least_significant
    reach = [end for one in history.points for end in one.density.interval] + [before - least, before + least]
    step = STEPS[history.points[-1].density.quantity.unit]
    return max(0.0, min(reach) // step * step), (max(reach) // step + 1) * step


def _ticks(low: float, high: float) -> list[float]:
    """Five at the most, the ends among them."""
    return [low + n * (high - low) / 4 for n in range(5)]
