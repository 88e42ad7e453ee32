"""Draws the bones of a virtual person: ribs, sternum, shoulders and pelvis, and over them the vertebrae."""

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.attenuation import REFERENCE_KVP, bmd_ha_from_qct, trabecular_hu
from trabecula.virtual.canvas import Canvas
from trabecula.virtual.lesions import draw_bridges, draw_implants
from trabecula.virtual.pelvis import draw_pelvis, draw_sacrum
from trabecula.virtual.subject import Subject, VertebraShape
from trabecula.virtual.vertebra import VertebraBone, draw_vertebra
from trabecula.volume import Float64

CORTICAL_HU = 1250.0
"""Compact bone as a 1 mm voxel shows it: about a quarter of it is canals and resorption spaces."""


def draw_skeleton(canvas: Canvas, subject: Subject, rng: np.random.Generator) -> None:
    """Draws every bone in view in HU of 120 kVp; the vertebrae last, so that their truth is what the image shows."""
    marrow = subject.yellow_marrow
    spongy = trabecular_hu(bmd_ha_from_qct(0.85 * mean_bmd(subject), marrow), marrow, REFERENCE_KVP)
    compact = CORTICAL_HU * rng.uniform(0.75, 1.1)
    _draw_thorax(canvas, subject, rng, spongy, compact)
    _draw_shoulders(canvas, subject, rng, spongy, compact)
    draw_pelvis(canvas, subject, rng, spongy, compact)
    draw_bridges(canvas, subject)
    for index, vertebra in enumerate(subject.spine):
        draw_one = draw_sacrum if vertebra.name == "S1" else draw_vertebra
        draw_one(canvas, vertebra, VertebraBone.of(subject, vertebra, compact), (subject.seed, index))
    draw_implants(canvas, subject)


def mean_bmd(subject: Subject) -> float:
    """The mean of L1 and L2 in mg/cm3 K2HPO4."""
    return (subject.vertebra(Level.L1).bmd_k2hpo4 + subject.vertebra(Level.L2).bmd_k2hpo4) / 2


def _draw_thorax(canvas: Canvas, s: Subject, rng: np.random.Generator, spongy: float, compact: float) -> None:
    """Ribs 1 to 12 on an egg-shaped cage, the sternum and the costal cartilages."""
    droop = rng.normal(1.1, 0.2)
    middle_y = np.array(s.vertebra(Level.T9).centre_lps_mm)[1] - 0.48 * (s.half_depth_mm - s.fat_mm) * 1.1
    arcs: dict[str, float] = {
        f"T{k}": arc for k, arc in enumerate((120, 175, 225, 260, 280, 295, 305, 310, 290, 262, 200), 1)
    }
    arcs |= {"T12": s.rib12_mm, "T13": s.rib13_mm, "L1": s.lumbar_ribs_mm}
    by_name = {v.name: v for v in s.spine}
    ribs = [name for name in by_name if arcs.get(name)]
    shell, calcified = rng.uniform(0.8, 1.4), rng.uniform(0, 1) * np.clip((s.age_years - 30) / 40, 0, 1)
    for number, name in enumerate(ribs, 1):
        v = by_name[name]
        for side in (-1, 1):
            path = _rib_path(v, s, side, number, arcs[name] * s.scale * rng.normal(1, 0.06), droop, middle_y, rng)
            width = rng.uniform(2.6, 3.6) * s.scale
            taper = np.linspace(1, 0.75, len(path)) * width
            canvas.tube(path, taper, spongy * 0.8, shell, compact * 0.85, (1, 1, 1.55))
            if 1 <= number <= 10:
                _draw_cartilage(canvas, path[-1], s, by_name, middle_y, side, number, calcified, rng)
    top, low = by_name["T3"], by_name["T9"]
    front = middle_y - 0.9 * (s.half_depth_mm - s.fat_mm)
    sternum = np.array([[0, front + 18, top.centre_lps_mm[2]], [0, front + 4, low.centre_lps_mm[2] + 15]])
    canvas.tube(
        np.linspace(sternum[0], sternum[1], 6), np.linspace(6, 4.5, 6), spongy * 0.6, 1.0, compact * 0.6, (3.2, 1, 1)
    )


