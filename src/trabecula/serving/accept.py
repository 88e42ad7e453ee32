"""``trabecula accept`` and ``trabecula drift``: a site takes the program into use, and watches it afterwards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trabecula.errors import defect, wrong_usage

if TYPE_CHECKING:
    from trabecula.acceptance.drift import Sample


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(accept)
    app.command()(drift)


def accept(
    plan: Annotated[Path, typer.Argument(help="TOML file: phantom scans, cases read by hand, repeated scans, limits.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for acceptance.html, .pdf and .json.")],
) -> None:
    """Measure what a site's physicist has to sign; exit code 1 where a limit is missed or was not tested."""
    from trabecula.acceptance.page import write_acceptance
    from trabecula.acceptance.phantoms import of_phantom
    from trabecula.acceptance.plan import read_plan
    from trabecula.acceptance.precision import of_repeats
    from trabecula.recipes import recipe_named

    told = read_plan(plan)
    recipe = recipe_named(told.recipe)
    parts = [of_phantom(told.phantom, told.limits)]
    _require_studies()
    from trabecula.acceptance.readers import of_readers

    parts += [of_readers(told.read, told.limits), of_repeats(told.repeat, recipe, told.limits)]
    outcome = write_acceptance(told, parts, out)
    for part in parts:
        print(part.title)
        for one in part.criteria:
            print(f"  {one.outcome.value:<10}  {one.name}: {one.found}{f' ({one.limit})' if one.limit else ''}")
    print(f"All of it: {outcome.value}. To sign: {out / 'acceptance.pdf'}")
    raise typer.Exit(0 if outcome.value == "met" else 1)


def drift(
    out: Annotated[Path, typer.Option("--out", help="Folder for charts.html, .pdf and .json.")],
    data: Annotated[Path | None, typer.Option("--data", help="Private folder of 'serve' or 'node'.")] = None,
    database: Annotated[
        str | None, typer.Option(envvar="TRABECULA_DATABASE", help="SQLAlchemy URL of their database, if any.")
    ] = None,
    table: Annotated[Path | None, typer.Option("--table", help="Instead: studies.csv of 'trabecula batch'.")] = None,
    profiles: Annotated[
        Path | None, typer.Option("--profiles", envvar="TRABECULA_PROFILES", help="Folder of 'calibrate'.")
    ] = None,
    baseline: Annotated[int, typer.Option(min=4, help="How many of the first months are the baseline.")] = 6,
) -> None:
    """Draw the control charts of a site; exit code 1 where one is out of control at its end."""
    if data is None and database is None and table is None and profiles is None:
        raise wrong_usage("nothing-to-chart")
    from trabecula.acceptance.drift import phantom_charts, population_charts, share_charts
    from trabecula.acceptance.page import write_charts

    charts = [] if profiles is None else phantom_charts(profiles)
    if table is not None or data is not None or database is not None:
        samples = _samples(table, data, database)
        charts += [*population_charts(samples, baseline), *share_charts(samples, baseline)]
    if table is None and (data is not None or database is not None):
        source = "studies of the web page and the node"
    else:
        source = "a batch's table" if table is not None else "phantom scans"
    alarms = write_charts(charts, source, out)
    for line in alarms:
        print(f"ALARM  {line}")
    for one in charts:
        print(f"{one.title}: {one.note or ('out of control' if one.alarm else 'in control')}")
    print(f"The charts: {out / 'charts.html'}")
    raise typer.Exit(1 if alarms else 0)


def _samples(table: Path | None, data: Path | None, database: str | None) -> "list[Sample]":
    from trabecula.acceptance.drift import samples_in, samples_of

    if table is not None:
        return samples_in(table)
    _require_studies()
    from trabecula.studies.store import Store
    from trabecula.studies.tables import open_database

    folder = (data or Path()).resolve()
    if data is not None and not folder.is_dir():
        raise wrong_usage("input-missing.data", path=str(data))
    engine = open_database(database or f"sqlite:///{folder / 'trabecula.sqlite'}", folder / "backups")
    try:
        return samples_of(Store(engine))
    finally:
        engine.dispose()


def _require_studies() -> None:
    from importlib.util import find_spec

    if any(find_spec(needed) is None for needed in ("sqlalchemy", "alembic")):
        raise defect("web-missing")
