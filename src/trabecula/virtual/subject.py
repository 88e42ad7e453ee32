"""A virtual person: sex, age, size, bone density, the shape of the spine and what has befallen it.

Dimensions follow published means by level (Panjabi's lumbar and thoracic series, CT anchors), scattered by a common
and an individual factor. Millimetres; the world is LPS with the centre of L3 as its origin.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from trabecula.anatomy import LEVELS, Level
from trabecula.volume import Float64, point

CHAIN = ("C5", "C6", "C7", "T1", "T2", "T3", "T4", "T5", "T6", "T7", *(level.value for level in LEVELS))
"""Every vertebra that is built, cranial first."""

# name: end-plate width upper/lower, depth upper/lower, posterior height, wedge (M, F) deg, canal width/depth,
# pedicle width/height, transverse span, spinous process from the posterior wall, disc below
_MEANS = {
    "C5": (18, 19, 16, 17, 13, 0, 0, 24, 15, 6, 7, 50, 32, 5.0),
    "C6": (19, 21, 16.5, 17.5, 13, 0, 0, 25, 15, 6, 7.5, 52, 38, 5.0),
    "C7": (21, 24, 17, 18, 14, 0, 0, 24, 15, 6.5, 8, 58, 44, 5.0),
    "T1": (24.5, 27.8, 18.5, 19.7, 16, 2, 2, 21.8, 16.4, 8.5, 9.6, 75, 50, 4.0),
    "T2": (25, 27.4, 19.6, 21.6, 17, 2, 2, 19.5, 15.5, 8, 11.4, 69, 50, 4.0),
    "T3": (24.6, 26, 22, 23.3, 17.5, 2.5, 2.5, 18.5, 16, 7, 12, 60, 50, 4.0),
    "T4": (24.5, 26, 23.3, 24.5, 18, 2.5, 2.5, 17, 16.2, 5.5, 12, 60, 51, 4.0),
    "T5": (25, 27, 24.3, 25.8, 18.5, 3, 3, 17.5, 16.2, 6, 12, 61, 52, 4.0),
    "T6": (26.2, 28.2, 26, 26.9, 19, 3.5, 3, 17.6, 16.5, 6, 12.5, 60, 52, 4.2),
    "T7": (28, 29, 27.4, 28.5, 19.5, 4, 3, 17.7, 16, 6, 12.5, 61, 53, 4.4),
    "T8": (29.5, 30.5, 27.9, 29.4, 20, 4, 3, 18, 16, 6.7, 12.5, 60, 53, 4.8),
    "T9": (30.6, 33, 29, 30.5, 20.8, 3.8, 2.8, 18, 16, 7, 13.9, 59, 52, 5.0),
    "T10": (32.5, 35.5, 29, 30.5, 21.5, 3.8, 2.6, 18, 15.7, 7, 15.2, 57, 51, 5.4),
    "T11": (35.5, 39.5, 30, 32, 22.5, 5.4, 4.6, 19.5, 16.2, 8.6, 17, 50, 47, 5.8),
    "T12": (39.5, 42.5, 32.5, 33.5, 24.5, 4.9, 3.5, 22, 17.5, 8.8, 16.8, 46, 46, 6.8),
    "L1": (43, 45.5, 34, 35, 27, 4.1, 2.6, 23.2, 17.5, 8.3, 15.8, 71, 58, 7.8),
    "L2": (45, 47.5, 34.5, 35.5, 28, 2.6, 0.7, 23.5, 17, 8.9, 15.2, 80, 62, 9.0),
    "L3": (47, 50, 35.5, 36, 28.5, 1.3, -1.1, 24.2, 16.6, 10.3, 14.8, 90, 62, 10.2),
    "L4": (49.5, 52, 36.5, 36, 28, -0.7, -3.1, 25.5, 17, 13, 14.8, 87, 58, 11.2),
    "L5": (52, 52, 36.5, 34.5, 26.5, -4.6, -7.8, 28, 15.9, 16.6, 13.1, 93, 47, 11.5),
    "S1": (51, 38, 34, 24, 29, 2, 2, 30, 14, 20, 15, 60, 24, 1.5),
}

# Mean lean of each vertebra's axis, degrees, posterior positive, lying down.
_LEAN_DEG = {
    **{"C5": -16, "C6": -18, "C7": -19, "T1": -20, "T2": -18, "T3": -16, "T4": -12, "T5": -8, "T6": -4, "T7": 0},
    **{"T8": 3, "T9": 6, "T10": 8, "T11": 10, "T12": 12, "L1": 11, "L2": 8, "L3": 3, "L4": -4, "L5": -17, "S1": -38},
}

_LEVEL_OFFSET = {"T11": 1.05, "T12": 1.03, "L1": 1.0, "L2": 0.98, "L3": 0.96, "L4": 0.97, "L5": 1.0}

# Mean QCT BMD in mg/cm3 by age (women, men).
_BMD_AGE = ((20, 170, 165), (35, 165, 157), (50, 144, 135), (60, 120, 121), (70, 101, 108), (80, 87, 98), (90, 78, 90))
BMD_SD_MG_CM3 = 27.0


@dataclass(frozen=True)
class Findings:
    """What has befallen one vertebra; zeros mean nothing."""

    fracture_anterior: float = 0.0  # fraction of the height lost in front
    fracture_middle: float = 0.0  # and in the middle
    osteophyte_mm: float = 0.0
    endplate_sclerosis_mm: float = 0.0
    schmorl_mm: float = 0.0
    schmorl_upper: bool = True
    island_mm: float = 0.0
    haemangioma: bool = False


@dataclass(frozen=True)
class VertebraShape:
    """One vertebra's dimensions (mm) and place. ``axes`` rows are left, anterior and up in LPS."""

    name: str
    width_mm: tuple[float, float]  # end plates, upper and lower
    depth_mm: tuple[float, float]
    height_mm: float  # posterior
    wedge_deg: float  # positive: anterior is shorter
    canal_mm: tuple[float, float]  # width, depth
    pedicle_mm: tuple[float, float]  # width, height
    transverse_span_mm: float
    spinous_mm: float
    disc_below_mm: float
    centre_lps_mm: tuple[float, float, float]
    axes: Float64 = field(repr=False)
    waist: tuple[float, float] = (0.18, 0.11)
    concavity_mm: float = 1.2
    rounding_mm: float = 2.0
    cortex_mm: float = 0.4
    bmd_k2hpo4: float = 120.0
    findings: Findings = Findings()

    @property
    def depth_mean_mm(self) -> float:
        return sum(self.depth_mm) / 2

    @property
    def verse_id(self) -> int:
        """The VerSe label: C5 5 ... T1 8 ... L5 24, the sacrum 26."""
        return 26 if self.name == "S1" else 5 + CHAIN.index(self.name)


