"""Names for a chain of vertebral bodies by counting: what each body shows, weighed against how people are numbered.

A hidden Markov chain runs down the spine of each anatomy (twelve, eleven or thirteen pairs of ribs, a lumbar rib; four,
five or six lumbar bodies), from any body on. What a body shows (ribs, neck, sacrum, looks) is its emission; the
distance to the next one says whether a body was missed. The prevalence of each anatomy is the prior, and the sum over
all ways to count gives the probability of every body's name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from trabecula.flow.localise.evidence import LOOKS, Part, Rib
from trabecula.volume import Float64

NECK = tuple(f"C{k}" for k in range(1, 8))
THORAX = tuple(f"T{k}" for k in range(1, 13))

PITCH_MM: dict[str, float] = {
    **dict.fromkeys(NECK, 17.5),
    **dict(zip(THORAX, (19.0, 20.0, 20.5, 21.0, 21.5, 22.0, 23.0, 24.0, 25.0, 26.5, 28.0, 31.0), strict=True)),
    **{"T13": 33.0, "L1": 34.0, "L2": 36.0, "L3": 37.0, "L4": 37.0, "L5": 33.0, "L6": 31.0, "S1": 28.0, "S2": 24.0},
}
"""From a body's middle to the next one's below: body and disc, mean of both sexes."""

PITCH_SD = 0.15
"""Of the logarithm of a pitch over its mean: people's sizes, worn discs, crushed bodies."""

STEPS = (0.975, 0.02, 0.005)
"""How often the next body found is the next one there is, or one or two were missed."""

LOOKS_VOTES = 2.0
"""How much a whole chain's looks count: its bodies err together, for all see the same ribs and pelvis."""


@dataclass(frozen=True)
class Anatomy:
    """A way to be numbered: the bodies from above, the share of people, and what may join a side of some of them."""

    ribs: str
    lumbar: int
    names: tuple[str, ...]
    prior: float
    rib_shares: Mapping[str, tuple[float, float, float]]  # of Rib, for each side


@dataclass(frozen=True)
class Shown:
    """What bodies show, cranial first: probabilities (n, classes) of each side's rib, of the part and of the looks."""

    rib_right: Float64
    rib_left: Float64
    part: Float64
    look: Float64

    def __len__(self) -> int:
        return len(self.part)


@dataclass(frozen=True)
class Confusion:
    """How often the network answers each class (columns) where another is true (rows), on unseen virtual patients."""

    rib: Float64
    part: Float64
    look: Float64


@dataclass(frozen=True)
class Naming:
    """The most probable names, cranial first, the probability of each, and that of each anatomy, best first."""

    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    anatomies: tuple[tuple[Anatomy, float], ...]

    @property
    def order(self) -> tuple[str, ...]:
        """Every body, from the first of the neck, of the likeliest anatomy that has all the names."""
        return next(a.names for a, _ in self.anatomies if set(self.names) <= set(a.names))

    def share(self, ribs: str | None = None, lumbar: int | None = None) -> float:
        """How probable it is that a person has this many ribs or lumbar bodies, by the names in ``Anatomy``."""
        return sum(p for a, p in self.anatomies if ribs in (None, a.ribs) and lumbar in (None, a.lumbar))


_LONG, _FREE = (0.002, 0.008, 0.99), (0.994, 0.005, 0.001)

# Last ribs on T12 in 92 to 95%; hypoplastic twelfth ribs 12.6%, lumbar ribs 1.5 to 5.8%; L5 wholly in the sacrum 3.1%,
# S1 free 4.0%; eleven and thirteen pairs are rarer. The prior is that of people, whatever training showed.
_RIBS: dict[str, tuple[float, dict[str, tuple[float, float, float]]]] = {
    "twelve": (0.925, {"T12": (0.012, 0.128, 0.86)}),
    "eleven": (0.03, {"T11": (0.01, 0.13, 0.86), "T12": (0.985, 0.013, 0.002)}),
    "lumbar-rib": (0.03, {"L1": (0.25, 0.72, 0.03), "T12": (0.01, 0.05, 0.94)}),
    "thirteen": (0.015, {"T13": (0.03, 0.47, 0.5), "T12": (0.002, 0.03, 0.968)}),
}
_LUMBAR = {5: 0.925, 4: 0.032, 6: 0.043}

