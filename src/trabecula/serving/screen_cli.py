"""The command ``screen``: one CT, or many one after another."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from trabecula.errors import TrabeculaError, require_language, wrong_usage
from trabecula.messages import LANGUAGES
from trabecula.serving import train_cli
from trabecula.serving.spoken import VARIABLE, say, speak, spoken, tell


def path_given(text: str) -> Path:
    """A path as given; an empty one would silently be the current folder."""
    if not text.strip():
        raise wrong_usage("path-empty")
    return Path(text)


def heard(language: str) -> str:
    """The language of a command: as given, and spoken from here on, or what is spoken already."""
    if language:
        require_language(language)
        speak(language)
    return spoken()


def recipes_known(incomplete: str) -> list[str]:
    """For the shell: the recipes' names."""
    from trabecula.serving.listing import recipe_names

    return [name for name in (*recipe_names(), "all") if name.startswith(incomplete)]


def languages_known(incomplete: str) -> list[str]:
    """For the shell: the languages."""
    return [name for name in LANGUAGES if name.startswith(incomplete)]


RecipesAsked = Annotated[
    str | None,
    typer.Option(
        help="Which recipe to follow, several with commas, or all; see 'trabecula recipes'.",
        autocompletion=recipes_known,
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
    list[Path] | None,
    typer.Option("--prior", help="An earlier result of the same person, to tell what has changed; may be repeated."),
]
AgeReference = Annotated[
    str | None,
    typer.Option("--reference", help="A site's table of age, sex, mean and SD (CSV), or china-biobank."),
]
Label = Annotated[
    str | None, typer.Option(help="What the report calls the scan; leave it out with --deidentify if it names anybody.")
]


Given = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT", parser=path_given, help="A DICOM folder, file or zip, or a NIfTI or NRRD file; or many."
    ),
]
OutFolder = Annotated[
    Path,
    typer.Option(
        "--out",
        parser=path_given,
        metavar="PATH",
        help="Folder for the result; new, empty or of an earlier result.",
    ),
]
Dicom = Annotated[bool, typer.Option("--dicom", help="Also write DICOM SEG, SR, PDF and a picture.")]
Fhir = Annotated[bool, typer.Option("--fhir", help="Also write fhir.json, a FHIR Bundle.")]
FhirVersion = Annotated[str, typer.Option(help="With --fhir: R4 or R5.")]
Deidentify = Annotated[
    bool, typer.Option("--deidentify", help="Leave every patient identifier out of all that is written.")
]
Language = Annotated[
    str,
    typer.Option(
        help=f"Language of all that is told: {', '.join(LANGUAGES)}; else that of the machine.",
        envvar=VARIABLE,
        autocompletion=languages_known,
        callback=heard,
        is_eager=True,
    ),
]
StudyAsked = Annotated[
    str, typer.Option(help="Of several studies in INPUT, which: its number in 'trabecula list', or its UID.")
]
SeriesAsked = Annotated[str, typer.Option(help="Of that study, which series: its number there, or its UID.")]
Each = Annotated[bool, typer.Option("--each", help="INPUT is a folder of studies: screen each file or folder in it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result for programs, not for people.")]
Browse = Annotated[bool, typer.Option("--open", help="Open the report in a browser.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress and print only where the report is.")]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(screen)


def screen(
    context: typer.Context,
    given: Given,
    out: OutFolder,
    recipe: RecipesAsked = None,
    dicom: Dicom = False,
    fhir: Fhir = False,
    fhir_version: FhirVersion = "R4",
    deidentify: Deidentify = False,
    label: Label = None,
    language: Language = "",
    phantom: Phantom = None,
    profiles: KeptProfiles = None,
    prior: Prior = None,
    reference: AgeReference = None,
    weights: train_cli.Instead = None,
    study: StudyAsked = "",
    series: SeriesAsked = "",
    each: Each = False,
    as_json: AsJson = False,
    browse: Browse = False,
    quiet: Quiet = False,
    debug: train_cli.Debug = False,
) -> None:
    """Screen a CT: density and category, pictures, and every reason for doubt. Or many: a table, and it goes on."""
    if debug:
        sys.excepthook = sys.__excepthook__
    from trabecula.dicom.contents import Choice
    from trabecula.export.bundle import Wanted
    from trabecula.serving.door import Asked, Door, open_page, told_as_json

    if not fhir and _typed(context, "fhir_version"):
        raise wrong_usage("fhir-version-alone")
    wanted = Wanted(
        dicom=dicom, fhir=fhir, deidentify=deidentify, fhir_release=fhir_version, language=language, label=label
    )
    asked = Asked(
        wanted, recipe, phantom, profiles, tuple(prior or ()), reference, weights, Choice(study.strip(), series.strip())
    )
    many = each or len(given) > 1
    try:
        door = Door(asked, shown=not (quiet or as_json))
        if many:
            _require_for_one(
                {"--prior": prior, "--label": label, "--study": study, "--series": series, "--open": browse}
            )
            _screen_many(door, given, out, each, as_json, quiet)
            return
        told, written = door.screen(given[0], out)
    except TrabeculaError as error:
        if as_json:
            print(told_as_json(error))
        raise _ended(error, language, one=not many) from error
    if as_json:
        print(door.json_of(out))
    else:
        print(written if quiet else f"{told}\n{door.report_at(written)}")
    if browse:
        open_page(written)


def _ended(error: TrabeculaError, language: str, one: bool) -> typer.Exit:
    """Tells an error; ``one``: a single CT was asked for, so that a heap of studies gets a hint."""
    tell(error.line(language))
    if one and error.code == "several-studies":
        tell(say("each-hint"))
    return typer.Exit(error.exit_code)


def _screen_many(door: Any, given: list[Path], out: Path, each: bool, as_json: bool, quiet: bool) -> None:
    from trabecula.serving.many import Many, studies_in

    studies = studies_in(given) if each else given
    many = Many(door, out)
    rows = many.screen(studies)
    if as_json:
        print(many.json_of(rows))
    else:
        print(many.table if quiet else many.told(rows))
    if not any(row.has_result for row in rows):
        raise typer.Exit(3)


def _require_for_one(given: dict[str, object]) -> None:
    named = [option for option, value in given.items() if value]
    if named:
        raise wrong_usage("one-study-only", options=named)


def _typed(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line, not in a file of settings."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
