"""Draws the bones of a virtual person: vertebrae with exact trabecular truth, ribs, sternum, shoulders and pelvis."""

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.attenuation import REFERENCE_KVP, TABLE, bmd_ha_from_qct, trabecular_hu
from trabecula.virtual.canvas import Box, Canvas, segment_distance, smooth_max, smooth_min
from trabecula.virtual.subject import Subject, VertebraShape
from trabecula.volume import Float32, Float64

Local = tuple[Float32, Float32, Float32]
"""Voxels in a vertebra's own frame: left, anterior and up, mm from the body's centre."""

CORTICAL_HU = 1250.0
"""Compact bone as a 1 mm voxel shows it: about a quarter of it is canals and resorption spaces."""


def draw_skeleton(canvas: Canvas, subject: Subject, rng: np.random.Generator) -> None:
    """Draws every bone in view in HU of 120 kVp; the vertebrae last, so that their truth is what the image shows."""
    marrow = subject.yellow_marrow
    spongy = trabecular_hu(bmd_ha_from_qct(0.85 * mean_bmd(subject), marrow), marrow, REFERENCE_KVP)
    compact = CORTICAL_HU * rng.uniform(0.75, 1.1)
    _draw_thorax(canvas, subject, rng, spongy, compact)
    _draw_shoulders(canvas, subject, rng, spongy, compact)
    _draw_pelvis(canvas, subject, rng, spongy, compact)
    for index, vertebra in enumerate(subject.spine):
        # Each has its own stream, so that the same vertebra has the same shape on every grid.
        _draw_vertebra(canvas, subject, vertebra, np.random.default_rng([subject.seed, 4, index]), compact)


def mean_bmd(subject: Subject) -> float:
    """The mean of L1 and L2 in mg/cm3 K2HPO4."""
    return (subject.vertebra(Level.L1).bmd_k2hpo4 + subject.vertebra(Level.L2).bmd_k2hpo4) / 2


class _Frame:
    """Points of a box in a vertebra's own frame: left, anterior, up (mm from the body's centre)."""

    def __init__(self, canvas: Canvas, shape: VertebraShape, low: tuple[float, ...], high: tuple[float, ...]) -> None:
        corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
        world = corners @ shape.axes + np.array(shape.centre_lps_mm)
        self.box = canvas.box(world.min(0), world.max(0))
        if self.box is not None:
            x, y, z = (p - np.float32(c) for p, c in zip(canvas.points(self.box), shape.centre_lps_mm, strict=True))
            e = shape.axes.astype(np.float32)
            left, front, up = (e[i, 0] * x + e[i, 1] * y + e[i, 2] * z for i in range(3))
            self.local: Local = (left, front, up)


def _draw_vertebra(
    canvas: Canvas, subject: Subject, v: VertebraShape, rng: np.random.Generator, compact: float
) -> None:
    marrow = subject.yellow_marrow
    bmd_ha = bmd_ha_from_qct(v.bmd_k2hpo4, marrow)
    spongy = trabecular_hu(bmd_ha, marrow, REFERENCE_KVP)
    parts = _posterior_parts(v, rng)
    back = _Frame(
        canvas,
        v,
        (-v.transverse_span_mm / 2 - 9, -v.depth_mean_mm / 2 - v.spinous_mm - 8, -v.height_mm - 8),
        (v.transverse_span_mm / 2 + 9, -v.depth_mean_mm / 2 + 6, v.height_mm / 2 + 14),
    )
    if back.box is not None:
        distance: Float32 | None = None
        for part in parts:
            piece = segment_distance(back.local, *part)
            distance = piece if distance is None else smooth_min(distance, piece, 2.5)
        assert distance is not None
        distance = np.maximum(distance, -_canal(back.local, v))
        # A stream of its own: whether the arch is in view must not change the body.
        distance += 0.5 * canvas.smooth_noise(back.box, rng.spawn(1)[0], 14)
        canvas.paint(back.box, distance, spongy + 80, 1.0 + v.cortex_mm, compact)
        canvas.whole[back.box][distance < 0] = v.verse_id
    reach = 14 + v.findings.osteophyte_mm
    width, depth = max(v.width_mm) / 2, max(v.depth_mm) / 2
    front = _Frame(
        canvas,
        v,
        (-width - reach, -depth - 3, -v.height_mm / 2 - 14),
        (width + reach, depth + reach, v.height_mm / 2 + 14),
    )
    if front.box is not None:
        _draw_body(
            canvas,
            v,
            front.box,
            front.local,
            parts[:2],
            rng,
            (spongy, bmd_ha * TABLE[REFERENCE_KVP].bone_slope_ha, compact),
        )


