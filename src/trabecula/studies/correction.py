"""A reader's correction: other names, vertebrae left out. The recipe's own diagnosis is asked again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from trabecula.anatomy import MEASURED_LEVELS, NAMED_LEVELS, USUAL_LEVELS, Level
from trabecula.flow.exclude import without_number
from trabecula.messages import Fact, Phrase
from trabecula.recipe import Recipe
from trabecula.records import Assessment, Effect, Reason, VertebraBox, VertebraReading, VertebraRegion, reason
from trabecula.studies.result import Result
from trabecula.studies.sentences import wrong

CAUSES = {
    "fracture": Phrase("cause-fracture"),
    "hardware": Phrase("cause-hardware"),
    "sclerosis": Phrase("cause-sclerosis"),
    "region": Phrase("cause-region"),
    "other": Phrase("cause-other"),
}
"""Why a reader leaves a vertebra out. A choice, no free text: that could name a patient."""

DOUBTFUL_NAMES = ("level-unknown", "level-uncertain")
"""Doubts of the program that a reader's own names settle."""

OF_OTHER_NAMES = (*DOUBTFUL_NAMES, "level-evidence", "numbering-variant", "transitional-vertebra", "vertebra-skipped")
"""What the program says by its own names, and what is no longer true under others."""

Levelled = TypeVar("Levelled", VertebraBox, VertebraRegion)


@dataclass(frozen=True)
class Correction:
    """What a reader asks for: new names by old name, causes of exclusion by old name, or the names as they are."""

    names: Mapping[Level, Level]
    excluded: Mapping[Level, str]
    shift_others: bool = True
    names_confirmed: bool = False


def corrected(kept: Result, asked: Correction, recipe: Recipe) -> tuple[Result, tuple[Phrase, ...]]:
    """The result as the reader wants it, diagnosed again, and what changed in sentences of any language.

    Raises:
        WrongUsage: nothing is asked for, or the names would not run from head to foot.
    """
    found = kept.assessment
    seen = _names(found, asked)
    measured = {one.level for one in found.readings.vertebrae}
    names = {old: new for old, new in seen.items() if old not in measured or new in MEASURED_LEVELS or new == old}
    changes = _changes(found, asked, names)
    if not changes:
        raise wrong("nothing-corrected")
    vertebrae = tuple(
        _reading(one, names, asked.excluded.get(one.level)) for one in found.readings.vertebrae if one.level in names
    )
    _require_order([one.level for one in vertebrae])
    note = reason("corrected-by-reader", Effect.NOTE, changes=changes)
    joint = found.readings.joint
    if joint is not None and any(names.get(level) != level for level in joint.levels):
        joint = None  # it was read from what are now other vertebrae
    readings = replace(found.readings, vertebrae=vertebrae, reasons=(*found.readings.reasons, note), joint=joint)
    spine = replace(found.spine, vertebrae=_renamed(found.spine.vertebrae, seen))
    renamed = any(old != new for old, new in names.items())
    settled = OF_OTHER_NAMES if renamed else DOUBTFUL_NAMES if asked.names_confirmed else ()
    spine = replace(spine, reasons=tuple(one for one in spine.reasons if one.code not in settled))
    regions = found.regions
    if regions is not None:
        regions = replace(regions, vertebrae=_renamed(regions.vertebrae, names))
    made = replace(found, spine=spine, regions=regions, readings=readings, diagnosis=recipe.diagnose(readings))
    now = {first: names[name] for first, name in kept.names.items() if name in names}
    return Result(made, now), tuple(sentence(change) for change in changes)


def sentence(words: Phrase) -> Phrase:
    """The words with their full stop."""
    return Phrase("sentence", {"words": words})


