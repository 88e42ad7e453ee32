"""The soft tissue of family b: another trunk, other organs, a marbled belly, muscles in plates (see ``subject``)."""

import numpy as np

from trabecula.virtual.attenuation import REFERENCE_KVP, TABLE, Attenuation
from trabecula.virtual.canvas import Canvas
from trabecula.virtual.family_b.chest import arms_b, chest_of, chest_skin, draw_chest_b
from trabecula.virtual.family_b.subject import FAMILY
from trabecula.virtual.family_b.vertebra import cuboid, ellipsoid
from trabecula.virtual.phantom import draw_phantom
from trabecula.virtual.subject import Subject
from trabecula.virtual.tissue import enhancement
from trabecula.virtual.trunk import Profile, height_of, middle_mm, table_mm
from trabecula.volume import Float32, Float64


def draw_torso_b(canvas: Canvas, s: Subject, beam: Attenuation, rods: Attenuation | None = None) -> None:
    """Everything of a person of family b that is not bone."""
    rng = np.random.default_rng([s.seed, FAMILY, 4])
    lifted = enhancement(s, beam)
    place = {name: np.array(v.centre_lps_mm) for name, v in s.by_name.items()}
    fat = beam.fat + rng.uniform(-32, -8)
    muscle = rng.uniform(38, 62) - 0.35 * max(0.0, s.age_years - 50) + lifted.other
    if rods is not None:
        draw_phantom(canvas, s, rods)
    cavity = chest_of(s)
    _draw_arms(canvas, s, fat, muscle)
    belly = _draw_trunk(canvas, s, cavity, place, fat, muscle, rng)
    _draw_belly(canvas, s, place, belly, (lifted.other, beam.iodine / TABLE[REFERENCE_KVP].iodine), rng)
    draw_chest_b(canvas, s, cavity, (41 + lifted.aorta, 41 + lifted.cava), fat)
    k, middle = s.scale, middle_mm(s)

    def organ(level: str, at: tuple[float, float, float], radii: tuple[float, float, float], hu: float) -> None:
        centre = np.array([at[0] * k, middle + at[1] * k, place[level][2] + at[2] * k]) + rng.normal(0, 6, 3)
        reach = np.array(radii) * k * rng.uniform(0.85, 1.15, 3)
        box = canvas.box(centre - reach - 2, centre + reach + 2)
        if box is not None:
            shape = ellipsoid(canvas.points(box), centre, reach) + 2.5 * canvas.smooth_noise(box, rng.spawn(1)[0], 30)
            shape = np.maximum(shape, belly[box] + 2)
            canvas.blend(box, canvas.fraction(np.asarray(shape, np.float32)), hu)

    organ("T12", (-75, 5, -28), (60, 80, 85), rng.normal(57, 10) + lifted.liver)
    organ("T12", (-25, -45, 0), (75, 45, 40), rng.normal(57, 10) + lifted.liver)
    organ("T12", (88, 40, 0), (26, 45, 50), rng.normal(47, 6) + lifted.spleen)
    organ("T12", (60, -30, -10), (38, 45, 60), float(rng.uniform(0, 45)))
    for side in (-1, 1):
        renal = (
            place["L2"] + np.array([side * 62 * k, 6 * k, (12 if side > 0 else -2) * k]) - [0, middle, place["L2"][2]]
        )
        at = float(renal[0] / k), float(renal[1] / k), float(renal[2] / k)
        organ("L2", at, (24, 31, 58), 31 + lifted.kidney)
        organ("L2", (at[0] - side * 14, at[1] - 3, at[2]), (9, 12, 24), fat + 30)
    organ("S1", (0, -70, -75), (50, 38, 42), rng.normal(8, 6))
    _draw_muscles(canvas, s, place, muscle, fat, rng)
    _draw_vessels(canvas, s, place, (41 + lifted.aorta, 41 + lifted.cava), beam, rng)
    _draw_discs(canvas, s, rng)