# Of a body's part: neck, first rib, trunk, transitional, sacrum.
_PARTS = {
    **dict.fromkeys(NECK, (1.0, 0.0, 0.0, 0.0, 0.0)),
    "T1": (0.0, 1.0, 0.0, 0.0, 0.0),
    "L4": (0.0, 0.0, 0.998, 0.002, 0.0),
    "L5": (0.0, 0.0, 0.9, 0.098, 0.002),
    "L6": (0.0, 0.0, 0.75, 0.24, 0.01),
    "S1": (0.0, 0.0, 0.0, 0.02, 0.98),
    "S2": (0.0, 0.0, 0.0, 0.0, 1.0),
}
_TRUNK = (0.0, 0.0, 1.0, 0.0, 0.0)


@cache
def anatomies() -> tuple[Anatomy, ...]:
    """Every way to be numbered that is weighed, ribs and lumbar bodies varying by themselves."""
    made = []
    for ribs, (rib_prior, shares) in _RIBS.items():
        for lumbar, lumbar_prior in _LUMBAR.items():
            free = tuple(f"L{k}" for k in range(1, lumbar + 1))
            names = (*NECK, *THORAX, *(["T13"] if ribs == "thirteen" else []), *free, "S1", "S2")
            usual = {name: _LONG if name in THORAX else _FREE for name in names}
            made.append(Anatomy(ribs, lumbar, names, rib_prior * lumbar_prior, usual | shares))
    return tuple(made)


def name_chain(shown: Shown, pitches_mm: Float64, confusion: Confusion) -> Naming:
    """Names for bodies in order, cranial first; ``pitches_mm`` (n - 1) lie between one's middle and the next one's."""
    evidence = [_emissions(anatomy, shown, confusion) for anatomy in anatomies()]
    chains = [_chain(anatomy, one, pitches_mm) for anatomy, one in zip(anatomies(), evidence, strict=True)]
    weights = np.array([a.prior for a in anatomies()]) * np.exp(
        np.array([total for total, _, _ in chains]) - max(total for total, _, _ in chains)
    )
    weights /= weights.sum()
    by_name: list[dict[str, float]] = [{} for _ in range(len(shown))]
    for anatomy, weight, (_, marginals, _) in zip(anatomies(), weights, chains, strict=True):
        for body, row in zip(by_name, marginals, strict=True):
            for name, p in zip(anatomy.names, row, strict=True):
                body[name] = body.get(name, 0.0) + weight * p
    paths = {tuple(a.names[k] for k in path) for a, (_, _, path) in zip(anatomies(), chains, strict=True)}
    names = max(paths, key=lambda path: min(body.get(name, 0.0) for body, name in zip(by_name, path, strict=True)))
    ranked = sorted(zip(anatomies(), weights.tolist(), strict=True), key=lambda pair: -pair[1])
    return Naming(names, tuple(float(b[n]) for b, n in zip(by_name, names, strict=True)), tuple(ranked))


def _emissions(anatomy: Anatomy, shown: Shown, confusion: Confusion) -> Float64:
    """The log likelihood of what each body shows for each of the anatomy's names, (n, names)."""
    ribs = np.array([anatomy.rib_shares[name] for name in anatomy.names])
    parts = np.array([_part(anatomy, name) for name in anatomy.names])
    looks = [_look(name) for name in anatomy.names]
    total = np.zeros((len(shown), len(anatomy.names)))
    for given in (shown.rib_right, shown.rib_left):
        total += np.log(given @ (ribs @ confusion.rib).T)
    total += np.log(shown.part @ (parts @ confusion.part).T)
    votes = min(1.0, LOOKS_VOTES / max(len(shown), 1))
    return np.asarray(total + votes * np.log(shown.look @ confusion.look[looks].T))


