"""The folds of a cross-validation in one table: ``python -m trabecula.evaluation.folds FOLD... --out DIR``.

A FOLD is what ``trabecula evaluate`` left for the cases that one fold held out. Each figure stands with its mean and SD
over the folds and, of all cases taken together, with its interval. That interval counts people; it does not tell how
much another training would differ, which the SD does.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from trabecula.errors import WrongUsage, wrong_usage
from trabecula.evaluation.figures import Figure, figures
from trabecula.evaluation.pictures import draw
from trabecula.evaluation.rows import CaseRow, read_rows
from trabecula.evaluation.run import ROWS
from trabecula.evaluation.tables import PUBLISHED_FOLDS, markdown

SAME = ("recipe", "settings", "version", "code", "cohort", "simulated")
"""What the runs of all folds have in common; weights differ, and so may what a cohort was cut to."""


@dataclass(frozen=True)
class Pooled:
    """A figure in each fold, None where it has none, and of all folds together; ``sd`` is None below two folds."""

    name: str
    folds: tuple[Figure | None, ...]
    mean: float | None
    sd: float | None
    together: Figure

    @property
    def values(self) -> list[float]:
        """Of the folds that have one."""
        values = [one.estimate.value for one in self.folds if one is not None and one.of]
        return [value for value in values if np.isfinite(value)]


def pooled(folds: Sequence[Sequence[CaseRow]]) -> tuple[Pooled, ...]:
    """Every figure of the folds.

    Raises:
        WrongUsage: ``folds-too-few``, ``other-run``: folds of two recipes, versions or cohorts;
            ``patient-in-two-folds``: someone was held out twice.
    """
    _require_folds(folds)
    each = [{one.name: one for one in figures(rows)} for rows in folds]
    found = []
    for one in figures([row for rows in folds for row in rows]):
        parts = tuple(names.get(one.name) for names in each)
        values = Pooled(one.name, parts, None, None, one).values
        mean = float(np.mean(values)) if values else None
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        found.append(Pooled(one.name, parts, mean, sd, one))
    return tuple(found)


def _require_folds(folds: Sequence[Sequence[CaseRow]]) -> None:
    if len(folds) < 2 or not all(folds):
        raise wrong_usage("folds-too-few")
    first = folds[0][0].run
    for number, rows in enumerate(folds, 1):
        differing = [name for name in SAME if getattr(rows[0].run, name) != getattr(first, name)]
        if differing:
            raise wrong_usage("other-run.fold", number=number, fields=differing)
    held: dict[str, int] = {}
    for number, rows in enumerate(folds, 1):
        for patient in {row.patient for row in rows}:
            if held.setdefault(patient, number) != number:
                raise wrong_usage("patient-in-two-folds", first=held[patient], second=number)


def write(folds: Sequence[Sequence[CaseRow]], out: Path, command: str) -> Path:
    """Writes folds.md, folds.csv and the plots of all cases; returns the table.

    Raises:
        WrongUsage: as ``pooled``.
    """
    found, run = pooled(folds), folds[0][0].run
    together = [row for rows in folds for row in rows]
    out.mkdir(parents=True, exist_ok=True)
    pictures = draw(together, out, f"{len(folds)} folds")
    column = PUBLISHED_FOLDS.get(run.recipe)
    heads = ["figure", *([column.source] if column else []), "ours, all folds"]
    heads += ["mean (SD) over folds", *(f"fold {i + 1}" for i in range(len(folds)))]
    cells = [
        [one.name, *([column.figures.get(one.name, "-")] if column else []), one.together.text, _spread(one)]
        + ["-" if part is None else part.text for part in one.folds]
        for one in found
    ]
    words = "**Simulated accuracy**: virtual patients, not people. " if run.simulated else ""
    text = (
        f"# {run.recipe}, {len(folds)} folds, {len(together)} held-out cases\n\n"
        f"{words}Made by `{command}`. Each case was read by the networks of the fold that held it out. Intervals are"
        " those of an evaluation, of people; the SD over folds tells how much another training differs.\n\n"
    )
    text += "".join(f"![{name}]({name})\n\n" for name in pictures) + markdown(heads, cells) + "\n"
    with (out / "folds.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heads, *cells])
    page = out / "folds.md"
    page.write_text(text, encoding="utf-8")
    return page


def _spread(one: Pooled) -> str:
    if one.mean is None:
        return "none"
    scale, digits = (100, 1) if one.together.hits is not None else (1, one.together.digits)
    mean = f"{scale * one.mean:.{digits}f}"
    return mean if one.sd is None else f"{mean} ({scale * one.sd:.{digits}f})"


def main(
    folds: Annotated[list[Path], typer.Argument(help="Folders that trabecula evaluate left, one a fold.")],
    out: Annotated[Path, typer.Option(help="Folder for folds.md, folds.csv and the plots.")],
) -> None:
    """One table of several folds."""
    try:
        given = " ".join(str(fold) for fold in folds)
        page = write([read_rows(fold / ROWS) for fold in folds], out, f"python -m trabecula.evaluation.folds {given}")
    except WrongUsage as error:
        typer.echo(error.line(), err=True)
        raise typer.Exit(error.exit_code) from error
    print(page)


if __name__ == "__main__":
    typer.run(main)
