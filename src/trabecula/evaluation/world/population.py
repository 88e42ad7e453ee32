"""The bone density of the sampled population against published reference populations."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trabecula.virtual.subject import sample_subject
from trabecula.volume import Float64

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PRIOR_AGES = (35.0, 50.0, 60.0, 70.0, 80.0)
PRIOR = {"F": (165.0, 144.0, 120.0, 101.0, 87.0), "M": (157.0, 135.0, 121.0, 108.0, 98.0)}
"""What the generator was asked for: mean QCT BMD, mg/cm3."""

PRIOR_SD = 27.0

CHINA_BIOBANK = {"F": {32.0: 185.4, 80.0: 62.4}, "M": {32.0: 176.6, 80.0: 92.1}}
"""Peak (30 to 34 y) and mean at 80 y of L1-L2, n = 69,095 (PMC7988599)."""

CHINA_OSTEOPOROSIS_OVER_50 = {"F": 0.290, "M": 0.135}

JANG_SLOPE_HU_A_YEAR = -2.5
JANG_UNDER_30_HU = (226.0, 44.0)
JANG_OVER_90_HU = (89.0, 38.0)
"""L1 attenuation at 120 kVp, n = 20,374 (Jang 2019): mean and SD."""

HU_PER_MG_CM3 = 1.422
"""Of K2HPO4 at 120 kVp."""


@dataclass(frozen=True)
class Population:
    """Sampled persons: ages in years, sexes, mean BMD of L1 and L2 and that of L1 in mg/cm3 (n each)."""

    age_years: Float64
    female: np.ndarray
    bmd: Float64
    bmd_l1: Float64

    @classmethod
    def sampled(cls, number: int, first_seed: int = 0) -> "Population":
        """Persons drawn as the generator draws them when nobody asks for a density."""
        rows = []
        for seed in range(first_seed, first_seed + number):
            s = sample_subject(seed)
            by_name = {v.name: v.bmd_k2hpo4 for v in s.spine}
            rows.append((s.age_years, s.sex == "F", (by_name["L1"] + by_name["L2"]) / 2, by_name["L1"]))
        age, female, bmd, l1 = (np.array(column) for column in zip(*rows, strict=True))
        return cls(age, female.astype(bool), bmd, l1)

    def of(self, sex: str, low: float, high: float) -> np.ndarray:
        """Persons of a sex between two ages."""
        return np.asarray((self.female == (sex == "F")) & (self.age_years >= low) & (self.age_years < high))


def by_age(population: Population, sex: str, half_width_years: float = 2.5) -> list[tuple[float, float, float, float]]:
    """Rows of age, prior, mean and SD within ``half_width_years``, with the slope of age taken out.

    Ages with fewer than three persons are left out.
    """
    rows = []
    for age, prior in zip(PRIOR_AGES, PRIOR[sex], strict=True):
        who = population.of(sex, age - half_width_years, age + half_width_years)
        if who.sum() < 3:
            continue
        slope, _ = np.polyfit(population.age_years[who], population.bmd[who], 1)
        rest = population.bmd[who] - slope * (population.age_years[who] - age)
        rows.append((age, prior, float(rest.mean()), float(rest.std(ddof=2))))
    return rows


def osteoporosis_share(population: Population, sex: str, low: float = 50, high: float = 91) -> float:
    """Share below 80 mg/cm3."""
    return float((population.bmd[population.of(sex, low, high)] < 80).mean())


def l1_slope_hu(population: Population) -> float:
    """HU of L1 lost a year, both sexes, over all ages."""
    return float(np.polyfit(population.age_years, population.bmd_l1 * HU_PER_MG_CM3, 1)[0])


def figure(population: Population) -> "Figure":
    """BMD by age and sex: persons, the prior with its deviation, the reference population."""
    from matplotlib.figure import Figure

    from trabecula.evaluation.plots import ACCENT, FAINT, INK

    drawn = Figure(figsize=(8, 3.8), layout="constrained")
    for axes, sex, name in zip(drawn.subplots(1, 2, sharey=True), "FM", ("women", "men"), strict=True):
        who = population.of(sex, 0, 120)
        prior = np.array(PRIOR[sex])
        axes.fill_between(PRIOR_AGES, prior - PRIOR_SD, prior + PRIOR_SD, color=ACCENT, alpha=0.15, linewidth=0)
        axes.scatter(population.age_years[who][:800], population.bmd[who][:800], s=4, color=FAINT, linewidths=0)
        axes.plot(PRIOR_AGES, prior, color=ACCENT, label="asked for, with its SD")
        rows = np.array(by_age(population, sex))
        axes.errorbar(rows[:, 0], rows[:, 2], rows[:, 3], fmt="o", ms=4, color=INK, label="sampled, mean and SD")
        reference = CHINA_BIOBANK[sex]
        axes.plot(reference.keys(), reference.values(), "D", color="#b4540a", ms=6, label="China Biobank")
        axes.axhline(80, color=FAINT, linewidth=0.6)
        axes.axhline(120, color=FAINT, linewidth=0.6)
        axes.set_title(f"Virtual {name}", fontsize=10)
        axes.set_xlabel("age, years")
        axes.spines[["top", "right"]].set_visible(False)
    drawn.axes[0].set_ylabel("BMD of L1 and L2, mg/cm$^3$ K$_2$HPO$_4$")
    drawn.axes[0].legend(frameon=False, fontsize=8)
    return drawn
