"""A virtual person: sex, age, size, bone density, the shape of the spine and what has befallen it.

Dimensions follow published means by level (Panjabi's lumbar and thoracic series, CT anchors), scattered by a common
and an individual factor. Millimetres; the world is LPS with the centre of L3 as its origin.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.findings import LEARNT, NOTHING, Findings, Rates, sample_findings
from trabecula.virtual.numbering import (
    CHAIN,
    REGULAR,
    Castellvi,
    Numbering,
    RibLengths,
    Variant,
    chain,
    sample_castellvi,
    sample_numbering,
    sample_ribs,
)
from trabecula.volume import Float64, point

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
    "T13": (41, 43.5, 33, 34, 26, 4.5, 3, 22.5, 17.5, 8.5, 16.3, 54, 52, 7.3),
    "L1": (43, 45.5, 34, 35, 27, 4.1, 2.6, 23.2, 17.5, 8.3, 15.8, 71, 58, 7.8),
    "L2": (45, 47.5, 34.5, 35.5, 28, 2.6, 0.7, 23.5, 17, 8.9, 15.2, 80, 62, 9.0),
    "L3": (47, 50, 35.5, 36, 28.5, 1.3, -1.1, 24.2, 16.6, 10.3, 14.8, 90, 62, 10.2),
    "L4": (49.5, 52, 36.5, 36, 28, -0.7, -3.1, 25.5, 17, 13, 14.8, 87, 58, 11.2),
    "L5": (52, 52, 36.5, 34.5, 26.5, -4.6, -7.8, 28, 15.9, 16.6, 13.1, 93, 47, 11.5),
    "L6": (51, 50, 35, 33, 26, -5, -8, 29, 15.5, 17.5, 13.5, 92, 42, 10.0),
    "S1": (51, 38, 34, 24, 29, 2, 2, 30, 14, 20, 15, 60, 24, 1.5),
}

# Mean lean of each vertebra's axis, degrees, posterior positive, lying down.
_LEAN_DEG = {
    **{"C5": -16, "C6": -18, "C7": -19, "T1": -20, "T2": -18, "T3": -16, "T4": -12, "T5": -8, "T6": -4, "T7": 0},
    **{"T8": 2, "T9": 4, "T10": 6, "T11": 7.5, "T12": 8, "L1": 7.5, "L2": 5.5, "L3": 2, "L4": -3, "L5": -12, "S1": -29},
    **{"T13": 9, "L6": -19},
}

_LEVEL_OFFSET = {"T11": 1.05, "T12": 1.03, "L1": 1.0, "L2": 0.98, "L3": 0.96, "L4": 0.97, "L5": 1.0}

# Mean QCT BMD in mg/cm3 by age (women, men).
_BMD_AGE = ((20, 170, 165), (35, 165, 157), (50, 144, 135), (60, 120, 121), (70, 101, 108), (80, 87, 98), (90, 78, 90))
BMD_SD_MG_CM3 = 27.0

CORTEX_POWER = 0.4


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
    back_power: float = 3.0  # how square the back half is; the front has 2.2
    hollow_mm: float = 2.5  # of the back wall
    cortex_mm: float = 0.4
    bmd_k2hpo4: float = 120.0
    ala_mm: tuple[float, float] = (0.0, 0.0)  # radius of the mass on each transverse process, right and left,
    ala_reach: tuple[float, float] = (0.0, 0.0)  # and how far down to the ala of the sacrum it goes: 1 touches it
    findings: Findings = NOTHING

    @property
    def depth_mean_mm(self) -> float:
        return sum(self.depth_mm) / 2

    @property
    def front_mm(self) -> float:
        """Anterior height, what a fracture left of it."""
        intact = self.height_mm - 2 * self.depth_mean_mm * np.tan(np.radians(self.wedge_deg) / 2)
        return float(intact * (1 - self.findings.fracture_anterior))

    @property
    def back_mm(self) -> float:
        """Posterior height, what a fracture left of it."""
        return self.height_mm * (1 - self.findings.fracture_posterior)

    @property
    def verse_id(self) -> int:
        return Level(self.name).verse_id


@dataclass(frozen=True)
class Subject:
    """A virtual person; everything that the tissues are drawn from, reproducible from ``seed``."""

    seed: int
    sex: str  # "F" or "M"
    age_years: float
    scale: float
    yellow_marrow: float  # fraction, 0 to 1
    spine: tuple[VertebraShape, ...]
    variable_ribs: RibLengths
    half_width_mm: float
    half_depth_mm: float
    fat_mm: float
    arms_down: bool
    phase: str  # none, arterial, portal, delayed
    aorta_calcification: float  # 0 to 1
    metal_hip: bool = False
    variant: Variant = REGULAR
    family: str = "a"  # of generators: "a", or "b" (``family_b``), which no training sees

    @property
    def by_name(self) -> dict[str, VertebraShape]:
        """The vertebrae by name; where L5 is wholly a part of the sacrum, the sacrum stands in its place."""
        found = {v.name: v for v in self.spine}
        return {"L5": found["S1"], **found}

    @property
    def numbering(self) -> Numbering:
        return self.variant.numbering

    def rib_mm(self, vertebra: str, side: int) -> float | None:
        """A rib's length on the right (side -1) or left (1): 0 where there is none, None where it is as usual."""
        for name, right, left in self.variable_ribs:
            if name == vertebra:
                return right if side < 0 else left
        return None if vertebra[0] == "T" and int(vertebra[1:]) <= 11 else 0.0

    def vertebra(self, level: Level) -> VertebraShape:
        """A vertebra by level, as in ``by_name``."""
        return self.by_name[level.value]


