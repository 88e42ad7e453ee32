"""What in a vertebra is no trabecular bone: cement, dense and fatty foci, sclerosis, lips and bridges of bone."""

from dataclasses import dataclass

import numpy as np

from trabecula.flow.exclude import Evidence
from trabecula.flow.exclude.inside import Inside, look_inside
from trabecula.records import Effect, Readings, Reason, VertebraReading, reason


def _inside(evidence: Evidence, reading: VertebraReading) -> Inside | None:
    return None if reading.withheld else look_inside(evidence, reading.level)


@dataclass(frozen=True)
class Cement:
    """Withholds a body that holds much above what bone in it reaches: cement without metal's HU is as dense as that."""

    limit_hu: float = 650.0
    least_cm3: float = 0.6

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        inside = _inside(evidence, reading)
        if inside is None:
            return None
        volume_cm3 = float((inside.values > self.limit_hu).sum()) * inside.voxel_cm3
        if volume_cm3 < self.least_cm3:
            return None
        level, limit_hu = reading.level, self.limit_hu
        return reason("cement", Effect.WITHHOLD, level=level, volume_cm3=volume_cm3, limit_hu=limit_hu)


@dataclass(frozen=True)
class DenseFocus:
    """Withholds a body with a dense island or mass away from the end plates; a small one is a doubt."""

    least_hu: float = 180.0  # above the middle's median
    least_sd: float = 5.0
    seen_cm3: float = 0.08  # 5 mm across
    withheld_cm3: float = 0.25  # 8 mm across

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        inside = _inside(evidence, reading)
        if inside is None:
            return None
        middle, sd = inside.usual
        dense = inside.values > middle + max(self.least_hu, self.least_sd * sd)
        for volume_cm3, piece in inside.pieces(dense):
            if volume_cm3 < self.seen_cm3:
                return None
            # Near an end plate it is sclerosis or a node's rim, at the rim an osteophyte.
            deep = (np.abs(inside.height[piece]) < 0.6) & (np.hypot(inside.ahead, inside.aside)[piece] < 0.85)
            if deep.mean() > 0.5:
                effect = Effect.WITHHOLD if volume_cm3 >= self.withheld_cm3 else Effect.DOUBT
                return reason("dense-focus", effect, level=reading.level, volume_cm3=volume_cm3)
        return None


@dataclass(frozen=True)
class FattyFocus:
    """Withholds a body with a large fatty focus in front of the venous cleft, as a haemangioma is."""

    least_hu: float = 70.0  # below the median of the whole region
    least_sd: float = 2.5
    least_cm3: float = 0.5

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        inside = _inside(evidence, reading)
        if inside is None:
            return None
        values = inside.values
        middle = float(np.median(values))
        sd = float(1.4826 * np.median(np.abs(values - middle)))
        fatty = (values < middle - max(self.least_hu, self.least_sd * sd)) & (inside.ahead > -0.35)
        volume_cm3 = next((volume for volume, _ in inside.pieces(fatty)), 0.0)
        if volume_cm3 < self.least_cm3:
            return None
        return reason("fatty-focus", Effect.WITHHOLD, level=reading.level, volume_cm3=volume_cm3)


@dataclass(frozen=True)
class Sclerosis:
    """Withholds a body that is far denser under an end plate than at mid height; less of it is a doubt."""

    doubt_hu: float = 70.0
    withheld_hu: float = 130.0
    share: float = 0.3  # of the middle's HU, which a healthy end plate's bone may lie above it

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        inside = _inside(evidence, reading)
        if inside is None:
            return None
        middle, _ = inside.usual
        inner = np.hypot(inside.ahead, inside.aside) < 0.8
        ends = [inside.values[inner & (side * inside.height > 0.6)] for side in (-1, 1)]
        excess = max((float(end.mean()) - middle for end in ends if end.size), default=0.0)
        excess -= self.share * max(middle, 0.0)
        if excess < self.doubt_hu:
            return None
        effect = Effect.WITHHOLD if excess >= self.withheld_hu else Effect.DOUBT
        return reason("sclerosis", effect, level=reading.level, excess_hu=excess)


@dataclass(frozen=True)
class Osteophytes:
    """Withholds a region whose rim at mid height is far denser than its middle: lips and bridges lie in it."""

    doubt_hu: float = 90.0
    withheld_hu: float = 160.0

    def __call__(self, evidence: Evidence, reading: VertebraReading, readings: Readings) -> Reason | None:
        inside = _inside(evidence, reading)
        if inside is None:
            return None
        middle, _ = inside.usual
        rim = (np.hypot(inside.ahead, inside.aside) > 0.85) & (np.abs(inside.height) < 0.6) & (inside.ahead > -0.3)
        if not rim.any():
            return None
        excess = float(inside.values[rim].mean()) - middle
        if excess < self.doubt_hu:
            return None
        effect = Effect.WITHHOLD if excess >= self.withheld_hu else Effect.DOUBT
        return reason("osteophytes", effect, level=reading.level, excess_hu=excess)
