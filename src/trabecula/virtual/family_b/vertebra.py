"""Draws a vertebra of family b: a polar profile of a mean mesh for its body, boxes and ellipsoids for its arch."""

import numpy as np

from trabecula.virtual import lesions
from trabecula.virtual.attenuation import REFERENCE_KVP, TABLE, bmd_ha_from_qct, trabecular_hu
from trabecula.virtual.canvas import Canvas, Local, smooth_min, to_local
from trabecula.virtual.family_b.subject import FAMILY
from trabecula.virtual.subject import Subject, VertebraShape, cortex_share
from trabecula.volume import Float32, Float64


def draw_vertebra(canvas: Canvas, s: Subject, v: VertebraShape, compact: float, index: int) -> None:
    """Draws the vertebra at place ``index`` of the spine with its findings; the sacrum too."""
    rng = np.random.default_rng([s.seed, FAMILY, 3, index])
    seed = (s.seed, index)
    sacrum = v.name == "S1"
    wide = 66.0 * s.scale if sacrum else max(v.transverse_span_mm / 2 + 8, max(v.width_mm) / 2 + 26)
    low = np.array(
        [-wide, -v.depth_mean_mm / 2 - max(v.spinous_mm, 40) - 8, -118 * s.scale if sacrum else -v.height_mm - 6]
    )
    high = np.array([wide, v.depth_mean_mm / 2 + (40 if sacrum else 26), v.height_mm / 2 + 14])
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    world = corners @ v.axes + np.array(v.centre_lps_mm)
    box = canvas.box(world.min(0), world.max(0))
    if box is None:
        return
    local = to_local(canvas.points(box), v.centre_lps_mm, v.axes)
    side, end = _profile(v, local, rng)
    end = end + _fracture(v, local)
    pit = lesions.schmorl_distance(v, local, lesions.stream(seed, "schmorl"))
    if pit is not None:
        end = np.maximum(end, -pit)
    r = np.float32(1.6)  # edges rounded by a quarter circle
    corner = np.hypot(np.maximum(side + r, 0), np.maximum(end + r, 0))
    body = np.asarray(np.minimum(np.maximum(side, end), -r) + corner, np.float32)
    disc: Float32 | None = None
    if sacrum:
        arch, disc = _sacral(v, local, s.scale, lesions.stream(seed, "sacrum-b"))
    else:
        arch = _arch(v, local, rng, lesions.stream(seed, "transverse-b"))
    whole = smooth_min(body, arch, 4.0 if sacrum else 2.0)
    canal = _canal(v, local)
    whole = np.maximum(whole, -(np.maximum(canal, -local[2] - 14) if sacrum else canal))
    for a, b, radius, tip, _ in lesions.osteophytes(v, lesions.stream(seed, "osteophyte")):
        middle, reach = (a + b) / 2, np.abs(b - a) / 2 + [radius, radius, 0.5 * (radius + tip)]
        whole = smooth_min(whole, ellipsoid(local, middle, reach), 2.5)
    interior = _interior(s, v, local, end, rng, index)
    interior = lesions.inside(v, local, interior, end, pit, seed)
    behind = np.clip(body / 3, 0, 1)
    # Arches hold more bone than bodies, a sacrum below its first body less, and discs none.
    denser = np.float32(rng.uniform(40, 220))
    hu = np.asarray(interior + behind * (denser if disc is None else -0.3 * interior), np.float32)
    if disc is not None:
        hu += behind * disc * (90 - hu)
    shell = v.cortex_mm + np.float32(rng.uniform(0.3, 1.1) * cortex_share(v.bmd_k2hpo4)) * behind
    canvas.paint(box, np.asarray(whole, np.float32), np.asarray(hu, np.float32), np.asarray(shell, np.float32), compact)
    canvas.whole[box][whole < 0] = v.verse_id
    mine = (body < 0) & (canal > 0)
    canvas.body[box][mine] = v.verse_id
    canvas.depth_mm[box][mine] = -np.maximum(side, -canal)[mine]
    canvas.end_mm[box][mine] = -end[mine]