def cortex_share(bmd_mg_cm3: float) -> float:
    """How thick a cortex is, of what it is at 150 mg/cm3, where trabecular bone has this density.

    Osteoporotic spines have thinner shells throughout, healthy ones with age hardly (Ritzel 1997,
    doi 10.1359/jbmr.1997.12.1.89): it follows density, not years. The power makes the bone of whole lumbar bodies fall
    from 40 to 75 years by about what QCT of 690 people says, 36% in women and 18% in men (Samelson 2012, J Bone Miner
    Res 27).
    """
    return float(np.clip((bmd_mg_cm3 / 150) ** CORTEX_POWER, 0.4, 1.25))


def mean_bmd(age_years: float, sex: str) -> float:
    """Mean spinal QCT BMD in mg/cm3 K2HPO4 at an age."""
    ages, women, men = zip(*_BMD_AGE, strict=True)
    return float(np.interp(age_years, ages, women if sex == "F" else men))


@dataclass(frozen=True)
class Who:
    """What a study asks of a person; None leaves it to chance."""

    sex: str | None = None  # "F" or "M"
    age_years: float | None = None


ANYBODY = Who()


def sample_subject(seed: int, bmd_mg_cm3: float | None = None, rates: Rates = LEARNT, who: Who = ANYBODY) -> Subject:
    """A person drawn from the priors; ``bmd_mg_cm3`` sets the density of L1 instead of drawing it.

    Half of a regressor's training subjects should have it set uniformly, or the network learns age, not density.
    ``rates`` says how common variants and findings are, ``who`` whom a study asks for. This is family a (``families``
    has both).
    """
    rng = np.random.default_rng([seed, 1])
    sex = "F" if rng.random() < 0.5 else "M"
    age = float(rng.uniform(20, 90))
    # Drawn whether or not they are asked for, so that all the rest of a seed stays as it is.
    sex, age = who.sex or sex, age if who.age_years is None else who.age_years
    scale = float((0.91 if sex == "F" else 1.0) * rng.normal(1, 0.045))
    if bmd_mg_cm3 is None:
        bmd_mg_cm3 = float(max(15.0, rng.normal(mean_bmd(age, sex), BMD_SD_MG_CM3)))
    marrow_fat = np.interp(age, (20, 30, 60, 90), (0.30, 0.33, 0.50, 0.58)) + rng.normal(0, 0.06)
    build = rng.normal(0, 1)
    # A stream of its own: a variant changes nothing else about the person.
    other = np.random.default_rng([seed, 20])
    numbering = sample_numbering(other, rates)
    variant = sample_castellvi(seed, numbering, rates)
    findings = sample_findings(seed, chain(numbering), age, sex, rates)
    return Subject(
        seed=seed,
        sex=sex,
        age_years=age,
        scale=scale,
        yellow_marrow=float(np.clip((marrow_fat - 0.25) / 0.6, 0, 1)),
        spine=_sample_spine(rng, other, (sex, age, scale), bmd_mg_cm3, variant, findings),
        variable_ribs=sample_ribs(rng, seed, numbering, rates, scale),
        half_width_mm=float(np.clip(160 * scale + 14 * build + rng.normal(0, 8), 125, 215)),
        half_depth_mm=float(np.clip(108 * scale + 13 * build + rng.normal(0, 7), 82, 160)),
        fat_mm=float(np.clip(17 + 9 * build + rng.normal(0, 4), 4, 55)),
        arms_down=bool(rng.random() < 0.18),
        phase=str(rng.choice(["none", "arterial", "portal", "delayed"], p=[0.45, 0.1, 0.35, 0.1])),
        aorta_calcification=float(np.clip((age - 45) / 45, 0, 1) * rng.uniform(0, 1)),
        metal_hip=bool(rng.random() < 0.04),
        variant=variant,
    )


