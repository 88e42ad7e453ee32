"""The command line. Exit codes: 0 a result, 1 a defect of ours, 2 wrong usage, 3 the input was refused.

What a command needs is imported inside it, so that ``--help`` answers at once.
"""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer

from trabecula.errors import TrabeculaError, WrongUsage, defect, fault, wrong_usage
from trabecula.serving import accept, batch, check, node, operations, screen_cli, train_cli
from trabecula.serving.screen_cli import Language, RecipesAsked, path_given
from trabecula.serving.spoken import language_asked, say, speak, spoken, tell
from trabecula.serving.train_cli import Debug
from trabecula.serving.usage import NOT_UNDERSTOOD, help_at, misunderstood

INTERRUPTED = 130
"""The exit code after Ctrl+C."""

app = typer.Typer(
    name="trabecula",
    help="Reads the bone density that is already in any CT. Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
screen_cli.register(app)
train_cli.register(app)
node.register(app)
batch.register(app)
check.register(app)
operations.register(app)
accept.register(app)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.excepthook = tell_defect
    speak(language_asked(sys.argv[1:], os.environ))
    try:
        ended = typer.main.get_command(app)(standalone_mode=False)
    except TrabeculaError as error:
        tell(error.line(spoken()))
        sys.exit(error.exit_code)
    except NOT_UNDERSTOOD as error:
        if (wrong := misunderstood(error)) is not None:
            tell(f"{wrong.line(spoken())}\n{help_at(error)}")
        sys.exit(WrongUsage.exit_code)
    except typer.Abort:
        ended = INTERRUPTED
    if ended == INTERRUPTED:
        tell(say("stopped"))
    sys.exit(ended or 0)


def tell_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An unexpected failure in one line."""
    tell(f"{fault(error).told(spoken())} {say('debug-hint')}")


def _version(asked: bool) -> None:
    if asked:
        from trabecula import __version__

        print(f"trabecula {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(envvar="TRABECULA_CONFIG", help="TOML file of settings: a table for each command.")
    ] = None,
    language: Language = "",
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if config is not None:
        from trabecula.serving.settings_file import defaults_from

        commands = getattr(context.command, "commands", {})
        context.default_map = defaults_from(config, commands)


@app.command("list")
def list_contents(
    given: Annotated[
        Path, typer.Argument(metavar="INPUT", parser=path_given, help="A DICOM folder, file or zip, as for 'screen'.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    language: Language = "",
    debug: Debug = False,
) -> None:
    """List the studies and series of CT in an input, to choose among with 'screen --study N --series N'."""
    _debug(debug)
    from trabecula.screening import studies_in
    from trabecula.serving.contents import contents_json, contents_text

    studies = studies_in(given)
    print(contents_json(studies) if as_json else contents_text(studies, language))


@app.command()
def calibrate(
    given: Annotated[
        Path,
        typer.Argument(metavar="SCAN", parser=path_given, help="A CT of a calibration phantom alone, as for 'screen'."),
    ],
    phantom: Annotated[Path, typer.Option("--phantom", help="TOML file with the values of the phantom's certificate.")],
    profiles: Annotated[
        Path, typer.Option("--profiles", envvar="TRABECULA_PROFILES", help="Folder that keeps the scanners' profiles.")
    ] = Path("profiles"),
    language: Language = "",
    debug: Debug = False,
) -> None:
    """Keep a scanner's line from a scan of a phantom, and show its control chart."""
    _debug(debug)
    from trabecula.screening import calibrate_scanner
    from trabecula.serving.terminal import control_chart

    print(control_chart(calibrate_scanner(given, phantom, profiles), language))


@app.command()
def recipes(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    language: Language = "",
) -> None:
    """List the recipes: what each does and measures, in which unit, and how right it was."""
    from trabecula.serving.listing import recipes_json, recipes_text

    print(recipes_json() if as_json else recipes_text(language))


@app.command()
def serve(
    data: Annotated[Path, typer.Option("--data", help="Private folder for studies and results.")] = Path(
        "trabecula-data"
    ),
    host: Annotated[str, typer.Option(help="Address to serve at; beyond this machine needs logins and TLS.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve at.")] = 8000,
    recipe: Annotated[str | None, typer.Option(help="Which recipe to follow; see 'trabecula recipes'.")] = None,
    database: Annotated[
        str | None, typer.Option(envvar="TRABECULA_DATABASE", help="SQLAlchemy URL; SQLite in the folder if not given.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of the certificate, PEM.")] = None,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="A proxy in front ends TLS.")] = False,
    proxy: Annotated[
        str, typer.Option(help="Address of that proxy, or several with commas; only it may say who asks.")
    ] = "127.0.0.1",
    add_user: Annotated[str | None, typer.Option("--add-user", help="Let somebody log in, and end.")] = None,
    role: Annotated[
        str | None,
        typer.Option(help="Of that user: own (sees what they sent), all (sees everything), admin (removes it too)."),
    ] = None,
    remove_user: Annotated[
        str | None, typer.Option("--remove-user", help="Take somebody's login away, and end.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Serve the web page: drop CTs, look at results, correct them."""
    _debug(debug)
    from importlib.util import find_spec

    if any(find_spec(needed) is None for needed in ("fastapi", "uvicorn", "sqlalchemy", "python_multipart")):
        raise defect("web-missing.page")
    from trabecula.serving.web import people, server
    from trabecula.serving.web.settings import Settings

    settings = Settings(data.resolve(), database, host, port, recipe, behind_proxy, proxy, certificate, key)
    if add_user is not None:
        people.add_user(settings, add_user, role)
    elif remove_user is not None:
        people.remove_user(settings, remove_user)
    else:
        server.serve(settings)


@app.command()
def simulate(
    out: Annotated[
        Path,
        typer.Option(
            "--out", parser=path_given, metavar="PATH", help="Folder for the cohort; with --gallery, the PNG."
        ),
    ],
    number: Annotated[int | None, typer.Option("-n", "--number", help="How many virtual patients; else 10.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the first (else 0); the next ones count up.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="chest-low-dose, abdomen, abdomen-thick ..., else mixed.")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(help="A cohort like that of niu2023, fang2021, peng2023, pan2024 or yasaka2020, with its parts."),
    ] = None,
    share: Annotated[
        float | None, typer.Option(help="Share of each part of that cohort: 0.2 is a fifth; else all.")
    ] = None,
    format: Annotated[str, typer.Option(help="dicom or nifti.")] = "dicom",
    rescan: Annotated[
        str | None,
        typer.Option(help="Scan each once more: same (only noise and place), kernel, voltage or contrast."),
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Family of generators: a (if not given), or b, which no training ever saw.")
    ] = None,
    gallery: Annotated[bool, typer.Option("--gallery", help="Only a contact sheet, to judge them by eye.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="How many at a time.")] = 2,
    debug: Debug = False,
) -> None:
    """Make a cohort of virtual patients with exact truth; run again to go on."""
    _debug(debug)
    from trabecula.serving.cohort import draw_gallery, order_cohort, order_like, require_alone
    from trabecula.virtual.order import Order
    from trabecula.virtual.order_like import LikeOrder

    if like is not None:
        require_alone(
            like,
            {"-n": number, "--seed": seed, "--protocol": protocol, "--rescan": rescan, "--family": family}
            | {"--gallery": gallery},
        )
        order_like(LikeOrder(like, 1.0 if share is None else share, format), out, workers)
        return
    if share is not None:
        raise wrong_usage("share-of-nothing")
    count, first, generators = number if number is not None else 10, seed or 0, family or "a"
    if gallery:
        draw_gallery(out, count, first, generators)
        return
    order_cohort(Order(first, protocol or "mixed", format, rescan, generators), count, out, workers)


@app.command()
def demo(
    out: Annotated[
        Path,
        typer.Option("--out", parser=path_given, metavar="PATH", help="Folder for the simulated CT and its result."),
    ],
    seed: Annotated[int, typer.Option(min=0, help="Which virtual patient.")] = 0,
    recipe: RecipesAsked = None,
    language: Language = "",
    debug: Debug = False,
) -> None:
    """Simulate a patient, screen the CT, compare with the truth."""
    _debug(debug)
    from trabecula.serving.demo import demonstrate

    demonstrate(out, seed, recipe, language)


def _debug(wanted: bool) -> None:
    if wanted:
        sys.excepthook = sys.__excepthook__