def _names(found: Assessment, asked: Correction) -> dict[Level, Level]:
    """Every level's new name; one that is shifted beyond the head or the sacrum has none."""
    present = [box.level for box in found.spine.vertebrae]
    present += [one.level for one in found.readings.vertebrae if one.level not in present]
    changed = {old: new for old, new in asked.names.items() if old != new and old in present}
    for new in changed.values():
        if new not in MEASURED_LEVELS:
            raise wrong("level-unmeasured", level=new)
    names = {level: changed.get(level, level) for level in present}
    if asked.shift_others and changed:
        if len(changed) > 1:
            raise wrong("names-ambiguous")
        ((old, new),) = changed.items()
        names = _shifted(present, old, new)
    return names


def _shifted(present: Sequence[Level], old: Level, new: Level) -> dict[Level, Level]:
    """Named levels keep their distance along the spine; unnamed ones follow one another.

    A thirteenth thoracic or sixth lumbar vertebra counts where this spine was said to have it.
    """
    chain = [level for level in NAMED_LEVELS if level in USUAL_LEVELS or level in present]
    target, names = USUAL_LEVELS.index(new), {}
    for place, level in enumerate(present):
        both_named = level.is_named and old.is_named
        step = chain.index(level) - chain.index(old) if both_named else place - present.index(old)
        if 0 <= target + step < len(USUAL_LEVELS):
            names[level] = USUAL_LEVELS[target + step]
    return names


def _reading(one: VertebraReading, names: Mapping[Level, Level], cause: str | None) -> VertebraReading:
    name = names[one.level]
    reasons = [_by_new_names(each, names) for each in one.reasons]
    if name != one.level:
        reasons.append(reason("renamed-by-reader", Effect.NOTE, level=name, before=one.level))
    if cause is not None:
        reasons.append(reason("excluded-by-reader", Effect.WITHHOLD, level=name, cause=CAUSES[cause]))
    return without_number(replace(one, level=name, reasons=tuple(reasons)))


def _by_new_names(said: Reason, names: Mapping[Level, Level]) -> Reason:
    """What was found, of the vertebra as it is called now; what an earlier reader did stays as it was done."""
    if said.phrase is None or said.code == "renamed-by-reader":
        return said
    facts = {key: _by_new_name(fact, names) for key, fact in said.phrase.facts.items()}
    phrase = replace(said.phrase, facts=facts)
    return replace(said, phrase=phrase, message=phrase.told())


def _by_new_name(fact: Fact, names: Mapping[Level, Level]) -> Fact:
    return next((new for old, new in names.items() if fact == old), fact)


def _renamed(ones: Sequence[Levelled], names: Mapping[Level, Level]) -> tuple[Levelled, ...]:
    return tuple(replace(one, level=names[one.level]) for one in ones if one.level in names)


def _require_order(levels: Sequence[Level]) -> None:
    places = [NAMED_LEVELS.index(level) for level in levels if level.is_named]
    if places != sorted(set(places)):
        raise wrong("levels-out-of-order", levels=tuple(levels))


def _changes(found: Assessment, asked: Correction, names: Mapping[Level, Level]) -> tuple[Phrase, ...]:
    changes = []
    for one in found.readings.vertebrae:
        new = names.get(one.level)
        if new is None:
            changes.append(Phrase("change-dropped", {"before": one.level}))
        elif new != one.level:
            changes.append(Phrase("change-renamed", {"before": one.level, "level": new}))
        cause = asked.excluded.get(one.level)
        if cause is not None and not one.withheld:
            changes.append(Phrase("change-excluded", {"level": new or one.level, "cause": CAUSES[cause]}))
    if asked.names_confirmed:
        changes.append(Phrase("change-confirmed", {"levels": _confirmed(found, names)}))
    return tuple(changes)


def _confirmed(found: Assessment, names: Mapping[Level, Level]) -> tuple[Level, ...]:
    """The names that the reader vouches for.

    Raises:
        WrongUsage: a vertebra has none.
    """
    levels = tuple(names[one.level] for one in found.readings.vertebrae if one.level in names)
    if not levels or not all(level.is_named for level in levels):
        raise wrong("levels-unnamed")
    return levels
