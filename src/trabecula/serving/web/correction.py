"""A reader's correction: other names, vertebrae left out. The recipe's own diagnosis is asked again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from trabecula.anatomy import LEVELS, MEASURED_LEVELS, Level
from trabecula.errors import WrongUsage
from trabecula.recipe import Recipe
from trabecula.records import Reason, VertebraBox, VertebraDensity, VertebraRegion
from trabecula.serving.web.record import Record

CHAIN = LEVELS[LEVELS.index(MEASURED_LEVELS[0]) - 3 : LEVELS.index(MEASURED_LEVELS[-1]) + 2]
"""The names along which others are shifted: T8 to S1."""

CAUSES = {
    "fracture": "fractured",
    "hardware": "metal or cement",
    "sclerosis": "sclerotic, degenerate or a lesion",
    "region": "the region does not lie in trabecular bone",
    "other": "another cause",
}
"""Why a reader leaves a vertebra out. A choice, no free text: that could name a patient."""

Levelled = TypeVar("Levelled", VertebraBox, VertebraRegion, VertebraDensity)


@dataclass(frozen=True)
class Correction:
    """What a reader asks for: new names by old name, causes of exclusion by old name."""

    names: Mapping[Level, Level]
    excluded: Mapping[Level, str]
    shift_others: bool = True


def corrected(record: Record, asked: Correction, recipe: Recipe) -> tuple[Record, tuple[str, ...]]:
    """The record as the reader wants it, diagnosed again, and what changed in sentences.

    Raises:
        WrongUsage: nothing is asked for, or the names would not run from head to foot.
    """
    names = _names(record, asked)
    sentences = _sentences(record, asked, names)
    if not sentences:
        raise WrongUsage("nothing-corrected", "Nothing was changed. Choose another name or leave a vertebra out first.")
    vertebrae = tuple(
        _density(one, names[one.level], asked.excluded.get(one.level))
        for one in record.densities.vertebrae
        if one.level in names
    )
    _require_order([one.level for one in vertebrae])
    note = Reason("corrected-by-reader", f"A reader corrected this result. {' '.join(sentences)}")
    densities = replace(record.densities, vertebrae=vertebrae, reasons=(*record.densities.reasons, note))
    made = replace(
        record,
        spine=replace(record.spine, vertebrae=_renamed(record.spine.vertebrae, names)),
        regions=_renamed(record.regions, names),
        densities=densities,
        diagnosis=recipe.diagnose(densities),
        names=tuple((first, names[now]) for first, now in record.names if now in names),
    )
    return made, sentences


def _names(record: Record, asked: Correction) -> dict[Level, Level]:
    """Every level's new name; one shifted out of what can be named has none."""
    present = [box.level for box in record.spine.vertebrae]
    present += [one.level for one in record.densities.vertebrae if one.level not in present]
    changed = {old: new for old, new in asked.names.items() if old != new and old in present}
    for new in changed.values():
        if new not in MEASURED_LEVELS:
            raise WrongUsage("level-unknown", f"{new} is no level that a result may hold.")
    steps = {CHAIN.index(new) - CHAIN.index(old) for old, new in changed.items() if old in CHAIN}
    if not (asked.shift_others and changed):
        return {level: changed.get(level, level) for level in present}
    if len(steps) > 1:
        raise WrongUsage(
            "levels-out-of-order",
            "The others can be shifted along with one new name only. Rename one vertebra, or do not shift the others.",
        )
    step = steps.pop() if steps else 0
    names = {}
    for level in present:
        place = CHAIN.index(level) + step if level in CHAIN else -1
        if level in changed or level not in CHAIN:
            names[level] = changed.get(level, level)
        elif 0 <= place < len(CHAIN):
            names[level] = CHAIN[place]
    measured = {one.level for one in record.densities.vertebrae}
    return {old: new for old, new in names.items() if old not in measured or new in MEASURED_LEVELS or new == old}


def _density(one: VertebraDensity, name: Level, cause: str | None) -> VertebraDensity:
    reasons = list(one.reasons)
    if name != one.level:
        reasons.append(Reason("renamed-by-reader", f"Named {name} by a reader; it was {one.level} before."))
    if cause is None:
        return replace(one, level=name, reasons=tuple(reasons))
    reasons.append(Reason("excluded-by-reader", f"Left out by a reader: {CAUSES[cause]}."))
    return replace(one, level=name, bmd_mg_cm3=None, bmd_interval_mg_cm3=None, reasons=tuple(reasons))


def _renamed(ones: Sequence[Levelled], names: Mapping[Level, Level]) -> tuple[Levelled, ...]:
    return tuple(replace(one, level=names[one.level]) for one in ones if one.level in names)


def _require_order(levels: Sequence[Level]) -> None:
    places = [CHAIN.index(level) for level in levels if level in CHAIN]
    if places != sorted(set(places)):
        raise WrongUsage(
            "levels-out-of-order",
            f"From head to foot the vertebrae would be named {', '.join(levels)}: each name may stand once, in order."
            " Shift the others along, or choose other names.",
        )


def _sentences(record: Record, asked: Correction, names: Mapping[Level, Level]) -> tuple[str, ...]:
    told = []
    for one in record.densities.vertebrae:
        new = names.get(one.level)
        if new is None:
            told.append(f"{one.level} lies beyond the levels that are measured and was dropped.")
        elif new != one.level:
            told.append(f"{one.level} is now {new}.")
        cause = asked.excluded.get(one.level)
        if cause is not None and one.measurable:
            told.append(f"{new or one.level} was left out: {CAUSES[cause]}.")
    return tuple(told)