def _sample_spine(
    rng: np.random.Generator,
    other: np.random.Generator,
    person: tuple[str, float, float],
    bmd: float,
    variant: Variant,
    findings: dict[str, Findings],
) -> tuple[VertebraShape, ...]:
    """The vertebrae of a person of this sex, age and scale; ``other`` draws what not everyone has."""
    sex, age, scale = person
    names = tuple(findings)
    lordosis, lean_shift = rng.normal(1, 0.26), rng.normal(0, 2)
    cobb = rng.uniform(15, 35) if rng.random() < 0.05 else abs(rng.normal(0, 5))
    phase, rotation = rng.uniform(0, 2 * np.pi), rng.normal(0, 3)
    disc_scale = rng.normal(1.0 - 0.002 * (age - 50), 0.13)
    # Backs bend with age: a child stream, so that nothing else of the person changes.
    bent = float(np.clip(rng.spawn(1)[0].normal(0.25 + 0.013 * (age - 45), 0.35), -0.5, 1.6))
    traits = _sample_traits(rng)
    traits["cortex_mm"] = float(np.clip(traits["cortex_mm"] * cortex_share(bmd), 0.15, 0.9))
    common = rng.normal(1, 0.042, 4)
    drawn: dict[str, tuple[VertebraShape, Float64]] = {}
    for index, name in enumerate((*CHAIN, *(name for name in names if name not in CHAIN))):
        stream = rng if name in CHAIN else other
        m = np.array(_MEANS[name], float)
        m[:] *= scale
        m[5:7] /= scale  # the wedge is an angle
        m *= stream.normal(1, 0.038, m.size)
        m[0:2] *= common[0]
        m[2:4] *= common[1]
        # Readers measure to the back wall's hollow and inside the rounded rim of an end plate.
        m[2:4] += 0.8 * traits["hollow_mm"]
        m[0:2] += 0.5 * traits["rounding_mm"]
        m[4] *= common[2]
        worn = 0.55 if stream.random() < max(0.0, (age - 45) / 120) else 1.0
        lean = lean_shift + lordosis * (_LEAN_DEG[name] - 3) + 3 + bent * _above_t10(name) + stream.normal(0, 1.2)
        side = cobb / 2 * np.sin(phase + 2 * np.pi * index / 14) + stream.normal(0, 0.8)
        shape = VertebraShape(
            name=name,
            width_mm=(m[0], m[1]),
            depth_mm=(m[2], m[3]),
            height_mm=m[4],
            wedge_deg=float(m[5] if sex == "M" else m[6]) + float(stream.normal(0, 1.5)),
            canal_mm=(m[7], m[8]),
            pedicle_mm=(m[9], m[10]),
            # Without a rib its transverse process grows as a lumbar one.
            transverse_span_mm=m[11] * (1.35 if name == "T12" and variant.numbering is Numbering.ELEVEN_RIBS else 1.0),
            spinous_mm=m[12],
            disc_below_mm=max(2.2, m[13] * disc_scale * worn * float(stream.normal(1, 0.1))),
            centre_lps_mm=(0.0, 0.0, 0.0),
            axes=np.eye(3),
            bmd_k2hpo4=max(5.0, bmd * _LEVEL_OFFSET.get(name, 1.0) * float(stream.normal(1, 0.04))),
            **traits,
        )
        drawn[name] = shape, np.array([lean, side, rotation + float(stream.normal(0, 1.5))])
    shapes = [replace(drawn[name][0], findings=found) for name, found in findings.items()]
    turns = np.array([drawn[name][1] for name in names])
    turns[:, 0] -= _bends(shapes)
    shapes = [replace(shape, axes=upright_axes(*turn)) for shape, turn in zip(shapes, turns, strict=True)]
    return stack(_transitional(shapes, other, variant))


