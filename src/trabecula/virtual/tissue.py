"""Draws everything of a virtual person that is not bone: skin to viscera, vessels, discs, canal, table."""

from dataclasses import dataclass

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.attenuation import REFERENCE_KVP, TABLE, Attenuation
from trabecula.virtual.canvas import Canvas
from trabecula.virtual.phantom import PAD_MM, draw_phantom
from trabecula.virtual.subject import Subject
from trabecula.virtual.trunk import middle_mm
from trabecula.volume import Float32, Float64

_ENHANCEMENT = {  # HU added at 120 kVp: aorta, cava, kidney, liver, spleen, bowel wall and muscle; marrow
    "none": (0, 0, 0, 0, 0, 0, 0),
    "arterial": (230, 60, 110, 15, 60, 10, 13),
    "portal": (110, 105, 140, 55, 65, 15, 18),
    "delayed": (65, 65, 120, 40, 35, 12, 12),
}
# Marrow: vertebrae of the same people read 129 HU plain, 142 arterial and 147 portal (10.1007/s00330-014-3408-2); the
# delayed phase follows the blood.


@dataclass(frozen=True)
class Enhancement:
    """HU that contrast medium adds to each tissue in one beam."""

    aorta: float
    cava: float
    kidney: float
    liver: float
    spleen: float
    other: float  # muscle and bowel wall
    marrow: float


def enhancement(s: Subject, beam: Attenuation) -> Enhancement:
    """A person's enhancement in its phase: one injection is stronger than another, and each organ has its own share."""
    rng = np.random.default_rng([s.seed, 13])
    dose = rng.uniform(0.75, 1.3) * beam.iodine / TABLE[REFERENCE_KVP].iodine
    return Enhancement(*(float(dose * hu * rng.normal(1, 0.12)) for hu in _ENHANCEMENT[s.phase]))


def draw_torso(
    canvas: Canvas,
    s: Subject,
    rng: np.random.Generator,
    beam: Attenuation = TABLE[REFERENCE_KVP],
    with_phantom: bool = False,
) -> None:
    """Skin, fat, wall, lungs, viscera and vessels, back to front; bones are drawn over it.

    What is given in HU of 120 kVp follows the beam: iodine and calcium by their slopes; soft tissue hardly changes.
    """
    iodine = beam.iodine / TABLE[REFERENCE_KVP].iodine
    calcium = beam.bone_slope_ha / TABLE[REFERENCE_KVP].bone_slope_ha
    fat = beam.fat + rng.normal(-20, 6)
    muscle = rng.normal(52, 8) - max(0.0, (s.age_years - 50) * 0.4)
    lifted = enhancement(s, beam)
    by_name = {name: np.array(v.centre_lps_mm) for name, v in s.by_name.items()}
    if with_phantom:
        draw_phantom(canvas, s, beam)
    middle = _draw_wall(canvas, s, by_name, fat, muscle + lifted.other, PAD_MM if with_phantom else 0.0, rng)
    _draw_lungs(canvas, s, by_name, middle, rng)
    _draw_viscera(canvas, s, by_name, middle, lifted, iodine, rng)
    _draw_back(canvas, s, by_name, muscle + lifted.other, rng)
    _draw_vessels(canvas, s, by_name, (42 + lifted.aorta, 42 + lifted.cava, calcium), rng)
    _draw_discs(canvas, s, rng)