def _part(anatomy: Anatomy, name: str) -> tuple[float, ...]:
    """The last lumbar body is the one that may be joined to the sacrum in part."""
    if anatomy.lumbar == 4 and name == "L4":
        return _PARTS["L5"]
    if anatomy.lumbar == 6 and name == "L5":
        return _TRUNK
    return _PARTS.get(name, _TRUNK)


def _look(name: str) -> int:
    """The nearest of LOOKS."""
    if name in NECK:
        return 0
    return LOOKS.index({"T13": "L1", "L6": "L5", "S2": "S1"}.get(name, name))


def _chain(anatomy: Anatomy, emission: Float64, pitches_mm: Float64) -> tuple[float, Float64, list[int]]:
    """The log likelihood of a chain, each body's probability of each name (n, names), and the best path."""
    pitch = np.log(np.array([PITCH_MM[name] for name in anatomy.names]))
    states = len(pitch)
    links = [_links(np.exp(pitch), mm) for mm in pitches_mm]
    n = len(emission)
    top = emission.max(axis=1, keepdims=True)
    seen = np.exp(emission - top)
    forward, best, back = np.zeros((n, states)), np.zeros((n, states)), np.zeros((n, states), int)
    scale = np.zeros(n)
    forward[0] = seen[0] / states
    best[0] = forward[0]
    scale[0] = forward[0].sum()
    forward[0] /= scale[0]
    for i in range(1, n):
        forward[i] = forward[i - 1] @ links[i - 1] * seen[i]
        scale[i] = forward[i].sum()
        forward[i] /= scale[i]
        reach = best[i - 1][:, None] * links[i - 1]
        back[i] = reach.argmax(axis=0)
        best[i] = reach.max(axis=0) * seen[i]
        best[i] /= best[i].max()
    backward = np.ones((n, states))
    for i in range(n - 2, -1, -1):
        backward[i] = links[i] @ (seen[i + 1] * backward[i + 1]) / scale[i + 1]
    marginals = forward * backward
    marginals /= marginals.sum(axis=1, keepdims=True)
    path = [int(best[-1].argmax())]
    for i in range(n - 1, 0, -1):
        path.append(int(back[i, path[-1]]))
    return float(np.log(scale).sum() + top.sum()), marginals, path[::-1]


def _links(pitch_mm: Float64, distance_mm: float) -> NDArray[np.float64]:
    """The likelihood of going from each name to each in a chain at this distance; none goes up or stays."""
    states = len(pitch_mm)
    links = np.full((states, states), 1e-12)
    for step, share in enumerate(STEPS, 1):
        expected = np.array([pitch_mm[k : k + step].sum() for k in range(states - step)])
        off = np.log(distance_mm / expected) / PITCH_SD
        # A heavy tail below: a crushed body or a worn disc halves a pitch, and is no reason to count otherwise. None
        # above: what is two pitches away is no neighbour.
        tail = 0.01 if step == 1 else 1e-4
        likely = np.exp(-0.5 * off**2) + np.where(off < 0, tail, 1e-6)
        links[np.arange(states - step), np.arange(step, states)] = share * likely
    links[np.arange(states)[:, None] >= np.arange(states)[None]] = 1e-12
    return links


def smoothed(counts: NDArray[np.float64], floor: float) -> Float64:
    """Rates from counts (true, answered); every wrong answer keeps at least ``floor`` among them, for what is real."""
    counts = np.asarray(counts, float)
    rates = (counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True)
    return np.asarray((1 - floor) * rates + floor / counts.shape[1])


assert len(_TRUNK) == len(Part)
assert len(_LONG) == len(Rib)
