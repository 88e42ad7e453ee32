"""Precision from people scanned more than once: root mean squares of each one's spread, after Glueer et al.

Glueer CC, Blake G, Lu Y, Blunt BA, Jergas M, Genant HK. Accurate assessment of precision errors: how to measure the
reproducibility of bone densitometry techniques. Osteoporos Int 1995; 5: 262-270.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from trabecula.acceptance.criteria import Criterion, Outcome, Part, at_least, at_most
from trabecula.acceptance.plan import Limits, Repeat
from trabecula.errors import Refusal, wrong_usage
from trabecula.export.bundle import Wanted
from trabecula.recipe import Recipe
from trabecula.records import Assessment
from trabecula.records.change import LEAST_SIGNIFICANT
from trabecula.report.folder import ASSESSMENT
from trabecula.screening import assess, read_input, read_prior

TITLE = "Precision"
ENOUGH_FREEDOM = 27
"""Degrees of freedom from which the upper end of the precision error's interval lies within 30% (Glueer 1995)."""


@dataclass(frozen=True)
class Precision:
    """Root-mean-square SD (in the densities' unit) and CV (a fraction) with 95% intervals, and degrees of freedom."""

    sd: float
    sd_interval: tuple[float, float]
    cv: float
    cv_interval: tuple[float, float]
    freedom: int

    @property
    def least_significant_change(self) -> float:
        """What two results of one person differ by at least, in the densities' unit, to be told from chance."""
        return LEAST_SIGNIFICANT * self.sd


def precision(people: Sequence[Sequence[float]]) -> Precision:
    """Of repeated densities of several people; intervals by chi squared.

    Raises:
        ValueError: nobody was measured twice, or a density is not above zero.
    """
    repeated = [np.array(values, float) for values in people if len(values) > 1]
    if not repeated or any((values <= 0).any() for values in repeated):
        raise ValueError("Somebody has to be measured twice, with densities above zero")
    freedom = sum(len(values) - 1 for values in repeated)
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in repeated)
    relative = sum(float((((values - values.mean()) / values.mean()) ** 2).sum()) for values in repeated)
    low, high = (float(np.sqrt(freedom / stats.chi2.ppf(share, freedom))) for share in (0.975, 0.025))
    sd, cv = float(np.sqrt(squares / freedom)), float(np.sqrt(relative / freedom))
    return Precision(sd, (low * sd, high * sd), cv, (low * cv, high * cv), freedom)


def of_repeats(given: Repeat | None, recipe: Recipe, limits: Limits) -> Part:
    """The part on precision; not tested where the plan names nobody.

    Raises:
        WrongUsage: a scan is missing.
    """
    if given is None:
        return Part(TITLE, (Criterion("people scanned more than once", "none given", "", Outcome.UNTESTED),))
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    people: list[list[float]] = []
    unit = ""
    for number, paths in enumerate(given.people, 1):
        found = [_assessed(path, recipe, f"Person {number}, scan {n}", notes) for n, path in enumerate(paths, 1)]
        levels, values, unit_here = _common([one for one in found if one is not None])
        unit = unit or unit_here
        if len(values) > 1 and unit_here == unit:
            people.append(values)
        rows.append(
            (str(number), ", ".join(levels) or "-", ", ".join(f"{value:.1f}" for value in values) or "no result")
        )
    freedom = sum(len(values) - 1 for values in people)
    criteria = [
        at_least("degrees of freedom (people scanned twice: their number)", freedom, limits.repeats, str(freedom))
    ]
    if not people:
        criteria.append(Criterion("precision error, RMS-CV", "nobody has two results", "", Outcome.UNTESTED))
    else:
        made = precision(people)
        low, high = (100 * end for end in made.cv_interval)
        shown = f"{100 * made.cv:.1f}% ({low:.1f} to {high:.1f}%)"
        criteria.append(at_most("precision error, RMS-CV", made.cv, limits.rms_cv, shown, "%", len(people)))
        notes.append(
            f"RMS-SD {made.sd:.1f} {unit} ({made.sd_interval[0]:.1f} to {made.sd_interval[1]:.1f}); least significant"
            f" change {made.least_significant_change:.1f} {unit} (95%)."
        )
        if freedom < ENOUGH_FREEDOM:
            notes.append(f"{ENOUGH_FREEDOM} degrees of freedom and more make the interval narrow enough to plan with.")
    return Part(
        TITLE,
        tuple(criteria),
        ("person", "levels common to all", f"mean, {unit or 'no unit'}"),
        tuple(rows),
        notes=tuple(notes),
    )


def _assessed(path: Path, recipe: Recipe, name: str, notes: list[str]) -> Assessment | None:
    """The result of a CT or in a result folder; None, and a note, where it is refused."""
    if not path.exists():
        raise wrong_usage("plan-wrong.repeat", path=str(path))
    try:
        if path.name == ASSESSMENT or (path / ASSESSMENT).is_file():
            return read_prior(path)
        return assess(read_input(path, Wanted()), recipe)
    except Refusal as refusal:
        notes.append(f"{name} was refused: {refusal.message} [{refusal.code}]")
        return None


def _common(found: Sequence[Assessment]) -> tuple[list[str], list[float], str]:
    """Levels that all results measured in one quantity, each result's mean over them, and the unit."""
    if not found:
        return [], [], ""
    measured = [
        {one.level: one.density for one in each.readings.vertebrae if one.density is not None and one.level.is_named}
        for each in found
    ]
    levels = [level for level in measured[0] if all(level in each for each in measured)]
    used = [level for level in levels if level in found[0].diagnosis.levels_used] or levels
    if not used or len({each[level].quantity for each in measured for level in used}) > 1:
        return [], [], ""
    values = [float(np.mean([each[level].value for level in used])) for each in measured]
    return [str(level) for level in used], values, measured[0][used[0]].quantity.unit
