"""Dice against the number of training images, as Pan 2024: ``python -m trabecula.evaluation.learning CURVE --out DIR``.

CURVE holds a JSON object a line, one training each:
``{"images": 300, "dice_mean": 0.95, "dice_sd": 0.03, "cases": 400}``.
"""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from trabecula.errors import WrongUsage, wrong_usage
from trabecula.evaluation.tables import PUBLISHED_CURVES, markdown


@dataclass(frozen=True)
class Point:
    """A training on ``images``, judged on ``cases``: the mean Dice of a case and its SD."""

    images: int
    dice_mean: float
    dice_sd: float
    cases: int


def read_curve(path: Path) -> list[Point]:
    """The points of a file, fewest images first.

    Raises:
        WrongUsage: ``curve-missing``, ``curve-damaged``: there is no such file, or a line tells no training, or two
            lines tell of the same number of images.
    """
    if not path.is_file():
        raise wrong_usage("curve-missing", path=str(path))
    points: dict[int, Point] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            point = _point(line, number, path.name)
            if point.images in points:
                raise wrong_usage("curve-damaged.twice", line=number, name=path.name, images=point.images)
            points[point.images] = point
    if not points:
        raise wrong_usage("curve-damaged.empty", name=path.name)
    return [points[images] for images in sorted(points)]


def _point(line: str, number: int, name: str) -> Point:
    try:
        told = json.loads(line)
        point = Point(int(told["images"]), float(told["dice_mean"]), float(told["dice_sd"]), int(told["cases"]))
    except (ValueError, KeyError, TypeError) as error:
        raise wrong_usage("curve-damaged", line=number, name=name) from error
    sound = 0 <= point.dice_mean <= 1 and 0 <= point.dice_sd <= 1 and math.isfinite(point.dice_mean)
    if not sound or point.images < 1 or point.cases < 1:
        raise wrong_usage("curve-damaged.limits", line=number, name=name)
    return point


def write(points: Sequence[Point], recipe: str, out: Path, simulated: bool = True) -> Path:
    """Writes learning-curve.md, .csv and .png, the published point among ours; returns the table."""
    from trabecula.evaluation import plots

    out.mkdir(parents=True, exist_ok=True)
    published = PUBLISHED_CURVES.get(recipe)
    heads = ("training images", "Dice of a case, mean", "SD", "cases", "published")
    cells = [
        (
            str(one.images),
            f"{one.dice_mean:.3f}",
            f"{one.dice_sd:.3f}",
            str(one.cases),
            f"{published[1]:.3f}, SD {published[2]:.3f}"
            if published is not None and published[0] == one.images
            else "-",
        )
        for one in points
    ]
    with (out / "learning-curve.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heads, *cells])
    kind = ", simulated" if simulated else ""
    figure = plots.learning_curve(
        [one.images for one in points],
        [one.dice_mean for one in points],
        [one.dice_sd for one in points],
        {} if published is None else {"published": published},
        title=f"{recipe}, segmentation{kind}",
    )
    plots.save(figure, out / "learning-curve.png")
    words = "**Simulated**: trained and judged on virtual patients.\n\n" if simulated else ""
    page = out / "learning-curve.md"
    text = (
        f"# {recipe}: Dice against training images\n\n{words}![curve](learning-curve.png)\n\n{markdown(heads, cells)}\n"
    )
    page.write_text(text, encoding="utf-8")
    return page


def main(
    curve: Annotated[Path, typer.Argument(help="A file of JSON lines, a training each.")],
    out: Annotated[Path, typer.Option(help="Folder for learning-curve.md, .csv and .png.")],
    recipe: Annotated[str, typer.Option(help="Whose published point stands beside it.")] = "pan2024",
    people: Annotated[bool, typer.Option(help="The patients were people, not virtual.")] = False,
) -> None:
    """A table and a plot of a learning curve."""
    try:
        print(write(read_curve(curve), recipe, out, simulated=not people))
    except WrongUsage as error:
        typer.echo(error.line(), err=True)
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    typer.run(main)