def _draw_body(
    canvas: Canvas,
    v: VertebraShape,
    box: Box,
    local: Local,
    pedicles: list[tuple[Float64, Float64, float, float, tuple[float, float, float]]],
    rng: np.random.Generator,
    density: tuple[float, float, float],
) -> None:
    spongy, mineral_hu, compact = density
    side, end, relative_z = _body_distances(v, local)
    warp = np.float32(rng.uniform(0.3, 0.9)) * canvas.smooth_noise(box, rng, 14)
    side, end = side + warp, end + 0.6 * warp
    pit = _schmorl(v, local, rng)
    if pit is not None:
        end = np.maximum(end, -pit)
    body = smooth_max(side, end, v.rounding_mm)
    whole = body
    for pedicle in pedicles:
        whole = smooth_min(whole, segment_distance(local, *pedicle), 2.0)
    whole = np.maximum(whole, -_canal(local, v))
    for lip in _osteophytes(v, rng):
        whole = smooth_min(whole, segment_distance(local, *lip), 2.0)

    factor = 1 + 0.14 * canvas.smooth_noise(box, rng, 3.0) + 0.06 * canvas.smooth_noise(box, rng, 9.0)
    factor *= 1 + 0.22 * np.clip(np.abs(relative_z), 0, 1) ** 3
    x, y, z = local
    cleft = ((x / rng.uniform(4, 7)) ** 2 + ((y + v.depth_mean_mm / 2) / rng.uniform(6, 11)) ** 2 + (z / 4) ** 2) < 1
    factor[cleft] *= rng.uniform(0.4, 0.8)
    if v.findings.fracture_anterior:
        factor *= rng.uniform(1.1, 1.5)
    interior = np.float32(spongy - mineral_hu) + np.float32(mineral_hu) * factor.astype(np.float32)
    interior = _local_findings(v, local, interior, end, pit, rng)
    canvas.paint(box, whole, interior, v.cortex_mm, compact)
    canvas.whole[box][whole < 0] = v.verse_id

    mine = body < 0
    canvas.body[box][mine] = v.verse_id
    canvas.depth_mm[box][mine] = -np.maximum(side, -_canal(local, v))[mine]
    canvas.end_mm[box][mine] = -end[mine]


def _body_distances(v: VertebraShape, local: Local) -> tuple[Float32, Float32, Float32]:
    """Signed distances to the side wall and to the end plates, and the height relative to the half height."""
    x, y, z = local
    depth, f = v.depth_mean_mm, v.findings
    front = v.height_mm - 2 * depth * np.tan(np.radians(v.wedge_deg) / 2)
    front *= 1 - f.fracture_anterior
    height = v.height_mm + (front - v.height_mm) * np.clip((y + depth / 2) / depth, -0.1, 1.1)
    t = np.clip(2 * z / height, -1.2, 1.2)
    waist = np.maximum(1 - t * t, 0)
    u = (t + 1) / 2
    a = 0.5 * (v.width_mm[1] + (v.width_mm[0] - v.width_mm[1]) * u) * (1 - v.waist[0] * waist)
    b = 0.5 * (v.depth_mm[1] + (v.depth_mm[0] - v.depth_mm[1]) * u) * (1 - v.waist[1] * waist)
    xa, ya = np.abs(x / a), np.abs(y / b)
    pa, pb = xa**1.2, ya**1.2  # superellipse of exponent 2.2, distance to first order
    norm = np.maximum(xa * pa + ya * pb, 1e-4) ** (1 / 2.2)
    slope = np.maximum(norm, 0.2) ** -1.2 * np.sqrt((pa / a) ** 2 + (pb / b) ** 2)
    side = np.where(norm > 0.3, (norm - 1) / np.maximum(slope, 1e-3), -(1 - norm) * np.minimum(a, b))
    dish = np.maximum(1 - (x / (0.8 * a)) ** 2 - ((y + 2) / (0.8 * b)) ** 2, 0)
    end = np.abs(z) - height / 2 + (v.concavity_mm + 0.5 * f.fracture_middle * v.height_mm) * dish
    return side.astype(np.float32), end.astype(np.float32), t.astype(np.float32)


def _canal(local: Local, v: VertebraShape) -> Float32:
    """Signed distance to the vertebral canal, a cylinder along the body's axis."""
    a, b = v.canal_mm[0] / 2, v.canal_mm[1] / 2
    y = local[1] + v.depth_mean_mm / 2 + b - 1.5
    norm = np.sqrt((local[0] / a) ** 2 + (y / b) ** 2)
    return np.asarray((norm - 1) * min(a, b), np.float32)


