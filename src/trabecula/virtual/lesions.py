"""Draws findings in and about the vertebrae: nodes, lips, bridges, sclerosis, lesions, cement and metal.

Each takes its random numbers from a stream of its own, so that a finding changes nothing but itself and is the same
on every grid. HU are those of 120 kVp.
"""

from itertools import pairwise
from zlib import crc32

import numpy as np

from trabecula.virtual.canvas import Canvas, Local
from trabecula.virtual.subject import Subject, VertebraShape
from trabecula.volume import Float32, Float64

METAL_HU = 3071.0
"""The top of a 12-bit scale, where titanium and steel end in most scanners."""

Lip = tuple[Float64, Float64, float, float, tuple[float, float, float]]


def stream(seed: tuple[int, int], kind: str) -> np.random.Generator:
    """The random numbers of one kind of finding in one vertebra (person's seed, place in the spine)."""
    return np.random.default_rng([seed[0], 12, seed[1], crc32(kind.encode())])


def fracture_density(v: VertebraShape, rng: np.random.Generator) -> float:
    """By how much broken trabeculae are packed denser: 20 to 60%."""
    broken = v.findings.fracture_anterior or v.findings.fracture_middle
    return float(rng.uniform(1.2, 1.6)) if broken else 1.0


def schmorl_distance(v: VertebraShape, local: Local, rng: np.random.Generator) -> Float32 | None:
    """Signed distance to a pit in an end plate, as wide as it is deep and smooth."""
    size = v.findings.schmorl_mm
    if not size:
        return None
    z = (1 if v.findings.schmorl_upper else -1) * (v.front_mm + v.back_mm) / 4
    centre = (rng.uniform(-0.25, 0.25) * v.width_mm[0], rng.uniform(-0.3, 0.2) * v.depth_mm[0], z)
    wide = rng.uniform(1.0, 1.6)
    x, y, up = (p - np.float32(c) for p, c in zip(local, centre, strict=True))
    gap = np.sqrt((x / wide) ** 2 + (y / wide) ** 2 + up**2)
    return np.asarray(gap - size * 0.8, np.float32)


def osteophytes(v: VertebraShape, rng: np.random.Generator) -> list[Lip]:
    """Lips of bone at the rims, as capsules in the vertebra's frame."""
    size = v.findings.osteophyte_mm
    if not size:
        return []
    lips = []
    for _ in range(int(rng.integers(1, 6))):
        up = rng.choice([-1, 1])
        angle = rng.uniform(-0.25, 1.25) * np.pi  # front and sides, seldom behind
        height = v.front_mm if np.sin(angle) > 0 else v.back_mm
        rim = np.array([np.cos(angle) * v.width_mm[0] / 2, np.sin(angle) * v.depth_mm[0] / 2, up * (height / 2 - 2)])
        out = rim * [1 + size / 40, 1 + size / 40, 1] + [0, 0, up * rng.uniform(0, 0.9) * size]
        lips.append((rim * [0.95, 0.95, 1], out, float(rng.uniform(1.5, 3.5)), 1.2, (1.2, 1.0, 1.0)))
    return lips


def inside(
    v: VertebraShape, local: Local, interior: Float32, end: Float32, pit: Float32 | None, seed: tuple[int, int]
) -> Float32:
    """The HU inside a body with what is in it; ``end`` and ``pit`` are distances to end plates and to a node."""
    f = v.findings
    for thick, half, kind in (
        (f.sclerosis_upper_mm, local[2] > 0, "sclerosis-upper"),
        (f.sclerosis_lower_mm, local[2] < 0, "sclerosis-lower"),
    ):
        if thick:
            rng = stream(seed, kind)
            at = rng.uniform(-0.25, 0.25) * v.width_mm[0], rng.uniform(0.3, 0.8) * v.width_mm[0]
            edge = thick * np.clip(1.3 - np.abs((local[0] - at[0]) / at[1]), 0, 1)  # seldom the whole end plate
            band = half * np.clip(edge + end + 0.5, 0, 1)
            interior = interior + band * (interior * np.float32(rng.uniform(0.5, 2.0)) + 60)
    if pit is not None:
        rng = stream(seed, "schmorl-rim")
        rim = np.clip(1 - pit / np.float32(rng.uniform(1.5, 3.0)), 0, 1)
        interior = interior + rim * np.float32(rng.uniform(150, 400))
    if f.haemangioma_mm:
        interior = _haemangioma(v, local, interior, stream(seed, "haemangioma"))
    if f.metastasis_mm:
        rng = stream(seed, "metastasis")
        for _ in range(int(rng.integers(1, 4))):
            radius = f.metastasis_mm / 2 * rng.uniform(0.6, 1)
            gap = _gap(v, local, rng) - radius
            interior = interior + np.clip(0.5 - gap / (0.6 * radius), 0, 1) * np.float32(rng.uniform(250, 700))
    if f.island_mm:
        rng = stream(seed, "island")
        interior = np.where(_gap(v, local, rng) < f.island_mm / 2, np.float32(rng.uniform(500, 1200)), interior)
    if f.cement_mm:
        interior = _cement(v, local, interior, stream(seed, "cement"))
    return np.asarray(interior, np.float32)


