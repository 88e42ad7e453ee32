"""Draws the inside of a chest: lungs with their vessels and airways, heart, great vessels, diaphragm, breasts."""

from dataclasses import dataclass

import numpy as np

from trabecula.virtual.canvas import Box, Canvas, Local, part_of, to_local
from trabecula.virtual.subject import Subject, upright_axes
from trabecula.virtual.trunk import Profile, Trunk, height_of
from trabecula.volume import Float32, Float64, point

AIR_HU = -990.0


@dataclass(frozen=True)
class Diaphragm:
    """The height of the diaphragm at a place: two domes that fall to the ribs, furthest behind."""

    peak_mm: tuple[float, float]  # right and left
    centre_x_mm: tuple[float, float]
    middle_y_mm: float
    reach_mm: tuple[float, float]  # half width and half depth of a dome
    fall_mm: tuple[float, float]  # to the front and to the back

    def height(self, x: Float32, y: Float32) -> Float32:
        """(y, x) superior mm."""
        ahead = np.clip((y - self.middle_y_mm) / self.reach_mm[1], -1.3, 1.3)
        fall = np.interp(ahead, (-1, 0, 1), (self.fall_mm[0], 0.5 * sum(self.fall_mm), self.fall_mm[1]))
        domes = []
        for peak, centre in zip(self.peak_mm, self.centre_x_mm, strict=True):
            away = ((x - centre) / self.reach_mm[0]) ** 2 + ahead**2
            domes.append(peak - fall * np.minimum(away, 2.2) ** 1.5)
        return np.asarray(np.maximum(domes[0], domes[1]), np.float32)


def diaphragm_of(s: Subject, cavity: Profile) -> Diaphragm:
    """Where a person's breath has left the diaphragm: the right dome before T9 to T11, the left a little lower."""
    rng = np.random.default_rng([s.seed, 36])
    breath = float(np.clip(rng.normal(10.1, 0.55), 8.6, 11.4))
    peak = float(height_of(s, breath))
    wide, deep, middle, shift = (float(v) for v in cavity.at(np.array(height_of(s, 11.0))))
    left = peak - rng.uniform(4, 20)
    front = peak - float(height_of(s, 11.2)) + rng.uniform(4, 14)
    back = peak - float(height_of(s, 12.9)) + rng.uniform(-12, 18)
    return Diaphragm((peak, left), (shift - 0.5 * wide, shift + 0.5 * wide), middle, (0.52 * wide, deep), (front, back))


def draw_chest(canvas: Canvas, s: Subject, trunk: Trunk, blood_hu: tuple[float, float], fat_hu: float) -> None:
    """Lungs, what lies between them, and the muscle of the diaphragm; ``blood_hu`` in arteries and in veins."""
    rng = np.random.default_rng([s.seed, 37])
    diaphragm = diaphragm_of(s, trunk.cavity)
    _draw_lungs(canvas, s, trunk.cavity, diaphragm, max(blood_hu), rng)
    _draw_heart(canvas, s, trunk.cavity, blood_hu, fat_hu, np.random.default_rng([s.seed, 38]))
    _draw_great_vessels(canvas, s, trunk.cavity, blood_hu, np.random.default_rng([s.seed, 39]))


