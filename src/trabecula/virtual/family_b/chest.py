"""The chest of family b: a cavity within its ribs, lungs over a wavy diaphragm, a heart of lobes, straight vessels."""

import numpy as np
from scipy import ndimage

from trabecula.virtual.canvas import Canvas, part_of, smooth_max
from trabecula.virtual.family_b.ribs import ribs_of_b
from trabecula.virtual.family_b.subject import FAMILY
from trabecula.virtual.family_b.vertebra import cuboid, ellipsoid
from trabecula.virtual.ribs import Rib
from trabecula.virtual.subject import Subject
from trabecula.virtual.trunk import Profile, height_of
from trabecula.volume import Float32, Float64

SHOULDER = ((-2, 0, 1.2, 2.5, 4, 6, 9, 13), (16, 44, 88, 84, 56, 34, 18, 13))
"""Muscle outside the ribs to the side (mm) by place along the spine."""


def chest_of(s: Subject) -> Profile:
    """The inside of the rib cage: as wide, deep and far back as the ribs are at each height."""
    ribs = [rib for rib in ribs_of_b(s) if 1 <= rib.number <= 10]
    side, front, back = [], [], []
    for rib in ribs:
        path = rib.path_lps_mm
        at = int(np.abs(path[:, 0]).argmax())
        side.append((path[at, 2], abs(path[at, 0])))
        hind = int(path[:, 1].argmax())
        back.append((path[hind, 2], path[hind, 1]))
        if rib.number <= 9:
            front.append((path[-1, 2], path[-1, 1] - 0.08 * (path[hind, 1] - path[-1, 1])))
    z = np.arange(float(height_of(s, 14.5)), float(height_of(s, -2.0)), 8.0)
    knots = [np.array(sorted(pairs)) for pairs in (side, front, back)]
    inside = [np.clip(z, k[0, 0], k[-1, 0]) for k in knots]
    wide, ahead, behind = (
        np.asarray(np.polyval(np.polyfit(k[:, 0], k[:, 1], 3), at), float) for k, at in zip(knots, inside, strict=True)
    )
    top = np.clip((z - float(height_of(s, 1.0))) / 60, 0, 1)  # it closes over the lungs
    middle = float(np.mean([v.centre_lps_mm[0] for v in s.spine[3:14]]))
    return Profile(z, wide * (1 - 0.5 * top), ahead, behind, np.full(len(z), 0.6 * middle), 2.15)


def chest_skin(s: Subject, cavity: Profile, fat_mm: float) -> Profile:
    """The skin over ribs, shoulders and back muscles."""
    z = cavity.z_mm
    index = np.interp(z, *_index(s))
    out = np.interp(index, *SHOULDER) * s.scale * (1.0 if s.arms_down else 0.9)
    tips = [v.centre_lps_mm[1] - v.axes[1][1] * (v.depth_mean_mm / 2 + v.spinous_mm) + 6 for v in s.spine][::-1]
    heights = [v.centre_lps_mm[2] - 14 for v in s.spine][::-1]
    back = np.maximum(np.interp(z, heights, tips), cavity.back_mm + 22 * s.scale) + 0.6 * fat_mm
    back = ndimage.gaussian_filter1d(back, 4.0, mode="nearest")
    neck = np.clip((index + 0.5) / 2.0, 0, 1)
    front = cavity.front_mm - 14 * s.scale - fat_mm - 10 * (1 - neck)
    return Profile(z, cavity.half_width_mm * (0.55 + 0.45 * neck) + out + fat_mm, front, back, cavity.shift_mm, 2.5)


def _index(s: Subject) -> tuple[Float64, Float64]:
    index = np.arange(-2, 16, 0.5)
    return height_of(s, index)[::-1], index[::-1]