def _rib_path(
    v: VertebraShape,
    s: Subject,
    side: int,
    number: int,
    arc_mm: float,
    droop: float,
    middle_y: float,
    rng: np.random.Generator,
) -> Float64:
    """A rib from its joint round the cage; only as long as its arc."""
    centre = np.array(v.centre_lps_mm)
    head = centre + np.array([side * (v.width_mm[0] / 2 - 1), v.depth_mean_mm * 0.36, v.height_mm * 0.35])
    tubercle = centre + np.array(
        [side * (v.transverse_span_mm / 2 + 1), v.depth_mean_mm * 0.5 + 17, v.height_mm * 0.15]
    )
    narrow = float(np.interp(number, (1, 2, 4, 8, 12, 13), (0.42, 0.58, 0.8, 0.97, 0.95, 0.95)))
    a = (s.half_width_mm - s.fat_mm) * 0.86 * narrow
    b = (s.half_depth_mm - s.fat_mm) * 0.88 * (0.35 + 0.65 * narrow)
    slope = float(np.interp(number, (1, 4, 8, 10, 12, 13), (0.35, 0.42, 0.52, 0.6, 0.75, 0.4))) * droop
    back = np.arctan2(max(tubercle[1] - middle_y, 1.0) / b, abs(tubercle[0]) / a)
    points = [head, tubercle]
    length = float(np.linalg.norm(tubercle - head))
    angle, here = back, tubercle
    last = float(np.interp(number, (4, 6, 8, 10, 11), (-1.25, -1.0, -0.55, -0.15, 0.15))) + rng.normal(0, 0.1)
    while length < arc_mm and angle > last:
        angle -= 0.09
        y, x = middle_y + b * np.sin(angle), side * a * np.cos(angle)
        blend = min(1.0, (back - angle) / 0.5)  # from the tubercle onto the cage
        target = np.array([x, y, here[2]])
        flat = here + blend * (target - here) if blend < 1 else target
        step = max(1.0, float(np.linalg.norm(flat[:2] - here[:2])))
        here = np.array([flat[0], flat[1], here[2] - slope * step * (0.5 if angle > 0.7 else 1.0)])
        points.append(here)
        length += step
    path = np.array(points)
    path[2:] += rng.normal(0, 0.6, (max(len(path) - 2, 0), 3))
    return path


def _draw_cartilage(
    canvas: Canvas,
    tip: Float64,
    s: Subject,
    by_name: dict[str, VertebraShape],
    middle_y: float,
    side: int,
    number: int,
    calcified: float,
    rng: np.random.Generator,
) -> None:
    low = by_name["T9"].centre_lps_mm[2]
    front = middle_y - 0.88 * (s.half_depth_mm - s.fat_mm)
    end = np.array([side * 14.0, front + 6, max(tip[2] + 6 * max(number - 4, 0), low + 12)])
    path = np.linspace(tip, end, 7)
    path[1:-1, 1] -= 8
    canvas.tube(path, 5.0, rng.uniform(70, 120))
    for _ in range(int(rng.poisson(5 * calcified))):
        where = path[rng.integers(7)] + rng.normal(0, 3, 3)
        canvas.ellipsoid(where, (2.5, 2.5, 3.5), rng.uniform(250, 700))


def _draw_shoulders(canvas: Canvas, s: Subject, rng: np.random.Generator, spongy: float, compact: float) -> None:
    by_name = {v.name: np.array(v.centre_lps_mm) for v in s.spine}
    top = by_name["T1"]
    for side in (-1, 1):
        joint = top + [side * 165 * s.scale, -5, -10 + (35 if not s.arms_down else 0)]
        canvas.tube(np.array([top + [side * 12, -65, -12], joint]), 6, spongy, 1.5, compact)
        fan = [
            by_name["T3"] + [side * 65, 42, 25],
            by_name["T7"] + [side * 80, 48, 20],
            by_name["T4"] + [side * 115, 30, 0],
        ]
        for a, b in zip(fan, [fan[1], fan[2], fan[0]], strict=True):
            canvas.tube(np.linspace(a, b, 4), 3.5, spongy, 1.3, compact, (2.2, 1, 2.2))
        canvas.ellipsoid(joint, (24, 24, 24), compact * 0.75)
        canvas.ellipsoid(joint, (22.5, 22.5, 22.5), spongy * 0.7)
        reach = [side * 60, 40, -330] if s.arms_down else [side * 10, -40, 260]
        canvas.tube(np.linspace(joint, joint + reach, 10), 12, -60, 4.0, compact)
