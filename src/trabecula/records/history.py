"""The earlier results of one person beside this one, as a report draws them."""

from dataclasses import dataclass, replace

from trabecula.anatomy import Level
from trabecula.quantity import Measurement


@dataclass(frozen=True)
class Point:
    """One result: the mean over the levels that all of them measured, and when its scan was made, if that is known."""

    density: Measurement
    scanned_on: str | None = None  # YYYY-MM-DD
    age_years: float | None = None


@dataclass(frozen=True)
class History:
    """Results from the earliest to this one, which is the last; a change below ``least_significant`` (in the unit of
    the densities, from the one before the last to the last) is no change beyond error.
    """

    levels: tuple[Level, ...]
    points: tuple[Point, ...]
    least_significant: float

    @property
    def undated(self) -> "History":
        """The same without days and ages."""
        return replace(self, points=tuple(Point(one.density) for one in self.points))