def _draw_wall(
    canvas: Canvas,
    s: Subject,
    by_name: dict[str, Float64],
    fat: float,
    muscle: float,
    pad_mm: float,
    rng: np.random.Generator,
) -> float:
    """The outline, slice by slice broadening to hips and chest; returns the y of the torso's middle."""
    box = canvas.everything
    x, y, z = canvas.points(box)
    middle = middle_mm(s)
    at = [by_name[n][2] for n in ("C6", "T1", "T4", "T9", "L2", "L5")]
    at = [by_name["S1"][2] - 120, *at[::-1]]
    wide = np.interp(z, at, np.array([1.08, 1.02, 0.94, 1.0, 1.0, 0.92, 0.45])).astype(np.float32)
    deep = np.interp(z, at, np.array([0.98, 0.97, 0.98, 1.02, 0.95, 0.78, 0.55])).astype(np.float32)
    a, b = s.half_width_mm * wide, s.half_depth_mm * deep
    sag = np.interp(z, [by_name["L5"][2], by_name["T12"][2], by_name["T5"][2]], [0, 12, 30]).astype(np.float32)
    power = float(rng.uniform(2.2, 2.8))
    dx, dy = np.abs(x - rng.normal(0, 2)), np.abs(y - middle - sag * 0.6)

    def outline(inset: float) -> Float32:
        norm = ((dx / (a - inset)) ** power + (dy / (b - inset)) ** power) ** np.float32(1 / power)
        return np.asarray((norm - 1) * np.minimum(a, b), np.float32)

    canvas.blend(box, canvas.fraction(outline(0)), rng.normal(20, 10))
    canvas.blend(box, canvas.fraction(outline(1.8)), fat)
    wall = outline(s.fat_mm)
    canvas.blend(box, canvas.fraction(wall), muscle)
    canvas.blend(box, canvas.fraction(wall + np.float32(rng.uniform(9, 16))), fat + rng.uniform(0, 25))
    _draw_table(canvas, y, x, middle + s.half_depth_mm + pad_mm + rng.uniform(2, 14), rng)
    if s.arms_down:
        for side in (-1, 1):
            arm = np.array([[side * (s.half_width_mm + 38), middle + 30, by_name[n][2]] for n in ("T2", "L4")])
            canvas.tube(arm, 36, muscle)
    return middle


def _draw_table(canvas: Canvas, y: Float32, x: Float32, top_mm: float, rng: np.random.Generator) -> None:
    box = canvas.everything
    surface = top_mm - (x / rng.uniform(40, 70)) ** 2
    outside = canvas.hu < -900
    skin = np.abs(y - surface) < 1.5
    foam = (y - surface > 1.5) & (y - surface < 45)
    canvas.hu[box][outside & foam] = rng.uniform(-980, -880)
    canvas.hu[box][outside & skin] = rng.uniform(-500, 60)


def _draw_lungs(
    canvas: Canvas, s: Subject, by_name: dict[str, Float64], middle: float, rng: np.random.Generator
) -> None:
    inner = s.half_width_mm - s.fat_mm
    depth = s.half_depth_mm - s.fat_mm
    base = by_name["T11"][2] + rng.uniform(-25, 25)
    top = by_name["T1"][2] + 15
    for side in (-1, 1):
        centre = np.array([side * inner * 0.45, middle + 12, (top + base) / 2])
        radii = (inner * 0.4, depth * 0.8, (top - base) / 2 * 1.05)
        canvas.ellipsoid(centre, radii, rng.normal(-840, 30))
        recess = centre + [side * 12, depth * 0.42, -(top - base) / 2 * 0.8]
        canvas.ellipsoid(recess, (inner * 0.26, depth * 0.27, 55), rng.normal(-830, 30))
    for _ in range(12):
        at = by_name["T6"] + [rng.choice([-1, 1]) * rng.uniform(15, 70), rng.uniform(-70, -10), rng.uniform(-50, 50)]
        canvas.tube(np.array([at, at + rng.normal(0, 25, 3)]), rng.uniform(1.5, 4), 40)
    canvas.ellipsoid(by_name["T8"] + [18, -0.55 * depth - 25, 5], (62 * s.scale, 45 * s.scale, 58 * s.scale), 45)
    for side in (-1, 1):  # domes of the diaphragm
        dome = np.array([side * inner * 0.42, middle, base - 22 + (6 if side < 0 else 0)])
        canvas.ellipsoid(dome, (inner * 0.42, depth * 0.78, 55), 40)


