"""One screening as a person watches it: the stages as a bar on stderr, the result in words."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trabecula.errors import WrongUsage
from trabecula.export.bundle import REPORT_ALONE, Wanted, prepare
from trabecula.export.fhir import RELEASES
from trabecula.flow.read import read
from trabecula.messages import LANGUAGES
from trabecula.recipes import recipe_named
from trabecula.records import Assessment, VertebraReading
from trabecula.report.folder import report, require_writable
from trabecula.report.page import NO_RULING_OUT, RESEARCH_ONLY
from trabecula.screen import screen

if TYPE_CHECKING:
    from rich.progress import Progress

STAGES = ("read", "localise", "segment", "calibrate", "measure", "exclude", "diagnose", "report")


def screen_to_folder(
    given: Path, out: Path, recipe_name: str | None, show_progress: bool, wanted: Wanted = REPORT_ALONE
) -> tuple[Assessment, Path]:
    """Read, screen and report, with the ``wanted`` exports; returns what was found and where its report.html is.

    Raises:
        WrongUsage: there is no such recipe, language, FHIR version or input, or ``out`` cannot be written.
        Refusal: no number may come from this input.
    """
    recipe = recipe_named(recipe_name)
    _require_known(wanted)
    require_writable(out)
    with stages_shown(show_progress) as bar:
        bar.stage("read")
        started = time.perf_counter()
        scan = read(given, bar.files)
        export = prepare(given, scan, wanted)
        seconds = {"read": round(time.perf_counter() - started, 3)}
        assessment = screen(export.scan, recipe, bar.stage)
        seconds |= assessment.run["seconds"]
        assessment = replace(assessment, run={**assessment.run, "seconds": seconds, **export.run})
        bar.stage("report")
        written = report(assessment, out, partial(export.write, assessment), wanted.language)
        bar.finish()
    return assessment, written


def _require_known(wanted: Wanted) -> None:
    """Refuses a language or a version of FHIR that there is not."""
    language, release = wanted.language, wanted.fhir_release
    if language not in LANGUAGES:
        raise WrongUsage(
            "unknown-language", f"There is no language {language!r}. Choose among: {', '.join(LANGUAGES)}."
        )
    if release not in RELEASES:
        raise WrongUsage("unknown-fhir-version", f"There is no FHIR {release!r}. Choose among: {', '.join(RELEASES)}.")


class StageBar:
    """How far a screening is: a stage counts one, and reading advances with each file. Silent without a ``bar``."""

    def __init__(self, bar: "Progress | None") -> None:
        self.bar = bar
        self.task = bar.add_task(STAGES[0], total=len(STAGES)) if bar is not None else None

    def stage(self, name: str) -> None:
        self._show(name, STAGES.index(name))

    def files(self, done: int, total: int) -> None:
        self._show(f"read {done}/{total}", done / max(total, 1))

    def finish(self) -> None:
        self._show("done", len(STAGES))

    def _show(self, words: str, completed: float) -> None:
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, description=words, completed=completed)


@contextmanager
def stages_shown(shown: bool) -> Iterator[StageBar]:
    """A bar on stderr where a person looks at it; nothing in a pipe or a log."""
    if not shown:
        yield StageBar(None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield StageBar(None)
        return
    columns = (TextColumn("{task.description:<14}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield StageBar(bar)


def summary(assessment: Assessment) -> str:
    """The result in a few lines of plain text, safe to print whatever a header held."""
    lines = [headline(assessment), "", _row(("level", "BMD mg/cm3", "95% interval", "mean HU", "SD HU", "cm3"))]
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
    category, levels = diagnosis.category.capitalize(), " and ".join(diagnosis.levels_used)
    if not diagnosis.determined:
        return f"{category}: see the reasons for doubt"
    if density is None:
        return f"{category}: from {levels}"
    low, high = density.interval_shown
    material = density.quantity.material
    return (
        f"{category}: {density.shown} {density.quantity.unit} (95% interval {low} to {high}), mean of {levels}"
        + ("" if material is None else f", {material}-equivalent")
    )


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
