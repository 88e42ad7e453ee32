"""Trabecular HU of drawn, noise-free bodies against a polychromatic beam at every tube voltage.

The expected HU are worked out here from spectra and coefficients (``beam``), and from the water path of the rays
through the vertebra measured on the drawn slice: HU = f Y + (1 - f) R + B BMD.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.evaluation.world.beam import BONE_HA_MG_CM3, DISPLACED_BY_K2HPO4, K2HPO4, MATERIALS, Beam
from trabecula.virtual.attenuation import yellow_shift_hu
from trabecula.virtual.cohort import draw, torso_grid
from trabecula.virtual.drawn import Drawn
from trabecula.virtual.findings import NOTHING, Rates
from trabecula.virtual.subject import Subject, sample_subject
from trabecula.volume import Float64, Grid, Volume

VOLTAGES_KVP = (80, 100, 120, 140)
REFERENCE_PATH_MM = 200.0
"""Densities are stated for 120 kVp behind this much water."""

ORDINARY = Rates(0, 0, 0, 0, 0, short_rib12=0, lumbar_ribs=0, neck_ribs=0, castellvi_i=0, fractures=0, rare=0)
"""Nobody has a variant, a fracture or a rare finding."""

LEVELS = (Level.T12, Level.L1, Level.L2, Level.L3)


def plain(seed: int) -> Subject:
    """A person without contrast medium, metal, arms in view, variants or findings."""
    subject = sample_subject(seed, rates=ORDINARY)
    spine = tuple(replace(v, findings=NOTHING) for v in subject.spine)
    return replace(subject, phase="none", metal_hip=False, arms_down=False, spine=spine)


@cache
def _beam(kvp: int) -> Beam:
    return Beam.of(kvp)


def marrow_hu(yellow_fraction: float, yellow_shift_hu: float, kvp: int, path_mm: float = REFERENCE_PATH_MM) -> float:
    """HU of marrow; ``yellow_shift_hu`` is how far the person's yellow marrow lies from ICRU's."""
    yellow, red = (_beam(kvp).mean_hu(MATERIALS[name], path_mm) for name in ("yellow", "red"))
    return yellow_fraction * (yellow + yellow_shift_hu) + (1 - yellow_fraction) * red


def hu_per_mg_ha(kvp: int, path_mm: float = REFERENCE_PATH_MM) -> float:
    """HU that bone tissue adds to marrow half red, half yellow, for one mg/cm3 of hydroxyapatite."""
    bone, yellow, red = (_beam(kvp).mean_hu(MATERIALS[name], path_mm) for name in ("bone", "yellow", "red"))
    return (bone - (yellow + red) / 2) / BONE_HA_MG_CM3


def expected_hu(bmd_k2hpo4: float, yellow_fraction: float, yellow_shift_hu: float, kvp: int, path_mm: float) -> float:
    """HU of trabecular bone that QCT at 120 kVp behind 20 cm of water reads as ``bmd_k2hpo4`` (mg/cm3)."""
    at_120 = bmd_k2hpo4 * _beam(120).hu_per_mg(K2HPO4, DISPLACED_BY_K2HPO4, REFERENCE_PATH_MM)
    mineral_mg_cm3 = (at_120 - marrow_hu(yellow_fraction, yellow_shift_hu, 120)) / hu_per_mg_ha(120)
    return marrow_hu(yellow_fraction, yellow_shift_hu, kvp, path_mm) + hu_per_mg_ha(kvp, path_mm) * mineral_mg_cm3


FAT_HU = (-140.0, -30.0)
FAT_HARDENS = 0.49
"""Of the hardening by as much water as fat has HU: projected discs of muscle within fat show it (``beam``)."""


def path_through_mm(volume: Volume, centre_lps: Float64, fat_hardens: float = 1.0) -> float:
    """Mean water path of the rays through one point of an axial slice, over all directions.

    ``fat_hardens`` counts fat for less, so that the path is that of the water which hardens a beam as much.
    """
    angles = np.linspace(0, np.pi, 90, endpoint=False)
    along = np.arange(-300, 300, 1.0)
    rays = along[None, :, None] * np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1)[:, None, :]
    index = volume.to_index((rays + centre_lps).reshape(-1, 3))
    index[:, 0] = np.clip(index[:, 0], 0, volume.shape[0] - 1)
    hu = ndimage.map_coordinates(volume.hu, index.T, order=1, mode="constant", cval=-1000.0)
    water = np.maximum(1 + hu / 1000, 0)
    water[(hu > FAT_HU[0]) & (hu < FAT_HU[1])] *= fat_hardens
    return float(water.reshape(len(angles), -1).sum(axis=1).mean())


def middle_of(drawn: Drawn, level: Level) -> NDArray[np.bool_]:
    """The front half of a trabecular region at mid height: clear of end plates and of the basivertebral cleft."""
    region = drawn.trabecular() == level.verse_id
    local = (drawn.volume.to_lps(np.argwhere(region)) - drawn.subject.vertebra(level).centre_lps_mm) @ np.array(
        drawn.subject.vertebra(level).axes
    ).T
    height = np.ptp(local[:, 2])
    chosen = (np.abs(local[:, 2]) < 0.2 * height) & (local[:, 1] > 0)
    mask = np.zeros(region.shape, bool)
    mask[tuple(np.argwhere(region)[chosen].T)] = True
    return mask


@dataclass(frozen=True)
class BodyHu:
    """One body at one voltage."""

    seed: int
    level: Level
    kvp: int
    path_mm: float
    drawn_hu: float
    expected_hu: float


def measure(seeds: range, levels: tuple[Level, ...] = LEVELS) -> list[BodyHu]:
    """Drawn and expected HU of each body of each person at each voltage."""
    rows = []
    for seed in seeds:
        subject = plain(seed)
        shift = yellow_shift_hu(seed)
        for level in levels:
            vertebra = subject.vertebra(level)
            z = vertebra.centre_lps_mm[2]
            slice_ = draw(subject, torso_grid(subject, (z - 1, z + 1), 2.0)).volume
            path = path_through_mm(slice_, np.array(vertebra.centre_lps_mm), FAT_HARDENS)
            grid = Grid.axial(vertebra.centre_lps_mm, (40, 48, 64), (1.0, 1.0, 1.0))
            for kvp in VOLTAGES_KVP:
                drawn = draw(subject, grid, kvp)
                hu = float(drawn.volume.hu[middle_of(drawn, level)].mean(dtype=float))
                expected = expected_hu(vertebra.bmd_k2hpo4, subject.yellow_marrow, shift, kvp, path)
                rows.append(BodyHu(seed, level, kvp, path, hu, expected))
    return rows


def beside_120(rows: list[BodyHu]) -> dict[int, list[float]]:
    """Drawn HU minus what the same body's HU at 120 kVp lead one to expect, by voltage.

    The texture of a body, 2 to 3% of its mean over so small a region, is the same at every voltage and falls out.
    """
    at_120 = {(r.seed, r.level): r for r in rows if r.kvp == 120}
    off: dict[int, list[float]] = {}
    for r in rows:
        base = at_120[r.seed, r.level]
        subject = plain(r.seed)
        shift = yellow_shift_hu(r.seed)
        marrow, marrow_120 = (marrow_hu(subject.yellow_marrow, shift, k, r.path_mm) for k in (r.kvp, 120))
        slope = hu_per_mg_ha(r.kvp, r.path_mm) / hu_per_mg_ha(120, r.path_mm)
        off.setdefault(r.kvp, []).append(r.drawn_hu - (marrow + slope * (base.drawn_hu - marrow_120)))
    return off
