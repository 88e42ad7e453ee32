"""Draws the bones of a person of family b."""

from dataclasses import dataclass

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual import lesions
from trabecula.virtual.attenuation import REFERENCE_KVP, bmd_ha_from_qct, trabecular_hu
from trabecula.virtual.canvas import Canvas
from trabecula.virtual.family_b.chest import draw_front_b, draw_shoulders_b
from trabecula.virtual.family_b.ribs import ribs_of_b
from trabecula.virtual.family_b.subject import FAMILY
from trabecula.virtual.family_b.vertebra import draw_vertebra
from trabecula.virtual.numbering import Numbering
from trabecula.virtual.ribs import draw_ribs
from trabecula.virtual.subject import Subject
from trabecula.volume import Float64


def draw_skeleton_b(canvas: Canvas, s: Subject) -> None:
    """Draws every bone of a person of family b in HU of 120 kVp."""
    rng = np.random.default_rng([s.seed, FAMILY, 2])
    mean = (s.vertebra(Level.L1).bmd_k2hpo4 + s.vertebra(Level.L2).bmd_k2hpo4) / 2
    spongy = trabecular_hu(bmd_ha_from_qct(0.8 * mean, s.yellow_marrow), s.yellow_marrow, REFERENCE_KVP)
    compact = float(rng.uniform(900, 1350))
    ribs = ribs_of_b(s)
    draw_ribs(canvas, s, ribs, spongy * 0.7, 0.9, compact * 0.85)
    draw_front_b(canvas, s, ribs, spongy, compact)
    draw_shoulders_b(canvas, s, spongy, compact)
    _draw_basin(canvas, s, spongy, compact)
    lesions.draw_bridges(canvas, s)
    for index, v in enumerate(s.spine):
        draw_vertebra(canvas, s, v, compact, index)
    lesions.draw_implants(canvas, s)


@dataclass(frozen=True)
class Basin:
    """The bowl that both iliac wings are parts of: the middle of S1, its scale, height of its crest, half thickness."""

    base: Float64
    k: float
    crest: float
    thick: float


_BOWL_CENTRE, _BOWL_RADII = np.array([0.0, -42.0, 60.0]), np.array([134.0, 124.0, 175.0])
_CREST_AHEAD = 2.0
"""Where the crest is highest, mm before S1."""


def basin_of(s: Subject) -> Basin:
    """The pelvis keeps its place where the sacrum has a segment more or less."""
    rng = np.random.default_rng([s.seed, FAMILY, 9])
    k = s.scale * float(rng.uniform(0.96, 1.05))
    lift = {Numbering.FOUR_LUMBAR: -13.0, Numbering.LUMBARISED: 13.0}.get(s.numbering, 0.0)
    base = np.array(s.vertebra(Level.S1).centre_lps_mm) + [0, 0, lift]
    return Basin(base, k, float(rng.uniform(44, 58)), float(rng.uniform(2.6, 4.2)))


def iliac_crests_b(s: Subject) -> Float64:
    """The highest point of the iliac crest on the right and on the left, (2, 3) in LPS mm."""
    basin = basin_of(s)
    y, z = -_CREST_AHEAD - _BOWL_CENTRE[1], basin.crest - _BOWL_CENTRE[2]
    x = _BOWL_RADII[0] * np.sqrt(1 - (y / _BOWL_RADII[1]) ** 2 - (z / _BOWL_RADII[2]) ** 2)
    return np.array([basin.base + np.array([side * x, -_CREST_AHEAD, basin.crest]) * basin.k for side in (-1, 1)])


def _draw_basin(canvas: Canvas, s: Subject, spongy: float, compact: float) -> None:
    """The iliac wings as two parts of one bowl, hip joints, femora."""
    basin = basin_of(s)
    base, k, crest, thick = basin.base, basin.k, basin.crest, basin.thick
    centre, radii = base + _BOWL_CENTRE * k, _BOWL_RADII * k
    box = canvas.box(base + np.array([-150, -90, -100]) * k, base + np.array([150, 100, 70]) * k)
    if box is not None:
        x, y, z = canvas.points(box)
        norm = np.sqrt(sum(((p - c) / r) ** 2 for p, c, r in zip((x, y, z), centre, radii, strict=True)))
        up, ahead = (z - base[2]) / k, (base[1] - y) / k
        aside = np.abs(x - base[0]) / k
        height = crest - 0.011 * (ahead - _CREST_AHEAD) ** 2  # an arched crest
        half = thick + 3.5 * np.exp(-((up - height) ** 2) / 120) + 4 * np.clip(-(up + 30) / 40, 0, 1)
        shell = np.abs(norm - 1) * 110 - half
        cut = np.maximum(np.maximum(up - height, -80 - up), np.maximum(52 - aside, np.maximum(ahead - 68, -70 - ahead)))
        notch = 26 - np.hypot(ahead + 48, up + 72)  # the sciatic notch
        distance = np.maximum(np.maximum(shell, cut), notch) * k
        canvas.paint(box, np.asarray(distance, np.float32), spongy * 0.7, 1.0, compact * 0.8)
    for side in (-1, 1):
        hip = base + np.array([side * 90, -34, -90]) * k
        canvas.ellipsoid(hip, (29 * k, 30 * k, 33 * k), compact * 0.5)
        canvas.ellipsoid(hip, (26 * k, 27 * k, 30 * k), spongy + 60)
        shaft = hip + np.array([side * 44, 4, -26]) * k
        canvas.tube(np.array([hip, shaft, shaft - [side * 6, 0, 120]]), np.array([15, 18, 14]) * k, -40, 3.5, compact)
        ring = hip + np.array([[-side * 18, -12, -8], [-side * 55, -34, -22], [-side * 84, -36, -40]]) * k
        canvas.tube(ring, 8 * k, spongy * 0.7, 1.4, compact * 0.8)
        canvas.tube(
            np.array([hip + [0, 22, -14], hip + np.array([-side * 26, 34, -75]) * k]),
            13 * k,
            spongy * 0.7,
            1.4,
            compact * 0.8,
        )
        if s.metal_hip and side > 0:
            canvas.tube(np.array([hip, shaft, shaft - [0, 0, 90]]), 9, lesions.METAL_HU)
