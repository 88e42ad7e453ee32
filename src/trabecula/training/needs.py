"""What a case must bring for a network to learn from it; asked before a voxel is read, and again of each shard."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trabecula.anatomy import Level
from trabecula.cohort.case import CONTRAST, UNENHANCED, Case, Known
from trabecula.cohort.files import Files
from trabecula.errors import WrongUsage
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

    what: str
    known: Callable[[Known], bool]
    shard: Callable[[Shard], bool]
    classes: KnownClasses | None = None


AND_NO_CONTRAST = "in a scan without contrast medium"


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

    names = (" and " if together else " or ").join(level.value for level in levels) or "a vertebra"
    return Need(f"a QCT of {names} in mg/cm3 of K2HPO4 {AND_NO_CONTRAST}", of_case, of_shard, classes)


OUTLINES = Need(
    "a mask of bodies (bodies_mask)",
    lambda known: True,  # a mask is no reference: the shard tells
    lambda shard: bool((shard["body"] != shard["trabecular"]).any()),
)

AREAL_BMD = Need(
    f"areal BMD by DXA (dxa_g_cm2) {AND_NO_CONTRAST}",
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
    for cases, what in ((training, "train on"), (judging, "judge by")):
        if all(_told(case) for case in cases) and not any(need.known(case.known) for case in cases):
            raise WrongUsage(
                "reference-missing",
                f"{weights} learns from {need.what}, and none of {len(cases)} case(s) to {what} has it.",
            )
    if need.classes is None or not isinstance(head, Classes) or not all(_told(case) for case in training):
        return
    shown = set().union(*(need.classes(case.known) for case in training))
    if missing := [name for name in head.names if name not in shown]:
        raise class_empty(weights, missing)


def class_empty(weights: str, missing: list[str]) -> WrongUsage:
    """The refusal of cases in which a class has nobody."""
    return WrongUsage(
        "class-empty",
        f"No case to train on shows {', '.join(missing)}: {weights} would never learn it. Give cases that do.",
    )


def lacking(need: Need, case: Case) -> LeftOut:
    """A case that is left out because it does not bring what is needed."""
    return LeftOut(case.name, WrongUsage("reference-missing", f"It lacks {need.what}."))


def _told(case: Case) -> bool:
    """Whether all that is known of a case is known beforehand; of one that is drawn it comes with the drawing."""
    return isinstance(case.source, Files)
