"""Which phase of contrast medium a scan shows, and by how much that lifts the marrow of a vertebra.

The rise does not follow the blood's HU, but it differs from phase to phase: the same people read 129 HU unenhanced, 142
in the arterial and 147 in the portal venous phase (10.1007/s00330-014-3408-2), and little changes after that (Eur
Radiol Exp 2022;6:8). The phase is told from aorta, cava, kidneys, liver and spleen together; each may be missing or
misread.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from trabecula.flow.calibrate.around import Surroundings
from trabecula.flow.calibrate.organs import kidney_hu, liver_hu, spleen_hu
from trabecula.flow.calibrate.vessels import find_aorta, find_cava
from trabecula.volume import Float64


class Phase(StrEnum):
    """When after the injection a scan was made."""

    PLAIN = "plain"
    ARTERIAL = "arterial"
    PORTAL = "portal"
    DELAYED = "delayed"


@dataclass(frozen=True)
class Sign:
    """What an organ reads unenhanced (mean and SD in HU), and what each phase adds at 120 kVp."""

    plain_hu: float
    plain_sd_hu: float
    added_hu: dict[Phase, float]
    missed: float  # how often muscle is read in its place


def _added(arterial: float, portal: float, delayed: float) -> dict[Phase, float]:
    return {Phase.PLAIN: 0.0, Phase.ARTERIAL: arterial, Phase.PORTAL: portal, Phase.DELAYED: delayed}


SIGNS = {
    "aorta": Sign(46.0, 9.0, _added(240.0, 110.0, 70.0), 0.01),
    "cava": Sign(50.0, 10.0, _added(40.0, 100.0, 70.0), 0.03),
    "kidneys": Sign(50.0, 8.0, _added(110.0, 140.0, 115.0), 0.2),
    "liver": Sign(54.0, 10.0, _added(12.0, 52.0, 40.0), 0.15),
    "spleen": Sign(50.0, 12.0, _added(60.0, 62.0, 40.0), 0.25),
}
"""Textbook enhancement of the abdomen by 0.5 g iodine a kg; doses and hearts differ, see ``DOSES``."""

DOSES = np.linspace(0.5, 1.6, 23)
ORGAN_SPREAD = 0.2
"""Of an organ's own enhancement about its share, one standard deviation."""

MUSCLE_HU, MUSCLE_SD_HU = 55.0, 12.0
MISREAD_CHANCE, MISREAD_RANGE_HU = 0.01, 500.0
"""That something else altogether is read."""

PRIOR = {Phase.PLAIN: 0.5, Phase.ARTERIAL: 0.1, Phase.PORTAL: 0.3, Phase.DELAYED: 0.1}
HEADER_FACTOR = 5.0
"""How much likelier contrast is where the header names an agent; headers are often silent and sometimes wrong."""

RISE_HU = {Phase.PLAIN: 0.0, Phase.ARTERIAL: 13.0, Phase.PORTAL: 18.0, Phase.DELAYED: 14.0}
"""What the marrow gains at 120 kVp; the delayed phase lies between: its blood holds less, its marrow has had time."""

RISE_SD_HU = {Phase.PLAIN: 0.0, Phase.ARTERIAL: 4.0, Phase.PORTAL: 5.0, Phase.DELAYED: 5.0}


@dataclass(frozen=True)
class Contrast:
    """The likeliest phase, how probable each is, what the organs read (HU) and the marrow's rise in this scan."""

    phase: Phase
    probabilities: dict[Phase, float]
    rise_hu: float
    rise_sd_hu: float
    organs_hu: dict[str, float] = field(default_factory=dict)

    @property
    def enhanced(self) -> bool:
        return self.phase is not Phase.PLAIN


def read_organs(around: Surroundings) -> dict[str, float]:
    """HU of each organ of ``SIGNS`` that is in view."""
    aorta = find_aorta(around)
    cava = find_cava(around, aorta)
    read = {
        "aorta": aorta.hu if aorta else None,
        "cava": cava.hu if cava else None,
        "kidneys": kidney_hu(around),
        "liver": liver_hu(around),
        "spleen": spleen_hu(around),
    }
    return {name: hu for name, hu in read.items() if hu is not None}


def judge(organs_hu: dict[str, float], iodine_factor: float, agent: bool) -> Contrast:
    """The phase that fits the organs' HU best, over all doses; with no organ read, what headers are worth.

    ``iodine_factor`` is iodine's HU in this beam over those at 120 kVp; ``agent`` whether the header names an agent.
    """
    weights = {}
    for phase, prior in PRIOR.items():
        favoured = agent is (phase is not Phase.PLAIN)
        likelihood = np.ones(len(DOSES))
        for name, hu in organs_hu.items():
            sign = SIGNS[name]
            added = DOSES * sign.added_hu[phase] * iodine_factor
            sd = np.hypot(sign.plain_sd_hu, ORGAN_SPREAD * added)
            fit = (1 - sign.missed) * _normal(hu, sign.plain_hu + added, sd)
            fit = fit + sign.missed * _normal(hu, MUSCLE_HU, np.array(MUSCLE_SD_HU))
            likelihood = likelihood * ((1 - MISREAD_CHANCE) * fit + MISREAD_CHANCE / MISREAD_RANGE_HU)
        weights[phase] = prior * (HEADER_FACTOR if favoured else 1.0) * float(likelihood.mean())
    total = sum(weights.values())
    shares = {phase: weight / total for phase, weight in weights.items()}
    rise = sum(share * RISE_HU[phase] for phase, share in shares.items())
    square = sum(share * (RISE_HU[phase] ** 2 + RISE_SD_HU[phase] ** 2) for phase, share in shares.items())
    return Contrast(
        phase=max(shares, key=lambda phase: shares[phase]),
        probabilities=shares,
        rise_hu=rise * iodine_factor,
        rise_sd_hu=float(np.sqrt(max(0.0, square - rise**2))) * iodine_factor,
        organs_hu=organs_hu,
    )


def _normal(value: float, mean: Float64 | float, sd: Float64) -> Float64:
    """Density of a normal distribution."""
    return np.asarray(np.exp(-(((value - mean) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi)))
