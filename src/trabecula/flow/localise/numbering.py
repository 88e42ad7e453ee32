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

NAMED_VOTES = 4.0
"""The same of another network, which names bodies by their looks alone."""

LEAST_SHARE = 1e-6
"""A story less probable than this gives no names."""

OFF_BY: dict[int | None, float] = {0: 0.90, -1: 0.03, 1: 0.03, -2: 0.01, 2: 0.01, None: 0.02}
"""How probable it is that a network takes every body of a person for the one so many places lower, or (None) for any.

Such an error is shared by the whole chain: no number of bodies that look alike may outvote the ribs. Chosen on 105
virtual torsos, where shares twice as large or none at all name fewer people surely and rightly (docs/decisions/0014).
"""

BOTH_SIDES = 0.01
"""Of bodies, how many are mistaken on both sides at once: what passes for ribs on one often stands on the other too."""

AS_THORACIC = 0.5
"""Of bodies of the neck and of the first rib, how many show what any body between ribs does.

The network learnt to tell them on one family of virtual people, and there it does (68 of 72 rightly); of the other's 67
it told one, and took the rest for bodies between ribs or, of the neck, for the first (docs/results/counting.md).
"""

BY_THE_LAST_RIB = 0.2
"""In people with eleven or thirteen pairs or a lumbar rib, how probable it is that bodies look as if counted from the
last rib, as twelve pairs end: networks of looks learn from ribs, and then all of them are mistaken at once. Of 0, 0.2
and 0.4, on 300 virtual torsos: more makes people with six lumbar bodies too doubtful."""

NAMED = ("above", *(f"T{k}" for k in range(8, 13)), *(f"L{k}" for k in range(1, 6)), "S1")
"""What the second network can call a body; above stands for all down to T7."""

# Of ten bodies that a second network saw on virtual people of both families, eight were named rightly, one as the body
# above it; what lies above T8 is now and then taken for the pelvis.
_RIGHT, _ONE_HIGHER, _ONE_LOWER, _ANY = 0.80, 0.11, 0.03, 0.06


def _named_confusion() -> Float64:
    n = len(NAMED)
    rates = _RIGHT * np.eye(n) + _ONE_HIGHER * np.eye(n, k=-1) + _ONE_LOWER * np.eye(n, k=1) + _ANY / n
    return np.asarray(rates / rates.sum(axis=1, keepdims=True))


NAMED_CONFUSION = _named_confusion()
"""How often the second network answers each of NAMED (columns) where another is true (rows)."""


@dataclass(frozen=True)
class Anatomy:
    """A way to be numbered: the bodies from above, the share of people, and what may join a side of some of them."""

    ribs: str
    lumbar: int
    names: tuple[str, ...]
    prior: float
    rib_shares: Mapping[str, tuple[float, float, float]]  # of Rib, for each side
    looks_like: tuple[tuple[float, tuple[str, ...]], ...]  # each body like which name, and how probably


@dataclass(frozen=True)
class Shown:
    """What bodies show, cranial first: probabilities (n, classes) of each side's rib, of the part and of the looks.

    ``named``: of NAMED, as each other network sees them; a row of equal values says nothing.
    """

    rib_right: Float64
    rib_left: Float64
    part: Float64
    look: Float64
    named: tuple[Float64, ...] = ()

    def __len__(self) -> int:
        return len(self.part)


@dataclass(frozen=True)
class Confusion:
    """How often the network answers each class (columns) where another is true (rows), on unseen virtual patients."""

    rib: Float64
    part: Float64
    look: Float64
    named: Float64


@dataclass(frozen=True)
class Naming:
    """The most probable names, cranial first, the probability of each, and that of each anatomy, best first.

    ``evidence``: the logarithm of how likely what is shown is under all anatomies together, a body's mean share of it.
    """

    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    anatomies: tuple[tuple[Anatomy, float], ...]
    evidence: float = 0.0

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