def _draw_lungs(
    canvas: Canvas, s: Subject, cavity: Profile, diaphragm: Diaphragm, blood_hu: float, rng: np.random.Generator
) -> None:
    """Both lungs and the pleural gutters below them, cut from the cavity by diaphragm, mediastinum and spine."""
    top, low = float(height_of(s, 0.3)), float(height_of(s, 14.0))
    wide = float(cavity.half_width_mm.max()) + 8
    box = canvas.box(
        np.array([-wide - 30, cavity.front_mm.min() - 5, low]), np.array([wide + 30, cavity.back_mm.max() + 5, top])
    )
    apex = float(height_of(s, 1.0)) + rng.uniform(-2, 8)
    hu, vessels = rng.normal(-845, 25), _lung_vessels(s, cavity, rng)
    if box is None:
        return
    x, y, z = points = canvas.points(box)
    inside = cavity.distance(points)
    _, _, middle, shift = (v.astype(np.float32) for v in cavity.at(z))
    off = x - shift
    dome = np.asarray(diaphragm.height(x[0], y[0])[None], np.float32)
    inside = np.maximum(inside, dome - z)
    inside = np.maximum(inside, _between(s, off, y - middle, x, y, z))
    tip = apex - ((np.abs(off) - 40 * s.scale) ** 2 + (y - middle) ** 2) / 70
    lung = canvas.fraction(np.maximum(inside, (z - tip) * 0.6))
    muscle = canvas.fraction(np.maximum(np.abs(z - dome + 1.5) - 1.8, cavity.distance(points)))
    canvas.blend(box, np.asarray(muscle * (np.abs(off) > 12), np.float32), 48.0)
    air = np.full(inside.shape, hu, np.float32) + 28 * canvas.smooth_noise(box, rng.spawn(1)[0], 30)
    air += np.clip((y - middle) / 100, -0.5, 1) * np.float32(45)  # more blood where it is lowest
    inner = Canvas(part_of(canvas.grid, box))
    inner.hu[:] = air
    for path, radius in vessels:
        inner.tube(path, radius, 0.9 * blood_hu)
    canvas.blend(box, lung, inner.hu)


def _between(s: Subject, off: Float32, ahead: Float32, x: Float32, y: Float32, z: Float32) -> Float32:
    """Signed distance to the mediastinum with its hila and to the spine, positive in it."""
    level = np.interp(z, *_heights(s)).astype(np.float32)
    hilum = 24 * np.exp(-(((level - 5.7) / 1.3) ** 2)) * np.exp(-(((ahead - 8) / 26) ** 2))
    narrow = np.interp(level, (0, 2, 4, 6, 9, 12), (34, 30, 22, 16, 18, 24)).astype(np.float32)
    front = np.clip(-ahead / 60, 0, 1) * np.clip(level - 2.5, 0, 2) / 2  # the lungs nearly meet behind the sternum
    wall = (narrow * (1 - 0.7 * front) + hilum) * np.float32(s.scale) - np.abs(off)
    place = [v.centre_lps_mm for v in s.spine]
    z_of = [p[2] for p in place][::-1]
    across = np.interp(z, z_of, [p[0] for p in place][::-1]).astype(np.float32)
    along = np.interp(z, z_of, [p[1] for p in place][::-1]).astype(np.float32)
    half = np.interp(z, z_of, [v.width_mm[0] / 2 + 7 for v in s.spine][::-1]).astype(np.float32)
    deep = np.interp(z, z_of, [v.depth_mean_mm / 2 + 5 for v in s.spine][::-1]).astype(np.float32)
    behind = np.where(y > along, 60.0, deep)
    spine = (1 - np.sqrt(((x - across) / half) ** 2 + ((y - along) / behind) ** 2)) * half
    return np.asarray(np.maximum(wall, spine), np.float32)


def _heights(s: Subject) -> tuple[Float64, Float64]:
    """Heights, growing, and the places along the spine that they have."""
    index = np.arange(-2, 15, 0.5)
    return height_of(s, index)[::-1], index[::-1]


def _lung_vessels(s: Subject, cavity: Profile, rng: np.random.Generator) -> list[tuple[Float64, Float64]]:
    """Trees that branch from each hilum towards the ribs."""
    trees = []
    for side in (-1, 1):
        z = float(height_of(s, 5.8))
        _, _, middle, shift = (float(v) for v in cavity.at(np.array(z)))
        root = np.array([shift + side * 32 * s.scale, middle + 8, z])
        for _ in range(9):
            way = rng.normal(0, 1, 3) * [0.5, 1.0, 1.1] + [side * 0.9, 0.1, -0.3]
            trees += _branch(root, way / np.linalg.norm(way), rng.uniform(3.2, 5.0) * s.scale, rng, 4)
    return trees


def _branch(
    at: Float64, way: Float64, radius: float, rng: np.random.Generator, left: int
) -> list[tuple[Float64, Float64]]:
    length = radius * rng.uniform(6, 11)
    bend = way + rng.normal(0, 0.15, 3)
    path = np.array([at, at + 0.5 * length * way, at + length * bend / np.linalg.norm(bend)])
    grown = [(path, np.array([radius, 0.92 * radius, 0.82 * radius]))]
    for _ in range(2 if left else 0):
        turn = bend + rng.normal(0, 0.55, 3)
        grown += _branch(path[-1], turn / np.linalg.norm(turn), radius * rng.uniform(0.6, 0.8), rng, left - 1)
    return grown


