"""Names for the vertebrae of a spine, given to the whole chain at once, because neighbours vouch for one another.

The localiser of the projection hands its candidates to this dynamic programme.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from trabecula.anatomy import LEVELS, UNKNOWN_LEVELS, Level
from trabecula.errors import refusal
from trabecula.records import Reason, VertebraBox, reason
from trabecula.volume import Float64

FOREIGN = 0.02
"""The score of a level that the detector did not name: small, not zero, so that one odd box cannot veto a chain."""

INDIFFERENT = 0.05
"""The score at which it does not matter whether a box belongs to the chain."""

EVIDENCE = 1.2
"""What the scores of a chain must sum to: one box alone, however sure, is no spine."""

LONGEST_SKIP = 3
"""The chain may pass over two vertebrae that the detector missed."""

STRETCH = 1.6
"""Boxes further apart than this many times what the levels between them measure have another vertebra between them."""

PITCH_MM: dict[Level, float] = dict(
    zip(LEVELS, (24.0, 25.0, 26.5, 28.0, 31.0, 34.0, 36.0, 37.0, 37.0, 33.0, 33.0), strict=True)
)
"""From a vertebra's middle to the next one's below: body and disc, mean of both sexes."""


@dataclass(frozen=True)
class Candidate:
    """A box (voxels of the scan) and the localiser's score for each of LEVELS."""

    z_range: tuple[float, float]
    x_range: tuple[float, float]
    scores: Float64
    y: float | None = None

    @property
    def z(self) -> float:
        return sum(self.z_range) / 2

    @property
    def x(self) -> float:
        return sum(self.x_range) / 2

    @property
    def total(self) -> float:
        return float(min(1.0, self.scores.sum()))


def name_spine(
    candidates: list[Candidate],
    spacing_mm: tuple[float, float, float],
    certain: float = 0.8,
    guess: float = 0.5,
) -> tuple[tuple[VertebraBox, ...], tuple[Reason, ...]]:
    """The vertebrae of the most credible chain, cranial first, and the reasons to doubt their names.

    Below the probability ``certain`` the names carry ``level-uncertain``; below ``guess`` none is given, and the
    vertebrae are the first, second ... unknown one.

    Raises:
        Refusal: ``no-vertebrae-found``.
    """
    chain = best_chain(candidates, spacing_mm)
    if len(chain) < 2 or sum(c.total for c, _ in chain) < EVIDENCE:
        raise refusal("no-vertebrae-found")
    probability = naming_probability(chain)
    vertebrae = _boxes(chain, probability)
    skipped = vertebrae_skipped([LEVELS[level] for _, level in chain], LEVELS)
    if probability >= certain:
        return vertebrae, skipped
    if probability >= guess:
        return vertebrae, (reason("level-uncertain", probability=probability), *skipped)
    seen = [box for box in vertebrae if box.level is not Level.S1]
    unnamed = tuple(replace(box, level=unknown) for box, unknown in zip(seen, UNKNOWN_LEVELS, strict=False))
    first, last = seen[0].level, seen[-1].level
    return unnamed, (reason("level-unknown", number=len(seen), first=first, last=last, probability=probability),)


def vertebrae_skipped(found: Sequence[str], order: Sequence[str]) -> tuple[Reason, ...]:
    """A reason for each place where a vertebra of ``order`` between two that were found was not."""
    return tuple(
        reason("vertebra-skipped", upper=upper, lower=lower)
        for upper, lower in pairwise(found)
        if order.index(lower) - order.index(upper) > 1
    )


