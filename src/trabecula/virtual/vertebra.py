"""Draws one vertebra and keeps the distances that its truth is cut from."""

from dataclasses import dataclass

import numpy as np

from trabecula.virtual import lesions
from trabecula.virtual.attenuation import REFERENCE_KVP, TABLE, bmd_ha_from_qct, trabecular_hu
from trabecula.virtual.canvas import Box, Canvas, Local, segment_distance, smooth_max, smooth_min, to_local
from trabecula.virtual.subject import Subject, VertebraShape, cortex_share
from trabecula.volume import Float32, Float64

Capsule = tuple[Float64, Float64, float, float, tuple[float, float, float]]
"""From, to, radius at each end, stretch along the vertebra's axes."""


NEAR_MM, FAR_MM = 9.0, 99.0
"""Distances are worked out as far from a shape as the first; beyond it the second stands for them."""


@dataclass(frozen=True)
class VertebraBone:
    """HU at 120 kVp: trabecular bone with its marrow, the mineral's share of it, compact bone."""

    spongy: float
    mineral: float
    compact: float

    @staticmethod
    def of(subject: Subject, vertebra: VertebraShape, compact: float) -> "VertebraBone":
        bmd_ha = bmd_ha_from_qct(vertebra.bmd_k2hpo4, subject.yellow_marrow)
        spongy = trabecular_hu(bmd_ha, subject.yellow_marrow, REFERENCE_KVP)
        return VertebraBone(spongy, bmd_ha * TABLE[REFERENCE_KVP].bone_slope_ha, compact)


def draw_vertebra(canvas: Canvas, v: VertebraShape, bone: VertebraBone, seed: tuple[int, int]) -> None:
    """Draws a vertebra with its findings.

    ``seed`` is the person's and its place in the spine: what they say it is, it is on every grid.
    """
    rng = np.random.default_rng([seed[0], 4, seed[1]])
    parts = _posterior_parts(v, rng, lesions.stream(seed, "transverse"))
    reach = 14 + v.findings.osteophyte_mm
    width = max(v.transverse_span_mm / 2 + 9, max(v.width_mm) / 2 + reach)
    frame = local_frame(
        canvas,
        v,
        (-width, -v.depth_mean_mm / 2 - v.spinous_mm - 8, -v.height_mm - 8),
        (width, max(v.depth_mm) / 2 + reach, v.height_mm / 2 + 14),
    )
    if frame is None:
        return
    box, local = frame
    # A stream of its own: whether the body is in view must not change the arch.
    behind_rng = rng.spawn(1)[0]
    body = draw_body(canvas, v, bone, frame, rng, seed)
    solid = union(canvas, v, frame, parts.facets)
    arch = smooth_min(union(canvas, v, frame, parts.arch), solid, 2.0) + 0.5 * canvas.smooth_noise(box, behind_rng, 14)
    whole = smooth_min(body.distance, arch, 3.0)
    whole = np.maximum(whole, -canal_distance(local, v))
    for lip in lesions.osteophytes(v, lesions.stream(seed, "osteophyte")):
        whole = smooth_min(whole, segment_distance(local, *lip), 2.0)
    # Behind the body bone is denser and its cortex thicker; joints are solid.
    behind = np.clip(body.distance / 4, 0, 1)
    spongy = bone.spongy + 60 + np.float32(behind_rng.uniform(200, 500)) * np.clip(0.5 - solid / 2, 0, 1)
    hu = body.hu + behind * (spongy - body.hu)
    shell_mm = v.cortex_mm + np.float32(behind_rng.uniform(0.4, 0.9) * cortex_share(v.bmd_k2hpo4)) * behind
    canvas.paint(box, whole, np.asarray(hu, np.float32), np.asarray(shell_mm, np.float32), bone.compact)
    canvas.whole[box][whole < 0] = v.verse_id
    body.label(canvas, v, box)


def union(canvas: Canvas, v: VertebraShape, frame: tuple[Box, Local], capsules: list[Capsule]) -> Float32:
    """Signed distance to capsules that run into one another; right as far as ``NEAR_MM`` from each."""
    box, local = frame
    distance = np.full(local[0].shape, FAR_MM, np.float32)
    for a, b, radius_a, radius_b, flatten in capsules:
        ends = np.stack([a, b]) @ v.axes + v.centre_lps_mm
        reach = max(radius_a, radius_b) * max(flatten) + NEAR_MM
        part = _within(box, canvas.box(ends.min(axis=0) - reach, ends.max(axis=0) + reach))
        if part is not None:
            piece = segment_distance(_cut(local, part), a, b, radius_a, radius_b, flatten)
            distance[part] = smooth_min(distance[part], piece, 2.5)
    return distance