def fibres(local: Local, rng: np.random.Generator, count: int = 22) -> Float32:
    """A network of mostly upright fibres about 2 to 4 mm apart, mean 0 and deviation about 1, from random waves."""
    x, y, z = local
    field = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), np.float32)
    for _ in range(count):
        angle, pitch_mm = rng.uniform(0, 2 * np.pi), rng.uniform(2.2, 6.0)
        rise = rng.normal(0, 0.25)
        wave = 2 * np.pi / pitch_mm * np.array([np.cos(angle), np.sin(angle), rise])
        field += np.cos(
            np.float32(wave[0]) * x
            + np.float32(wave[1]) * y
            + np.float32(wave[2]) * z
            + np.float32(rng.uniform(0, 6.28))
        )
    ridge = 1 - np.abs(field) / np.float32(np.sqrt(count / 2))
    return np.asarray((ridge - 0.2) / 0.6, np.float32)


def _profile(v: VertebraShape, local: Local, rng: np.random.Generator) -> tuple[Float32, Float32]:
    """Distances to the side wall, a profile in polar coordinates with a waist, and to the end plates."""
    x, y, z = local
    depth = v.depth_mean_mm
    height = v.back_mm + (v.front_mm - v.back_mm) * np.clip((y + depth / 2) / depth, 0, 1)
    t = np.clip(2 * z / height, -1.1, 1.1)
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    u = (t + 1) / 2
    a = (v.width_mm[1] + (v.width_mm[0] - v.width_mm[1]) * u) / 2
    b = (v.depth_mm[1] + (v.depth_mm[0] - v.depth_mm[1]) * u) / 2
    sharp = rng.uniform(1.4, 2.6)
    narrow = np.maximum(np.cos(np.pi / 2 * np.clip(t, -1, 1)), 0) ** sharp
    a, b = a * (1 - v.waist[0] * narrow), b * (1 - v.waist[1] * narrow)
    reach = 1 / np.sqrt((np.cos(angle) / a) ** 2 + (np.sin(angle) / b) ** 2)
    kidney = rng.uniform(0.06, 0.16) * np.exp(-(((angle + np.pi / 2) / rng.uniform(0.35, 0.6)) ** 2))
    corners = rng.uniform(0.03, 0.09) * np.exp(-(((np.abs(angle + np.pi / 2) - 0.85) / 0.4) ** 2))
    ripple = sum(rng.normal(0, 0.012) * np.cos(n * angle + rng.uniform(0, 6)) for n in (3, 4, 5))
    reach = reach * (1 - kidney + corners + ripple)
    side = (radius - reach) * 0.96
    rim = 0.7 * np.exp(-(((radius / reach - 0.9) / 0.1) ** 2))
    dish = np.exp(-((x / (0.3 * v.width_mm[0])) ** 2 + ((y + 3) / (0.3 * depth)) ** 2))
    humps = sum(np.exp(-(((x - s * 9) / 8) ** 2 + ((y + 7) / 8) ** 2)) for s in (-1, 1))
    sag = v.findings.fracture_middle * v.height_mm
    upper = z - height / 2 - rim + (0.7 * v.concavity_mm + 0.7 * sag) * dish
    lower = -z - height / 2 - rim + (0.7 * v.concavity_mm + 0.3 * sag) * humps
    return side.astype(np.float32), np.maximum(upper, lower).astype(np.float32)


def _fracture(v: VertebraShape, local: Local) -> Float32 | float:
    """A slanting break line in the front of the upper end plate."""
    f = v.findings
    if not (f.fracture_anterior or f.fracture_middle):
        return 0.0
    slant = np.clip((local[1] - 0.15 * v.depth_mean_mm) / 3.0, 0, 1) * (local[2] > 0)
    return np.asarray(1.8 * slant, np.float32)


def _canal(v: VertebraShape, local: Local) -> Float32:
    """The canal: round in front and pointed behind, a triangle with round corners."""
    a, b = v.canal_mm[0] / 2, v.canal_mm[1] / 2
    y = (local[1] + v.depth_mean_mm / 2 + b - 1.8) / b  # 1 in front, -1 behind
    half = a * np.clip(1.05 - 0.45 * np.maximum(-y, 0), 0.2, 2)
    return np.asarray((np.hypot(local[0] / half, y) - 1) * min(a, b), np.float32)


