"""Draws one vertebra and keeps the distances that its truth is cut from."""

from dataclasses import dataclass

import numpy as np

from trabecula.virtual import lesions
from trabecula.virtual.attenuation import REFERENCE_KVP, TABLE, bmd_ha_from_qct, trabecular_hu
from trabecula.virtual.canvas import Box, Canvas, Local, segment_distance, smooth_max, smooth_min, to_local
from trabecula.virtual.subject import Subject, VertebraShape
from trabecula.volume import Float32, Float64

Capsule = tuple[Float64, Float64, float, float, tuple[float, float, float]]
"""From, to, radius at each end, stretch along the vertebra's axes."""


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
    """Draws a vertebra with its findings. What ``seed``, the person's and its place in the spine, says it is, it is
    on every grid."""
    rng = np.random.default_rng([seed[0], 4, seed[1]])
    parts = _posterior_parts(v, rng)
    back = _frame(
        canvas,
        v,
        (-v.transverse_span_mm / 2 - 9, -v.depth_mean_mm / 2 - v.spinous_mm - 8, -v.height_mm - 8),
        (v.transverse_span_mm / 2 + 9, -v.depth_mean_mm / 2 + (20 if any(v.ala_mm) else 6), v.height_mm / 2 + 14),
    )
    if back is not None:
        box, local = back
        distance = segment_distance(local, *parts[0])
        for part in parts[1:]:
            distance = smooth_min(distance, segment_distance(local, *part), 2.5)
        distance = np.maximum(distance, -_canal(local, v))
        # A stream of its own: whether the arch is in view must not change the body.
        distance += 0.5 * canvas.smooth_noise(box, rng.spawn(1)[0], 14)
        canvas.paint(box, distance, bone.spongy + 80, 1.0 + v.cortex_mm, bone.compact)
        canvas.whole[box][distance < 0] = v.verse_id
    reach = 14 + v.findings.osteophyte_mm
    width, depth = max(v.width_mm) / 2, max(v.depth_mm) / 2
    front = _frame(
        canvas,
        v,
        (-width - reach, -depth - 3, -v.height_mm / 2 - 14),
        (width + reach, depth + reach, v.height_mm / 2 + 14),
    )
    if front is not None:
        _draw_body(canvas, v, bone, front, parts[:2], rng, seed)


def _frame(
    canvas: Canvas, v: VertebraShape, low: tuple[float, ...], high: tuple[float, ...]
) -> tuple[Box, Local] | None:
    """The voxels between two corners of a vertebra's own frame (left, anterior, up; mm from the body's centre)."""
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    world = corners @ v.axes + np.array(v.centre_lps_mm)
    box = canvas.box(world.min(0), world.max(0))
    return None if box is None else (box, to_local(canvas.points(box), v.centre_lps_mm, v.axes))


def _draw_body(
    canvas: Canvas,
    v: VertebraShape,
    bone: VertebraBone,
    frame: tuple[Box, Local],
    pedicles: list[Capsule],
    rng: np.random.Generator,
    seed: tuple[int, int],
) -> None:
    box, local = frame
    side, end, relative_z = _body_distances(v, local, lesions.stream(seed, "fracture"))
    warp = np.float32(rng.uniform(0.3, 0.9)) * canvas.smooth_noise(box, rng, 14)
    side, end = side + warp, end + 0.6 * warp
    pit = lesions.schmorl_distance(v, local, lesions.stream(seed, "schmorl"))
    if pit is not None:
        end = np.maximum(end, -pit)
    body = smooth_max(side, end, v.rounding_mm)
    whole = body
    for pedicle in pedicles:
        whole = smooth_min(whole, segment_distance(local, *pedicle), 2.0)
    whole = np.maximum(whole, -_canal(local, v))
    for lip in lesions.osteophytes(v, lesions.stream(seed, "osteophyte")):
        whole = smooth_min(whole, segment_distance(local, *lip), 2.0)

    factor = 1 + 0.14 * canvas.smooth_noise(box, rng, 3.0) + 0.06 * canvas.smooth_noise(box, rng, 9.0)
    factor *= 1 + 0.22 * np.clip(np.abs(relative_z), 0, 1) ** 3
    x, y, z = local
    # Where the basivertebral vein leaves, behind and in the middle, there is less bone.
    cleft = (x / rng.uniform(4, 7)) ** 2 + ((y + v.depth_mean_mm / 2) / rng.uniform(6, 11)) ** 2
    cleft = cleft + (z / rng.uniform(2.5, 4.5)) ** 2
    factor *= 1 - rng.uniform(0.2, 0.6) * np.clip(1.5 - cleft, 0, 1)
    factor *= lesions.fracture_density(v, lesions.stream(seed, "fracture-density"))
    interior = np.float32(bone.spongy - bone.mineral) + np.float32(bone.mineral) * factor.astype(np.float32)
    interior = lesions.inside(v, local, interior, end, pit, seed)
    canvas.paint(box, whole, interior, v.cortex_mm, bone.compact)
    canvas.whole[box][whole < 0] = v.verse_id

    mine = body < 0
    canvas.body[box][mine] = v.verse_id
    canvas.depth_mm[box][mine] = -np.maximum(side, -_canal(local, v))[mine]
    canvas.end_mm[box][mine] = -end[mine]


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
    xa, ya = np.abs(x / a), np.abs(y / b)
    pa, pb = xa**1.2, ya**1.2  # superellipse of exponent 2.2, distance to first order
    norm = np.maximum(xa * pa + ya * pb, 1e-4) ** (1 / 2.2)
    slope = np.maximum(norm, 0.2) ** -1.2 * np.sqrt((pa / a) ** 2 + (pb / b) ** 2)
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


def _canal(local: Local, v: VertebraShape) -> Float32:
    """Signed distance to the vertebral canal, a cylinder along the body's axis."""
    a, b = v.canal_mm[0] / 2, v.canal_mm[1] / 2
    y = local[1] + v.depth_mean_mm / 2 + b - 1.5
    norm = np.sqrt((local[0] / a) ** 2 + (y / b) ** 2)
    return np.asarray((norm - 1) * min(a, b), np.float32)


def _posterior_parts(v: VertebraShape, rng: np.random.Generator) -> list[Capsule]:
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
        mass = v.ala_mm[s > 0]
        if mass:  # down to the ala of the sacrum
            root = np.array([s * (lateral + 4), back + 3, 0.0])
            parts.append((root, np.array([s * (span - 0.8 * mass), back + 4, -0.45 * h]), 0.8 * mass, mass, one))
    spine_end = np.array([0, back - v.spinous_mm + 4, -0.15 * h - drop])
    parts.append((np.array([0, arch - 4.0, -0.08 * h]), spine_end, 3.4, 4.2, (0.9, 1.0, 2.5 if lumbar else 1.5)))
    return parts