def _within(box: Box, other: Box | None) -> Box | None:
    """Where a box lies within another, counted from the corner of the first."""
    if other is None:
        return None
    starts = [max(a.start, b.start) - a.start for a, b in zip(box, other, strict=True)]
    stops = [min(a.stop, b.stop) - a.start for a, b in zip(box, other, strict=True)]
    if any(start >= stop for start, stop in zip(starts, stops, strict=True)):
        return None
    z, y, x = (slice(start, stop) for start, stop in zip(starts, stops, strict=True))
    return z, y, x


def _cut(local: Local, part: Box) -> Local:
    x, y, z = (p[part] for p in local)
    return x, y, z


def local_frame(
    canvas: Canvas, v: VertebraShape, low: tuple[float, ...], high: tuple[float, ...]
) -> tuple[Box, Local] | None:
    """The voxels between two corners of a vertebra's own frame (left, anterior, up; mm from the body's centre)."""
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    world = corners @ v.axes + np.array(v.centre_lps_mm)
    box = canvas.box(world.min(0), world.max(0))
    return None if box is None else (box, to_local(canvas.points(box), v.centre_lps_mm, v.axes))


@dataclass(frozen=True)
class Body:
    """A vertebral body on a box: what truth is cut from, and the HU within."""

    distance: Float32
    depth: Float32
    end: Float32
    hu: Float32

    def label(self, canvas: Canvas, v: VertebraShape, box: Box) -> None:
        """Writes the body and its distances as truth."""
        mine = self.distance < 0
        canvas.body[box][mine] = v.verse_id
        canvas.depth_mm[box][mine] = -self.depth[mine]
        canvas.end_mm[box][mine] = -self.end[mine]


def draw_body(
    canvas: Canvas,
    v: VertebraShape,
    bone: VertebraBone,
    frame: tuple[Box, Local],
    rng: np.random.Generator,
    seed: tuple[int, int],
) -> Body:
    """The body of a vertebra with the findings in it, not yet painted; beyond ``NEAR_MM`` of it, far off."""
    whole, everywhere = frame
    width, depth = max(v.width_mm) / 2 + NEAR_MM, max(v.depth_mm) / 2 + NEAR_MM
    height = v.height_mm / 2 + NEAR_MM
    inner = local_frame(canvas, v, (-width, -depth, -height), (width, depth, height))
    part = None if inner is None else _within(whole, inner[0])
    shape = everywhere[0].shape
    far = [np.full(shape, FAR_MM, np.float32) for _ in range(3)]
    body = Body(far[0], far[1], far[2], np.full(shape, bone.spongy, np.float32))
    if part is not None:
        z, y, x = (slice(w.start + p.start, w.start + p.stop) for w, p in zip(whole, part, strict=True))
        near = _near_body(canvas, v, bone, (z, y, x), _cut(everywhere, part), rng, seed)
        body.distance[part], body.depth[part], body.end[part] = near.distance, near.depth, near.end
        body.hu[part] = near.hu
    return body


def _near_body(
    canvas: Canvas,
    v: VertebraShape,
    bone: VertebraBone,
    box: Box,
    local: Local,
    rng: np.random.Generator,
    seed: tuple[int, int],
) -> Body:
    side, end, relative_z = _body_distances(v, local, lesions.stream(seed, "fracture"))
    warp = np.float32(rng.uniform(0.3, 0.9)) * canvas.smooth_noise(box, rng, 14)
    depth = np.maximum(side + warp, -canal_distance(local, v))
    end = end + 0.6 * warp
    pit = lesions.schmorl_distance(v, local, lesions.stream(seed, "schmorl"))
    if pit is not None:
        end = np.maximum(end, -pit)
    body = smooth_max(depth, end, v.rounding_mm)

    # Struts stand upright: what is seen is finer across the body than along it.
    factor = 1 + 0.14 * canvas.smooth_noise(box, rng, (4.0, 2.4, 2.4)) + 0.06 * canvas.smooth_noise(box, rng, 9.0)
    factor *= 1 + 0.22 * np.clip(np.abs(relative_z), 0, 1) ** 3
    x, y, z = local
    # Where the basivertebral vein leaves, behind and in the middle, there is less bone.
    cleft = (x / rng.uniform(4, 7)) ** 2 + ((y + v.depth_mean_mm / 2) / rng.uniform(6, 11)) ** 2
    cleft = cleft + (z / rng.uniform(2.5, 4.5)) ** 2
    factor *= 1 - rng.uniform(0.2, 0.6) * np.clip(1.5 - cleft, 0, 1)
    factor *= lesions.fracture_density(v, lesions.stream(seed, "fracture-density"))
    interior = np.float32(bone.spongy - bone.mineral) + np.float32(bone.mineral) * factor.astype(np.float32)
    return Body(body, depth, end, lesions.inside(v, local, interior, end, pit, seed))