def ellipsoid(local: Local, centre: Float64, radii: Float64) -> Float32:
    """Approximate signed distance to an ellipsoid."""
    norm = np.sqrt(
        sum(((p - np.float32(c)) / np.float32(r)) ** 2 for p, c, r in zip(local, centre, radii, strict=True))
    )
    return np.asarray((norm - 1) * np.float32(np.min(radii)), np.float32)


def cuboid(local: Local, centre: Float64, half: Float64, turn: Float64, r: float = 1.5) -> Float32:
    """Signed distance to a box with edges rounded by ``r``; rows of ``turn`` are its axes."""
    at = [p - np.float32(c) for p, c in zip(local, centre, strict=True)]
    q = [np.abs(sum(np.float32(turn[i, j]) * at[j] for j in range(3))) - np.float32(half[i] - r) for i in range(3)]
    outside = np.sqrt(sum(np.maximum(p, 0) ** 2 for p in q))
    return np.asarray(outside + np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0) - np.float32(r), np.float32)


def _turned(direction: Float64) -> Float64:
    """Axes of which the first points along a direction and the last stays as upright as it can."""
    first = direction / np.linalg.norm(direction)
    last = np.array([0, 0, 1.0]) - first * first[2]
    last /= np.linalg.norm(last)
    return np.stack([first, np.cross(last, first), last])


def _beam(local: Local, a: Float64, b: Float64, thick: float, tall: float) -> Float32:
    """A rounded beam from ``a`` to ``b``."""
    length = float(np.linalg.norm(b - a))
    return cuboid(local, (a + b) / 2, np.array([length / 2 + 1.5, thick, tall]), _turned(b - a), min(thick, 2.2))


def _arch(v: VertebraShape, local: Local, rng: np.random.Generator, own: np.random.Generator) -> Float32:
    """Pedicles and laminae of boxes, joints and processes of ellipsoids."""
    back, h = -v.depth_mean_mm / 2, v.height_mm
    wide, deep = v.canal_mm
    pw, ph = v.pedicle_mm[0] / 2, v.pedicle_mm[1] / 2
    lumbar = v.name[0] == "L"
    roof = np.array([0.0, back - deep - 1.0, -0.12 * h])
    pieces = []
    for s in (-1, 1):
        x = s * (wide / 2 + pw)
        near = np.array([x, back + 4, 0.2 * h])
        far = np.array([x * 1.03, back - 0.5 * deep, 0.17 * h])
        pieces.append(_beam(local, near, far, pw, ph))
        pieces.append(_beam(local, far, roof + [s * 1.5, -1.5, 0], 3.3, 0.33 * h))
        root, thick, tall = far, 4.0, 4.5
        tip = np.array([s * v.transverse_span_mm / 2, back - deep * 1.5, rng.uniform(0.05, 0.35) * h])
        if lumbar:
            root, tip, thick, tall = _costal_process(v, far, s, own)
        arm = (root + tip) / 2
        turn = _turned(tip - root)
        placed = to_local(local, (float(arm[0]), float(arm[1]), float(arm[2])), turn)
        half = float(np.linalg.norm(tip - root)) / 2 + 2
        pieces.append(ellipsoid(placed, np.zeros(3), np.array([half, thick, tall])))
        pieces.append(ellipsoid(local, far + [s * 1.5, -3, 0.36 * h], np.array([5.0, 5.5, 8.0])))
        pieces.append(ellipsoid(local, np.array([0.8 * x, back - deep - 1.5, -0.45 * h]), np.array([5.5, 5.0, 9.0])))
    end = np.array([0, back - v.spinous_mm, roof[2] - (6.0 if lumbar else 16.0)])
    pieces.append(_beam(local, roof, end, 2.6, (0.38 if lumbar else 0.22) * h))
    pieces.append(ellipsoid(local, end, np.array([4.2, 5.0, (0.45 if lumbar else 0.25) * h])))
    distance = pieces[0]
    for piece in pieces[1:]:
        distance = smooth_min(distance, piece, 1.8)
    return distance