def _turned_ellipsoid(
    canvas: Canvas, centre: Float64, axes: Float64, radii: tuple[float, float, float]
) -> tuple[Box, Float32] | None:
    """Signed distance on a box round an ellipsoid along ``axes``."""
    reach = max(radii) + 2 * canvas.h
    box = canvas.box(centre - reach, centre + reach)
    if box is None:
        return None
    local: Local = to_local(canvas.points(box), point(centre), axes)
    norm = np.sqrt(sum((p / np.float32(r)) ** 2 for p, r in zip(local, radii, strict=True)))
    return box, np.asarray((norm - 1) * np.float32(min(radii)), np.float32)


def _draw_heart(
    canvas: Canvas,
    s: Subject,
    cavity: Profile,
    blood_hu: tuple[float, float],
    fat_hu: float,
    rng: np.random.Generator,
) -> None:
    """An egg that points to the left, front and down, in its fat, with four chambers."""
    k = s.scale * rng.uniform(0.95, 1.12)
    z = float(height_of(s, 8.2)) + rng.normal(0, 5)
    _, deep, middle, shift = (float(v) for v in cavity.at(np.array(z)))
    centre = np.array([shift + 16 * k, middle - 0.32 * deep, z])
    long_axis = np.array([0.68, -0.52, -0.5]) + rng.normal(0, 0.07, 3)
    long_axis /= np.linalg.norm(long_axis)
    other = np.cross(long_axis, [0.0, 0.0, 1.0])
    other /= np.linalg.norm(other)
    axes = np.stack([long_axis, other, np.cross(long_axis, other)])
    size = np.array([68, 46, 48]) * k
    muscle = rng.normal(45, 5) + 0.35 * (blood_hu[0] - 42)
    for grow, hu in ((5 * k, fat_hu + 15), (0.0, muscle)):
        found = _turned_ellipsoid(canvas, centre, axes, tuple(size + grow))
        if found is not None:
            canvas.blend(found[0], canvas.fraction(found[1]), hu)
    chambers = [((24, 6, -4), (27, 17, 18), 0), ((8, -20, 10), (26, 14, 20), 1), ((-30, 10, 6), (22, 24, 20), 0)]
    chambers.append(((-24, -24, 2), (22, 20, 26), 1))
    for at, radii, vein in chambers:
        found = _turned_ellipsoid(canvas, centre + np.array(at) * k @ axes, axes, tuple(np.array(radii) * k))
        if found is not None:
            canvas.blend(found[0], canvas.fraction(found[1]), blood_hu[vein])