def _draw_trunk(
    canvas: Canvas,
    s: Subject,
    cavity: Profile,
    place: dict[str, Float64],
    fat: float,
    muscle: float,
    rng: np.random.Generator,
) -> Float32:
    """Skin, fat that is thicker in front and at the flanks, a wall of muscle; the distance to the belly within."""
    x, y, z = canvas.points(canvas.everything)
    middle = middle_mm(s)
    heights = [
        place["S1"][2] - 110,
        place["L5"][2],
        place["L2"][2],
        place["T9"][2],
        place["T3"][2],
        place["T1"][2] + 40,
    ]
    girth = np.interp(z, heights, (1.06, 1.0, 0.93, 1.0, 0.98, 0.55)).astype(np.float32)
    angle = np.arctan2(middle - y, x)
    # A trunk with a flat back: one ellipse and its first waves.
    base = 1 / np.sqrt((np.cos(angle) / s.half_width_mm) ** 2 + (np.sin(angle) / s.half_depth_mm) ** 2)
    bulge, square = rng.uniform(-0.03, 0.06), rng.uniform(0.02, 0.06)
    reach = base * (1 + bulge * np.sin(angle) - square * np.cos(4 * angle))
    reach = (
        np.where(angle < 0, np.minimum(reach, s.half_depth_mm * 0.98 / np.maximum(-np.sin(angle), 0.05)), reach) * girth
    )
    radius = np.hypot(x, y - middle)
    skin = np.asarray((radius - reach) * 0.93, np.float32)
    chest = np.clip((z - height_of(s, 14.2)) / np.float32(height_of(s, 11.3) - height_of(s, 14.2)), 0, 1)
    chest = chest.astype(np.float32)
    skin += chest * (chest_skin(s, cavity, 0.8 * s.fat_mm).distance((x, y, z)) - skin)
    layer = s.fat_mm * (0.8 + 0.45 * np.maximum(np.sin(angle), 0) + 0.35 * np.abs(np.cos(angle)) - 0.3 * (angle < -1.0))
    box = canvas.everything
    canvas.blend(box, canvas.fraction(skin), rng.uniform(5, 35))
    canvas.blend(box, canvas.fraction(skin + np.float32(2.2)), fat)
    wall = np.asarray(skin + layer, np.float32)
    canvas.blend(box, canvas.fraction(wall), muscle)
    belly = np.asarray(wall + np.float32(rng.uniform(7, 14)) + 6 * (angle < -0.6), np.float32)
    belly += chest * (cavity.distance((x, y, z), -3.0) - belly)
    canvas.blend(box, canvas.fraction(belly), fat + rng.uniform(0, 20))
    top = table_mm(s) + rng.uniform(1, 8)
    pad = np.broadcast_to((y > top) & (y < top + 30) & (np.abs(x) < 210), canvas.hu.shape) & (canvas.hu < -900)
    canvas.hu[pad] = rng.uniform(-970, -890)
    board = np.broadcast_to(np.abs(y - top - 30 + (x / 55) ** 2) < 2, canvas.hu.shape) & (canvas.hu < -850)
    canvas.hu[board] = rng.uniform(-400, 120)
    return belly


def _draw_arms(canvas: Canvas, s: Subject, fat: float, muscle: float) -> None:
    """Upper arms and the muscle over the shoulder joints; a woman's breasts."""
    k = s.scale
    for side, joint, way in arms_b(s):
        inward = joint + np.array([-side * 55, 0, -30]) * k
        for radius, hu in ((50 * k + 0.4 * s.fat_mm, fat), (44 * k, muscle)):
            canvas.tube(np.array([joint + way, joint, inward]), radius, hu)
    if s.sex == "F":
        rng = np.random.default_rng([s.seed, FAMILY, 12])
        skin, z = chest_skin(s, chest_of(s), 0.8 * s.fat_mm), float(height_of(s, 7.6))
        wide, deep, middle, shift = (float(v) for v in skin.at(np.array(z)))
        size, apart = rng.uniform(0.6, 1.4), rng.uniform(0.45, 0.6)
        for side in (-1, 1):
            at = np.array([shift + side * apart * wide, middle - 0.76 * deep, z - 10])
            canvas.ellipsoid(at, (58 * k, 50 * k * size, 54 * k), 20.0)
            canvas.ellipsoid(at, (56 * k, 48 * k * size, 52 * k), fat)
            for _ in range(6):
                lobe = at + rng.normal(0, 1, 3) * [18, 8, 16] - [0, 18 * size, 0]
                canvas.ellipsoid(lobe, tuple(rng.uniform(4, 15, 3)), 25.0)