def _costal_process(
    v: VertebraShape, pedicle: Float64, side: int, rng: np.random.Generator
) -> tuple[Float64, Float64, float, float]:
    """Root, tip, half thickness and half height of a lumbar transverse process: a thin leaf that slants backwards.

    L5's is the thickest, L1's often short (Li 2003, as in family a).
    """
    reach = v.transverse_span_mm / 2 * rng.triangular(0.75 if v.name == "L1" else 0.9, 1.0, 1.05)
    root = pedicle + [0.0, -rng.uniform(0.05, 0.2) * v.canal_mm[1], rng.uniform(-0.06, 0.04) * v.height_mm]
    length = max(reach - abs(root[0]), 5.0)
    up = rng.normal(0.1 if v.name in ("L4", "L5", "L6") else 0.0, 0.1)
    tip = root + np.array([side * length, -length * rng.triangular(0.1, 0.35, 0.7), length * up])
    thick = rng.triangular(2.2, 2.8, 3.6) * (1.9 if v.name in ("L5", "L6") else 1.0)
    return root, tip, float(thick), float(rng.uniform(3.8, 5.2))


def _sacral(v: VertebraShape, local: Local, k: float, rng: np.random.Generator) -> tuple[Float32, Float32]:
    """Signed distance to five blocks, each smaller than the one above and turned further to the front, with ridges
    behind; and how much of a disc is left at each place, 0 to 1.
    """
    distance: Float32 | None = None
    left = np.zeros(local[0].shape, np.float32)
    y, z, bend, pitch = -6.0 * k, 0.0, float(np.radians(rng.uniform(-4, 10))), 20.5 * k
    turn_by, shown = np.radians(rng.uniform(10, 21)), rng.uniform(0.3, 1.0)
    for half, deep in ((54, 17), (52, 15), (43, 12), (31, 9), (18, 6)):
        axes = np.array([[1, 0, 0], [0, np.cos(bend), np.sin(bend)], [0, -np.sin(bend), np.cos(bend)]])
        x, front, up = own = to_local(local, (0.0, y, z), axes)
        block = cuboid(own, np.zeros(3), np.array([half * k, deep * k, 0.8 * pitch]), np.eye(3), 0.8 * deep * k)
        ridge = ellipsoid(own, np.array([0.0, -deep - 3, 0.0]) * k, np.array([4, 7, 8]) * k)
        block = np.minimum(block, ridge)
        if distance is not None:
            rest = np.maximum(np.hypot(x / (13 * k), (front - 0.3 * deep * k) / (0.6 * deep * k)) - 1, 0)
            gap = (up - 0.5 * pitch) / (rng.uniform(0.8, 2.2) * k)
            left = np.maximum(left, np.float32(shown) * np.exp(-(gap**2) - 4 * rest))
            shown *= rng.uniform(0.5, 0.95)
        distance = block if distance is None else smooth_min(distance, block, 9.0)
        y, z = y - pitch * np.sin(bend), z - pitch * np.cos(bend)
        bend -= turn_by
    assert distance is not None
    return distance, np.asarray(left, np.float32)


def _interior(
    s: Subject, v: VertebraShape, local: Local, end: Float32, rng: np.random.Generator, index: int
) -> Float32:
    """Trabecular HU: fibres, denser towards the end plates and behind, thinner round the basivertebral vein."""
    bmd_ha = bmd_ha_from_qct(v.bmd_k2hpo4, s.yellow_marrow)
    spongy = trabecular_hu(bmd_ha, s.yellow_marrow, REFERENCE_KVP)
    mineral = bmd_ha * TABLE[REFERENCE_KVP].bone_slope_ha
    x, y, z = local
    factor = 0.96 + 0.17 * fibres(local, rng) + 0.3 * np.exp(np.minimum(end, 0) / 3)
    factor = factor * (1 - 0.1 * y / v.depth_mean_mm)
    vein = np.hypot(z / 3.0, np.minimum(np.abs(x + y + v.depth_mean_mm / 2), np.abs(x - y - v.depth_mean_mm / 2)) / 2.5)
    depth = (y + v.depth_mean_mm / 2) / rng.uniform(9, 16)  # a Y that opens to the front
    factor = factor * (1 - rng.uniform(0.25, 0.55) * np.exp(-(vein**2)) * np.clip(1 - depth, 0, 1))
    factor = factor * lesions.fracture_density(v, lesions.stream((s.seed, index), "fracture-density"))
    return np.asarray(spongy - mineral + mineral * factor, np.float32)
