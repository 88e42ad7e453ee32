"""One screening as a person at a terminal watches it: the stages as a bar on stderr, the result in words."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from trabecula.flow.calibrate.asynchronous import ControlChart
from trabecula.records import Assessment, VertebraReading
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
    units = [one.density.quantity.unit for one in assessment.readings.vertebrae if one.density is not None]
    bmd = f"BMD {units[0] if units else 'mg/cm3'}"
    found = [one.message for one in assessment.fractures]
    lines = [headline(assessment), *found, "", _row(("level", bmd, "95% interval", "mean HU", "SD HU", "cm3"))]
    for vertebra in assessment.readings.vertebrae:
        lines.append(_vertebra(vertebra, assessment.diagnosis.decided_by(vertebra.level)))
        lines += [f"         {reason.message} [{reason.code}]" for reason in vertebra.reasons]
    if not assessment.readings.vertebrae:
        lines.append("  none could be measured")
    if assessment.reasons:
        lines += ["", "Reasons for doubt", *(f"  {reason.message} [{reason.code}]" for reason in assessment.reasons)]
    lines += ["", f"{RESEARCH_ONLY} {NO_RULING_OUT}"]
    return "\n".join(printable(line) for line in lines)


def headline(assessment: Assessment) -> str:
    """The category, its number and its interval in one line."""
    diagnosis, density = assessment.diagnosis, assessment.diagnosis.density
    category, levels = " or ".join(diagnosis.candidates).capitalize(), " and ".join(diagnosis.levels_used)
    if not diagnosis.determined:
        return f"{category}: see the reasons for doubt"
    if density is None:
        return f"{category}: from {levels}"
    low, high = density.interval_shown
    material = density.quantity.material
    return f"{category}: {density.shown} {density.quantity.unit} (95% interval {low} to {high}), mean of {levels}" + (
        "" if material is None else f", {material}-equivalent"
    )


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


def _vertebra(vertebra: VertebraReading, used: bool) -> str:
    density = vertebra.density
    standing = "" if used else "  withheld" if vertebra.withheld else "  not used"
    cells = (
        str(vertebra.level),
        "-" if density is None else density.shown,
        "-" if density is None else " to ".join(density.interval_shown),
        f"{vertebra.mean_hu:.0f}" if math.isfinite(vertebra.mean_hu) else "-",
        f"{vertebra.sd_hu:.0f}" if math.isfinite(vertebra.sd_hu) else "-",
        f"{vertebra.volume_mm3 / 1000:.1f}",
    )
    return _row(cells) + standing


def _row(cells: tuple[str, ...]) -> str:
    level, *numbers = cells
    widths = (12, 14, 9, 7, 6)
    return f"  {level:<10}" + "".join(f"{cell:>{width}}" for cell, width in zip(numbers, widths, strict=True))