def _draw_belly(
    canvas: Canvas,
    s: Subject,
    place: dict[str, Float64],
    belly: Float32,
    tissue: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Bowel and mesentery as a marble of two waves of noise, below the diaphragm and in front of the spine."""
    other, iodine = tissue
    _, y, z = canvas.points(canvas.everything)
    low, high = place["S1"][2] - 90, place["T12"][2]
    inside = np.maximum(belly + 4, np.maximum(np.maximum(low - z, z - high), y - (place["L3"][1] - 28)))
    box = canvas.everything
    loops = canvas.smooth_noise(box, rng, 16.0)
    fill = np.asarray(np.maximum(inside, 9 * (rng.uniform(-0.2, 0.5) - loops)), np.float32)
    canvas.blend(box, canvas.fraction(fill), 36 + other)
    content = rng.choice([18.0, 30.0, 260.0 * iodine], p=[0.5, 0.42, 0.08])
    canvas.blend(box, canvas.fraction(fill + 4), content)
    gas = np.asarray(np.maximum(fill + 4, 9 * (1.3 - canvas.smooth_noise(box, rng, 13.0))), np.float32)
    canvas.blend(box, canvas.fraction(gas), -880)


def _draw_muscles(
    canvas: Canvas, s: Subject, place: dict[str, Float64], muscle: float, fat: float, rng: np.random.Generator
) -> None:
    """Plates behind and beside each vertebra, spindles of psoas, with streaks of fat along them."""
    k = s.scale
    names = [v.name for v in s.spine]
    first = names.index("T6")
    for v, below in zip(s.spine[first:-1], s.spine[first + 1 :], strict=True):
        a, b = np.array(v.centre_lps_mm), np.array(below.centre_lps_mm)
        tall = float(np.linalg.norm(a - b)) / 2 + 3
        for side in (-1, 1):
            for aside, behind, half in ((14, 40, (14, 20, tall)), (37, 40, (21, 17, tall)), (20, 22, (13, 10, tall))):
                centre = (a + b) / 2 + np.array([side * aside, behind, 0]) * k
                reach = np.array([*np.array(half[:2]) * k, half[2]]) + 3
                box = canvas.box(centre - reach, centre + reach)
                if box is not None:
                    plate = cuboid(canvas.points(box), centre, reach - 3, np.eye(3), 7.0)
                    streaks = canvas.smooth_noise(box, np.random.default_rng([s.seed, FAMILY, 5]), (30.0, 5.0, 5.0))
                    lean = np.clip((s.age_years - 30) / 60, 0, 1)
                    part = np.clip(streaks - 2.2 + 1.4 * lean, 0, 1)
                    canvas.blend(box, canvas.fraction(plate), np.asarray(muscle + part * (fat - muscle), np.float32))
    for side in (-1, 1):
        spindle = [
            place[name] + np.array([side * (max(s.by_name[name].width_mm) / 2 + out), back, 0])
            for name, out, back in (("T12", 1, 6), ("L2", 8, 2), ("L4", 15, -2), ("L5", 22, -14))
        ]
        ends = [*spindle, place["S1"] + np.array([side * 72, -48, -40]) * k]
        radii = np.array([4, 12, 19, 19, 14]) * k * rng.uniform(0.8, 1.1)
        canvas.tube(np.array(ends), radii, muscle + 2, flatten=(1, 1.05, 1))
        canvas.ellipsoid(place["S1"] + np.array([side * 92, 58, -38]) * k, (46 * k, 40 * k, 72 * k), muscle)


def _draw_vessels(
    canvas: Canvas,
    s: Subject,
    place: dict[str, Float64],
    hu: tuple[float, float],
    beam: Attenuation,
    rng: np.random.Generator,
) -> None:
    """The aorta winds with age and carries plaques in sheets; the cava is flat."""
    k, radius = s.scale, rng.uniform(8.5, 13.5) * s.scale
    wind, phase = 5 * max(0.0, s.age_years - 40) / 50, rng.uniform(0, 6)
    path = []
    for n, name in enumerate(("T6", "T8", "T10", "T12", "L1", "L2", "L3", "L4")):
        v = s.by_name[name]
        aside = np.interp(n, (0, 3, 7), (26, 10, 3)) + wind * np.sin(0.9 * n + phase)
        ahead = np.interp(n, (0, 3, 7), (0.3, 0.95, 1.0)) * (v.depth_mean_mm / 2 + radius + 2.0)
        path.append(place[name] + np.array([aside, -ahead, 0]))
    line = np.array(path)
    canvas.tube(line, radius, hu[0])
    fork = [place["L4"] + np.array([0, -22, -14]), place["S1"]]
    for side in (-1, 1):
        canvas.tube(np.array([line[-1], fork[0], fork[1] + [side * 44, -44, -10]]), 6.0, hu[0])
    cava = np.array(
        [place[n] + np.array([-22 * k, -s.by_name[n].depth_mean_mm / 2 - 7, 0]) for n in ("T10", "L2", "L5")]
    )
    canvas.tube(cava, rng.uniform(8, 12) * k, hu[1], flatten=(1.35, 0.8, 1))
    chalk = beam.bone_slope_ha / TABLE[REFERENCE_KVP].bone_slope_ha
    for _ in range(int(rng.poisson(14 * s.aorta_calcification))):
        n = int(rng.integers(len(line) - 1))
        at = line[n] + rng.random() * (line[n + 1] - line[n])
        turn = rng.uniform(0, 2 * np.pi) + np.linspace(-0.4, 0.4, 4)
        sheet = at + np.stack([radius * np.cos(turn), radius * np.sin(turn), rng.uniform(-3, 3, 4)], axis=1)
        canvas.tube(sheet, rng.uniform(0.7, 1.8), chalk * rng.uniform(350, 1000))


def _draw_discs(canvas: Canvas, s: Subject, rng: np.random.Generator) -> None:
    """Discs as rounded plates that lean with their neighbours; a canal with fat, sac and cord."""
    hu = rng.uniform(62, 98)
    for upper, lower in zip(s.spine[:-1], s.spine[1:], strict=True):
        a = np.array(upper.centre_lps_mm) - upper.axes[2] * (upper.front_mm + upper.back_mm) / 4
        b = np.array(lower.centre_lps_mm) + lower.axes[2] * (lower.front_mm + lower.back_mm) / 4
        half = np.array([upper.width_mm[1] / 2, upper.depth_mm[1] / 2, upper.disc_below_mm / 2 + 1.5])
        box = canvas.box((a + b) / 2 - half[0] - 4, (a + b) / 2 + half[0] + 4)
        if box is None:
            continue
        local = tuple(p - np.float32(c) for p, c in zip(canvas.points(box), (a + b) / 2, strict=True))
        turned = [sum(np.float32(upper.axes[i, j]) * local[j] for j in range(3)) for i in range(3)]
        round_ = (np.hypot(turned[0] / (half[0] + 0.8), turned[1] / (half[1] + 0.8)) - 1) * half[1]
        disc = np.maximum(round_, np.abs(turned[2]) - half[2])
        canvas.blend(box, canvas.fraction(np.asarray(disc, np.float32)), hu)
        if s.age_years > 55 and rng.random() < 0.07:  # gas in a worn disc
            gas = np.maximum(round_ + 0.45 * half[1], np.abs(turned[2] - 0.8) - 1.0)
            canvas.blend(box, canvas.fraction(np.asarray(gas, np.float32)), -500)
    line = np.array(
        [np.array(v.centre_lps_mm) - v.axes[1] * (v.depth_mean_mm / 2 + v.canal_mm[1] / 2 - 1.5) for v in s.spine]
    )
    canvas.tube(line, 10 * s.scale, -55)
    canvas.tube(line, 7 * s.scale, 14, flatten=(1.15, 0.95, 1))
    end = next(i for i, v in enumerate(s.spine) if v.name == "L1")
    canvas.tube(line[: end + 1], 4.6 * s.scale, 36)