def _draw_great_vessels(
    canvas: Canvas, s: Subject, cavity: Profile, blood_hu: tuple[float, float], rng: np.random.Generator
) -> None:
    """The aortic arch and its branches, the upper cava, pulmonary arteries, trachea, bronchi and gullet."""
    k = s.scale
    artery, vein = blood_hu

    def at(level: float, left: float, ahead: float) -> Float64:
        """A place: mm to the left of the cage's middle, share of the way from the spine to the front wall."""
        z = float(height_of(s, level))
        _, _, _, shift = (float(v) for v in cavity.at(np.array(z)))
        front = float(np.interp(z, cavity.z_mm, cavity.front_mm))
        spine = [v.centre_lps_mm for v in s.spine][::-1]
        body = float(np.interp(z, [p[2] for p in spine], [p[1] for p in spine])) - 12 * k
        return np.array([shift + left * k, body + ahead * (front - body), z])

    wide = rng.uniform(12, 16) * k
    arch = [at(7.2, 4, 0.55), at(6.2, -10, 0.66), at(5.2, -17, 0.7), at(4.2, -8, 0.6), at(3.75, 6, 0.4)]
    arch += [at(4.1, 18, 0.16), at(5.0, 24, 0.0)]
    for name, left, start in (("right", -18, 0.62), ("left", 10, 0.42), ("subclavian", 22, 0.3)):
        top = at(0.5, left * 1.5, 0.45 if name != "subclavian" else 0.3)
        canvas.tube(np.array([at(3.9, left * 0.5, start), at(2.4, left, start), top]), 4.5 * k, artery)
    canvas.tube(np.array([at(2.0, -26, 0.62), at(4.0, -30, 0.62), at(6.2, -30, 0.55)]), 9 * k, vein)
    canvas.tube(np.array([at(2.0, -26, 0.62), at(2.4, 8, 0.75), at(1.6, 34, 0.7)]), 7 * k, vein)
    for side in (-1, 1):
        canvas.tube(np.array([at(2.0, side * 28, 0.65), at(-1, side * 34, 0.5)]), 6 * k, vein)
        canvas.tube(np.array([at(2.0, side * 28, 0.65), at(2.0, side * 90, 0.4)]), 5 * k, vein)
    canvas.tube(np.array(arch), wide, artery)
    trunk = np.array([at(6.6, 14, 0.68), at(5.5, 14, 0.5), at(5.2, 4, 0.4)])
    canvas.tube(trunk, 12 * k, vein)
    for side in (-1, 1):
        canvas.tube(np.array([trunk[1], at(5.4, side * 20, 0.32), at(5.8, side * 36, 0.28)]), 9 * k, vein)
        canvas.tube(np.array([at(6.6, side * 12, 0.3), at(6.5, side * 38, 0.3)]), 6 * k, artery)
    gullet = np.array([at(level, 5 + 1.5 * max(0.0, level - 8), 0.1) for level in (-2, 2, 5, 8, 11)])
    canvas.tube(gullet, 6.5 * k, 35.0)
    if rng.random() < 0.5:
        canvas.tube(gullet[1:4], 2.5 * k, -700.0)
    neck = [at(-3, 0, 0.62), at(1, 0, 0.42), at(5, -2, 0.32)]
    for radius, hu in ((9.5 * k, 40.0), (8.0 * k, AIR_HU)):
        canvas.tube(np.array(neck), radius, hu)
        for side in (-1, 1):
            canvas.tube(np.array([neck[-1], at(5.7, side * 20, 0.26), at(6.3, side * 38, 0.24)]), radius * 0.72, hu)


def draw_breasts(canvas: Canvas, s: Subject, trunk: Trunk, fat_hu: float) -> None:
    """A woman's breasts, flattened and to the sides as she lies; drawn before everything within the skin."""
    if s.sex != "F":
        return
    rng = np.random.default_rng([s.seed, 40])
    z = float(height_of(s, 7.4))
    wide, deep, middle, shift = (float(v) for v in trunk.skin.at(np.array(z)))
    size = float(np.clip(rng.lognormal(np.log(0.9), 0.3) * (0.8 + 0.3 * trunk.chest_fat_mm / 14), 0.4, 1.7))
    apart, gland = rng.uniform(0.5, 0.62), rng.uniform(0.25, 0.7) * float(np.interp(s.age_years, (30, 70), (1, 0.5)))
    for side in (-1, 1):
        x = side * apart * wide
        front = middle - deep * (1 - min(abs(x / wide), 0.95) ** trunk.skin.power) ** (1 / trunk.skin.power)
        centre = np.array([shift + x, front + 14, z])
        axes = upright_axes(0.0, 0.0, side * 20.0)
        radii = 62 * s.scale * size**0.4, 44 * s.scale * size, 64 * s.scale * size**0.4
        for grow, hu in ((0.0, 15.0), (-2.0, fat_hu)):
            found = _turned_ellipsoid(canvas, centre, axes, (radii[0] + grow, radii[1] + grow, radii[2] + grow))
            if found is not None:
                canvas.blend(found[0], canvas.fraction(found[1]), hu)
        found = _turned_ellipsoid(canvas, centre, axes, (0.75 * radii[0], 0.7 * radii[1], 0.7 * radii[2]))
        if found is not None:
            lumps = canvas.smooth_noise(found[0], np.random.default_rng([s.seed, 41]), 7.0)
            share = canvas.fraction(found[1]) * np.clip(lumps * 0.8 + gland, 0, 1)
            canvas.blend(found[0], np.asarray(share, np.float32), 30.0)
