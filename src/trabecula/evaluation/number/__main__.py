"""Screens unseen virtual people and tells how right the numbers are: simulated.

    python -m trabecula.evaluation.number examine --family b --seed 983000 --persons 50 --out runs/number-b.jsonl
    python -m trabecula.evaluation.number tell runs/number-a.jsonl runs/number-b.jsonl

Rows are kept as JSON lines, so that an interrupted run goes on where it stopped.
"""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from trabecula.evaluation.number import people
from trabecula.evaluation.number.fractures import examine_bodies, told
from trabecula.evaluation.number.outlined import examine_outlined
from trabecula.evaluation.number.people import Json, densities
from trabecula.evaluation.number.summary import screened, summary

app = typer.Typer(add_completion=False)


@app.command()
def examine(
    family: Annotated[str, typer.Option()] = "a",
    seed: Annotated[int, typer.Option(help="Training starts at 100,000: stay above 900,000.")] = 973_000,
    persons: Annotated[int, typer.Option()] = 12,
    out: Annotated[Path, typer.Option()] = Path("runs/number.jsonl"),
    outlined: Annotated[bool, typer.Option(help="L1 and L2 alone, with true outlines: ten times as quick.")] = False,
    twice: Annotated[bool, typer.Option(help="Scan everybody twice, not one of four; not with --outlined.")] = False,
) -> None:
    """Examines people of one family."""
    one = examine_outlined if outlined else partial(people.examine, twice_of=1 if twice else 4)
    out.parent.mkdir(parents=True, exist_ok=True)
    rows: list[Json] = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {row["person"] for row in rows}
    with out.open("a", encoding="utf-8") as file:
        for number in range(persons):
            if f"{family}-{seed + number}" not in done:
                print(json.dumps(one(number, seed, family), default=float), file=file, flush=True)


@app.command()
def fractures(
    people: Annotated[int, typer.Option(help="Of each family.")] = 100,
    out: Annotated[Path, typer.Option()] = Path("runs/fractures.jsonl"),
) -> None:
    """Holds the rule of heights against true bodies of both families."""
    out.parent.mkdir(parents=True, exist_ok=True)
    rows: list[Json] = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {row["person"] for row in rows}
    with out.open("a", encoding="utf-8") as file:
        for number in range(people):
            for family, seed in (("a", 933_000), ("b", 943_000)):
                if f"{family}-{seed + number}" in done:
                    continue
                if (row := examine_bodies(number, seed, family)) is not None:
                    rows.append(row)
                    print(json.dumps(row, default=float), file=file, flush=True)
    typer.echo(told(rows))


@app.command()
def tell(
    files: Annotated[list[Path], typer.Argument()],
    population: Annotated[int, typer.Option(help="People from 50 on, to be screened; 0: none.")] = 1000,
) -> None:
    """Prints every table of the rows in some files."""
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    typer.echo(summary(rows))
    if population:
        typer.echo("\n### Screened\n\n" + screened(rows, densities(population)))


if __name__ == "__main__":
    app()