# What bodies near the last rib then look like; those near the sacrum look as they are.
_BY_THE_LAST_RIB: dict[str, dict[str, str]] = {
    "eleven": {
        **{f"T{k}": f"T{k + 1}" for k in range(8, 12)},
        "T12": "L1",
        **{f"L{k}": f"L{k + 1}" for k in range(1, 5)},
    },
    "thirteen": {f"T{k}": f"T{k - 1}" for k in range(9, 14)},
    "lumbar-rib": {**{f"T{k}": f"T{k - 1}" for k in range(9, 13)}, "L1": "T12", "L2": "L1", "L3": "L2", "L4": "L3"},
}

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
            prior, looks = rib_prior * lumbar_prior, _looks_like(ribs, names)
            made.append(Anatomy(ribs, lumbar, names, prior, usual | shares, looks))
    return tuple(made)


def _looks_like(ribs: str, names: tuple[str, ...]) -> tuple[tuple[float, tuple[str, ...]], ...]:
    if ribs not in _BY_THE_LAST_RIB:
        return ((1.0, names),)
    shifted = tuple(_BY_THE_LAST_RIB[ribs].get(name, name) for name in names)
    return ((1 - BY_THE_LAST_RIB, names), (BY_THE_LAST_RIB, shifted))


def name_chain(shown: Shown, pitches_mm: Float64, confusion: Confusion) -> Naming:
    """Names for bodies in order, cranial first; ``pitches_mm`` (n - 1) lie between one's middle and the next one's."""
    told = [_stories(anatomy, shown, pitches_mm, confusion) for anatomy in anatomies()]
    whole = float(np.logaddexp.reduce(np.concatenate([stories.likely for stories in told])))
    by_name: list[dict[str, float]] = [{} for _ in range(len(shown))]
    shares, paths = [], set()
    for anatomy, stories in zip(anatomies(), told, strict=True):
        weights = np.exp(stories.likely - whole)
        shares.append((anatomy, float(weights.sum())))
        best = _best_paths(stories.emission[weights > LEAST_SHARE], stories.links)
        paths |= {tuple(anatomy.names[k] for k in path) for path in best.tolist()}
        for body, row in zip(by_name, np.tensordot(weights, stories.marginals, 1), strict=True):
            for name, p in zip(anatomy.names, row.tolist(), strict=True):
                body[name] = body.get(name, 0.0) + p
    names = max(paths, key=lambda path: min(body.get(name, 0.0) for body, name in zip(by_name, path, strict=True)))
    probabilities = tuple(float(b[n]) for b, n in zip(by_name, names, strict=True))
    return Naming(names, probabilities, tuple(sorted(shares, key=lambda pair: -pair[1])), whole / len(shown))


@dataclass(frozen=True)
class _Stories:
    """The ways in which networks of looks may be mistaken of a person of one anatomy."""

    likely: Float64  # (ways,), the logarithm, priors included
    marginals: Float64  # (ways, n, names)
    emission: Float64  # (ways, n, names), the logarithm
    links: list[Float64]  # n - 1 of (names, names)


def _stories(anatomy: Anatomy, shown: Shown, pitches_mm: Float64, confusion: Confusion) -> _Stories:
    joined, priors, emissions = _joined(anatomy, shown, confusion), [], []
    for share, names in anatomy.looks_like:
        looks = [_look(name) for name in names]
        called = [NAMED.index(LOOKS[look]) if LOOKS[look] in NAMED else 0 for look in looks]
        opinions = [_opinion(shown.look, confusion.look, looks, LOOKS_VOTES)]
        opinions += [_opinion(named, confusion.named, called, NAMED_VOTES) for named in shown.named]
        prior, emission = np.log([anatomy.prior * share]), joined[None]
        for likely, opinion in opinions:
            prior = np.add.outer(prior, likely).ravel()
            emission = (emission[:, None] + opinion[None]).reshape(-1, *emission.shape[1:])
        priors.append(prior)
        emissions.append(emission)
    pitch_mm = np.array([PITCH_MM[name] for name in anatomy.names])
    emission, links = np.concatenate(emissions), [_links(pitch_mm, mm) for mm in pitches_mm]
    total, marginals = _chain(emission, links)
    return _Stories(np.concatenate(priors) + total, marginals, emission, links)