def _body_distances(v: VertebraShape, local: Local, rng: np.random.Generator) -> tuple[Float32, Float32, Float32]:
    """Signed distances to the side wall and to the end plates, and the height relative to the half height."""
    x, y, z = local
    depth, f = v.depth_mean_mm, v.findings
    height = v.back_mm + (v.front_mm - v.back_mm) * np.clip((y + depth / 2) / depth, -0.1, 1.1)
    t = np.clip(2 * z / height, -1.2, 1.2)
    waist = np.maximum(1 - t * t, 0)
    u = (t + 1) / 2
    a = 0.5 * (v.width_mm[1] + (v.width_mm[0] - v.width_mm[1]) * u) * (1 - v.waist[0] * waist)
    b = 0.5 * (v.depth_mm[1] + (v.depth_mm[0] - v.depth_mm[1]) * u) * (1 - v.waist[1] * waist)
    # A superellipse, round in front and squarer behind; distance to first order.
    n = np.where(y > 0, np.float32(2.2), np.float32(v.back_power))
    xa, ya = np.maximum(np.abs(x / a), 1e-4), np.maximum(np.abs(y / b), 1e-4)
    pa, pb = xa ** (n - 1), ya ** (n - 1)
    norm = np.maximum(xa * pa + ya * pb, 1e-4) ** (1 / n)
    slope = np.maximum(norm, 0.2) ** (1 - n) * np.sqrt((pa / a) ** 2 + (pb / b) ** 2)
    side = np.where(norm > 0.3, (norm - 1) / np.maximum(slope, 1e-3), -(1 - norm) * np.minimum(a, b))
    dish = np.maximum(1 - (x / (0.8 * a)) ** 2 - ((y + 2) / (0.8 * b)) ** 2, 0)
    upper = z - height / 2 + v.concavity_mm * dish
    lower = -z - height / 2 + v.concavity_mm * dish
    # The upper end plate sinks more often than the lower, and breaks along a step.
    share = rng.choice([0.5, 0.85, 0.15], p=[0.4, 0.45, 0.15])
    step_mm, where_mm = rng.uniform(0.8, 3.0), rng.uniform(0.05, 0.3) * depth
    if f.fracture_anterior or f.fracture_middle:
        upper = upper + share * f.fracture_middle * v.height_mm * dish
        lower = lower + (1 - share) * f.fracture_middle * v.height_mm * dish
        ledge = step_mm / (1 + np.exp(-(y - where_mm) / 0.8))
        upper, lower = (upper + ledge, lower) if share >= 0.5 else (upper, lower + ledge)
        # What is pressed out of the height bulges in front.
        bulge = np.clip(y / b, 0, 1) * (f.fracture_anterior + f.fracture_middle) * 4.0
        side = side - bulge * np.maximum(np.abs(t) - 0.3, 0)
    end = np.maximum(upper, lower)
    return side.astype(np.float32), end.astype(np.float32), t.astype(np.float32)


def canal_distance(local: Local, v: VertebraShape) -> Float32:
    """Signed distance to the vertebral canal, a cylinder along the body's axis that hollows its back wall a little."""
    a, b = v.canal_mm[0] / 2, v.canal_mm[1] / 2
    y = local[1] + v.depth_mean_mm / 2 + b - v.hollow_mm
    norm = np.sqrt((local[0] / a) ** 2 + (y / b) ** 2)
    return np.asarray((norm - 1) * min(a, b), np.float32)


def spinous_drop_mm(v: VertebraShape, rng: np.random.Generator) -> float:
    """How far the tip of a spinous process lies below its root.

    From T5 to T8 they lie like tiles over the body below; those of the neck, of T1 and of T12 are nearly level, as
    every textbook of anatomy has it, and lumbar ones are level.
    """
    if v.name.startswith("L"):
        return float(rng.uniform(3, 8))
    if v.name.startswith("C"):
        return float(rng.uniform(4, 10))
    usual = float(np.interp(int(v.name[1:]), (1, 3, 5, 8, 10, 11, 12), (13, 20, 30, 34, 24, 15, 8)))
    return usual * float(rng.uniform(0.85, 1.15))


