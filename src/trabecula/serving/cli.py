"""The command line. Exit codes: 0 a result, 1 a defect of ours, 2 wrong usage, 3 the input was refused.

What a command needs is imported inside it, so that ``--help`` answers at once.
"""

import sys
from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer

from trabecula.errors import Defect, TrabeculaError, WrongUsage, fault_of
from trabecula.messages import DEFAULT_LANGUAGE, LANGUAGES
from trabecula.serving import train_cli

app = typer.Typer(
    name="trabecula",
    help="Reads the bone density that is already in any CT. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
train_cli.register(app)


def _path(text: str) -> Path:
    """A path as given; an empty one would silently be the current folder."""
    if not text.strip():
        raise WrongUsage("path-empty", "A path is empty. Name the file or folder.")
    return Path(text)


Out = Annotated[
    Path,
    typer.Option(
        "--out", parser=_path, metavar="PATH", help="Folder for the result; new, empty or of an earlier result."
    ),
]
Phantom = Annotated[
    Path | None, typer.Option("--phantom", help="TOML file with the certificate's values of a phantom in the scan.")
]
KeptProfiles = Annotated[
    Path | None,
    typer.Option("--profiles", envvar="TRABECULA_PROFILES", help="Folder of scanners' profiles; see 'calibrate'."),
]
Prior = Annotated[
    Path | None, typer.Option("--prior", help="An earlier result of the same person, to tell what has changed since.")
]
AgeReference = Annotated[
    str | None,
    typer.Option("--reference", help="A site's table of age, sex, mean and SD (CSV), or china-biobank."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress and print only where the report is.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the whole traceback if the program itself fails.")]


def main() -> None:
    """Run the command line and exit with its code."""
    sys.excepthook = tell_defect
    try:
        typer.main.get_command(app)()
    except TrabeculaError as error:
        print(error.line(), file=sys.stderr)
        sys.exit(error.exit_code)


def tell_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An unexpected failure in one line."""
    print(f"{fault_of(error)} The same command with --debug shows all of it.", file=sys.stderr)


def _version(asked: bool) -> None:
    if asked:
        from trabecula import __version__

        print(f"trabecula {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def screen(
    given: Annotated[
        Path,
        typer.Argument(metavar="INPUT", parser=_path, help="A DICOM folder, file or zip, or a NIfTI or NRRD file."),
    ],
    out: Out,
    recipe: Annotated[
        str | None,
        typer.Option(help="Which recipe to follow, several with commas, or all; see 'trabecula recipes'."),
    ] = None,
    dicom: Annotated[bool, typer.Option("--dicom", help="Also write DICOM SEG, SR, PDF and a picture.")] = False,
    fhir: Annotated[bool, typer.Option("--fhir", help="Also write fhir.json, a FHIR Bundle.")] = False,
    fhir_version: Annotated[str, typer.Option(help="Which FHIR: R4 or R5.")] = "R4",
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Leave every patient identifier out of all that is written.")
    ] = False,
    language: Annotated[
        str, typer.Option(help=f"Of the report, or of a refusal: {' or '.join(LANGUAGES)}.")
    ] = DEFAULT_LANGUAGE,
    phantom: Phantom = None,
    profiles: KeptProfiles = None,
    prior: Prior = None,
    reference: AgeReference = None,
    weights: train_cli.Instead = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Screen one CT: density and category, pictures, and every reason for doubt."""
    _debug(debug)
    from trabecula.export.bundle import Wanted
    from trabecula.recipes import ALL, recipes_named
    from trabecula.records.reference import read_reference
    from trabecula.screening import Beside, read_prior, screen_to_folder, with_phantoms
    from trabecula.serving.terminal import progress_shown, summary, summary_of_several
    from trabecula.side_by_side import screen_side_by_side

    wanted = Wanted(dicom, fhir or fhir_version != "R4", deidentify, fhir_version, language)
    try:
        with progress_shown(not quiet) as progress:
            if weights is not None:
                _use(weights, recipe)
            calibrated = [with_phantoms(one, phantom, profiles) for one in recipes_named(recipe)]
            population = None if reference is None else read_reference(reference)
            if len(calibrated) > 1 or recipe == ALL:
                if prior is not None:
                    raise WrongUsage("prior-of-several", "An earlier result is compared with one recipe's. Name one.")
                outcomes, written = screen_side_by_side(given, out, calibrated, wanted, progress, population)
                told = summary_of_several(outcomes)
            else:
                beside = Beside(None if prior is None else read_prior(prior), population)
                assessment, written = screen_to_folder(given, out, calibrated[0], wanted, progress, beside)
                told = summary(assessment)
    except TrabeculaError as error:
        print(error.line(language), file=sys.stderr)
        raise typer.Exit(error.exit_code) from error
    print(written if quiet else f"{told}\nReport: {written}")


@app.command()
def calibrate(
    given: Annotated[
        Path, typer.Argument(metavar="SCAN", parser=_path, help="A CT of a calibration phantom alone, as for 'screen'.")
    ],
    phantom: Annotated[Path, typer.Option("--phantom", help="TOML file with the values of the phantom's certificate.")],
    profiles: Annotated[
        Path, typer.Option("--profiles", envvar="TRABECULA_PROFILES", help="Folder that keeps the scanners' profiles.")
    ] = Path("profiles"),
    debug: Debug = False,
) -> None:
    """Keep a scanner's line from a scan of a phantom, and show its control chart."""
    _debug(debug)
    from trabecula.screening import calibrate_scanner
    from trabecula.serving.terminal import control_chart

    try:
        chart = calibrate_scanner(given, phantom, profiles)
    except TrabeculaError as error:
        print(error.line(DEFAULT_LANGUAGE), file=sys.stderr)
        raise typer.Exit(error.exit_code) from error
    print(control_chart(chart))


@app.command()
def recipes(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the recipes: what each does and measures, in which unit, and how right it was."""
    from trabecula.serving.listing import recipes_json, recipes_text

    print(recipes_json() if as_json else recipes_text())


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
    debug: Debug = False,
) -> None:
    """Serve the web page: drop CTs, look at results, correct them."""
    _debug(debug)
    from importlib.util import find_spec

    if any(find_spec(needed) is None for needed in ("fastapi", "uvicorn", "sqlalchemy", "python_multipart")):
        raise Defect("web-missing", "What the web page needs is not installed. Run: make web")
    from trabecula.serving.web import server
    from trabecula.serving.web.settings import Settings

    settings = Settings(data.resolve(), database, host, port, recipe, behind_proxy, proxy, certificate, key)
    if add_user is not None:
        server.add_user(settings, add_user)
    else:
        server.serve(settings)


@app.command()
def simulate(
    out: Annotated[
        Path,
        typer.Option("--out", parser=_path, metavar="PATH", help="Folder for the cohort; with --gallery, the PNG."),
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
    share: Annotated[float | None, typer.Option(help="Of each part of that cohort: 0.2 is a fifth; else all.")] = None,
    format: Annotated[str, typer.Option(help="dicom or nifti.")] = "dicom",
    rescan: Annotated[
        str | None,
        typer.Option(help="Scan each once more: same (only noise and place), kernel, voltage or contrast."),
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Of generators: a (if not given), or b, which no training ever saw.")
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
        raise WrongUsage("share-of-nothing", "--share is of a study's cohort: name it with --like, or give -n.")
    count, first, generators = number if number is not None else 10, seed or 0, family or "a"
    if gallery:
        draw_gallery(out, count, first, generators)
        return
    order_cohort(Order(first, protocol or "mixed", format, rescan, generators), count, out, workers)


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option("--out", parser=_path, metavar="PATH", help="Folder for the simulated CT and its result.")
    ],
    seed: Annotated[int, typer.Option(min=0, help="Which virtual patient.")] = 0,
    recipe: Annotated[
        str | None,
        typer.Option(help="Which recipe to follow, several with commas, or all; see 'trabecula recipes'."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Simulate a patient, screen the CT, compare with the truth."""
    _debug(debug)
    from trabecula.serving.demo import demonstrate

    demonstrate(out, seed, recipe)


def _debug(wanted: bool) -> None:
    if wanted:
        sys.excepthook = sys.__excepthook__


def _use(weights: Path, recipe: str | None) -> None:
    """Screens with a folder of weights instead of those shipped."""
    from trabecula.recipes import ALL, recipe_named
    from trabecula.training.fit import use_fitting

    if recipe is not None and (recipe == ALL or "," in recipe):
        raise WrongUsage("weights-of-several", "Weights of one's own are those of one recipe. Name one.")
    use_fitting(recipe_named(recipe, trained=False), weights)
