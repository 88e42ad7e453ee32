"""How many vertebrae of each kind a virtual person has, which bear ribs, and how the last one meets the sacrum."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from trabecula.anatomy import USUAL_LEVELS, Level
from trabecula.virtual.findings import Rates

CHAIN = tuple(level.value for level in USUAL_LEVELS[USUAL_LEVELS.index(Level.C5) :])
"""Every vertebra of an ordinary spine that is built, cranial first."""


class Numbering(StrEnum):
    """How the vertebrae of a person are numbered."""

    REGULAR = "regular"
    SACRALISED = "sacralised"  # L5 is joined to the ala by broad transverse processes
    FOUR_LUMBAR = "four-lumbar"  # L5 is wholly a part of the sacrum, whose first segment is called S1
    LUMBARISED = "lumbarised"  # S1 is free and called L6; the sacrum begins one segment lower
    THIRTEEN_RIBS = "thirteen-ribs"  # a T13 between T12 and L1
    ELEVEN_RIBS = "eleven-ribs"  # T12 bears none


class Castellvi(StrEnum):
    """How the transverse processes of the last lumbar vertebra meet the sacrum (Castellvi 1984); a: on one side."""

    NONE = ""
    IA = "Ia"  # broad (19 mm and more from above to below), without a joint
    IB = "Ib"
    IIA = "IIa"  # joined by a joint
    IIB = "IIb"
    IIIA = "IIIa"  # joined by bone
    IIIB = "IIIb"
    IV = "IV"  # a joint on one side, bone on the other

    @property
    def sides(self) -> tuple[str, str]:
        """What stands on the first and on the other side: nothing, "broad", "joint" or "bone"."""
        kind = {"I": "broad", "II": "joint", "III": "bone"}.get(self.value.rstrip("ab"), "")
        if self is Castellvi.IV:
            return "joint", "bone"
        return kind, kind if self.value.endswith("b") else ""


_CASTELLVI_SHARES = {  # of those joined to the sacrum (types II to IV)
    Castellvi.IIA: 0.26,
    Castellvi.IIB: 0.24,
    Castellvi.IIIA: 0.12,
    Castellvi.IIIB: 0.28,
    Castellvi.IV: 0.10,
}

RibLengths = tuple[tuple[str, float, float], ...]
"""Vertebra, its rib's length on the right and on the left (mm; 0: none): of the ribs that vary between people."""


@dataclass(frozen=True)
class Variant:
    """A person's numbering, its transition to the sacrum and the ribs that vary; ``first_side`` -1 right, 1 left."""

    numbering: Numbering = Numbering.REGULAR
    castellvi: Castellvi = Castellvi.NONE
    first_side: int = 1


REGULAR = Variant()


def chain(numbering: Numbering) -> tuple[str, ...]:
    """The names of a person's vertebrae, cranial first."""
    names = list(CHAIN)
    if numbering is Numbering.FOUR_LUMBAR:
        names.remove("L5")
    elif numbering is Numbering.LUMBARISED:
        names.insert(names.index("S1"), "L6")
    elif numbering is Numbering.THIRTEEN_RIBS:
        names.insert(names.index("L1"), "T13")
    return tuple(names)


def sample_numbering(rng: np.random.Generator, rates: Rates) -> Numbering:
    """One of the numberings, as often as the rates say."""
    shares = {
        Numbering.SACRALISED: rates.sacralised,
        Numbering.FOUR_LUMBAR: rates.four_lumbar,
        Numbering.LUMBARISED: rates.lumbarised,
        Numbering.THIRTEEN_RIBS: rates.thirteen_ribs,
        Numbering.ELEVEN_RIBS: rates.eleven_ribs,
    }
    index = np.searchsorted(np.cumsum(list(shares.values())), rng.random(), side="right")
    return [*shares, Numbering.REGULAR][index]


def sample_castellvi(seed: int, numbering: Numbering, rates: Rates) -> Variant:
    """How the last lumbar vertebra meets the sacrum; type I is no numbering of its own."""
    rng = np.random.default_rng([seed, 35])
    kind, broad, both, side = rng.random(), rng.random(), rng.random(), int(rng.choice([-1, 1]))
    castellvi = Castellvi.NONE
    if numbering is Numbering.SACRALISED:
        at = int(np.searchsorted(np.cumsum(list(_CASTELLVI_SHARES.values())), kind, side="right"))
        castellvi = list(_CASTELLVI_SHARES)[min(at, len(_CASTELLVI_SHARES) - 1)]
    elif broad < rates.castellvi_i:
        castellvi = Castellvi.IB if both < 0.5 else Castellvi.IA
    return Variant(numbering, castellvi, side)


def sample_ribs(rng: np.random.Generator, seed: int, numbering: Numbering, rates: Rates, scale: float) -> RibLengths:
    """The lengths of the twelfth ribs and of those that few people have.

    A short twelfth rib makes T12 look like L1. Lengths differ between the sides, and one side may bear none.
    """
    twelfth = float(rng.uniform(15, 55) if rng.random() < rates.short_rib12 else rng.uniform(55, 150))
    lumbar = float(rng.uniform(15, 45) if rng.random() < rates.lumbar_ribs else 0.0)
    own = np.random.default_rng([seed, 34])
    twelfth = {Numbering.ELEVEN_RIBS: 0.0, Numbering.THIRTEEN_RIBS: max(twelfth, 60.0)}.get(numbering, twelfth)
    lumbar = 0.0 if numbering in (Numbering.THIRTEEN_RIBS, Numbering.ELEVEN_RIBS) else lumbar
    thirteenth = float(own.uniform(20, 120)) if numbering is Numbering.THIRTEEN_RIBS else 0.0
    neck = float(own.uniform(18, 60)) if own.random() < rates.neck_ribs else 0.0
    long_lumbar = own.random() < 0.25
    if lumbar and long_lumbar:  # a lumbar rib may be as long as a twelfth
        lumbar *= 2.2
    lone_twelfth = 0.12 if twelfth < 40 else 0.0
    wished = (("C7", neck, 0.5), ("T12", twelfth, lone_twelfth), ("T13", thirteenth, 0.2), ("L1", lumbar, 0.4))
    ribs = []
    for name, length, one_sided in wished:
        pair = length * scale * own.normal(1, 0.1, 2)
        alone, which = own.random() < one_sided, int(own.integers(2))
        if alone:
            pair[which] = 0.0
        if length:
            ribs.append((name, float(max(pair[0], 0.0)), float(max(pair[1], 0.0))))
    if numbering is Numbering.ELEVEN_RIBS:
        ribs.append(("T12", 0.0, 0.0))
    return tuple(ribs)
