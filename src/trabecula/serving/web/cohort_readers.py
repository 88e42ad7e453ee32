"""How far the program and its readers, and readers among themselves, come to the same result."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from trabecula.quantity import QUANTITIES, Category, Quantity
from trabecula.records import Assessment
from trabecula.report.words import unit_shown
from trabecula.studies.result import result_from
from trabecula.studies.tables import Version

PROGRAM = "Trabecula"
ORDER = [str(one) for one in (Category.NORMAL, Category.OSTEOPENIA, Category.OSTEOPOROSIS, Category.UNDETERMINED)]
FEWEST_FOR_KAPPA = 5
"""Of fewer studies a kappa says nothing."""

LIMITS = 1.96
"""Times the standard deviation of the differences: Bland and Altman's limits of agreement."""


@dataclass(frozen=True)
class Agreed:
    """Two who looked at the same studies, each by the last version of theirs."""

    first: str
    second: str
    studies: int
    same_category: int
    same_names: int
    kappa: str  # weighted linearly, with its 95% interval; empty where there are too few
    differences: tuple[tuple[str, int, str, str], ...]  # by kind of density: unit, n, mean, limits


def by_readers(cohort: Sequence[list[Version]]) -> list[Agreed]:
    """Every two who have a version of one study in common, the program with each reader first."""
    pairs: dict[tuple[str, str], list[tuple[Assessment, Assessment]]] = defaultdict(list)
    for kept in cohort:
        last = {one.made_by if one.number > 1 else "": one for one in kept if not one.pending}
        if len(last) < 2:
            continue
        read = {who: result_from(one.assessment, one.names).assessment for who, one in last.items()}
        for first, second in combinations(sorted(read), 2):
            pairs[first, second].append((read[first], read[second]))
    return [_agreed(*who, of) for who, of in sorted(pairs.items())]


def _agreed(first: str, second: str, pairs: list[tuple[Assessment, Assessment]]) -> Agreed:
    categories = [(str(a.diagnosis.category), str(b.diagnosis.category)) for a, b in pairs]
    names = [tuple([one.level for one in both.readings.vertebrae] for both in pair) for pair in pairs]
    return Agreed(
        first or PROGRAM,
        second,
        len(pairs),
        sum(a == b for a, b in categories),
        sum(a == b for a, b in names),
        _kappa(categories),
        tuple(one for key in QUANTITIES.values() if (one := _difference(key, pairs)) is not None),
    )


def _kappa(categories: list[tuple[str, str]]) -> str:
    if len(categories) < FEWEST_FOR_KAPPA:
        return ""
    from trabecula.evaluation.categories import Weights, kappa

    first, second = zip(*categories, strict=True)
    found = kappa(first, second, ORDER, Weights.LINEAR)
    return found.text() if np.isfinite(found.value) else ""


def _difference(quantity: Quantity, pairs: list[tuple[Assessment, Assessment]]) -> tuple[str, int, str, str] | None:
    """The second minus the first, of densities of one kind."""
    both = [(a.diagnosis.density, b.diagnosis.density) for a, b in pairs]
    apart = np.array(
        [b.value - a.value for a, b in both if a is not None and b is not None and a.quantity == b.quantity == quantity]
    )
    if not apart.size:
        return None
    digits, mean = quantity.digits, float(apart.mean())
    limits = "-"
    if apart.size > 1:
        half = LIMITS * float(apart.std(ddof=1))
        limits = f"{mean - half:+.{digits}f} … {mean + half:+.{digits}f}"
    return unit_shown(quantity), int(apart.size), f"{mean:+.{digits}f}", limits
