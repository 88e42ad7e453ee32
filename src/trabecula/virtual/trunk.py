"""The outer measures of a virtual trunk: where its back and middle lie, and how much water a ray meets in it."""

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.subject import Subject

_BACK_LEVELS = (Level.T12, Level.L1, Level.L2, Level.L3, Level.L4)


def back_mm(s: Subject) -> float:
    """Where the back ends (posterior, LPS): behind every spinous process, whose tips lie close under the skin."""
    bodies = [v for v in s.spine if v.name in _BACK_LEVELS]
    centre = next(v for v in bodies if v.name == Level.L3).centre_lps_mm[1]
    tips = [v.centre_lps_mm[1] + v.depth_mean_mm / 2 + v.spinous_mm for v in bodies]
    # The bodies lie about 36% of the half depth behind the middle.
    usual = centre + s.half_depth_mm - 0.36 * (s.half_depth_mm - s.fat_mm)
    return float(max(usual, max(tips) + 4 + 0.6 * s.fat_mm))


def middle_mm(s: Subject) -> float:
    """The middle of the trunk between belly and back (posterior, LPS)."""
    return back_mm(s) - s.half_depth_mm


def water_path_mm(s: Subject) -> float:
    """The mean way of a ray through the trunk as water: that through a disc of its area, fat counted by its density."""
    area = s.half_width_mm * s.half_depth_mm
    lean = (s.half_width_mm - s.fat_mm) * (s.half_depth_mm - s.fat_mm)
    water = np.sqrt((lean * 1.0 + (area - lean) * 0.9) / area)  # bowel gas and muscle hold one another's balance
    return float(np.pi / 4 * 2 * np.sqrt(area) * water)
