"""What a case must bring for a network to learn from it; asked before a voxel is read, and again of each shard."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trabecula.anatomy import Level
from trabecula.cohort.case import CONTRAST, UNENHANCED, Case, Known
from trabecula.cohort.files import Files
from trabecula.errors import WrongUsage, wrong_usage
from trabecula.messages import Phrase, joined
from trabecula.quantity import QCT_BANDS, VBMD_K2HPO4
from trabecula.training.samples.shards import LeftOut, Shard
from trabecula.view import Classes, Head

KnownClasses = Callable[[Known], set[str]]


@dataclass(frozen=True)
class Need:
    """A reference that a network learns from. ``what`` names it, unit and all, in a sentence.

    ``known`` says whether what is known of a case holds it, ``shard`` whether a shard does; ``classes`` to which of a
    classifier's classes a case belongs.
    """

    what: Phrase
    known: Callable[[Known], bool]
    shard: Callable[[Shard], bool]
    classes: KnownClasses | None = None


def enhanced(shard: Shard) -> bool:
    """Whether contrast medium brightens bone. In use that is taken off what a network reads: none may learn it."""
    return bool(shard.get("enhanced", False))


def density_of(levels: tuple[Level, ...] = (), together: bool = False) -> Need:
    """The QCT, in the unit of the bands, of any of ``levels``, or of any vertebra; ``together`` of all of them.

    A category is that of the mean of ``together``, else that of each vertebra by itself.
    """
    ids = tuple(level.verse_id for level in levels)
    enough = all if together else any

    def of_shard(shard: Shard) -> bool:
        if enhanced(shard):
            return False
        there = [int(label) for label in shard["bmd"][:, 0]]
        return enough(one in there for one in ids) if ids else bool(there)

    def densities(known: Known) -> dict[Level, float]:
        return dict(known.density) if known.quantity is VBMD_K2HPO4 else {}

    def of_case(known: Known) -> bool:
        if known.groups.get(CONTRAST, UNENHANCED) != UNENHANCED:
            return False
        there = densities(known)
        return enough(one in there for one in levels) if levels else bool(there)

    def classes(known: Known) -> set[str]:
        found = [bmd for level, bmd in densities(known).items() if level in levels or not levels]
        judged = [float(np.mean(found))] if together and found else found
        return {QCT_BANDS.category(bmd).value for bmd in judged}

    names = tuple(level.value for level in levels)
    if not names:
        what = Phrase("need-qct")
    elif together:
        what = Phrase("need-qct-all", {"levels": joined(names)})
    else:
        what = Phrase("need-qct-any", {"levels": names})
    return Need(what, of_case, of_shard, classes)


OUTLINES = Need(
    Phrase("need-outlines"),
    lambda known: True,  # a mask is no reference: the shard tells
    lambda shard: bool((shard["body"] != shard["trabecular"]).any()),
)

AREAL_BMD = Need(
    Phrase("need-areal-bmd"),
    lambda known: known.areal_bmd_g_cm2 is not None and known.groups.get(CONTRAST, UNENHANCED) == UNENHANCED,
    lambda shard: bool(np.isfinite(shard["abmd"])) and not enhanced(shard),
)


def require_brought(
    need: Need, weights: str, head: Head, training: tuple[Case, ...], judging: tuple[Case, ...]
) -> None:
    """Refuses cases of which it is known beforehand that nothing can be learned from them, or no class of some name.

    Virtual patients that are yet to be drawn are asked later, by ``shard``.

    Raises:
        WrongUsage: ``reference-missing``: no case to train on, or none to judge by, has it; ``class-empty``.
    """
    if _lack(need, training):
        raise wrong_usage("reference-missing.training", weights=weights, what=need.what, number=len(training))
    if _lack(need, judging):
        raise wrong_usage("reference-missing.judging", weights=weights, what=need.what, number=len(judging))
    if need.classes is None or not isinstance(head, Classes) or not all(_told(case) for case in training):
        return
    shown = set().union(*(need.classes(case.known) for case in training))
    if missing := [name for name in head.names if name not in shown]:
        raise class_empty(weights, missing)


def class_empty(weights: str, missing: list[str]) -> WrongUsage:
    """The refusal of cases in which a class has nobody."""
    return wrong_usage("class-empty", classes=missing, weights=weights)


def lacking(need: Need, case: Case) -> LeftOut:
    """A case that is left out because it does not bring what is needed."""
    return LeftOut(case.name, wrong_usage("reference-missing", what=need.what))


def _lack(need: Need, cases: tuple[Case, ...]) -> bool:
    """Whether it is known beforehand that none of the cases brings what is needed."""
    return all(_told(case) for case in cases) and not any(need.known(case.known) for case in cases)


def _told(case: Case) -> bool:
    """Whether all that is known of a case is known beforehand; of one that is drawn it comes with the drawing."""
    return isinstance(case.source, Files)
