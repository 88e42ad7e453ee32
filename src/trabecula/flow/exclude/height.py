"""A body that has lost height: a finding by itself, and crushed bone is denser, not stronger."""

from dataclasses import dataclass
from math import radians, tan

import numpy as np

from trabecula.anatomy import Level
from trabecula.flow.exclude import Evidence
from trabecula.messages import Phrase
from trabecula.records import BodyHeights, Effect, Readings, Reason, VertebraReading, reason

GRADES = ((0.40, 3), (0.25, 2), (0.20, 1))
"""Genant 1993: a loss of over 40% is severe, of over 25% moderate, of 20% mild."""

# Posterior height in mm, wedge in degrees (the front lower where positive) and depth in mm of men's bodies (Panjabi
# 1991 and CT; wedge PMC2899959). Only their course along the spine is used: a person's size cancels.
_SHAPE = {
    Level.T11: (22.5, 5.0, 31.0),
    Level.T12: (24.5, 4.2, 33.0),
    Level.L1: (27.0, 3.3, 34.5),
    Level.L2: (28.0, 1.6, 35.0),
    Level.L3: (28.5, 0.0, 36.0),
    Level.L4: (28.0, -1.9, 36.5),
    Level.L5: (26.5, -6.0, 35.5),
}
DISH_MM = 1.5
"""End plates are hollow: the middle is lower than the mean of front and back."""


@dataclass(frozen=True)
class HeightLoss:
    """Withholds a body that has lost a moderate share of a height and says so as a suspected fracture, with its grade.

    What it should be tall is told by the person's other levels, each against the usual course of heights along the
    spine; their median, so that a second fracture does not hide a first. A mild loss cannot be told from the wedge that
    healthy vertebrae have.
    """

    least_grade: int = 2
    reach: int = 3  # how many bodies up and down are compared with
    end_mm: float = 5.0  # a region this near to the scan's first or last slice may be that of half a body

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        region = evidence.region(reading.level)
        if region is None or region.heights is None or reading.withheld or self._near_end(evidence, reading.level):
            return None
        place = readings.vertebrae.index(reading)
        near = readings.vertebrae[max(0, place - self.reach) : place + self.reach + 1]
        others = {
            other.level: found.heights
            for other in near
            if other is not reading and not other.withheld
            if (found := evidence.region(other.level)) is not None and found.heights is not None
        }
        loss = worst_loss(reading.level, region.heights, others)
        if loss is None or loss.grade < self.least_grade:
            return None
        return reason(
            "vertebral-fracture",
            Effect.WITHHOLD,
            level=reading.level,
            grade=loss.grade,
            lost=loss.share,
            place=Phrase(f"height-{loss.place}"),
            height_mm=loss.height_mm,
            expected_mm=loss.expected_mm,
        )

    def _near_end(self, evidence: Evidence, level: Level) -> bool:
        assert evidence.regions is not None, "a vertebra with heights has a region"
        slices, volume = evidence.regions.part(level)[0], evidence.scan.volume
        reach = self.end_mm / volume.spacing_mm[0]
        return bool(slices.start < reach or slices.stop > volume.shape[0] - reach)


@dataclass(frozen=True)
class Loss:
    """Which of a body's heights has lost most: its share, what it is and what it should be, in mm."""

    place: str  # anterior, middle or posterior
    share: float
    height_mm: float
    expected_mm: float

    @property
    def grade(self) -> int:
        """After Genant: 0 to 3."""
        return next((grade for above, grade in GRADES if self.share > above), 0)


def worst_loss(level: Level, own: BodyHeights, others: dict[Level, BodyHeights]) -> Loss | None:
    """The greatest loss of a body's height against what its own back and the person's other levels let one expect.

    A body without others to compare with is held against its own back alone.
    """
    heights = dict(zip(PLACES, _heights(own), strict=True))
    if min(heights.values()) <= 0:
        return None
    usual = usual_heights(level)
    scales = {
        place: float(np.median([_heights(other)[n] / usual_heights(at)[n] for at, other in others.items()]))
        for n, place in enumerate(PLACES)
        if others
    }
    losses = []
    for n, place in enumerate(PLACES):
        by_others = scales.get(place, 0.0) * usual[n]
        # A person's wedges run alike along the spine: the own back counts by the course that the others show.
        wedge = scales.get(place, 1.0) / scales.get("posterior", 1.0) * usual[n] / usual[2]
        by_back = heights["posterior"] * wedge if place != "posterior" else 0.0
        expected = by_others if by_others else by_back
        # Against its own back only where the back itself is not short: then both see the same loss.
        if by_others and by_back:
            expected = max(by_others, by_back) if abs(by_back / by_others - 1) < TRUSTED_SHARE else by_others
        if expected:
            losses.append(Loss(place, 1 - heights[place] / expected, heights[place], expected))
    return max(losses, key=lambda loss: loss.share, default=None)


PLACES = ("anterior", "middle", "posterior")
TRUSTED_SHARE = 0.15
"""The own back and the other levels may put a height this far apart before the own back is left aside."""


def usual_heights(level: Level) -> tuple[float, float, float]:
    """Anterior, middle and posterior height of a level in mm, in proportion; those of L1 where it has no name."""
    posterior, wedge_deg, depth = _SHAPE.get(level, _SHAPE[Level.L1])
    anterior = posterior - 2 * depth * tan(radians(wedge_deg) / 2)
    return anterior, (anterior + posterior) / 2 - DISH_MM, posterior


def _heights(one: BodyHeights) -> tuple[float, float, float]:
    return one.anterior_mm, one.middle_mm, one.posterior_mm
