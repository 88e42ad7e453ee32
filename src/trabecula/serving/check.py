"""``trabecula check``: whether this machine can screen, and reads the numbers that it should."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import cell_len

from trabecula.serving.spoken import say, spoken

if TYPE_CHECKING:
    from trabecula.serving.self_test import Finding

LOOK_CELLS = 18


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(check)


def check(
    data: Annotated[Path | None, typer.Option("--data", help="Private folder of 'serve' or 'node', if any.")] = None,
    database: Annotated[
        str | None, typer.Option(envvar="TRABECULA_DATABASE", help="SQLAlchemy URL of their database, if any.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="All but the demo patient.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Check weights, disk, memory, fonts and database, and read a demo patient whose numbers are known."""
    from trabecula.serving.self_test import findings

    found = []
    for one in findings(data, database, quick):
        found.append(one)
        if not as_json:
            print(line_of(one), flush=True)
    failed = sum(not one.good for one in found)
    if as_json:
        print(json.dumps([{"what": one.what, "good": one.good, "said": str(one.said)} for one in found], indent=1))
    else:
        print(say("check-fails", failed=failed, number=len(found)) if failed else say("check-good"))
    raise typer.Exit(1 if failed else 0)


def line_of(one: "Finding") -> str:
    """A line for people: how it is, what was looked at, what was seen or what to do."""
    marks = [say("mark-good"), say("mark-bad")]
    mark = marks[0] if one.good else marks[1]
    what, _, language = one.what.partition(" ")
    named = f"{say(f'look-{what}')} {language}".rstrip()
    return f"  {_padded(mark, max(map(cell_len, marks)))}  {_padded(named, LOOK_CELLS)}  {one.said.told(spoken())}"


def _padded(text: str, cells: int) -> str:
    return text + " " * (cells - cell_len(text))