def _draw_viscera(
    canvas: Canvas,
    s: Subject,
    by_name: dict[str, Float64],
    middle: float,
    lifted: Enhancement,
    iodine: float,
    rng: np.random.Generator,
) -> None:
    k, depth = s.scale, s.half_depth_mm - s.fat_mm

    def near(level: str, x: float, y: float, z: float) -> Float64:
        return np.array([x * k, middle + y * k, by_name[level][2] + z * k]) + rng.normal(0, 7, 3)

    canvas.ellipsoid(
        near("T12", -62, -8, 12), (72 * k, min(82 * k, depth * 0.85), 72 * k), rng.normal(58, 9) + lifted.liver
    )
    canvas.ellipsoid(near("T12", 75, 25, 0), (32 * k, 42 * k, 48 * k), rng.normal(48, 5) + lifted.spleen)
    stomach = rng.choice([10, 25, 200 * iodine], p=[0.4, 0.5, 0.1])
    canvas.ellipsoid(near("T12", 45, -35, 0), (45 * k, 32 * k, 48 * k), stomach)
    for side in (-1, 1):
        at = by_name["L2"] + np.array([side * 58 * k, 4, 8 if side > 0 else -4]) + rng.normal(0, 5, 3)
        canvas.ellipsoid(at, (29 * k, 27 * k, 54 * k), 32 + lifted.kidney)
        pelvis_hu = 10 + (iodine * rng.uniform(0, 700) if s.phase == "delayed" else 0)
        canvas.ellipsoid(at - [side * 12, 4, 0], (9 * k, 8 * k, 22 * k), pelvis_hu)
    oral = rng.random() < 0.1
    for _ in range(16):  # loops of bowel, some with gas
        start = np.array([rng.uniform(-95, 95) * k, middle - rng.uniform(0, 75) * k, rng.uniform(-190, 40) * k])
        path = start + np.cumsum(rng.normal(0, (14, 9, 12), (int(rng.integers(2, 7)), 3)), axis=0) * k
        radius = rng.uniform(9, 20) * k
        canvas.tube(path, radius, 35 + lifted.other)
        content = rng.choice([-900.0, 15.0, 25.0], p=[0.3, 0.4, 0.3]) if not oral else iodine * rng.uniform(120, 500)
        canvas.tube(path, radius - 2.5, content)
        for _ in range(int(rng.integers(0, 5))):  # gas in what is digested
            canvas.ellipsoid(path[0] + rng.normal(0, 0.4 * radius, 3), tuple(rng.uniform(1.5, 4, 3)), -600)
    canvas.ellipsoid(near("S1", 0, -60, -70), (42 * k, 36 * k, 38 * k), rng.normal(8, 5))


def _draw_back(
    canvas: Canvas, s: Subject, by_name: dict[str, Float64], muscle: float, rng: np.random.Generator
) -> None:
    """The muscles about the spine and the pelvis, which leave little fat between themselves and the bone."""
    levels = [v.name for v in s.spine[6:]]
    n, k, bulk = len(levels), s.scale, rng.uniform(0.85, 1.1)
    half = {name: max(v.width_mm) / 2 for name, v in s.by_name.items()}

    def along(x: float, y: float, radius: tuple[float, ...], flatten: tuple[float, float, float]) -> None:
        path = np.array([by_name[name] + [side * x * k, y * k, 0] for name in levels])
        sizes = np.interp(np.arange(n), [0, 8, n - 3, n - 1], radius) * k * bulk
        canvas.tube(path, sizes, muscle + rng.normal(0, 4), flatten=flatten)

    for side in (-1, 1):
        along(18, 24, (8, 11, 14, 10), (1.1, 1, 1))  # rotators, between the processes
        along(13, 42, (10, 13, 15, 15), (1, 1.2, 1))  # multifidus
        along(36, 43, (10, 17, 20, 12), (1.2, 0.95, 1))  # erector spinae
        thick = np.array([5, 9, 14, 17, 18.5, 18]) * k * rng.uniform(0.75, 1.1)
        names = ("T12", "L1", "L2", "L3", "L4", "L5")
        psoas = [
            by_name[name] + [side * (half[name] + out * r), y * k, 0]
            for name, r, out, y in zip(
                names, thick, (0.3, 0.5, 0.6, 0.65, 0.75, 1.0), (4, 4, 3, 1, -3, -12), strict=True
            )
        ]
        ends = [by_name["S1"] + np.array(off) * k for off in ([side * 62, -36, 0], [side * 84, -58, -70])]
        canvas.tube(np.array([*psoas, *ends]), np.array([*thick, 16 * k, 13 * k]), muscle + 4, flatten=(0.95, 1.15, 1))
        flank = (("T12", 45), ("L2", 58), ("L4", 68))
        loin = np.array([by_name[name] + [side * x * k, 20 * k, 0] for name, x in flank])
        canvas.tube(loin, 10 * k, muscle, flatten=(1.5, 0.85, 1))
        crus = np.array([by_name[name] + [side * 14, -24 * k, 0] for name in ("T11", "L2")])
        canvas.tube(crus, 4.5, muscle)
        hip = by_name["S1"]
        iliacus = hip + np.array([[side * 84, 10, 25], [side * 90, -25, -10], [side * 84, -50, -70]]) * k
        canvas.tube(iliacus, 13 * k, muscle, flatten=(0.9, 1.2, 1))
        canvas.ellipsoid(hip + np.array([side * 108, 30, -25]) * k, (30 * k, 62 * k, 62 * k), muscle)
        canvas.ellipsoid(hip + np.array([side * 70, 75, -55]) * k, (60 * k, 26 * k, 70 * k), muscle)
    # Muscle turns to fat with the years, most beside the spinous processes.
    for _ in range(int(rng.poisson(np.interp(s.age_years, (30, 85), (4, 45))))):
        name = str(rng.choice(levels[2:]))
        at = by_name[name] + np.array([rng.uniform(-45, 45), rng.uniform(28, 58), rng.uniform(-15, 15)]) * k
        canvas.ellipsoid(at, tuple(rng.uniform((1.5, 1.5, 6), (5, 4, 20)) * k), rng.uniform(-90, -20))