@dataclass(frozen=True)
class Subject:
    """A virtual person; everything that the tissues are drawn from, reproducible from ``seed``."""

    seed: int
    sex: str  # "F" or "M"
    age_years: float
    scale: float
    yellow_marrow: float  # fraction, 0 to 1
    spine: tuple[VertebraShape, ...]
    rib12_mm: float
    lumbar_ribs_mm: float  # 0 where L1 bears none
    half_width_mm: float
    half_depth_mm: float
    fat_mm: float
    arms_down: bool
    phase: str  # none, arterial, portal, delayed
    aorta_calcification: float  # 0 to 1
    metal_hip: bool = False

    def vertebra(self, level: Level) -> VertebraShape:
        return next(v for v in self.spine if v.name == level.value)


def mean_bmd(age_years: float, sex: str) -> float:
    """Mean spinal QCT BMD in mg/cm3 K2HPO4 at an age."""
    ages, women, men = zip(*_BMD_AGE, strict=True)
    return float(np.interp(age_years, ages, women if sex == "F" else men))


def sample_subject(seed: int, bmd_mg_cm3: float | None = None) -> Subject:
    """A person drawn from the priors; ``bmd_mg_cm3`` sets the density of L1 instead of drawing it.

    Half of a regressor's training subjects should have it set uniformly, or the network learns age, not density.
    """
    rng = np.random.default_rng([seed, 1])
    sex = "F" if rng.random() < 0.5 else "M"
    age = float(rng.uniform(20, 90))
    scale = float((0.91 if sex == "F" else 1.0) * rng.normal(1, 0.045))
    if bmd_mg_cm3 is None:
        bmd_mg_cm3 = float(max(15.0, rng.normal(mean_bmd(age, sex), BMD_SD_MG_CM3)))
    marrow_fat = np.interp(age, (20, 30, 60, 90), (0.30, 0.33, 0.50, 0.58)) + rng.normal(0, 0.06)
    build = rng.normal(0, 1)
    return Subject(
        seed=seed,
        sex=sex,
        age_years=age,
        scale=scale,
        yellow_marrow=float(np.clip((marrow_fat - 0.25) / 0.6, 0, 1)),
        spine=_sample_spine(rng, sex, age, scale, bmd_mg_cm3),
        # Short 12th ribs (12.6% of people) are drawn three times as often: they make T12 look like L1.
        rib12_mm=float(rng.uniform(15, 55) if rng.random() < 0.38 else rng.uniform(55, 150)),
        lumbar_ribs_mm=float(rng.uniform(15, 45) if rng.random() < 0.03 else 0.0),
        half_width_mm=float(np.clip(160 * scale + 14 * build + rng.normal(0, 8), 125, 215)),
        half_depth_mm=float(np.clip(108 * scale + 13 * build + rng.normal(0, 7), 82, 160)),
        fat_mm=float(np.clip(17 + 9 * build + rng.normal(0, 4), 4, 55)),
        arms_down=bool(rng.random() < 0.12),
        phase=str(rng.choice(["none", "arterial", "portal", "delayed"], p=[0.45, 0.1, 0.35, 0.1])),
        aorta_calcification=float(np.clip((age - 45) / 45, 0, 1) * rng.uniform(0, 1)),
        metal_hip=bool(rng.random() < 0.04),
    )


