"""One screening as a person at a terminal watches it: the stages as a bar on stderr, the result in words."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.cells import cell_len

from trabecula.flow.calibrate.asynchronous import ControlChart
from trabecula.messages import DEFAULT_LANGUAGE, Phrase, messages
from trabecula.records import FRACTURE, Assessment, VertebraReading
from trabecula.report.comparison import Outcome, verdict
from trabecula.report.verdict import Verdict
from trabecula.screening import STAGES, Progress, silent


@contextmanager
def progress_shown(shown: bool, language: str = DEFAULT_LANGUAGE) -> Iterator[Progress]:
    """A bar on stderr where a person looks at it, which always moves; nothing in a pipe or a log."""
    if not shown:
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield silent
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:<16}", markup=False), BarColumn(), TimeElapsedColumn())
    text = messages(language)

    def named(stage: str) -> str:
        """A stage in words; one of several recipes has the recipe's name before it."""
        before, _, last = stage.rpartition(": ")
        return f"{before}: {text[f'stage-{last}']}" if before else text[f"stage-{last}"]

    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(named(STAGES[0]), total=1.0)
        yield lambda stage, share: bar.update(task, description=named(stage), completed=share)
        bar.update(task, description=named("done"), completed=1.0)


def summary(assessment: Assessment, language: str = DEFAULT_LANGUAGE) -> str:
    """The result in a few lines of plain text, safe to print whatever a header held."""
    words = Verdict(assessment, language)
    columns = _columns(words)
    crossing = words.crossing()
    lines = [words.headline(), *words.fractures(), *([crossing] if crossing else []), words.check_first(), ""]
    lines.append(_row(words.say("level-name"), [(one.head, one.wide) for one in columns]))
    for vertebra in assessment.readings.vertebrae:
        used = assessment.diagnosis.decided_by(vertebra.level)
        standing = "" if used else "  " + words.say("withheld" if vertebra.withheld else "not-used")
        level = words.several([vertebra.level])
        lines.append(_row(level, [(one.cell(vertebra), one.wide) for one in columns]) + standing)
        told = [one for one in vertebra.reasons if one.code != FRACTURE and one != words.told.first]
        lines += [f"         {words.with_code(reason)}" for reason in told]
    if not assessment.readings.vertebrae:
        lines.append("  " + words.say("no-vertebra-measured"))
    for title, reasons in (("doubts", words.told.doubts), ("notes", words.told.notes)):
        if reasons:
            lines += ["", words.say(title), *(f"  {words.with_code(reason)}" for reason in reasons)]
    lines += ["", words.use()]
    return "\n".join(printable(line) for line in lines)


def summary_of_several(outcomes: Sequence[Outcome], language: str = DEFAULT_LANGUAGE) -> str:
    """What several recipes made of one scan: whether they agree, and a line each."""
    said = verdict(outcomes)
    text = messages(language)
    lines = [text["comparison-few"] if said is None else f"{said.told(language)} [{said.code}]", ""]
    width = max(len(one.recipe.name) for one in outcomes)
    for one in outcomes:
        name = f"  {one.recipe.name:<{width}}  "
        if one.assessment is None:
            assert one.refused is not None, "an outcome is a result or a refusal"
            lines.append(f"{name}{one.refused.line(language)}")
            continue
        lines.append(f"{name}{Verdict(one.assessment, language).headline()} [{one.seconds:.1f} s]")
        codes = tuple(dict.fromkeys(reason.code for reason in one.own_doubts))
        lines += [f"  {'':<{width}}  " + Phrase("doubts-coded", {"codes": codes}).told(language)] if codes else []
    lines += ["", f"{text['research-only']}{text['sentence-separator']}{text['no-ruling-out']}"]
    return "\n".join(printable(line) for line in lines)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under their heads, each column as wide as its widest cell."""
    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join(
        "  "
        + "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, *rows)
    )


def control_chart(chart: ControlChart, language: str = DEFAULT_LANGUAGE) -> str:
    """A scanner's slopes over time, newest last, and whether it is in control."""
    text = messages(language)
    heads = [text["chart-measured"], text["chart-slope"], text["chart-offset"], text["chart-phantom"]]
    rows = [[one.measured, f"{one.slope_hu_cm3_mg:.4f}", f"{one.offset_hu:.2f}", one.phantom] for one in chart.profiles]
    if chart.limits is None:
        end = Phrase("chart-no-limits")
    else:
        low, high = chart.limits
        end = Phrase("chart-in-control" if chart.in_control else "chart-out-of-control", {"low": low, "high": high})
    lines = [*table(heads, rows).split("\n"), f"  {end.told(language)}"]
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

    @property
    def wide(self) -> int:
        """Its width, or more where a language's word for its head takes more."""
        return max(self.width, cell_len(self.head) + 2)


def _columns(words: Verdict) -> list[_Column]:
    """Those that this kind of result fills: densities, a classifier's categories, what was seen of the regions."""
    assessment = words.assessment
    quantity, vertebrae = assessment.quantity, assessment.readings.vertebrae
    columns = []
    if quantity is not None:
        columns += [
            _Column(
                f"{words.say('density')} {quantity.unit}",
                12,
                lambda one: "-" if one.density is None else one.density.shown,
            ),
            _Column(words.say("interval-name"), 14, lambda one: _interval(words, one)),
        ]
    if any(one.probabilities for one in vertebrae):
        columns.append(_Column(words.say("category-name"), 19, lambda one: _category(words, one)))
    if not vertebrae or any(math.isfinite(one.mean_hu) for one in vertebrae):
        columns.append(_Column(words.say("mean-name"), 9, lambda one: _whole(one.mean_hu)))
        columns.append(_Column(words.say("sd-name"), 11, lambda one: _whole(one.sd_hu)))
    if not vertebrae or any(one.volume_mm3 > 0 for one in vertebrae):
        columns.append(_Column("cm3", 6, lambda one: f"{one.volume_mm3 / 1000:.1f}"))
    return columns


def _interval(words: Verdict, vertebra: VertebraReading) -> str:
    if vertebra.density is None:
        return "-"
    low, high = vertebra.density.interval_shown
    return words.say("range", low=low, high=high)


def _category(words: Verdict, vertebra: VertebraReading) -> str:
    if vertebra.likeliest is None or vertebra.probabilities is None:
        return "-"
    return words.say(
        "probability",
        category=words.say(f"word-{vertebra.likeliest}"),
        share=words.share(vertebra.probabilities[vertebra.likeliest]),
    )


def _whole(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "-"


def _row(level: str, cells: Sequence[tuple[str, int]]) -> str:
    """Columns as wide as they look: a Chinese letter takes two places."""
    first = "  " + level + " " * max(1, 10 - cell_len(level))
    return first + "".join(" " * max(1, width - cell_len(cell)) + cell for cell, width in cells)