def _draw_vessels(
    canvas: Canvas, s: Subject, by_name: dict[str, Float64], hu: tuple[float, ...], rng: np.random.Generator
) -> None:
    aorta, cava, calcium = hu
    k = s.scale
    radius = rng.uniform(9, 13) * k
    front = {name: v.depth_mean_mm / 2 for name, v in s.by_name.items()}
    names = ("T5", "T7", "T9", "T11", "T12", "L1", "L2", "L3", "L4")
    offset = np.interp(np.arange(9), [0, 4, 8], [24, 8, 4]) + rng.normal(0, 2)
    gap = np.interp(np.arange(9), [0, 4, 8], [-6, radius + 1, radius + 2]) + rng.uniform(-1, 5)
    path = np.array(
        [
            by_name[n] + [o, -front[n] * (1 if i > 3 else 0.6) - g, 0]
            for i, (n, o, g) in enumerate(zip(names, offset, gap, strict=True))
        ]
    )
    path[1:-1] += rng.normal(0, 2.5 * s.age_years / 60, path[1:-1].shape)
    canvas.tube(path, radius, aorta)
    vein = np.array([by_name[n] + [-20 * k, -front[n] - radius * 0.7, 0] for n in ("T9", "L1", "L3", "L5")])
    canvas.tube(vein, rng.uniform(9, 13) * k, cava, flatten=(1.15, 0.9, 1))
    for side in (-1, 1):
        iliac = np.array(
            [path[-1] - [0, 0, 12], by_name["S1"] + [side * 38, -42, 0], by_name["S1"] + [side * 60, -60, -60]]
        )
        canvas.tube(iliac, 6.5, aorta)
    for _ in range(int(rng.poisson(34 * s.aorta_calcification**1.5))):
        i = rng.uniform(0, len(path) - 1.01)
        at = path[int(i)] + (i % 1) * (path[int(i) + 1] - path[int(i)])
        angle = rng.uniform(0, 2 * np.pi)
        at = at + radius * np.array([np.cos(angle), np.sin(angle), 0])
        size = rng.uniform(1.0, 3.2)
        canvas.ellipsoid(at, (size, size, size * rng.uniform(1, 3)), calcium * rng.uniform(300, 1100))


def _draw_discs(canvas: Canvas, s: Subject, rng: np.random.Generator) -> None:
    """Discs between the bodies, then the canal with its sac and cord."""
    hu = rng.normal(80, 15)
    for upper, lower in zip(s.spine[:-1], s.spine[1:], strict=True):
        a, b = np.array(upper.centre_lps_mm), np.array(lower.centre_lps_mm)
        middle = (a - upper.axes[2] * upper.height_mm / 2 + b + lower.axes[2] * lower.height_mm / 2) / 2
        half = (upper.width_mm[1] + lower.width_mm[0]) / 4 + 0.7
        deep = (upper.depth_mm[1] + lower.depth_mm[0]) / 4 + 0.7
        along = upper.axes[2] * (upper.disc_below_mm / 2 + 1.5)
        # two stretched sections make a flat cylinder that leans with the bodies
        for shift in (-0.5, 0.5):
            canvas.ellipsoid(middle + along * shift, (half, deep, upper.disc_below_mm / 2 + 2.5), hu)
        if s.age_years > 55 and rng.random() < 0.08:
            canvas.ellipsoid(middle, (half * 0.5, deep * 0.4, 1.5), -600)
    path = np.array(
        [np.array(v.centre_lps_mm) - v.axes[1] * (v.depth_mean_mm / 2 + v.canal_mm[1] / 2 - 1.5) for v in s.spine]
    )
    canvas.tube(path, 9.5 * s.scale, -40)
    canvas.tube(path, 7.5 * s.scale, 12)
    cord_end = next(i for i, v in enumerate(s.spine) if v.name == Level.L1)
    canvas.tube(path[: cord_end + 1], 5 * s.scale, 38)
