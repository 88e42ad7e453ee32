"""The ribs of a virtual person as they are counted: which vertebra each joins, its course and its length."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator

from trabecula.virtual.canvas import Canvas
from trabecula.virtual.subject import Subject, VertebraShape
from trabecula.virtual.trunk import Profile, height_of, thoracic_index, trunk_of
from trabecula.volume import Float64

STEP_MM = 8.0
"""Between the points of a course."""

# By rib: length along the bone (mm, a man's), where its front end lies along the spine (9.6: between T9 and T10), how
# far round it ends (degrees: 90 at the back's middle, 0 at the side, -90 at the breastbone), mm from tubercle to angle.
_COURSE = {
    1: (130, 2.8, -62, 4),
    2: (190, 4.5, -62, 9),
    3: (235, 5.8, -60, 13),
    4: (265, 7.0, -58, 17),
    5: (285, 8.2, -56, 21),
    6: (300, 9.4, -52, 25),
    7: (315, 10.6, -46, 29),
    8: (310, 11.6, -34, 33),
    9: (295, 12.5, -20, 36),
    10: (270, 13.2, -8, 38),
    11: (205, 14.0, 2, 36),
    12: (110, 14.9, 20, 30),
    13: (80, 15.6, 30, 26),
}


@dataclass(frozen=True)
class Rib:
    """One rib's bone: ``path_lps_mm`` (n, 3) from its head on, its radii there, how its section is stretched (x, y, z).

    ``side`` is -1 on the right and 1 on the left.
    """

    vertebra: str
    number: int
    side: int
    path_lps_mm: Float64
    radius_mm: Float64
    flatten: tuple[float, float, float]

    @property
    def length_mm(self) -> float:
        return float(np.linalg.norm(np.diff(self.path_lps_mm, axis=0), axis=1).sum())


def ribs_of(s: Subject) -> tuple[Rib, ...]:
    """Every rib of a person of family a, cranial first, right before left."""
    rng = np.random.default_rng([s.seed, 32])
    steep, thick = steepness_of(s), rng.uniform(2.7, 3.5) * s.scale
    breadth = rng.uniform(1.45, 1.75)
    cavity = trunk_of(s).cavity
    ribs = []
    for v, number in rib_bearers(s):
        individual = np.random.default_rng([s.seed, 33, number + 20])
        set_back = float(np.random.default_rng([s.seed, 49, number + 20]).uniform(0, 1))
        length = individual.normal(1, 0.04) * s.scale
        for side in (-1, 1):
            wished = s.rib_mm(v.name, side)
            if wished == 0:
                continue
            usual, _, _, _ = _COURSE[min(max(number, 1), 13)]
            arc = (usual * length * individual.normal(1, 0.015)) if wished is None else wished
            joint = joint_points(v, number, side, set_back)
            path = _course(s, cavity, v, number, side, joint, steep * individual.normal(1, 0.04), arc)
            ribs.append(Rib(v.name, number, side, path, _radii(path, thick, number), _section(number, breadth)))
    return tuple(ribs)


def steepness_of(s: Subject) -> float:
    """How steeply a person's ribs fall to the front: 1 as ``_COURSE`` has it; steeper in the old, who are bent."""
    rng = np.random.default_rng([s.seed, 45])
    return float(np.clip(rng.normal(1.34, 0.18) + 0.003 * (s.age_years - 50), 0.9, 1.9))


def rib_bearers(s: Subject) -> list[tuple[VertebraShape, int]]:
    """The vertebrae that a rib joins on either side, with the rib's number; a neck rib has number 0."""
    at = thoracic_index(s)
    bearing = [v for v in s.spine if any(s.rib_mm(v.name, side) != 0 for side in (-1, 1))]
    return [(v, at[v.name]) for v in bearing]


def _section(number: int, breadth: float) -> tuple[float, float, float]:
    """Higher than thick, but the first, which lies flat."""
    return {0: (1.1, 1.1, 0.9), 1: (1.5, 1.5, 0.75), 2: (1.2, 1.2, 1.1)}.get(number, (1.0, 1.0, breadth))


def _radii(path: Float64, thick_mm: float, number: int) -> Float64:
    """A knob at the head and at the tubercle, a thin neck, thickest at the angle; floating ribs end in a point."""
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    shape = np.interp(way, (0, 6, 14, 26, 36, 80, 150, 300), (1.3, 1.1, 0.85, 1.2, 1.0, 1.12, 1.0, 0.95))
    if number >= 11:
        shape = shape * np.interp(way[-1] - way, (0, 30, 90), (0.5, 0.8, 1.0))
    return np.asarray(shape * thick_mm)