def _gap(v: VertebraShape, local: Local, rng: np.random.Generator, spread: float = 0.3) -> Float32:
    """Distance from a place somewhere in the body."""
    height = (v.front_mm + v.back_mm) / 2
    centre = rng.uniform(-spread, spread, 3) * [v.width_mm[0], v.depth_mm[0], height]
    x, y, z = (p - np.float32(c) for p, c in zip(local, centre, strict=True))
    return np.asarray(np.sqrt(x**2 + y**2 + z**2), np.float32)


def _haemangioma(v: VertebraShape, local: Local, interior: Float32, rng: np.random.Generator) -> Float32:
    """Fatty, with few thick upright struts: dots in an axial slice, stripes in a sagittal one."""
    gap = _gap(v, local, rng)
    pitch = 2 * np.pi / rng.uniform(3.0, 5.0)
    sway = 0.5 * np.sin(local[2] / 4)
    x, y = pitch * (local[0] + sway) + rng.uniform(0, 6), pitch * (local[1] - sway) + rng.uniform(0, 6)
    struts = np.where(np.sin(x) * np.sin(y) > 0.55, rng.uniform(250, 500), rng.uniform(-60, 20))
    return np.asarray(np.where(gap < v.findings.haemangioma_mm / 2, struts, interior), np.float32)


def _cement(v: VertebraShape, local: Local, interior: Float32, rng: np.random.Generator) -> Float32:
    """Bone cement with barium in both halves of the body: lumps that run into one another."""
    hu = rng.uniform(1400, METAL_HU)
    for side in (-1, 1):
        for _ in range(int(rng.integers(2, 6))):
            centre = [side * rng.uniform(0.02, 0.28) * v.width_mm[0], rng.uniform(-0.2, 0.3) * v.depth_mm[0]]
            centre.append(rng.uniform(-0.3, 0.3) * v.front_mm)
            radii = v.findings.cement_mm / 2 * rng.uniform(0.3, 0.6, 3)
            norm = sum(((p - c) / r) ** 2 for p, c, r in zip(local, centre, radii, strict=True))
            interior = np.where(norm < 1, np.float32(hu * rng.uniform(0.85, 1.0)), interior)
    return interior


def draw_bridges(canvas: Canvas, subject: Subject) -> None:
    """Bone flowing along the front of the spine, in the chest on the right, where no aorta beats."""
    spine = subject.spine
    runs: list[list[int]] = []
    for index, v in enumerate(spine[:-1]):
        if v.findings.bridge_mm:
            if runs and runs[-1][-1] == index:
                runs[-1].append(index + 1)
            else:
                runs.append([index, index + 1])
    for run in runs:
        rng = stream((subject.seed, run[0]), "bridge")
        chest = spine[run[0]].name.startswith("T")
        # from the left over the front to the right
        angle = np.pi / 2 + (rng.uniform(0.1, 0.9) if chest else rng.uniform(-1.1, 1.1))
        path, radii = [], []
        for index in run:
            v = spine[index]
            thick = max(v.findings.bridge_mm, spine[index - 1].findings.bridge_mm)
            bend = angle + rng.normal(0, 0.08)
            for up in (0.0, -0.5) if index == run[0] else (0.5, 0.0) if index == run[-1] else (0.5, 0.0, -0.5):
                # Thick over the disc and thin over the waist of the body.
                half = 1.0 if up else 1 - float(np.mean(v.waist))
                height = v.front_mm * up + np.sign(up) * 0.5
                place = [np.cos(bend) * max(v.width_mm) / 2 * half, np.sin(bend) * max(v.depth_mm) / 2 * half, height]
                path.append(np.array(place) @ v.axes + v.centre_lps_mm)
                radii.append(thick * (0.75 if up else 0.45) * rng.uniform(0.8, 1.2))
            if index != run[-1]:  # bulging before the disc
                place = [np.cos(bend) * (max(v.width_mm) / 2 + 2), np.sin(bend) * (max(v.depth_mm) / 2 + 2)]
                place.append(-v.front_mm / 2 - v.disc_below_mm / 2)
                path.append(np.array(place) @ v.axes + v.centre_lps_mm)
                radii.append(thick * rng.uniform(0.6, 0.9))
        canvas.tube(np.array(path), np.array(radii), rng.uniform(250, 600), 1.2, 1100.0, (1.3, 1.0, 1.0))


def draw_implants(canvas: Canvas, subject: Subject) -> None:
    """Pedicle screws with their heads and a rod on each side, over the bone they lie in."""
    fused = [v for v in subject.spine if v.findings.screws]
    if not fused:
        return
    rng = stream((subject.seed, 0), "screws")
    radius, length, rod = rng.uniform(2.7, 3.5), rng.uniform(38, 50), rng.uniform(2.4, 3.0)
    for side in (-1, 1):
        heads = []
        for v in fused:
            inward = np.radians(rng.uniform(5, 18))
            x = side * (v.canal_mm[0] / 2 + 0.45 * v.pedicle_mm[0])
            through = np.array([x, -v.depth_mean_mm / 2, 0.15 * v.height_mm])
            along = np.array([-side * np.sin(inward), np.cos(inward), rng.uniform(-0.1, 0.1)])
            ends = np.array([through - 20 * along, through + (length * v.depth_mean_mm / 35 - 20) * along])
            ends = ends @ v.axes + v.centre_lps_mm
            canvas.tube(ends, radius, METAL_HU)
            canvas.ellipsoid(ends[0], (6.5, 6.5, 6.5), METAL_HU)
            heads.append(ends[0])
        for a, b in pairwise(heads):
            canvas.tube(np.array([a, b]), rod, METAL_HU)
