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
    mistaken: float = 0.0  # and how often the kidney beside it


def _added(arterial: float, portal: float, delayed: float) -> dict[Phase, float]:
    return {Phase.PLAIN: 0.0, Phase.ARTERIAL: arterial, Phase.PORTAL: portal, Phase.DELAYED: delayed}


SIGNS = {
    "aorta": Sign(46.0, 9.0, _added(240.0, 110.0, 70.0), 0.01),
    "cava": Sign(50.0, 10.0, _added(40.0, 100.0, 70.0), 0.03),
    "kidneys": Sign(50.0, 8.0, _added(110.0, 122.0, 97.0), 0.2),
    "liver": Sign(54.0, 10.0, _added(12.0, 52.0, 40.0), 0.15),
    "spleen": Sign(50.0, 12.0, _added(60.0, 62.0, 40.0), 0.25, mistaken=0.25),
}
"""Textbook enhancement of the abdomen by 0.5 g iodine a kg; doses and hearts differ, see ``DOSES``. Where there is no
contrast medium muscle is read for the kidneys, which hold 30 to 35 HU themselves: 18 are missing from what they gain.
The upper pole of the left kidney lies beside the spleen, and is brighter."""

DOSES = np.linspace(0.5, 1.6, 23)
ORGAN_SPREAD = 0.2
"""Of an organ's own enhancement about its share, one standard deviation."""

MUSCLE_HU, MUSCLE_SD_HU = 55.0, 12.0
MISREAD_CHANCE, MISREAD_RANGE_HU = 0.01, 500.0
"""That something else altogether is read."""

PRIOR = {Phase.PLAIN: 0.5, Phase.ARTERIAL: 0.1, Phase.PORTAL: 0.3, Phase.DELAYED: 0.1}
HEADER_FACTOR = 5.0
"""How much likelier contrast is where the header names an agent; headers are often silent and sometimes wrong."""

DELAY_S = {Phase.ARTERIAL: (30.0, 0.35), Phase.PORTAL: (75.0, 0.25), Phase.DELAYED: (240.0, 0.5)}
"""When each phase is scanned after the start of the injection: median in s, and the SD of its logarithm. Protocols of
the abdomen: 20 to 45 s, 60 to 90 s, 3 to 10 min."""

WRONG_TIME = 0.15
"""How often the time is that of something else: the injector armed, a test bolus, an earlier phase."""

ANY_DELAY_S = 1800.0

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


def judge(organs_hu: dict[str, float], iodine_factor: float, agent: bool, delay_s: float | None = None) -> Contrast:
    """The phase that fits the organs' HU best, over all doses; with no organ read, what headers are worth.

    ``iodine_factor`` is iodine's HU in this beam over those at 120 kVp; ``agent`` whether the header names an agent,
    ``delay_s`` how long after the injection's start the scan was made, where that is told.
    """
    weights = {}
    for phase, prior in PRIOR.items():
        favoured = agent is (phase is not Phase.PLAIN)
        likelihood = np.ones(len(DOSES))
        for name, hu in organs_hu.items():
            sign = SIGNS[name]
            fit = (1 - sign.missed - sign.mistaken) * _fits(sign, hu, phase, iodine_factor)
            fit = fit + sign.mistaken * _fits(SIGNS["kidneys"], hu, phase, iodine_factor)
            fit = fit + sign.missed * _normal(hu, MUSCLE_HU, np.array(MUSCLE_SD_HU))
            likelihood = likelihood * ((1 - MISREAD_CHANCE) * fit + MISREAD_CHANCE / MISREAD_RANGE_HU)
        weights[phase] = prior * (HEADER_FACTOR if favoured else 1.0) * float(likelihood.mean())
        weights[phase] *= _fits_delay(phase, delay_s)
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


def _fits(sign: Sign, hu: float, phase: Phase, iodine_factor: float) -> Float64:
    """How likely an organ reads so in a phase, for each of ``DOSES``."""
    added = DOSES * sign.added_hu[phase] * iodine_factor
    return _normal(hu, sign.plain_hu + added, np.hypot(sign.plain_sd_hu, ORGAN_SPREAD * added))


def _fits_delay(phase: Phase, delay_s: float | None) -> float:
    """How likely a scan of a phase is to be made so long after the injection, against any time."""
    if delay_s is None or phase not in DELAY_S:
        return 1.0
    median, sd = DELAY_S[phase]
    density = float(_normal(float(np.log(delay_s)), float(np.log(median)), np.array(sd))) / delay_s
    return (1 - WRONG_TIME) * density * ANY_DELAY_S + WRONG_TIME


def _normal(value: float, mean: Float64 | float, sd: Float64) -> Float64:
    """Density of a normal distribution."""
    return np.asarray(np.exp(-(((value - mean) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi)))
