"""One screening as a person at a terminal watches it: the stages as a bar on stderr, the result in words."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from trabecula.flow.calibrate.asynchronous import ControlChart
from trabecula.messages import joined
from trabecula.records import Assessment, Basis, VertebraReading
from trabecula.report.comparison import Outcome, verdict
from trabecula.report.page import NO_RULING_OUT, RESEARCH_ONLY
from trabecula.screening import STAGES, Progress, silent


@contextmanager
def progress_shown(shown: bool) -> Iterator[Progress]:
    """A bar on stderr where a person looks at it; nothing in a pipe or a log."""
    if not shown:
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield silent
        return
    columns = (TextColumn("{task.description:<9}", markup=False), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(STAGES[0], total=1.0)
        yield lambda stage, share: bar.update(task, description=stage, completed=share)
        bar.update(task, description="done", completed=1.0)


def summary(assessment: Assessment) -> str:
    """The result in a few lines of plain text, safe to print whatever a header held."""
    found = [one.message for one in assessment.fractures]
    columns = _columns(assessment)
    lines = [headline(assessment), *found, "", _row("level", [(one.head, one.width) for one in columns])]
    for vertebra in assessment.readings.vertebrae:
        used = assessment.diagnosis.decided_by(vertebra.level)
        standing = "" if used else "  withheld" if vertebra.withheld else "  not used"
        lines.append(_row(vertebra.level, [(one.cell(vertebra), one.width) for one in columns]) + standing)
        lines += [f"         {reason.message} [{reason.code}]" for reason in vertebra.reasons]
    if not assessment.readings.vertebrae:
        lines.append("  none could be measured")
    if assessment.reasons:
        lines += ["", "Reasons for doubt", *(f"  {reason.message} [{reason.code}]" for reason in assessment.reasons)]
    lines += ["", f"{RESEARCH_ONLY} {NO_RULING_OUT}"]
    return "\n".join(printable(line) for line in lines)


def headline(assessment: Assessment) -> str:
    """The category, what it was read from, its number and its interval in one line."""
    diagnosis, density = assessment.diagnosis, assessment.diagnosis.density
    category, levels = " or ".join(diagnosis.candidates).capitalize(), joined(diagnosis.levels_used)
    if not diagnosis.determined:
        return f"{category}: see the reasons for doubt"
    said = []
    if diagnosis.basis is Basis.CLASSIFIER:
        likely = sorted(diagnosis.probabilities.items(), key=lambda item: -item[1])
        shares = ", ".join(f"{one} {share:.0%}" for one, share in likely)
        said.append(f"by a classifier of {levels}" + (f" ({shares})" if shares else ""))
    if density is not None:
        low, high = density.interval_shown
        said.append(f"{density.shown} {density.quantity.unit} (95% interval {low} to {high}), mean of {levels}")
        said += [] if density.quantity.material is None else [f"{density.quantity.material}-equivalent"]
    if diagnosis.basis is Basis.T_SCORE:
        said.append("by T-score")
    return f"{category}: {', '.join(said) or f'from {levels}'}"


def summary_of_several(outcomes: Sequence[Outcome]) -> str:
    """What several recipes made of one scan: whether they agree, and a line each."""
    said = verdict(outcomes)
    lines = ["Fewer than two recipes give a category." if said is None else f"{said.message} [{said.code}]", ""]
    width = max(len(one.recipe.name) for one in outcomes)
    for one in outcomes:
        name = f"  {one.recipe.name:<{width}}  "
        if one.assessment is None:
            assert one.refused is not None, "an outcome is a result or a refusal"
            lines.append(f"{name}Refused [{one.refused.code}]: {one.refused.message}")
            continue
        lines.append(f"{name}{headline(one.assessment)} [{one.seconds:.1f} s]")
        codes = dict.fromkeys(reason.code for reason in one.own_reasons)
        lines += [f"  {'':<{width}}  doubts: {', '.join(codes)}"] if codes else []
    lines += ["", f"{RESEARCH_ONLY} {NO_RULING_OUT}"]
    return "\n".join(printable(line) for line in lines)


def control_chart(chart: ControlChart) -> str:
    """A scanner's slopes over time, newest last, and whether it is in control."""
    lines = ["  measured    slope HU/(mg/cm3)  offset HU  phantom"]
    lines += [
        f"  {one.measured:<12}{one.slope_hu_cm3_mg:>17.4f}{one.offset_hu:>11.2f}  {one.phantom}"
        for one in chart.profiles
    ]
    if chart.limits is None:
        lines.append("  Limits are set from the fifth scan on.")
    else:
        low, high = chart.limits
        standing = "in control" if chart.in_control else "OUT OF CONTROL: it is not used until it is back in control"
        lines.append(f"  Limits {low:.4f} to {high:.4f}: {standing}.")
    return "\n".join(printable(line) for line in lines)


def printable(text: str) -> str:
    """Without control characters: what a header says must not drive a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@dataclass(frozen=True)
class _Column:
    """A column of the table of vertebrae."""

    head: str
    width: int
    cell: Callable[[VertebraReading], str]


def _columns(assessment: Assessment) -> list[_Column]:
    """Those that this kind of result fills: densities, a classifier's categories, what was seen of the regions."""
    quantity, vertebrae = assessment.quantity, assessment.readings.vertebrae
    columns = []
    if quantity is not None:
        columns += [
            _Column(f"BMD {quantity.unit}", 12, lambda one: "-" if one.density is None else one.density.shown),
            _Column("95% interval", 14, _interval),
        ]
    if any(one.probabilities for one in vertebrae):
        columns.append(_Column("category", 19, _category))
    if not vertebrae or any(math.isfinite(one.mean_hu) for one in vertebrae):
        columns.append(_Column("mean HU", 9, lambda one: _whole(one.mean_hu)))
        columns.append(_Column("SD HU", 7, lambda one: _whole(one.sd_hu)))
    if not vertebrae or any(one.volume_mm3 > 0 for one in vertebrae):
        columns.append(_Column("cm3", 6, lambda one: f"{one.volume_mm3 / 1000:.1f}"))
    return columns


def _interval(vertebra: VertebraReading) -> str:
    return "-" if vertebra.density is None else " to ".join(vertebra.density.interval_shown)


def _category(vertebra: VertebraReading) -> str:
    if vertebra.likeliest is None or vertebra.probabilities is None:
        return "-"
    return f"{vertebra.likeliest} {vertebra.probabilities[vertebra.likeliest]:.0%}"


def _whole(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "-"


def _row(level: str, cells: Sequence[tuple[str, int]]) -> str:
    return f"  {level:<10}" + "".join(f"{cell:>{width}}" for cell, width in cells)