def best_chain(candidates: list[Candidate], spacing_mm: tuple[float, float, float]) -> list[tuple[Candidate, int]]:
    """The candidates that form the most credible spine, cranial first, each with its index into LEVELS.

    A dynamic programme over (candidate, level): a link to the next level costs what its length differs from the
    anatomical pitch and what it leans sideways; levels may be skipped at a price.
    """
    ordered = sorted(candidates, key=lambda c: -c.z)
    scores = np.array([np.log((c.scores + FOREIGN) / INDIFFERENT) for c in ordered]).reshape(-1, len(LEVELS))
    best, came_from = scores.copy(), np.full(scores.shape, -1, int)
    for lower, c in enumerate(ordered):
        for upper in range(lower):
            drop_mm = (ordered[upper].z - c.z) * spacing_mm[0]
            lean_mm = (ordered[upper].x - c.x) * spacing_mm[2]
            if not 12 < drop_mm < 130:
                continue
            forward_mm = ((ordered[upper].y or 0.0) - (c.y or 0.0)) * spacing_mm[1]
            drop_mm = float(np.hypot(drop_mm, forward_mm))  # along the spine's own curve, where it is known
            if not drop_mm < 130:
                continue
            for step in range(1, LONGEST_SKIP + 1):
                value = best[upper, : len(LEVELS) - step] - _link_cost(drop_mm, lean_mm, step) + scores[lower, step:]
                better = value > best[lower, step:]
                best[lower, step:][better] = value[better]
                came_from[lower, step:][better] = upper * len(LEVELS) + np.flatnonzero(better)
    if not ordered or best.max() <= 0:
        return []
    chain, state = [], int(best.argmax())
    while state >= 0:
        index, level = divmod(state, len(LEVELS))
        chain.append((ordered[index], level))
        state = int(came_from[index, level])
    return chain[::-1]


def _link_cost(drop_mm: float, lean_mm: float, step: int) -> Float64:
    """What it costs to go down ``step`` levels over this distance, for each level but the last ``step``."""
    pitch = np.array([PITCH_MM[level] for level in LEVELS])
    expected = sum(pitch[k : len(LEVELS) - step + k] for k in range(step))
    cost = (
        0.5 * ((drop_mm - expected) / (0.15 * expected)) ** 2 + 0.5 * (lean_mm / (8.0 * step)) ** 2 + 3.0 * (step - 1)
    )
    return np.where((step == 1) & (drop_mm > STRETCH * expected), np.inf, cost)


def naming_probability(chain: list[tuple[Candidate, int]]) -> float:
    """How probable the chain's names are against the same chain named one or two levels higher or lower.

    The boxes look at the same two landmarks, ribs and sacrum, so together they weigh as two independent votes.
    """
    evidence = []
    for shift in (-2, -1, 0, 1, 2):
        levels = [level + shift for _, level in chain]
        inside = [_score(c, k) for (c, _), k in zip(chain, levels, strict=True)]
        evidence.append(2 * float(np.log(np.array(inside) + FOREIGN).mean()))
    odds = np.exp(np.array(evidence) - max(evidence))
    return float(odds[2] / odds.sum())


def _score(candidate: Candidate, level: int) -> float:
    """The score of a level by its index; above T8 and below the sacrum there is none."""
    return float(candidate.scores[level]) if 0 <= level < len(LEVELS) else 0.0


def _boxes(chain: list[tuple[Candidate, int]], probability: float) -> tuple[VertebraBox, ...]:
    """The chain as boxes; one missed vertebra is placed midway between its neighbours, with half their confidence."""
    boxes = []
    for (upper, level), following in zip(chain, [*chain[1:], None], strict=True):
        confidence = round(upper.total * probability, 3)
        boxes.append(VertebraBox(LEVELS[level], confidence, upper.z_range, upper.x_range, upper.y))
        if following is not None and following[1] == level + 2:
            lower = following[0]
            confidence = round(0.5 * min(upper.total, lower.total) * probability, 3)
            z_range, x_range = _between(upper.z_range, lower.z_range), _between(upper.x_range, lower.x_range)
            y = None if upper.y is None or lower.y is None else (upper.y + lower.y) / 2
            boxes.append(VertebraBox(LEVELS[level + 1], confidence, z_range, x_range, y))
    return tuple(boxes)


def _between(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
