"""One CT through several recipes: read once, what they share worked out once, every result in a folder of its own.

A recipe that refuses is told among the others, which go on.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from trabecula import __version__
from trabecula.dicom.contents import UNCHOSEN, Choice
from trabecula.errors import Defect, TrabeculaError, fault, refusal
from trabecula.export.bundle import REPORT_ALONE, Wanted
from trabecula.line import Shared
from trabecula.messages import Phrase
from trabecula.recipe import Recipe
from trabecula.records.population import Population
from trabecula.report.comparison import INDEX, PICTURE, Outcome, comparison_json, comparison_page
from trabecula.report.folder import COMPARISON, files_in, replaced_whole, report, require_writable
from trabecula.screening import Beside, Progress, Source, assess, held_beside, read_input, require_known, silent


def screen_side_by_side(
    given: Path,
    out: Path,
    recipes: Sequence[Recipe],
    wanted: Wanted = REPORT_ALONE,
    progress: Progress = silent,
    reference: Population | None = None,
    choice: Choice = UNCHOSEN,
) -> tuple[list[Outcome], Path]:
    """Screens ``given`` with every recipe; returns what each made of it and where the page of them all is.

    ``out`` holds a result folder a recipe, by its name, beside index.html and comparison.json. The assessments returned
    have no labels: those are in the folders.

    Raises:
        WrongUsage: there is no such language, FHIR version or input, or ``out`` cannot be written.
        Refusal: the input cannot be read, or no recipe gives a result.
        Defect: every recipe fails by a fault of ours.
    """
    require_known(wanted)
    require_writable(out)
    source = read_input(given, wanted, progress, choice=choice)
    shared = Shared(recipes)
    with replaced_whole(out) as folder:
        outcomes = []
        for number, recipe in enumerate(recipes):
            told = partial(_tell, progress, recipe.name, number, len(recipes))
            outcomes.append(_outcome(source, recipe, shared, folder / recipe.name, told, reference))
        _require_a_result(outcomes)
        _write(outcomes, source, folder, wanted.language)
    return outcomes, out.resolve() / INDEX


def _tell(progress: Progress, recipe: str, number: int, of: int, stage: str, share: float) -> None:
    progress(f"{recipe}: {stage}", (number + share) / of)


def _outcome(
    source: Source, recipe: Recipe, shared: Shared, folder: Path, progress: Progress, reference: Population | None
) -> Outcome:
    """One recipe's result, written to its folder, or why there is none; a failure of ours is a row too."""
    try:
        found = held_beside(assess(source, recipe, progress, shared), Beside((), reference))
        report(found, folder, partial(source.export.write, found), source.export.wanted.language, source.export.head)
    except TrabeculaError as error:
        return Outcome(recipe, refused=error)
    except Exception as error:
        return Outcome(recipe, refused=fault(error))
    return Outcome(recipe, replace(found, regions=None))


def _require_a_result(outcomes: Sequence[Outcome]) -> None:
    """Raises why there is none where no recipe gives one."""
    errors = [one.refused for one in outcomes if one.refused is not None]
    if len(errors) < len(outcomes):
        return
    if len({error.line() for error in errors}) == 1 or all(isinstance(error, Defect) for error in errors):
        raise errors[0]
    said = [
        Phrase("refused-by", {"recipe": one.recipe.name, "code": error.code})
        for one, error in zip(outcomes, errors, strict=True)
    ]
    raise refusal("no-recipe-fits", said=said)


def _write(outcomes: Sequence[Outcome], source: Source, folder: Path, language: str) -> None:
    pictures = {
        one.recipe.name: (folder / one.recipe.name / PICTURE).read_bytes()
        for one in outcomes
        if one.assessment is not None
    }
    run = {
        "version": __version__,
        "written_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": {"read": source.seconds},
        **source.export.run,
    }
    page = comparison_page(outcomes, source.export.scan, pictures, run, language)
    (folder / INDEX).write_text(page, encoding="utf-8")
    told = comparison_json(outcomes, run | {"files": sorted([COMPARISON, *files_in(folder)])})
    text = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / COMPARISON).write_text(text + "\n", encoding="utf-8")
