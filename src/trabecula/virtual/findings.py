"""What befalls the vertebrae of a virtual person with the years, and how often.

A person's findings have a stream of random numbers of their own, so that none of them changes the person's shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Rates:
    """How many people have a variant or a finding: shares of all people, unless it says otherwise.

    The defaults are ``LEARNT``: what is rare but must be learnt is drawn more often than it is met.
    """

    sacralised: float = 0.092  # with four_lumbar 12.3%; transitional vertebrae together 16%
    four_lumbar: float = 0.031
    lumbarised: float = 0.040
    thirteen_ribs: float = 0.015
    eleven_ribs: float = 0.025
    short_rib12: float = 0.38
    lumbar_ribs: float = 0.03
    neck_ribs: float = 0.015  # at C7
    castellvi_i: float = 0.08  # broad transverse processes of the last lumbar vertebra, without a joint
    fractures: float = 3.0  # times as often as met
    rare: float = 3.0  # the same, of haemangiomas, bone islands, metastases, cement and screws


LEARNT = Rates()
"""For training and judging networks."""

POPULATION = Rates(thirteen_ribs=0.005, eleven_ribs=0.015, short_rib12=0.126, neck_ribs=0.006, fractures=1.0, rare=1.0)
"""As met in people."""

VARIANTS = Rates(
    sacralised=0.13,
    four_lumbar=0.11,
    lumbarised=0.13,
    thirteen_ribs=0.12,
    eleven_ribs=0.11,
    short_rib12=0.45,
    lumbar_ribs=0.15,
    neck_ribs=0.05,
    castellvi_i=0.12,
)
"""For learning to count: every variant of numbering is drawn many times as often as it is met."""


@dataclass(frozen=True)
class Findings:
    """What has befallen one vertebra; zeros mean nothing."""

    fracture_anterior: float = 0.0  # fraction of the height lost in front,
    fracture_middle: float = 0.0  # in the middle, by which the end plates sink in,
    fracture_posterior: float = 0.0  # and behind
    osteophyte_mm: float = 0.0
    bridge_mm: float = 0.0  # thickness of bone that bridges the disc below
    sclerosis_upper_mm: float = 0.0  # of the bone under the upper end plate
    sclerosis_lower_mm: float = 0.0
    schmorl_mm: float = 0.0
    schmorl_upper: bool = True
    island_mm: float = 0.0
    haemangioma_mm: float = 0.0
    metastasis_mm: float = 0.0  # sclerotic
    cement_mm: float = 0.0
    screws: bool = False  # one in each pedicle, joined by rods to its neighbours'


NOTHING = Findings()


class Give(Protocol):
    """Adds findings to a vertebra's."""

    def __call__(self, name: str, **what: float) -> None: ...


# Prevalence of fractures by age, 5.4% of all (11% at 70 to 79, 18% over 80), and where they occur.
_FRACTURED = ((30, 55, 65, 75, 85), (0.005, 0.02, 0.05, 0.11, 0.18))
_FRACTURE_SITES = {
    **{"T6": 0.04, "T7": 0.09, "T8": 0.08, "T9": 0.06, "T10": 0.05, "T11": 0.1, "T12": 0.18, "T13": 0.1},
    **{"L1": 0.2, "L2": 0.08, "L3": 0.06, "L4": 0.05, "L5": 0.03},
}
_BODIES = tuple(f"T{k}" for k in range(1, 14)) + tuple(f"L{k}" for k in range(1, 7))


def sample_findings(seed: int, names: Sequence[str], age_years: float, sex: str, rates: Rates) -> dict[str, Findings]:
    """The findings of each vertebra of a person, in the order of ``names``."""
    found = dict.fromkeys(names, Findings())
    bodies = [name for name in names if name in _BODIES]
    low = [name for name in bodies if name[0] == "L" or int(name[1:]) >= 8]
    streams = [np.random.default_rng([seed, 21, kind]) for kind in range(9)]

    def give(name: str, **what: float) -> None:
        found[name] = replace(found[name], **what)  # type: ignore[arg-type]

    _wear(streams[0], bodies, age_years, give)
    _bridges(streams[1], names, age_years, sex, give)
    _fractures(streams[2], bodies, age_years, rates, give)
    _nodes(streams[3], low, give)
    for stream, name, rate, smallest, largest in (
        (streams[4], "haemangioma_mm", 0.10, 9.0, 24.0),
        (streams[5], "island_mm", 0.02, 4.0, 12.0),
    ):
        if stream.random() < min(0.5, rate * rates.rare):
            give(str(stream.choice(low)), **{name: float(stream.uniform(smallest, largest))})
    if streams[6].random() < 0.015 * rates.rare * (age_years > 45):
        for name in streams[6].choice(bodies, int(streams[6].integers(2, 8)), replace=False):
            give(str(name), metastasis_mm=float(streams[6].uniform(6, 20)))
    if streams[7].random() < 0.008 * rates.rare * (age_years > 55):
        broken = [name for name in low if found[name].fracture_anterior or found[name].fracture_middle]
        give(str(streams[7].choice(broken or low)), cement_mm=float(streams[7].uniform(12, 24)))
    if streams[8].random() < 0.012 * rates.rare:
        _fusion(streams[8], names, give)
    return found