def costal_process(
    v: VertebraShape, side: int, from_mm: float, rng: np.random.Generator
) -> tuple[Float64, Float64, float]:
    """A lumbar transverse process in the vertebra's frame: its root, its tip, and half its thickness at the root.

    Slender to L4 and twice as thick in L5, thinner to the tip, all slant backwards, L1 to L3 level and L4 and L5 a
    little upwards; that of L1 is the shortest and varies most (Li 2003, doi 10.3969/j.issn.2095-252x.2003.02.008;
    Suck 1975, J Korean Neurosurg Soc 4:227).
    """
    size = v.height_mm / 28
    low = v.name in ("L5", "L6")
    reach = v.transverse_span_mm / 2 * float(rng.uniform(0.8, 1.04) if v.name == "L1" else rng.uniform(0.92, 1.04))
    back, deep = -v.depth_mean_mm / 2, v.canal_mm[1]
    slant = np.tan(np.radians(rng.uniform(8, 34)))
    rise = rng.uniform(-0.06, 0.1) if v.name in ("L1", "L2", "L3") else rng.uniform(0.0, 0.2)
    thick = float(rng.uniform(2.5, 3.5) * (1.8 if low else 1.0) * size)
    root = np.array([side * from_mm, back - rng.uniform(0.55, 0.75) * deep, rng.uniform(0.1, 0.2) * v.height_mm])
    length = max(reach - 0.65 * thick - from_mm, 4.0)
    return root, root + np.array([side * length, -slant * length, rise * v.height_mm]), thick


@dataclass(frozen=True)
class Posterior:
    """The capsules of everything behind a body, in its frame."""

    arch: list[Capsule]  # pedicles, laminae, processes
    facets: list[Capsule]


def _posterior_parts(v: VertebraShape, rng: np.random.Generator, own: np.random.Generator) -> Posterior:
    back = -v.depth_mean_mm / 2
    wide, deep = v.canal_mm
    arch_y = back - deep + v.hollow_mm
    h, pw = v.height_mm, v.pedicle_mm[0] / 2
    tall = v.pedicle_mm[1] / v.pedicle_mm[0]
    lumbar = v.name.startswith("L")
    lateral = wide / 2 + 0.9 * pw
    one = (1.0, 1.0, 1.0)
    drop = spinous_drop_mm(v, rng if lumbar else own)
    tip, hang, _ = rng.uniform(2.4, 3.8), rng.uniform(-0.14, 0.03), rng.uniform(0.1, 0.3)
    blade = rng.uniform(2.2, 2.9) if lumbar else 2.3
    parts, facets = [], []
    for s in (-1, 1):
        root = np.array([s * lateral, back + 6, 0.18 * h])
        parts.append((root, np.array([s * lateral, back - 0.55 * deep, 0.15 * h]), pw, 0.95 * pw, (1.0, 1.0, tall)))
        # The lamina goes from the pedicle round the canal to the root of the spinous process.
        bend = np.array([s * 0.72 * (wide / 2 + 3.5), arch_y + 0.12 * deep, (0.02 + hang) * h])
        pars = np.array([s * (wide / 2 + 3), back - 0.6 * deep, 0.12 * h])
        parts.append((pars, bend, 4.6, 4.0, (1.0, 0.9, 1.8)))
        parts.append((bend, np.array([0, arch_y - 3.5, (-0.14 + hang) * h]), 4.0, 3.8, (1.0, 0.9, 1.9)))
        up = np.array([s * (lateral + 1.5), back - 0.75 * deep, 0.25 * h])
        facets.append((up, up + [s * 1.5, -1.5, 0.36 * h], 4.8, 4.4, (0.9, 1.0, 1.0)))
        low = np.array([s * 0.85 * lateral, arch_y - 0.5, (-0.2 + hang) * h])
        facets.append((low, low + [s * 0.5, -0.5, -0.34 * h], 4.8, 4.6, one))
        span = v.transverse_span_mm / 2
        start = np.array([s * (lateral + 1), back - 0.55 * deep, 0.16 * h])
        if lumbar:
            start, end, half = costal_process(v, s, lateral + 1, own)
            parts.append((start, end, half, 0.65 * half, (1.0, 0.8, own.uniform(1.3, 1.8))))
        else:
            parts.append((start, np.array([s * (span - tip), arch_y - 9.0, 0.25 * h]), 4.4, tip, (1.0, 0.8, 1.0)))
        mass = v.ala_mm[s > 0]
        if mass:  # down to the ala of the sacrum
            root = np.array([s * (lateral + 4), back + 3, 0.0])
            low = np.array([s * (span - 0.8 * mass), back + 4, -0.45 * v.ala_reach[s > 0] * h])
            parts.append((root, low, 0.8 * mass, mass, one))
    spine_end = np.array([0, back - v.spinous_mm + 4, -0.15 * h - drop])
    root_mm, tip_mm = (3.6, 4.4) if lumbar else (2.9, 2.7)
    parts.append((np.array([0, arch_y - 3.5, -0.12 * h]), spine_end, root_mm, tip_mm, (0.9, 1.0, blade)))
    return Posterior(parts, facets)
