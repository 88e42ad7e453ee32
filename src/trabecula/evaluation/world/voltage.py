"""Trabecular HU of drawn, noise-free bodies against the specification's formula at every tube voltage.

The expected HU are worked out here from constants of their own, and from a water path measured on the drawn slice:
HU = f Y + (1 - f) R + B BMD, with B falling as (water path / 20 cm) to the power -0.19.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.virtual.attenuation import yellow_shift_hu
from trabecula.virtual.cohort import draw, torso_grid
from trabecula.virtual.drawn import Drawn
from trabecula.virtual.findings import NOTHING, Rates
from trabecula.virtual.subject import Subject, sample_subject
from trabecula.volume import Float64, Grid, Volume

YELLOW_HU = {80: -73.0, 100: -60.0, 120: -52.0, 140: -47.0}
RED_HU = {80: 2.0, 100: 7.0, 120: 10.0, 140: 12.0}
HU_PER_MG_HA = {80: (2.03, 2.10), 100: (1.70, 1.76), 120: (1.51, 1.57), 140: (1.39, 1.44)}
HU_PER_MG_K2HPO4_120 = 1.422
PATH_EXPONENT = -0.19

ORDINARY = Rates(0, 0, 0, 0, 0, short_rib12=0, lumbar_ribs=0, fractures=0, rare=0)
"""Nobody has a variant, a fracture or a rare finding."""

LEVELS = (Level.T12, Level.L1, Level.L2, Level.L3)


def plain(seed: int) -> Subject:
    """A person without contrast medium, metal, arms in view, variants or findings."""
    subject = sample_subject(seed, rates=ORDINARY)
    spine = tuple(replace(v, findings=NOTHING) for v in subject.spine)
    return replace(subject, phase="none", metal_hip=False, arms_down=False, spine=spine)


def marrow_hu(yellow_fraction: float, yellow_shift_hu: float, kvp: int) -> float:
    """HU of marrow; ``yellow_shift_hu`` is how far the person's yellow marrow lies from ICRU's."""
    return yellow_fraction * (YELLOW_HU[kvp] + yellow_shift_hu) + (1 - yellow_fraction) * RED_HU[kvp]


def expected_hu(bmd_k2hpo4: float, yellow_fraction: float, yellow_shift_hu: float, kvp: int, path_mm: float) -> float:
    """HU of trabecular bone that QCT at 120 kVp behind 20 cm of water reads as ``bmd_k2hpo4`` (mg/cm3)."""
    mineral = bmd_k2hpo4 * HU_PER_MG_K2HPO4_120 - marrow_hu(yellow_fraction, yellow_shift_hu, 120)
    slope = float(np.mean(HU_PER_MG_HA[kvp])) * (path_mm / 200) ** PATH_EXPONENT
    return float(marrow_hu(yellow_fraction, yellow_shift_hu, kvp) + slope * mineral / np.mean(HU_PER_MG_HA[120]))


def water_path_mm(slice_: Volume) -> float:
    """Mean water path of all rays through an axial slice: the mean chord of a disc that holds as much water."""
    water_mm2 = np.maximum(1 + slice_.hu[0] / 1000, 0).sum(dtype=float) * slice_.spacing_mm[1] * slice_.spacing_mm[2]
    return float(np.pi / 4 * 2 * np.sqrt(water_mm2 / np.pi))


def path_through_mm(volume: Volume, centre_lps: Float64) -> float:
    """Mean water path of the rays through one point of an axial slice, over all directions."""
    angles = np.linspace(0, np.pi, 90, endpoint=False)
    along = np.arange(-300, 300, 1.0)
    rays = along[None, :, None] * np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1)[:, None, :]
    index = volume.to_index((rays + centre_lps).reshape(-1, 3))
    index[:, 0] = np.clip(index[:, 0], 0, volume.shape[0] - 1)
    hu = ndimage.map_coordinates(volume.hu, index.T, order=1, mode="constant", cval=-1000.0)
    return float(np.maximum(1 + hu / 1000, 0).reshape(len(angles), -1).sum(axis=1).mean())


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
            path = water_path_mm(slice_)
            grid = Grid.axial(vertebra.centre_lps_mm, (40, 48, 64), (1.0, 1.0, 1.0))
            for kvp in YELLOW_HU:
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
        marrow, marrow_120 = (marrow_hu(subject.yellow_marrow, yellow_shift_hu(r.seed), k) for k in (r.kvp, 120))
        slope = float(np.mean(HU_PER_MG_HA[r.kvp]) / np.mean(HU_PER_MG_HA[120]))
        off.setdefault(r.kvp, []).append(r.drawn_hu - (marrow + slope * (base.drawn_hu - marrow_120)))
    return off