def joint_points(v: VertebraShape, number: int, side: int, set_back: float = 0.5) -> Float64:
    """Head, neck and tubercle of a rib (LPS mm): at the body's back edge, and before the transverse process's tip.

    The heads of ribs 2 to 10 lie on the disc above. The two last ribs touch no transverse process and their heads lie
    on the pedicle, lower and further back than all others (doi 10.3928/01477447-20101021-03): by ``set_back``, 0 to 1.
    """
    back = -v.depth_mean_mm / 2
    roof = back - v.canal_mm[1] + 2.5
    high = 0.45 if 2 <= number <= 10 else 0.25
    head = np.array([side * (v.width_mm[0] / 2 + 1.0), back + 0.16 * v.depth_mean_mm, high * v.height_mm])
    tip = np.array([side * (v.transverse_span_mm / 2 + 1.0), roof - 4.0, 0.25 * v.height_mm])
    if number >= 11:
        behind = (1.0 if number == 11 else 3.0) + 5.0 * set_back
        head[1:] = back - behind + 3.0, (0.22 - 0.1 * set_back) * v.height_mm
        tip = np.array(
            [side * (v.width_mm[0] / 2 + 17.0), back - 7.0 - 1.6 * behind, (0.06 - 0.2 * set_back) * v.height_mm]
        )
    if number <= 0:  # over the transverse process of a neck vertebra
        tip = np.array([side * (v.transverse_span_mm / 2 + 1.0), back - 4.0, 0.1 * v.height_mm])
    neck = 0.5 * (head + tip) + np.array([0.0, 1.5, 0.06 * v.height_mm])
    return np.asarray(np.stack([head, neck, tip]) @ v.axes + v.centre_lps_mm)


def _course(
    s: Subject, cavity: Profile, v: VertebraShape, number: int, side: int, joint: Float64, steep: float, arc_mm: float
) -> Float64:
    """From the joint round the cage, no longer than ``arc_mm``."""
    if number <= 0 or (v.name.startswith("L") and arc_mm < 70):
        return _stub(joint, side, arc_mm, number)
    _, front_index, end_deg, to_angle = _COURSE[min(number, 13)]
    end_z = float(height_of(s, number + (front_index - number) * steep))
    phi = np.radians(np.linspace(84, end_deg, 48))
    u = (phi[0] - phi) / (phi[0] - phi[-1])
    z = joint[2, 2] + (end_z - joint[2, 2]) * u ** (1.15 if number > 1 else 1.0)
    surface = on_profile(cavity, phi, z, side, 4.0)
    beyond = side * (surface[:, 0] - joint[2, 0]) > to_angle * s.scale * (0.55 if number < 11 else 0.4)
    first = int(np.argmax(beyond)) if beyond.any() else len(phi) // 3
    # The height falls from the tubercle on, wherever round the cage the rib first meets it.
    surface[:, 2] = joint[2, 2] + (end_z - joint[2, 2]) * np.clip((u - 0.6 * u[first]) / (1 - 0.6 * u[first]), 0, 1)
    return resampled(np.concatenate([joint, surface[first:-1:3], surface[-1:]]), arc_mm)


def _stub(joint: Float64, side: int, arc_mm: float, number: int) -> Float64:
    """A short rib: straight on from its neck, a neck rib to the front."""
    out = joint[2] - joint[0]
    far = np.array([side * 30.0, -25.0, -22.0]) if number <= 0 else np.array([side * 40.0, 16.0, -22.0])
    far = 0.4 * out / max(float(np.linalg.norm(out)), 1.0) * 40 + 0.6 * far
    return resampled(np.stack([*joint, joint[2] + far, joint[2] + 2.2 * far]), arc_mm)


def on_profile(profile: Profile, phi: Float64, z: Float64, side: int, out_mm: float) -> Float64:
    """Points (n, 3) on a profile at angles and heights, ``out_mm`` outside it."""
    wide, deep, middle, shift = profile.at(z)
    power = 2 / profile.power
    x = shift + side * (wide + out_mm) * np.cos(phi) ** power
    y = middle + (deep + out_mm) * np.sign(np.sin(phi)) * np.abs(np.sin(phi)) ** power
    return np.stack([x, y, z], axis=1)


def resampled(points: Float64, arc_mm: float) -> Float64:
    """A smooth line through points, cut at a length, in steps of ``STEP_MM``."""
    way = np.concatenate([[0], np.cumsum([np.linalg.norm(b - a) for a, b in pairwise(points)])])
    line = PchipInterpolator(way, points)
    fine = line(np.linspace(0, way[-1], 200))
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    arc = min(arc_mm, along[-1])
    at = np.linspace(0, arc, max(3, int(np.ceil(arc / STEP_MM)) + 1))
    return np.stack([np.interp(at, along, fine[:, i]) for i in range(3)], axis=1)


def draw_ribs(
    canvas: Canvas, s: Subject, ribs: tuple[Rib, ...], spongy_hu: float, shell_mm: float, compact_hu: float
) -> None:
    """Draws every rib's bone and labels it with the vertebra it joins."""
    ids = {v.name: v.verse_id for v in s.spine}
    for rib in ribs:
        drawn = canvas.tube(rib.path_lps_mm, rib.radius_mm, spongy_hu, shell_mm, compact_hu, rib.flatten)
        if drawn is not None:
            box, distance = drawn
            canvas.ribs[box][distance < 0] = ids[rib.vertebra]
