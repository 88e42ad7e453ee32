"""Control charts: an exponentially weighted moving average (EWMA) with limits, and single points far outside.

The rule: lambda 0.2 and limits at 3 standard errors of the average, whose in-control run is about 560 points (Lucas JM,
Saccucci MS. Exponentially weighted moving average control schemes. Technometrics 1990; 32: 1-12; NIST/SEMATECH
e-Handbook 6.3.2.4); a single point beyond 3.5 standard errors alarms too (the combined scheme there). The limits count
what the baseline's own mean errs by (Jones LA, Champ CW, Rigdon SE. Technometrics 2001; 43: 156-167). Where the points
of the baseline spread more than their number explains, every standard error is widened by that (Laney DB. Quality
Engineering 2002; 14: 531-537).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LAMBDA, LIMIT, SHEWHART_LIMIT = 0.2, 3.0, 3.5
FEWEST_BASELINE = 4


@dataclass(frozen=True)
class Observed:
    """One point: when, its value, the standard error of that value, and of how many it is."""

    when: str
    value: float
    error: float
    n: int = 1


@dataclass(frozen=True)
class Point:
    """A point on its chart: the weighted average up to it and how far that may lie from the centre."""

    when: str
    value: float
    n: int
    ewma: float
    ewma_half_width: float
    baseline: bool
    alarm: str = ""  # drift, or outlier; empty in control


@dataclass(frozen=True)
class Chart:
    """One chart; without points where there are too few for limits, and then ``note`` says so."""

    title: str
    unit: str
    centre: float = float("nan")
    points: tuple[Point, ...] = ()
    note: str = ""

    @property
    def alarm(self) -> Point | None:
        """The last point, where it alarms: what was out and is back in control alarms no more."""
        return self.points[-1] if self.points and self.points[-1].alarm else None

    @property
    def first_alarm(self) -> Point | None:
        """Where the run of alarms that reaches to the last point began."""
        found = None
        for one in reversed(self.points):
            if not one.alarm:
                break
            found = one
        return found


def chart_of(title: str, unit: str, observed: Sequence[Observed], baseline: int) -> Chart:
    """The chart of points in order of time; the first ``baseline`` of them set centre and spread and never alarm."""
    first = observed[:baseline]
    if len(first) < max(baseline, FEWEST_BASELINE):
        have = f"{len(first)} of {max(baseline, FEWEST_BASELINE)} points"
        return Chart(title, unit, note=f"No limits yet: {have} that the baseline needs.")
    weights = np.array([1 / one.error**2 for one in first])
    centre = float(np.average([one.value for one in first], weights=weights))
    spread = [(one.value - centre) / one.error for one in first]
    wider = max(1.0, float(np.sqrt(np.square(spread).sum() / (len(first) - 1))))
    centre_error = wider / float(np.sqrt(weights.sum()))
    points, average = [], 0.0
    for place, one in enumerate(observed):
        error = wider * one.error
        z = (one.value - centre) / error
        steps = place - len(first) + 1  # the average begins after the baseline
        if steps <= 0:
            points.append(Point(one.when, one.value, one.n, centre, LIMIT * error, True))
            continue
        average = LAMBDA * z + (1 - LAMBDA) * average
        own = LAMBDA / (2 - LAMBDA) * (1 - (1 - LAMBDA) ** (2 * steps))
        of_centre = (centre_error / error) ** 2
        width = LIMIT * float(np.sqrt(own + of_centre * (1 - (1 - LAMBDA) ** steps) ** 2))
        outlier = abs(z) > SHEWHART_LIMIT * float(np.sqrt(1 + of_centre))
        alarm = "drift" if abs(average) > width else "outlier" if outlier else ""
        points.append(Point(one.when, one.value, one.n, centre + average * error, width * error, False, alarm))
    return Chart(title, unit, centre, tuple(points))
