"""Draws the bones of a virtual person: ribs, sternum, shoulders and pelvis, and over them the vertebrae."""

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.attenuation import REFERENCE_KVP, bmd_ha_from_qct, trabecular_hu
from trabecula.virtual.canvas import Canvas
from trabecula.virtual.lesions import draw_bridges, draw_implants
from trabecula.virtual.pelvis import draw_pelvis
from trabecula.virtual.ribs import Rib, draw_ribs, resampled, ribs_of, steepness_of
from trabecula.virtual.sacrum import draw_sacrum
from trabecula.virtual.shoulders import draw_shoulders
from trabecula.virtual.subject import Subject
from trabecula.virtual.trunk import Profile, Trunk, height_of, trunk_of
from trabecula.virtual.vertebra import VertebraBone, draw_vertebra
from trabecula.volume import Float64

CORTICAL_HU = 1250.0
"""Compact bone as a 1 mm voxel shows it: about a quarter of it is canals and resorption spaces."""


def draw_skeleton(canvas: Canvas, subject: Subject, rng: np.random.Generator) -> None:
    """Draws every bone in view in HU of 120 kVp; the vertebrae last, so that their truth is what the image shows."""
    marrow = subject.yellow_marrow
    spongy = trabecular_hu(bmd_ha_from_qct(0.85 * mean_bmd(subject), marrow), marrow, REFERENCE_KVP)
    compact = CORTICAL_HU * rng.uniform(0.75, 1.1)
    trunk = trunk_of(subject)
    ribs = ribs_of(subject)
    draw_ribs(canvas, subject, ribs, spongy * 0.8, float(rng.uniform(0.8, 1.4)), compact * 0.85)
    _draw_sternum(canvas, subject, trunk, spongy, compact)
    _draw_cartilages(canvas, subject, ribs, trunk.cavity, rng)
    draw_shoulders(canvas, subject, trunk, spongy, compact)
    draw_pelvis(canvas, subject, rng, spongy, compact)
    draw_bridges(canvas, subject)
    for index, vertebra in enumerate(subject.spine):
        draw_one = draw_sacrum if vertebra.name == "S1" else draw_vertebra
        draw_one(canvas, vertebra, VertebraBone.of(subject, vertebra, compact), (subject.seed, index))
    draw_implants(canvas, subject)


def mean_bmd(subject: Subject) -> float:
    """The mean of L1 and L2 in mg/cm3 K2HPO4."""
    return (subject.vertebra(Level.L1).bmd_k2hpo4 + subject.vertebra(Level.L2).bmd_k2hpo4) / 2


_STERNUM = {1: 2.6, 2: 4.4, 3: 5.5, 4: 6.4, 5: 7.3, 6: 8.1, 7: 8.8}
"""Where along the spine each cartilage meets the sternum."""


def _sternum_sunk(s: Subject) -> float:
    """How many vertebrae lower the sternum lies where ribs are steeper."""
    return 1.2 * (steepness_of(s) - 1.0)


def _front(profile: Profile, z_mm: float, out_mm: float) -> Float64:
    """The middle of the front wall at a height, ``out_mm`` before it."""
    _, deep, middle, shift = (float(v) for v in profile.at(np.array(z_mm)))
    return np.array([shift, middle - deep - out_mm, z_mm])


def _draw_sternum(canvas: Canvas, s: Subject, trunk: Trunk, spongy: float, compact: float) -> None:
    """Manubrium, body and xiphoid process, three plates along the front wall."""
    k, sunk = s.scale, _sternum_sunk(s)
    for levels, half, thick in (
        ((2.3, 3.2, 4.3), (27, 24, 17), 5.5),
        ((4.55, 6.5, 8.6), (14, 18, 17), 4.8),
        ((8.85, 9.6), (8, 4), 3.0),
    ):
        path = np.array([_front(trunk.cavity, float(height_of(s, level + sunk)), 5.0) for level in levels])
        widths = np.array(half) * k
        flat = float(widths.mean() / (thick * k))
        canvas.tube(path, widths / flat, spongy * 0.6, 0.9, compact * 0.6, (flat, 1, 1))


def _draw_cartilages(
    canvas: Canvas, s: Subject, ribs: tuple[Rib, ...], cavity: Profile, rng: np.random.Generator
) -> None:
    """From the front ends of ribs 1 to 7 to the sternum, of 8 to 10 to the cartilage above; chalk with the years."""
    chalk = rng.uniform(0, 1) * np.clip((s.age_years - 30) / 40, 0, 1)
    hu = rng.uniform(70, 120)
    ends: dict[tuple[int, int], Float64] = {}
    for rib in ribs:
        if not 1 <= rib.number <= 10:
            continue
        tip = rib.path_lps_mm[-1]
        if rib.number <= 7:
            end = _front(cavity, float(height_of(s, _STERNUM[rib.number] + _sternum_sunk(s))), 4.0)
            end[0] += rib.side * (24 if rib.number == 1 else 17) * s.scale
        else:
            above = ends.get((rib.number - 1, rib.side))
            if above is None:
                continue
            end = above
        middle = 0.5 * (tip + end)
        wide, deep, centre, shift = (float(v) for v in cavity.at(np.array(middle[2])))
        across = min(abs(middle[0] - shift) / (wide + 4), 0.98)
        middle[1] = min(middle[1], centre - (deep + 4) * (1 - across**cavity.power) ** (1 / cavity.power))
        path = resampled(np.stack([tip, middle, end]), 400.0)
        ends[rib.number, rib.side] = middle
        canvas.tube(path, np.linspace(1, 0.85, len(path)) * 5.2 * s.scale, hu, flatten=(1, 0.9, 1.25))
        for _ in range(int(rng.poisson(6 * chalk))):
            canvas.ellipsoid(
                path[rng.integers(len(path))] + rng.normal(0, 2.5, 3), (2.5, 2.5, 3.5), rng.uniform(250, 700)
            )
