"""A virtual DXA of the lumbar spine: what a densitometer reads of a person, with the errors of the method.

The exact areal BMD is mineral over projected area (``drawn.areal_bmd_g_cm2``). A densitometer cannot tell fat before
and within the spine from less bone, sees what degeneration lays about it, and never lies twice in the same place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.cohort import true_levels, without_implants
from trabecula.virtual.drawn import DXA_LEVELS, LevelTruth, areal_bmd_g_cm2
from trabecula.virtual.families import sample_person
from trabecula.virtual.findings import POPULATION
from trabecula.virtual.subject import Subject, Who

ACCURACY_SD = 0.06
"""Of the exact value, between people: uneven fat makes errors of about 0.06 g/cm2 in a spine of about 1 g/cm2, as CT
and cadavers show (J Clin Densitom 2014;17:91-6)."""

PRECISION_SD = 0.017
"""Of the exact value, between two examinations of one person (lumbar spine; J Nucl Med 1992;33:1137-42)."""

OSTEOPHYTE_RAISE_PER_MM = 0.005
"""Of the exact value, for each mm of osteophytes, summed over L1 to L4. Men with osteophytes had 1.34 against 1.17
g/cm2 (Orwoll 1990, J Clin Endocrinol Metab 70:1202-7), mostly by sclerotic facets, which are not drawn. Half of that is
taken, for whoever grows osteophytes has more bone as well: 7% at 14 mm."""

MOST_RAISED = 0.25

AORTA_RAISE = 0.01
"""Of the exact value, by the most calcified aorta: its plaques weigh about 1% of L1 to L4; Orwoll 1990 found a minimal
effect."""

YOUNG_YEARS = (20.0, 30.0)
YOUNG_SEED = 7_000_000


@dataclass(frozen=True)
class Dxa:
    """Areal BMD of L1 to L4, g/cm2: what is true, and what was measured."""

    exact_g_cm2: float
    measured_g_cm2: float


def measure_dxa(subject: Subject, truth: Mapping[Level, LevelTruth]) -> Dxa | None:
    """One examination, the same for a seed; None where one of L1 to L4 is missing."""
    exact = areal_bmd_g_cm2(dict(truth), DXA_LEVELS)
    if exact is None:
        return None
    rng = np.random.default_rng([subject.seed, 62])
    error = ACCURACY_SD * rng.standard_normal() + PRECISION_SD * rng.standard_normal()
    osteophytes_mm = sum(subject.vertebra(level).findings.osteophyte_mm for level in DXA_LEVELS)
    raised = min(MOST_RAISED, OSTEOPHYTE_RAISE_PER_MM * osteophytes_mm)
    raised += AORTA_RAISE * subject.aorta_calcification**1.5
    return Dxa(exact, float(exact * (1 + raised) * (1 + error)))


def young_person(sex: str, index: int) -> Subject:
    """A person of 20 to 29 years as met in the population, without metal; men and women have seeds of their own."""
    seed = YOUNG_SEED + index + (10_000 if sex == "M" else 0)
    age = float(np.random.default_rng([seed, 63]).uniform(*YOUNG_YEARS))
    return replace(without_implants(sample_person(seed, None, POPULATION, who=Who(sex, age))), phase="none")


def young_areal_bmd(sex: str, index: int) -> float:
    """Measured areal BMD of L1 to L4 of a young person, g/cm2."""
    subject = young_person(sex, index)
    found = measure_dxa(subject, true_levels(subject, DXA_LEVELS))
    if found is None:
        raise ValueError(f"no L1 to L4 in seed {subject.seed}")
    return found.measured_g_cm2