def _sample_spine(
    rng: np.random.Generator, sex: str, age: float, scale: float, bmd: float
) -> tuple[VertebraShape, ...]:
    lordosis, lean_shift = rng.normal(1, 0.25), rng.normal(0, 2)
    cobb = rng.uniform(15, 35) if rng.random() < 0.05 else abs(rng.normal(0, 5))
    phase, rotation = rng.uniform(0, 2 * np.pi), rng.normal(0, 3)
    disc_scale = rng.normal(1.0 - 0.002 * (age - 50), 0.13)
    traits: dict[str, Any] = {
        "waist": (float(rng.uniform(0.13, 0.21)), float(rng.uniform(0.07, 0.15))),
        "concavity_mm": float(rng.uniform(0.4, 2.2)),
        "rounding_mm": float(rng.uniform(1.3, 3.2)),
        "cortex_mm": float(np.clip(rng.lognormal(np.log(0.38), 0.35), 0.2, 0.9)),
    }
    shapes = []
    common = rng.normal(1, 0.03, 4)
    for index, name in enumerate(CHAIN):
        m = np.array(_MEANS[name], float)
        m[:] *= scale
        m[5:7] /= scale  # the wedge is an angle
        own = rng.normal(1, 0.03, m.size)
        m *= own
        m[0:2] *= common[0]
        m[2:4] *= common[1]
        m[4] *= common[2]
        worn = 0.55 if rng.random() < max(0.0, (age - 45) / 120) else 1.0
        lean = lean_shift + lordosis * (_LEAN_DEG[name] - 3) + 3 + rng.normal(0, 1.2)
        side = cobb / 2 * np.sin(phase + 2 * np.pi * index / 14) + rng.normal(0, 0.8)
        shapes.append(
            VertebraShape(
                name=name,
                width_mm=(m[0], m[1]),
                depth_mm=(m[2], m[3]),
                height_mm=m[4],
                wedge_deg=float(m[5] if sex == "M" else m[6]) + float(rng.normal(0, 1.5)),
                canal_mm=(m[7], m[8]),
                pedicle_mm=(m[9], m[10]),
                transverse_span_mm=m[11],
                spinous_mm=m[12],
                disc_below_mm=max(2.2, m[13] * disc_scale * worn * float(rng.normal(1, 0.1))),
                centre_lps_mm=(0.0, 0.0, 0.0),
                axes=_axes(lean, side, rotation + float(rng.normal(0, 1.5))),
                bmd_k2hpo4=max(5.0, bmd * _LEVEL_OFFSET.get(name, 1.0) * float(rng.normal(1, 0.04))),
                findings=_sample_findings(rng, name, age),
                **traits,
            )
        )
    return _stack(shapes)