def draw_chest_b(canvas: Canvas, s: Subject, cavity: Profile, blood_hu: tuple[float, float], fat_hu: float) -> None:
    """Lungs with their vessels, heart, great vessels and airways."""
    rng = np.random.default_rng([s.seed, FAMILY, 10])
    low, high = float(height_of(s, 14.0)), float(height_of(s, 0.6))
    wide = float(cavity.half_width_mm.max())
    shift = float(cavity.shift_mm[0])
    box = canvas.box(
        np.array([shift - wide, cavity.front_mm.min(), low]), np.array([shift + wide, cavity.back_mm.max(), high])
    )
    tone, breath, waves = rng.uniform(-890, -790), rng.normal(10.5, 0.6), rng.uniform(0, 6, 2)
    vessels = _rays(s, cavity, rng)
    if box is not None:
        points = x, y, z = canvas.points(box)
        _, deep, middle, _ = (v.astype(np.float32) for v in cavity.at(z))
        cage = cavity.distance(points, -5.0)
        off, behind = (x - shift) / np.float32(wide), (y - middle) / np.maximum(deep, 20)
        peak = float(height_of(s, breath))
        dome = peak - 16 * (off > 0) - 60 * np.clip(behind, 0, 1) ** 2 - 14 * np.clip(-behind, 0, 1)
        dome = (
            dome - 70 * np.clip((np.abs(np.abs(off) - 0.45) - 0.12) / 0.4, 0, 1) ** 2 + 4 * np.sin(7 * off + waves[0])
        )
        spread = 19 + 22 * np.exp(-(((z - float(height_of(s, 6.0))) / 32) ** 2) - (behind / 0.4) ** 2)
        between = spread * s.scale * np.where(behind < -0.3, 0.6, 1.0) - np.abs(x - shift)
        column = _column(s, x, y, z)
        lung = np.maximum(np.maximum(cage, dome - z), np.maximum(between, column))
        tops = z - float(height_of(s, 0.9)) + np.abs(np.abs(x - shift) - 44 * s.scale) * 0.9
        lung = smooth_max(np.asarray(lung, np.float32), np.asarray(0.7 * tops, np.float32), 8.0)
        inner = Canvas(part_of(canvas.grid, box))
        inner.hu[:] = tone + 22 * canvas.smooth_noise(box, rng.spawn(1)[0], 22.0) + 30 * np.clip(behind, 0, 1)
        for path, radius in vessels:
            inner.tube(path, radius, max(blood_hu) * 0.8)
        canvas.blend(box, canvas.fraction(np.asarray(lung, np.float32)), inner.hu)
    _draw_heart(canvas, s, cavity, blood_hu, fat_hu, rng)
    _draw_tubes(canvas, s, cavity, blood_hu, rng)


def _column(s: Subject, x: Float32, y: Float32, z: Float32) -> Float32:
    """Signed distance to the spine with what clings to it, positive within."""
    places = [v.centre_lps_mm for v in s.spine][::-1]
    heights = [p[2] for p in places]
    across, along = (np.interp(z, heights, [p[i] for p in places]).astype(np.float32) for i in (0, 1))
    size = np.interp(z, heights, [v.width_mm[0] / 2 + 8 for v in s.spine][::-1]).astype(np.float32)
    return np.asarray(size - np.hypot(x - across, np.minimum(y - along + 4, 0)), np.float32)


def _rays(s: Subject, cavity: Profile, rng: np.random.Generator) -> list[tuple[Float64, float]]:
    """Vessels that run straight from each hilum, thinner the further they get."""
    z = float(height_of(s, 6.2))
    _, _, middle, shift = (float(v) for v in cavity.at(np.array(z)))
    pieces = []
    for side in (-1, 1):
        root = np.array([shift + side * 30 * s.scale, middle, z])
        for _ in range(34):
            way = np.array([side * abs(rng.normal(0.7, 0.5)), rng.normal(0, 0.9), rng.normal(-0.2, 0.9)])
            way *= rng.uniform(40, 120) / np.linalg.norm(way)
            for n in range(4):
                pieces.append((root + np.array([[n / 4], [(n + 1) / 4]]) * way, float(3.4 - 0.65 * n) * s.scale))
    return pieces


