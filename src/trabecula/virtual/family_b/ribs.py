"""The ribs of family b: each an arc of an ellipse in a plane that falls to the front."""

import numpy as np

from trabecula.virtual.family_b.subject import FAMILY
from trabecula.virtual.ribs import STEP_MM, Rib, rib_bearers
from trabecula.virtual.subject import Subject, VertebraShape
from trabecula.virtual.trunk import middle_mm, thoracic_index
from trabecula.volume import Float64

_ARC_MM = ((0, 1, 3, 5, 7, 9, 11, 12, 13), (60, 122, 225, 290, 318, 300, 200, 115, 90))


def ribs_of_b(s: Subject) -> tuple[Rib, ...]:
    """Every rib, cranial first, right before left."""
    rng = np.random.default_rng([s.seed, FAMILY, 6])
    fall, turned = np.radians(rng.uniform(26, 42)), np.radians(rng.uniform(96, 106))
    bones = rng.uniform(0.85, 1.15), rng.uniform(1.6, 2.2)
    ribs = []
    for v, number in rib_bearers(s):
        own = np.random.default_rng([s.seed, FAMILY, 7, number + 20])
        tilt = fall * float(np.interp(number, (1, 5, 9, 12), (0.85, 1.0, 1.1, 1.35))) + own.normal(0, 0.02)
        arc = float(np.interp(number, *_ARC_MM)) * s.scale * own.normal(1, 0.04)
        for side in (-1, 1):
            wished = s.rib_mm(v.name, side)
            if wished != 0:
                path = _arc(s, v, (number, side), (tilt, turned), arc if wished is None else wished)
                radius = np.interp(np.arange(len(path)), (0, 1, 2, 4, 9, 40), (4.4, 3.6, 2.7, 3.5, 3.0, 2.6))
                flat = (1.5, 1.5, 0.8) if number == 1 else (1.0, 1.0, bones[1])
                ribs.append(Rib(v.name, number, side, path, radius * s.scale * bones[0], flat))
    return tuple(ribs)


def chest_size(s: Subject, number: float) -> tuple[float, float]:
    """Half width and depth (mm, from the transverse processes to the front) of the cage that a rib goes round."""
    at = thoracic_index(s)
    ninth = next(v for v in s.spine if at[v.name] == 9)
    rng = np.random.default_rng([s.seed, FAMILY, 8])
    wide = 0.55 * (s.half_width_mm - s.fat_mm - 14) + 0.45 * 132 * s.scale + rng.uniform(-8, 8)
    front = middle_mm(s) - s.half_depth_mm + s.fat_mm + 14
    deep = 0.5 * (ninth.centre_lps_mm[1] + 26 - front) + 0.5 * 180 * s.scale + rng.uniform(-10, 16)
    missing = np.clip((9 - number) / 8, 0, 1.2)
    return float(wide * (1 - 0.46 * missing**2)), float(deep * (1 - 0.36 * missing**1.3))


def _arc(s: Subject, v: VertebraShape, which: tuple[int, int], angles: tuple[float, float], arc_mm: float) -> Float64:
    """Head, neck, then round the ellipse from a little before its hindmost place; no longer than ``arc_mm``."""
    (number, side), (tilt, start) = which, angles
    back = -v.depth_mean_mm / 2
    head = np.array([side * (v.width_mm[0] / 2 + 1), back + 4, (0.42 if 2 <= number <= 10 else 0.2) * v.height_mm])
    low = np.random.default_rng([s.seed, FAMILY, 9, number + 20])
    droop = 0.12
    if number >= 11:  # the last heads lie behind the body on the pedicle, and the ribs hang
        head[1], droop = back - low.uniform(-1, 4), low.uniform(0.15, 0.7)
    reach = v.transverse_span_mm / 2 + 1 if number < 11 else v.width_mm[0] / 2 + 16
    share = 1.3 if 1 <= number < 11 else 0.45 if number < 1 else float(low.uniform(0.6, 1.1))
    knob = np.array([side * reach, back - share * v.canal_mm[1] + 2.0, 0.2 * v.height_mm])
    head, knob = head @ v.axes + v.centre_lps_mm, knob @ v.axes + v.centre_lps_mm
    wide, far = chest_size(s, number)
    aside = max(wide - abs(knob[0] - v.centre_lps_mm[0]), 20.0) / (1 - np.cos(start))
    ahead = far / (np.sin(start) + 1) / np.cos(tilt)
    angle = np.linspace(start, np.radians(-62), 160)
    if number <= 0:  # a neck rib curls over the lung's top
        aside, ahead = 26.0, 24.0
    forward = np.array([0.0, -np.cos(tilt), -np.sin(tilt)])
    round_ = knob + aside * (np.cos(angle) - np.cos(start))[:, None] * np.array([side, 0.0, -droop])
    round_ = round_ + ahead * (np.sin(start) - np.sin(angle))[:, None] * forward
    line = np.concatenate([[head, (head + knob) / 2 + [0, 1.5, 1.0]], round_])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    arc = min(arc_mm, along[-1])
    at = np.linspace(0, arc, max(3, int(np.ceil(arc / STEP_MM)) + 1))
    return np.stack([np.interp(at, along, line[:, i]) for i in range(3)], axis=1)