def _posterior_parts(
    v: VertebraShape, rng: np.random.Generator
) -> list[tuple[Float64, Float64, float, float, tuple[float, float, float]]]:
    """Capsules (from, to, radii, stretch) in the vertebra's frame: pedicles first, then arch and processes."""
    back = -v.depth_mean_mm / 2
    arch = back - v.canal_mm[1]
    h, pw = v.height_mm, v.pedicle_mm[0] / 2
    tall = v.pedicle_mm[1] / v.pedicle_mm[0]
    lumbar = v.name.startswith("L")
    lateral = v.canal_mm[0] / 2 + pw * 0.9
    one = (1.0, 1.0, 1.0)
    drop = rng.uniform(5, 9) if lumbar else float(np.interp(int(v.name[1:]), (1, 6, 12), (14, 26, 10)))
    parts = []
    for s in (-1, 1):
        root = np.array([s * lateral, back + 5, 0.16 * h])
        end = np.array([s * lateral * 1.04, back - 0.5 * v.canal_mm[1], 0.14 * h])
        parts.append((root, end, pw, pw, (1.0, 1.0, tall)))
    tip, hang = rng.uniform(2.4, 3.8), rng.uniform(-0.14, 0.03)
    for s in (-1, 1):
        joint = np.array([s * (lateral + 1), back - 0.62 * v.canal_mm[1], 0.2 * h])
        parts.append((joint, np.array([s * 2.0, arch - 4.5, (-0.12 + hang) * h]), 4.2, 3.9, (1.0, 0.8, 1.9)))
        parts.append((joint, joint + [s * 2.5, -1.5, 0.42 * h], 5.0, 4.8, one))
        low = np.array([s * lateral * 0.8, arch - 1.0, (-0.15 + hang) * h])
        parts.append((low, low + [s * 1.0, -0.5, -0.35 * h], 5.6, 5.4, one))
        span = v.transverse_span_mm / 2
        lean = -1.0 if lumbar else -9.0
        end = np.array([s * (span - tip), arch + lean, rng.uniform(0.1, 0.3) * h if lumbar else 0.25 * h])
        parts.append((joint, end, 4.0, tip, (1.0, 0.8, 1.25 if lumbar else 1.0)))
    spine_end = np.array([0, back - v.spinous_mm + 4, -0.15 * h - drop])
    parts.append((np.array([0, arch - 4.0, -0.08 * h]), spine_end, 3.4, 4.2, (0.9, 1.0, 2.5 if lumbar else 1.5)))
    return parts


def _osteophytes(
    v: VertebraShape, rng: np.random.Generator
) -> list[tuple[Float64, Float64, float, float, tuple[float, float, float]]]:
    size = v.findings.osteophyte_mm
    if not size:
        return []
    lips = []
    for _ in range(int(rng.integers(1, 6))):
        up = rng.choice([-1, 1])
        angle = rng.uniform(-0.25, 1.25) * np.pi  # front and sides, seldom behind
        rim = np.array(
            [np.cos(angle) * v.width_mm[0] / 2, np.sin(angle) * v.depth_mm[0] / 2, up * (v.height_mm / 2 - 2)]
        )
        out = rim * [1 + size / 40, 1 + size / 40, 1] + [0, 0, up * rng.uniform(0, 0.9) * size]
        lips.append((rim * [0.95, 0.95, 1], out, float(rng.uniform(1.5, 3.5)), 1.2, (1.2, 1.0, 1.0)))
    return lips


def _schmorl(v: VertebraShape, local: Local, rng: np.random.Generator) -> Float32 | None:
    size = v.findings.schmorl_mm
    if not size:
        return None
    z = (1 if v.findings.schmorl_upper else -1) * v.height_mm / 2
    centre = (rng.uniform(-0.25, 0.25) * v.width_mm[0], rng.uniform(-0.3, 0.2) * v.depth_mm[0], z)
    gap = np.sqrt(sum((p - c) ** 2 for p, c in zip(local, centre, strict=True)))
    return np.asarray(gap - size * 0.8, np.float32)


def _local_findings(
    v: VertebraShape,
    local: Local,
    interior: Float32,
    end: Float32,
    pit: Float32 | None,
    rng: np.random.Generator,
) -> Float32:
    f = v.findings
    if f.endplate_sclerosis_mm:
        half = (local[2] > 0) if rng.random() < 0.5 else (local[2] < 0)
        interior = np.where(half & (-end < f.endplate_sclerosis_mm), interior * rng.uniform(1.5, 3.0) + 60, interior)
    if pit is not None:
        interior = np.where(pit < 2.5, interior + rng.uniform(100, 350), interior)
    if f.island_mm or f.haemangioma:
        centre = rng.uniform(-0.3, 0.3, 3) * [v.width_mm[0], v.depth_mm[0], v.height_mm]
        gap = np.sqrt(sum((p - c) ** 2 for p, c in zip(local, centre, strict=True)))
        if f.island_mm:
            interior = np.where(gap < f.island_mm / 2, rng.uniform(500, 1100), interior)
        if f.haemangioma:
            struts = np.where(np.sin(local[0] * 2.2) * np.sin(local[1] * 2.2) > 0.7, 350, -40)
            interior = np.where(gap < rng.uniform(6, 12), struts, interior)
    return np.asarray(interior, np.float32)


