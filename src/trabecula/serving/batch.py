"""``trabecula batch``: a cohort of any size on Dask, from a folder of studies or a table of paths."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from trabecula.errors import defect, wrong_usage
from trabecula.messages import Phrase
from trabecula.serving.screen_cli import Language, path_given

NEEDED = ("dask", "distributed", "cryptography", "pyarrow")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(batch)


def batch(
    given: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE_OR_FOLDER",
            parser=path_given,
            help="A folder of studies, a CSV with a column 'path', or a TOML that names archives.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", parser=path_given, metavar="DIR", help="Folder for the tables and the page.")
    ],
    workers: Annotated[int, typer.Option(min=1, max=512, help="Processes on this machine.")] = 2,
    scheduler: Annotated[str, typer.Option(help="Address of a Dask scheduler instead, as tcp://HOST:8786.")] = "",
    memory: Annotated[float, typer.Option(min=0, help="GiB a worker may take; else its share of the machine.")] = 0.0,
    recipe: Annotated[str | None, typer.Option(help="Which recipe to follow; see 'trabecula recipes'.")] = None,
    reports: Annotated[bool, typer.Option("--reports", help="Also a result folder for each study.")] = False,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Leave paths and names out of the tables, and identifiers of reports.")
    ] = False,
    language: Language = "",
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress and print only where the page is.")] = False,
) -> None:
    """Screen a cohort: a row a study, whatever it brings; run it again to go on where it was stopped."""
    if any(find_spec(needed) is None for needed in NEEDED):
        raise defect("cohort-missing.packages")
    from trabecula.batch.fetch import items_of
    from trabecula.batch.rows import Asked
    from trabecula.batch.run import Engine, run_batch
    from trabecula.batch.sources import read_sources
    from trabecula.batch.studies import items_in
    from trabecula.lock import one_run
    from trabecula.recipes import recipe_named
    from trabecula.serving.batch_progress import watched

    recipe_named(recipe)
    sources = read_sources(given) if given.suffix == ".toml" else []
    items = items_of(sources) if sources else items_in(given)
    inside = given.resolve() in (out.resolve(), *out.resolve().parents)
    if given.is_dir() and inside:
        raise wrong_usage("output-in-input", out=str(out), given=str(given))
    asked = Asked(recipe, deidentify, str((out / "results").resolve()) if reports else "", language)
    with one_run(out, "lock", private=True), watched(items, out, asked, not quiet, language) as told:
        page = run_batch(items, out, asked, Engine(workers, scheduler, memory), told, sources, told.tell)
    where = Phrase("summary-at", {"path": str(page)}).told(language)
    print(page if quiet else f"{told.said()}\n{where}")