def _above_t10(name: str) -> float:
    """How far a vertebra of the chest leans forward of T10, degrees (negative); the neck makes up for half of T1's."""
    if name[0] == "C":
        return 0.5 * _above_t10("T1")
    return _LEAN_DEG[name] - _LEAN_DEG["T10"] if name[0] == "T" and int(name[1:]) < 10 else 0.0


def _sample_traits(rng: np.random.Generator) -> dict[str, Any]:
    """What all vertebral bodies of a person share."""
    return {
        "waist": (float(rng.uniform(0.13, 0.21)), float(rng.uniform(0.07, 0.15))),
        "concavity_mm": float(rng.uniform(0.4, 2.2)),
        "rounding_mm": float(rng.uniform(1.3, 3.2)),
        "cortex_mm": float(rng.lognormal(np.log(0.38), 0.35)),
        "back_power": float(rng.uniform(2.5, 3.8)),
        "hollow_mm": float(rng.uniform(1.2, 3.8)),
    }


def _bends(shapes: list[VertebraShape]) -> Float64:
    """How far each vertebra leans forward for the wedges below it, degrees; discs make up for about half of it."""
    lost = [s.height_mm * (s.findings.fracture_anterior - s.findings.fracture_posterior) for s in shapes]
    wedges = [np.degrees(np.arctan2(max(mm, 0.0), s.depth_mean_mm)) / 2 for mm, s in zip(lost, shapes, strict=True)]
    return np.cumsum(wedges[::-1])[::-1] - np.array(wedges) / 2


def _transitional(spine: list[VertebraShape], rng: np.random.Generator, variant: Variant) -> list[VertebraShape]:
    """The last lumbar vertebra with broad processes, joined to the sacrum or not; joined ones are squarer, over a low
    disc."""
    if variant.castellvi is Castellvi.NONE:
        return spine
    at = len(spine) - 2
    last = spine[at]
    thick, low_disc = rng.uniform(8, 12.5), float(rng.uniform(0.25, 0.5))
    sides = variant.castellvi.sides if variant.first_side < 0 else variant.castellvi.sides[::-1]  # right, left
    size = last.width_mm[0] / 52 * thick
    reach = {"": 0.0, "broad": 0.45, "joint": 0.85, "bone": 1.15}
    last = replace(
        last,
        transverse_span_mm=1.12 * last.transverse_span_mm,
        ala_mm=(size if sides[0] else 0.0, size if sides[1] else 0.0),
        ala_reach=(reach[sides[0]], reach[sides[1]]),
    )
    if variant.numbering is Numbering.SACRALISED:
        width, depth = float(np.mean(last.width_mm)), last.depth_mean_mm
        last = replace(
            last,
            width_mm=(width, 0.97 * width),
            depth_mm=(depth, 0.95 * depth),
            wedge_deg=0.5 * last.wedge_deg,
            disc_below_mm=max(2.2, last.disc_below_mm * low_disc),
            waist=(0.7 * last.waist[0], 0.7 * last.waist[1]),
        )
    spine[at] = last
    return spine


def upright_axes(lean_deg: float, side_deg: float, turn_deg: float) -> Float64:
    """Rows: the vertebra's left, anterior and up directions in LPS."""
    lean, side, turn = np.radians([lean_deg, side_deg, turn_deg])
    up = np.array([np.sin(side), np.sin(lean) * np.cos(side), np.cos(lean) * np.cos(side)])
    left = np.array([np.cos(turn), np.sin(turn), 0.0])
    left -= up * (left @ up)
    left /= np.linalg.norm(left)
    return np.stack([left, np.cross(left, up), up])


def stack(shapes: list[VertebraShape]) -> tuple[VertebraShape, ...]:
    """Places each vertebra on its neighbour, L3 at the origin."""
    centres = [np.zeros(3)]
    for upper, lower in pairwise(shapes):
        step = (_middle_height(upper) + upper.disc_below_mm) / 2 * upper.axes[2]
        step += (_middle_height(lower) + upper.disc_below_mm) / 2 * lower.axes[2]
        centres.append(centres[-1] - step)
    origin = centres[[shape.name for shape in shapes].index("L3")]
    return tuple(
        replace(shape, centre_lps_mm=point(centre - origin)) for shape, centre in zip(shapes, centres, strict=True)
    )


def _middle_height(shape: VertebraShape) -> float:
    return (shape.front_mm + shape.back_mm) / 2
