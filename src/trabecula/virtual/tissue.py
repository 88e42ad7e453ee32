"""Draws everything of a virtual person that is not bone: skin to viscera, vessels, discs, canal, table."""

from dataclasses import dataclass

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.attenuation import REFERENCE_KVP, TABLE, Attenuation
from trabecula.virtual.canvas import Canvas, smooth_max
from trabecula.virtual.chest import diaphragm_of, draw_breasts, draw_chest
from trabecula.virtual.phantom import PAD_MM, draw_phantom
from trabecula.virtual.shoulders import draw_arm_muscles
from trabecula.virtual.subject import Subject
from trabecula.virtual.trunk import Profile, Trunk, height_of, middle_mm, table_mm, trunk_of
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
    rods: Attenuation | None = None,
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
    if rods is not None:
        draw_phantom(canvas, s, rods)
    trunk = trunk_of(s)
    _draw_wall(canvas, s, trunk, fat, muscle + lifted.other, PAD_MM if rods else 0.0, rng)
    _draw_viscera(canvas, s, by_name, middle_mm(s), lifted, iodine, rng)
    _draw_liver(canvas, s, trunk.cavity, lifted.liver)
    draw_chest(canvas, s, trunk, (42 + lifted.aorta, 42 + lifted.cava), fat)
    _draw_back(canvas, s, by_name, muscle + lifted.other, rng)
    _draw_vessels(canvas, s, by_name, (42 + lifted.aorta, 42 + lifted.cava, calcium), rng)
    _draw_discs(canvas, s, rng)


def _draw_wall(
    canvas: Canvas, s: Subject, trunk: Trunk, fat: float, muscle: float, pad_mm: float, rng: np.random.Generator
) -> None:
    """Skin, fat and muscle slice by slice round the cavities of chest and belly, which are filled with fat."""
    box = canvas.everything
    points = canvas.points(box)
    x, y, z = points
    draw_breasts(canvas, s, trunk, fat)
    draw_arm_muscles(canvas, s, trunk, muscle, fat)
    skin = trunk.skin.distance(points)
    canvas.blend(box, canvas.fraction(skin), rng.normal(20, 10))
    canvas.blend(box, canvas.fraction(skin + np.float32(1.8)), fat)
    chest = np.clip((z - height_of(s, 13.0)) / np.float32(height_of(s, 10.0) - height_of(s, 13.0)), 0, 1)
    layer = s.fat_mm + chest * (trunk.chest_fat_mm - s.fat_mm)
    outer = np.asarray(skin + layer.astype(np.float32), np.float32)
    cavity = trunk.cavity.distance(points)
    # Between muscles there is fat, most about the shoulders.
    seams = canvas.smooth_noise(box, np.random.default_rng([s.seed, 43]), (40.0, 9.0, 14.0))
    part = np.clip(seams - np.float32(0.9) + chest * np.float32(0.012 * s.fat_mm), 0, 1) * np.clip(
        cavity / 14 - 0.3, 0, 1
    )
    canvas.blend(box, canvas.fraction(outer), np.asarray(muscle + part * (fat - muscle), np.float32))
    canvas.blend(box, canvas.fraction(cavity), fat + rng.uniform(0, 25))
    _draw_table(canvas, y, x, table_mm(s) + pad_mm + rng.uniform(2, 14), rng)


def _draw_table(canvas: Canvas, y: Float32, x: Float32, top_mm: float, rng: np.random.Generator) -> None:
    box = canvas.everything
    surface = top_mm - (x / rng.uniform(40, 70)) ** 2
    outside = canvas.hu < -900
    skin = np.abs(y - surface) < 1.5
    foam = (y - surface > 1.5) & (y - surface < 45)
    canvas.hu[box][outside & foam] = rng.uniform(-980, -880)
    canvas.hu[box][outside & skin] = rng.uniform(-500, 60)


def _draw_viscera(
    canvas: Canvas,
    s: Subject,
    by_name: dict[str, Float64],
    middle: float,
    lifted: Enhancement,
    iodine: float,
    rng: np.random.Generator,
) -> None:
    k = s.scale

    def near(level: str, x: float, y: float, z: float) -> Float64:
        return np.array([x * k, middle + y * k, by_name[level][2] + z * k]) + rng.normal(0, 7, 3)

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


def _draw_liver(canvas: Canvas, s: Subject, cavity: Profile, lifted_hu: float) -> None:
    """The liver fills the right dome of the diaphragm and thins out to the left."""
    rng = np.random.default_rng([s.seed, 44])
    k = s.scale
    hu, low, left = rng.normal(58, 9) + lifted_hu, rng.normal(0, 12), rng.normal(45, 15) * k
    top, bottom = float(height_of(s, 8.0)), float(height_of(s, 15.5))
    wide = float(cavity.half_width_mm.max())
    box = canvas.box(np.array([-wide - 20, cavity.front_mm.min(), bottom]), np.array([wide, cavity.back_mm.max(), top]))
    if box is None:
        return
    x, y, z = points = canvas.points(box)
    dome = diaphragm_of(s, cavity).height(x[0], y[0])[None]
    _, deep, middle, shift = (v.astype(np.float32) for v in cavity.at(z))
    edge = np.float32(height_of(s, 14.3) + low) + np.clip((x - shift + wide) / (2 * wide), 0, 1) * np.float32(150 * k)
    liver = smooth_max(cavity.distance(points, -4.0), np.asarray(z - dome + 5, np.float32), 6.0)
    liver = smooth_max(liver, np.asarray(edge - z + 0.12 * (y - middle), np.float32), 14.0)
    liver = smooth_max(liver, np.asarray(x - shift - left + 0.5 * (y - middle), np.float32), 14.0)
    spine = 48 * k - np.hypot(x - shift - 14 * k, y - middle - deep)
    liver = smooth_max(liver, np.asarray(spine, np.float32), 10.0)
    canvas.blend(box, canvas.fraction(liver), float(hu))


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