def _draw_heart(
    canvas: Canvas,
    s: Subject,
    cavity: Profile,
    blood_hu: tuple[float, float],
    fat_hu: float,
    rng: np.random.Generator,
) -> None:
    """Lobes beside one another in a sac of fat."""
    z = float(height_of(s, 8.4)) + rng.normal(0, 6)
    _, deep, middle, shift = (float(v) for v in cavity.at(np.array(z)))
    base, k = np.array([shift, middle - 0.38 * deep, z]), s.scale * rng.uniform(0.9, 1.1)
    lobes = ((30, -4, -12, 42, 1.0), (2, -16, -10, 38, 0.4), (-24, 4, 6, 32, 0.4), (8, 16, 14, 34, 1.0))
    for grow, kind in ((6.0, "fat"), (0.0, "wall"), (-11.0, "blood")):
        for x, y, up, radius, arterial in lobes:
            reach = (radius + grow) * k
            blood = blood_hu[0] if arterial == 1.0 else blood_hu[1]
            hu = {"fat": fat_hu + 10, "wall": 44 + 0.3 * (blood_hu[0] - 42), "blood": blood}[kind]
            canvas.ellipsoid(base + np.array([x, y, up]) * k, (reach, 0.9 * reach, 0.95 * reach), float(hu))


def _draw_tubes(
    canvas: Canvas, s: Subject, cavity: Profile, blood_hu: tuple[float, float], rng: np.random.Generator
) -> None:
    """Aortic arch, upper cava, pulmonary trunk, trachea with its bronchi, gullet."""
    k = s.scale

    def at(index: float, left: float, ahead: float) -> Float64:
        z = float(height_of(s, index))
        _, deep, middle, shift = (float(v) for v in cavity.at(np.array(z)))
        return np.array([shift + left * k, middle - ahead * deep, z])

    radius = rng.uniform(11.5, 15) * k
    turn = np.linspace(0, np.pi, 9)
    arch = np.stack([at(4.9 - 1.1 * np.sin(t), -16 + 36 * t / np.pi, 0.4 * np.cos(t)) for t in turn])
    canvas.tube(np.concatenate([[at(6.6, 0, 0.35)], arch, [at(6.2, 25, -0.42)]]), radius, blood_hu[0])
    canvas.tube(np.array([at(1.2, -24, 0.3), at(6.0, -28, 0.3)]), 8.5 * k, blood_hu[1])
    for side in (-1, 1):
        canvas.tube(np.array([at(-1.5, side * 30, 0.1), at(1.8, side * 24, 0.25)]), 5.5 * k, blood_hu[0])
        canvas.tube(np.array([at(5.6, 6, 0.3), at(6.1, side * 34, 0.0)]), 9 * k, blood_hu[1])
    canvas.tube(np.array([at(-2, 4, -0.15), at(5, 6, -0.3), at(11, 12, -0.2)]), 6 * k, 32.0)
    fork = at(5.3, 0, -0.05)
    for size, hu in ((10.0, 45.0), (8.2, -980.0)):
        canvas.tube(np.array([at(-2, 0, 0.25), at(2, 0, 0.1), fork]), size * k, hu)
        for side in (-1, 1):
            canvas.tube(np.array([fork, at(6.3, side * 34, -0.05)]), 0.7 * size * k, hu)


