"""What was measured against what has to be met."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """How a criterion came out."""

    MET = "met"
    NOT_MET = "not met"
    UNTESTED = "not tested"


@dataclass(frozen=True)
class Criterion:
    """One limit: what was found, with its 95% interval where it has one, and of how many."""

    name: str
    found: str
    limit: str
    outcome: Outcome
    n: int | None = None


@dataclass(frozen=True)
class Part:
    """One part of an acceptance: its criteria, tables of what they rest on, drawings, and what to know of it."""

    title: str
    criteria: tuple[Criterion, ...]
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    drawings: tuple[str, ...] = ()  # SVG
    notes: tuple[str, ...] = field(default_factory=tuple)


def at_most(
    name: str, value: float | None, limit: float, shown: str, unit: str = "", n: int | None = None
) -> Criterion:
    """A figure that may be no larger in size; None where it was not measured."""
    outcome = Outcome.UNTESTED if value is None else Outcome.MET if abs(value) <= limit else Outcome.NOT_MET
    return Criterion(name, shown, f"at most {_number(limit, unit)}", outcome, n)


def at_least(
    name: str, value: float | None, limit: float, shown: str, unit: str = "", n: int | None = None
) -> Criterion:
    """A figure that may be no smaller; None where it was not measured."""
    outcome = Outcome.UNTESTED if value is None else Outcome.MET if value >= limit else Outcome.NOT_MET
    return Criterion(name, shown, f"at least {_number(limit, unit)}", outcome, n)


def verdict(parts: Sequence[Part]) -> Outcome:
    """Met where every criterion is."""
    outcomes = {one.outcome for part in parts for one in part.criteria}
    if Outcome.NOT_MET in outcomes:
        return Outcome.NOT_MET
    return Outcome.UNTESTED if Outcome.UNTESTED in outcomes or not outcomes else Outcome.MET


def _number(limit: float, unit: str) -> str:
    return f"{100 * limit:g}%" if unit == "%" else f"{limit:g} {unit}".strip()
