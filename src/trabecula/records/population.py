"""A reference population: what is usual at an age, for each sex."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Point:
    """The mean and standard deviation at an age; the latter is None where none was published."""

    age_years: float
    mean_mg_cm3: float
    sd_mg_cm3: float | None


@dataclass(frozen=True)
class Population:
    """A named population: its points by sex (F, M), by rising age."""

    name: str
    points: Mapping[str, tuple[Point, ...]]

    def at(self, sex: str, age_years: float) -> Point | None:
        """The population at an age, in a straight line between its points; None beyond them."""
        points = self.points.get(sex, ())
        if not points or not points[0].age_years <= age_years <= points[-1].age_years:
            return None
        ages = [one.age_years for one in points]
        mean = float(np.interp(age_years, ages, [one.mean_mg_cm3 for one in points]))
        spreads = [one.sd_mg_cm3 for one in points if one.sd_mg_cm3 is not None]
        sd = float(np.interp(age_years, ages, spreads)) if len(spreads) == len(points) else None
        return Point(age_years, mean, sd)