def draw_front_b(canvas: Canvas, s: Subject, ribs: tuple[Rib, ...], spongy: float, compact: float) -> None:
    """A breastbone of boxes, and cartilages that curve from the ribs to it or to the one above."""
    k, cavity = s.scale, chest_of(s)
    top, end = float(height_of(s, 2.9)), float(height_of(s, 9.6))

    def front(z: float) -> Float64:
        _, deep, middle, shift = (float(v) for v in cavity.at(np.array(z)))
        return np.array([shift, middle - deep - 4, z])

    for share, half in ((0.12, (26, 6, 24)), (0.56, (17, 5, 52)), (0.95, (7, 3, 14))):
        centre = front(top + share * (end - top))
        slope = front(centre[2] - 20) - front(centre[2] + 20)
        up = -slope / np.linalg.norm(slope)
        axes = np.stack([[1.0, 0, 0], np.cross(up, [1.0, 0, 0]), up])
        size = np.array(half) * k
        box = canvas.box(centre - size.max() - 3, centre + size.max() + 3)
        if box is not None:
            distance = cuboid(canvas.points(box), centre, size, axes, 3.5)
            canvas.paint(box, distance, spongy * 0.6, 0.9, compact * 0.6)
    last: dict[int, Float64] = {}
    for rib in ribs:
        if not 1 <= rib.number <= 10:
            continue
        tip = rib.path_lps_mm[-1]
        goal = front(top + (rib.number - 0.6) / 7 * 0.85 * (end - top)) + [rib.side * 18 * k, 2, 0]
        if rib.number > 7:
            goal = last[rib.side]
        bend = (tip + goal) / 2 + [0, -6, -8]
        last[rib.side] = bend
        canvas.tube(np.stack([tip, bend, goal]), 4.8 * k, 95.0)


def draw_shoulders_b(canvas: Canvas, s: Subject, spongy: float, compact: float) -> None:
    """Shoulder blades as bent shells, collar bones as bows, arms as rods with balls."""
    k, cavity = s.scale, chest_of(s)
    raised = not s.arms_down
    for side, joint, way in arms_b(s):
        z = float(height_of(s, 4.8))
        wide, deep, middle, shift = (float(v) for v in cavity.at(np.array(z)))
        centre = np.array([shift + side * (0.92 if raised else 0.74) * wide, middle + 0.72 * deep + 10 * k, z])
        reach = np.array([38, 30, 70]) * k
        box = canvas.box(centre - reach, centre + reach)
        if box is not None:
            hollow = cavity.distance(canvas.points(box), 17 * k)
            outline = ellipsoid(canvas.points(box), centre, reach)
            blade = np.asarray(np.maximum(np.abs(hollow) - 2.4, outline), np.float32)
            canvas.paint(box, blade, spongy * 0.7, 1.0, compact)
        ridge = np.stack([centre + [-side * 26 * k, 12 * k, 40 * k], centre + [side * 18 * k, 18 * k, 56 * k], joint])
        canvas.tube(ridge, 5 * k, spongy * 0.7, 1.3, compact, (1, 1, 1.3))
        _, deep, middle, shift = (float(v) for v in cavity.at(np.array(height_of(s, 2.6))))
        start = np.array([shift + side * 24 * k, middle - deep - 6, float(height_of(s, 2.4))])
        stop = joint + [-side * 6 * k, 0, 26 * k]
        t = np.linspace(0, 1, 7)[:, None]
        bow = start + t * (stop - start) + np.sin(2 * np.pi * t) * [0, -9 * k, 0]
        canvas.tube(bow, 6 * k, spongy * 0.7, 1.6, compact)
        canvas.ellipsoid(joint, (24 * k, 23 * k, 25 * k), compact * 0.8)
        canvas.ellipsoid(joint, (22.5 * k, 21.5 * k, 23.5 * k), spongy * 0.5)
        canvas.tube(np.array([joint + 0.1 * way, joint + way]), 12 * k, -50.0, 3.6, compact)


def arms_b(s: Subject) -> list[tuple[int, Float64, Float64]]:
    """Side, joint and the way to the elbow of both arms, LPS mm."""
    rng = np.random.default_rng([s.seed, FAMILY, 11])
    out, up, back = rng.uniform(126, 150) * s.scale, rng.normal(0, 7), rng.uniform(-12, 12)
    spine = next(v for v in s.spine if v.name == "T2").centre_lps_mm
    height = float(height_of(s, 2.6 if s.arms_down else 1.1)) + up
    arms = []
    for side in (-1, 1):
        way = np.array([side * 30, 20, -300]) if s.arms_down else np.array([side * 130, -70, 230])
        arms.append((side, np.array([0.6 * spine[0] + side * out, spine[1] + back, height]), way * s.scale))
    return arms