def _joined(anatomy: Anatomy, shown: Shown, confusion: Confusion) -> Float64:
    """The log likelihood of what joins each body, for each of the anatomy's names, (n, names)."""
    ribs = np.array([anatomy.rib_shares[name] for name in anatomy.names])
    parts = np.array([_part(anatomy, name) for name in anatomy.names])
    right, left = (given @ (ribs @ confusion.rib).T for given in (shown.rib_right, shown.rib_left))
    either = (1 - BOTH_SIDES) * right * left + BOTH_SIDES / len(Rib) ** 2
    seen = either * (shown.part @ (parts @ confusion.part).T)
    between_ribs = seen[:, [anatomy.names.index("T2")]]
    upper = [anatomy.names.index(name) for name in (*NECK, "T1")]
    seen[:, upper] += AS_THORACIC * (between_ribs - seen[:, upper])
    return np.asarray(np.log(seen))


def _opinion(shown: Float64, confusion: Float64, classes: list[int], worth: float) -> tuple[Float64, Float64]:
    """Of each of OFF_BY the log probability, and the log likelihood of the looks for each name, (ways, n, names).

    ``classes``: what each of the anatomy's names is called if the network is right.
    """
    told = np.ptp(shown, axis=1) > 0
    votes, last = _votes(worth, int(told.sum())), len(classes) - 1
    ways = []
    for off in OFF_BY if told.any() else (0,):
        if off is None:
            likelihood = np.full((len(shown), len(classes)), 1 / len(confusion))
        else:
            likelihood = shown @ confusion[[classes[min(max(k + off, 0), last)] for k in range(last + 1)]].T
        ways.append(votes * np.log(likelihood) * told[:, None])
    shares = list(OFF_BY.values()) if told.any() else [1.0]
    return np.log(shares), np.array(ways)


def _votes(worth: float, bodies: int) -> float:
    return min(1.0, worth / max(bodies, 1))


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


def _chain(emission: Float64, links: list[Float64]) -> tuple[Float64, Float64]:
    """Of emissions (ways, n, names): the log likelihood of a chain, and each body's probability of each name."""
    n, states = emission.shape[1:]
    top = emission.max(axis=2, keepdims=True)
    seen = np.exp(emission - top)
    forward, scale = np.zeros_like(seen), np.zeros((len(seen), n, 1))
    for i in range(n):
        forward[:, i] = seen[:, i] * (forward[:, i - 1] @ links[i - 1] if i else 1 / states)
        scale[:, i] = forward[:, i].sum(axis=1, keepdims=True)
        forward[:, i] /= scale[:, i]
    backward = np.ones_like(seen)
    for i in range(n - 2, -1, -1):
        backward[:, i] = (seen[:, i + 1] * backward[:, i + 1]) @ links[i].T / scale[:, i + 1]
    marginals = forward * backward
    marginals /= marginals.sum(axis=2, keepdims=True)
    return np.log(scale).sum(axis=(1, 2)) + top.sum(axis=(1, 2)), marginals


def _best_paths(emission: Float64, links: list[Float64]) -> NDArray[np.int64]:
    """Of emissions (ways, n, names): the likeliest names of each way, (ways, n)."""
    ways, n, _ = emission.shape
    best, back = emission[:, 0], []
    for i in range(1, n):
        reach = best[:, :, None] + np.log(links[i - 1])
        back.append(reach.argmax(axis=1))
        best = reach.max(axis=1) + emission[:, i]
    paths = np.zeros((ways, n), np.int64)
    paths[:, -1] = best.argmax(axis=1)
    for i in range(n - 1, 0, -1):
        paths[:, i - 1] = np.take_along_axis(back[i - 1], paths[:, i, None], 1)[:, 0]
    return paths


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
