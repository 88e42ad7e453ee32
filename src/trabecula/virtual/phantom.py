"""A calibration phantom scanned with the patient: five rods of K2HPO4 in a pad under L1 to L3, and how QCT reads it.

Densities are the example of a Mindways Model 3 certificate; HU_rod - water = (slope + 0.2174) K2HPO4 + offset - 999.6
is the relation by which its users calibrate.
"""

from dataclasses import dataclass

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.attenuation import Attenuation
from trabecula.virtual.canvas import Canvas
from trabecula.virtual.subject import Subject
from trabecula.virtual.trunk import back_mm
from trabecula.volume import Point

SLOPE_SHIFT, OFFSET_SHIFT_HU = 0.2174, 999.6
PAD_MM = 30.0
PAD_HU = 15.0
ROD_RADIUS_MM = 9.0
ROD_STEP_MM = 34.0


@dataclass(frozen=True)
class Rod:
    """One rod's certificate, mg/cm3."""

    k2hpo4_mg_cm3: float
    water_mg_cm3: float


RODS = (Rod(-51.83, 1012.25), Rod(-53.40, 1056.95), Rod(58.88, 1103.57), Rod(157.05, 1119.52), Rod(375.83, 923.20))


@dataclass(frozen=True)
class CalibrationLine:
    """BMD = (HU - offset) / slope, mg/cm3 K2HPO4."""

    slope_hu_cm3_mg: float
    offset_hu: float

    def bmd_mg_cm3(self, hu: float) -> float:
        return (hu - self.offset_hu) / self.slope_hu_cm3_mg

    def rod_hu(self, rod: Rod) -> float:
        """What a rod reads on a scanner with this line."""
        slope, offset = self.slope_hu_cm3_mg + SLOPE_SHIFT, self.offset_hu - OFFSET_SHIFT_HU
        return rod.water_mg_cm3 + slope * rod.k2hpo4_mg_cm3 + offset


def calibrate(rod_hu: list[float]) -> CalibrationLine:
    """The line through the five rods' HU, in the order of ``RODS``."""
    density = np.array([rod.k2hpo4_mg_cm3 for rod in RODS])
    above_water = np.array(rod_hu) - [rod.water_mg_cm3 for rod in RODS]
    slope, offset = np.polyfit(density, above_water, 1)
    return CalibrationLine(float(slope - SLOPE_SHIFT), float(offset + OFFSET_SHIFT_HU))


def rod_paths(subject: Subject) -> list[tuple[Point, Point]]:
    """Lower and upper end of each rod in LPS mm: side by side under the back, from below L3 to above L1."""
    by_name = {v.name: v for v in subject.spine}
    low = by_name[Level.L3].centre_lps_mm[2] - 40
    high = by_name[Level.L1].centre_lps_mm[2] + 40
    y = back_mm(subject) + PAD_MM / 2
    sides = [ROD_STEP_MM * (i - (len(RODS) - 1) / 2) for i in range(len(RODS))]
    return [((x, y, low), (x, y, high)) for x in sides]


def draw_phantom(canvas: Canvas, subject: Subject, beam: Attenuation) -> None:
    """Draws pad and rods as a beam shows them."""
    line = CalibrationLine(beam.slope_k2hpo4, 0.0)
    paths = rod_paths(subject)
    (left, y, low), _ = paths[0]
    reach = np.array([-left + ROD_RADIUS_MM + 15, PAD_MM / 2, (paths[0][1][2] - low) / 2 + 15])
    middle = np.array([0.0, y, (low + paths[0][1][2]) / 2])
    box = canvas.box(middle - reach - canvas.h, middle + reach + canvas.h)
    if box is not None:
        gaps = [
            np.abs(p - np.float32(m)) - np.float32(r) for p, m, r in zip(canvas.points(box), middle, reach, strict=True)
        ]
        canvas.blend(box, canvas.fraction(np.maximum(np.maximum(gaps[0], gaps[1]), gaps[2])), PAD_HU)
    for rod, path in zip(RODS, paths, strict=True):
        canvas.tube(np.array(path), ROD_RADIUS_MM, line.rod_hu(rod))