def _axes(lean_deg: float, side_deg: float, turn_deg: float) -> Float64:
    """Rows: the vertebra's left, anterior and up directions in LPS."""
    lean, side, turn = np.radians([lean_deg, side_deg, turn_deg])
    up = np.array([np.sin(side), np.sin(lean) * np.cos(side), np.cos(lean) * np.cos(side)])
    left = np.array([np.cos(turn), np.sin(turn), 0.0])
    left -= up * (left @ up)
    left /= np.linalg.norm(left)
    return np.stack([left, np.cross(left, up), up])


def _sample_findings(rng: np.random.Generator, name: str, age: float) -> Findings:
    if name[0] == "C" or name == "S1":
        return Findings()
    front = middle = 0.0
    # Fracture rates of 5.4% (18% over 80 years) are multiplied by three: the rare shape must be learnt.
    if name in _LEVEL_OFFSET and rng.random() < 3 * np.interp(age, (40, 60, 75, 85), (0.003, 0.008, 0.016, 0.026)):
        front, middle = [(0.35, 0.15), (0.1, 0.35), (0.4, 0.4)][rng.integers(3)] * rng.uniform(0.5, 1.2, 2)
    return Findings(
        fracture_anterior=float(front),
        fracture_middle=float(middle),
        osteophyte_mm=float(rng.uniform(3, 11)) if rng.random() < (age - 40) / 60 else 0.0,
        endplate_sclerosis_mm=float(rng.uniform(3, 8)) if rng.random() < (0.12 if age > 60 else 0.02) else 0.0,
        schmorl_mm=float(rng.uniform(3, 8)) if rng.random() < 0.05 else 0.0,
        schmorl_upper=bool(rng.random() < 0.5),
        island_mm=float(rng.uniform(3, 10)) if rng.random() < 0.03 else 0.0,
        haemangioma=bool(rng.random() < 0.02),
    )


def _stack(shapes: list[VertebraShape]) -> tuple[VertebraShape, ...]:
    """Places each vertebra on its neighbour, L3 at the origin."""
    centres = [np.zeros(3)]
    for upper, lower in pairwise(shapes):
        step = (_middle_height(upper) + upper.disc_below_mm) / 2 * upper.axes[2]
        step += (_middle_height(lower) + upper.disc_below_mm) / 2 * lower.axes[2]
        centres.append(centres[-1] - step)
    origin = centres[CHAIN.index("L3")]
    return tuple(
        replace(shape, centre_lps_mm=point(centre - origin)) for shape, centre in zip(shapes, centres, strict=True)
    )


def _middle_height(shape: VertebraShape) -> float:
    return float(shape.height_mm - shape.depth_mean_mm * np.tan(np.radians(shape.wedge_deg) / 2))