def _wear(rng: np.random.Generator, bodies: list[str], age: float, give: Give) -> None:
    """Osteophytes, ever more from forty on, and sclerosis on both sides of a disc in one of seven over sixty."""
    person = rng.normal(1, 0.3)
    for name in bodies:
        draw, size = rng.random(), rng.uniform(3, 12)
        if draw < person * (age - 40) / 50:
            give(name, osteophyte_mm=float(size))
    worn, where = rng.random(), int(rng.integers(len(bodies) - 1))
    # Half of the worn discs are the last two of the spine.
    where = len(bodies) - 2 - int(rng.integers(2)) if rng.random() < 0.5 else where
    upper, lower = rng.uniform(3, 8, 2)
    if worn < (0.15 if age > 60 else 0.02):
        give(bodies[where], sclerosis_lower_mm=float(upper))
        give(bodies[where + 1], sclerosis_upper_mm=float(lower))


def _bridges(rng: np.random.Generator, names: Sequence[str], age: float, sex: str, give: Give) -> None:
    """Bone that flows over four and more thoracic vertebrae (diffuse hyperostosis), or a single bridge."""
    draw, first, length, thick = rng.random(), int(rng.integers(4, 8)), int(rng.integers(4, 9)), rng.uniform(3, 8)
    if draw < (0.14 if sex == "M" else 0.06) * np.clip((age - 45) / 20, 0, 1):
        start = names.index(f"T{first}")
        for name in names[start : min(start + length, names.index("S1") - 2)]:
            give(name, bridge_mm=float(thick * rng.uniform(0.7, 1.3)))
        return
    lone, name = rng.random(), str(rng.choice(["T10", "T11", "L1", "L2", "L3", "L4"]))
    if lone < 0.12 * np.clip((age - 45) / 30, 0, 1):
        give(name, bridge_mm=float(rng.uniform(3, 7)))


def _fractures(rng: np.random.Generator, bodies: list[str], age: float, rates: Rates, give: Give) -> None:
    """Wedge, biconcave or crush; 20 to 60% of the height. Drawn whatever the density, or shape would foretell it."""
    rate = rates.fractures * float(np.interp(age, *_FRACTURED))
    for name in bodies:
        draw, kind, loss = rng.random(), rng.choice(3, p=[0.5, 0.3, 0.2]), float(rng.uniform(0.2, 0.6))
        rest = rng.uniform(0, 1, 2)
        if draw >= rate * _FRACTURE_SITES.get(name, 0.0):
            continue
        if kind == 0:
            give(name, fracture_anterior=loss, fracture_middle=float(0.4 * loss * rest[0]))
        elif kind == 1:
            give(name, fracture_anterior=float(0.2 * loss * rest[0]), fracture_middle=loss)
        else:
            give(
                name,
                fracture_anterior=loss,
                fracture_middle=float(0.3 * loss * rest[0]),
                fracture_posterior=float(loss * (0.5 + 0.4 * rest[1])),
            )


def _nodes(rng: np.random.Generator, low: list[str], give: Give) -> None:
    """Schmorl nodes in 15.7% of people, in one to three vertebrae."""
    draw, count = rng.random(), int(rng.integers(1, 4))
    for name in rng.choice(low, count, replace=False):
        size, upper = float(rng.uniform(3, 9)), bool(rng.random() < 0.5)
        if draw < 0.157:
            give(str(name), schmorl_mm=size, schmorl_upper=upper)


def _fusion(rng: np.random.Generator, names: Sequence[str], give: Give) -> None:
    """Screws in two to four neighbouring vertebrae, mostly the lowest."""
    last = names.index("S1") - int(rng.choice([0, 1, 2, 4], p=[0.4, 0.3, 0.2, 0.1]))
    for name in names[last - int(rng.integers(1, 4)) : last + 1]:
        give(name, screws=True)