def _draw_thorax(canvas: Canvas, s: Subject, rng: np.random.Generator, spongy: float, compact: float) -> None:
    """Ribs 1 to 12 on an egg-shaped cage, the sternum and the costal cartilages."""
    droop = rng.normal(1.1, 0.2)
    middle_y = np.array(s.vertebra(Level.T9).centre_lps_mm)[1] - 0.48 * (s.half_depth_mm - s.fat_mm) * 1.1
    ribs = [f"T{k}" for k in range(1, 13)] + (["L1"] if s.lumbar_ribs_mm else [])
    arcs = dict(
        zip(ribs, (120, 175, 225, 260, 280, 295, 305, 310, 290, 262, 200, s.rib12_mm, s.lumbar_ribs_mm), strict=False)
    )
    by_name = {v.name: v for v in s.spine}
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


def _draw_pelvis(canvas: Canvas, s: Subject, rng: np.random.Generator, spongy: float, compact: float) -> None:
    """Sacrum below S1, iliac wings as fans of thick rods, hip joints, femora, pubis and ischium."""
    s1 = s.vertebra(Level.S1)
    k, shell = s.scale, rng.uniform(0.9, 1.6)
    base = np.array(s1.centre_lps_mm)
    left, front, up = s1.axes
    spine = [base]
    for index, length in enumerate((27, 23, 20, 17)):
        bend = np.radians(8 * (index + 1))
        spine.append(spine[-1] - length * k * (up * np.cos(bend) + front * np.sin(bend) * -0.6))
    canvas.tube(np.array(spine), np.linspace(17, 8, 5) * k, spongy * 0.75, shell, compact * 0.7, (1.25, 0.8, 1))
    for side in (-1, 1):
        joint = base + side * left * 52 * k - up * 8 + front * -6
        wing = [base + side * left * 20 * k + front * 5, joint]
        canvas.tube(np.array(wing), np.array([14, 13]) * k, spongy * 0.65, shell, compact * 0.7, (1, 1, 1.1))
        canvas.tube(
            np.array([spine[2] + side * left * 12, joint - up * 25]), 10 * k, spongy * 0.6, shell, compact * 0.7
        )
        hip = base + np.array([side * 88 * k, -38 * k, -92 * k])
        crest = base + np.array([[52, 44, 14], [88, 30, 42], [116, -4, 54], [130, -42, 38], [126, -74, 4]]) * [
            side * k,
            k,
            k,
        ]
        crest[:, 2] += rng.normal(0, 5)
        roots = np.linspace(joint - up * 12, hip + [side * 6, -12, 24], 5)
        bend = (rng.uniform(4, 10) * np.array([side, 0, 0])) * k
        for a, b in zip(_densify(roots, 13), _densify(crest, 13), strict=True):
            canvas.tube(
                np.array([a, (a + b) / 2 - bend, b]), np.array([5.0, 3.0, 4.2]) * k, spongy * 0.7, 1.2, compact * 0.8
            )
        canvas.tube(_densify(crest, 17), 5.5 * k, spongy * 0.7, 1.4, compact * 0.8)
        canvas.ellipsoid(hip, (31 * k, 31 * k, 31 * k), compact * 0.55)
        canvas.ellipsoid(hip, (28 * k, 28 * k, 28 * k), spongy * 0.9 + 30)
        neck = hip + np.array([side * 42, 8, -30]) * k
        canvas.tube(np.array([hip, neck]), 17 * k, spongy * 0.6, 2.0, compact)
        canvas.tube(np.array([neck, neck + np.array([-side * 4, 5, -150])]), 15 * k, -70, 5.0, compact)
        pubis = np.array([side * 12, hip[1] - 32 * k, hip[2] - 32 * k])
        sit = hip + np.array([-side * 32, 30, -70]) * k
        canvas.tube(np.array([hip + [-side * 14, -14, -6], pubis]), 9 * k, spongy * 0.6, 1.5, compact * 0.8)
        canvas.tube(
            np.array([hip + [-side * 8, 16, -14], sit, pubis - [0, 0, 22]]), 10 * k, spongy * 0.6, 1.5, compact * 0.8
        )
    if s.metal_hip:
        hip = base + np.array([88 * k, -38 * k, -92 * k])
        canvas.tube(np.array([hip, hip + [40, 8, -60], hip + [38, 10, -160]]), 9, 3071)


def _densify(path: Float64, n: int) -> Float64:
    at = np.linspace(0, len(path) - 1, n)
    return np.stack([np.interp(at, np.arange(len(path)), path[:, i]) for i in range(3)], axis=1)
