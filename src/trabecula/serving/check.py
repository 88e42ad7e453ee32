"""``trabecula check``: whether this machine can screen, and reads the numbers that it should."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


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
            print(f"  {'ok   ' if one.good else 'FAILS'}  {one.what:<13} {one.said}", flush=True)
    failed = sum(not one.good for one in found)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    else:
        print("Everything is as it should be." if not failed else f"{failed} of {len(found)} checks fail.")
    raise typer.Exit(1 if failed else 0)
