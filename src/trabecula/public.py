"""What ``import trabecula`` offers programs: read a scan, screen it, write and load results, a table of many.

These names and what they return keep their meaning; everything else in the package may change with any version.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from trabecula.dicom.contents import Choice
from trabecula.export.bundle import Wanted
from trabecula.line import screen as screen_scan
from trabecula.messages import DEFAULT_LANGUAGE
from trabecula.quantity import Measurement
from trabecula.recipe import Recipe
from trabecula.recipes import recipe_named
from trabecula.records import Assessment, Effect, Reason, Scan, VertebraReading
from trabecula.report.folder import report
from trabecula.screening import read_input, read_prior, with_change, with_phantoms

Row = dict[str, str | float | None]


def read(path: str | Path, study: str = "", series: str = "") -> Scan:
    """A CT from a DICOM folder, file or zip, a NIfTI or an NRRD: HU as (z, y, x), axes to LPS millimetres.

    ``study`` and ``series`` choose among several, by their numbers in ``trabecula list`` or their UIDs.

    Raises:
        WrongUsage: there is no such input, study or series.
        Refusal: no number may come from it; ``code`` and ``message`` say why.
    """
    return read_input(Path(path), Wanted(), choice=Choice(study, series)).scan


def screen(
    ct: Scan | str | Path,
    recipe: Recipe | str | None = None,
    *,
    phantom: str | Path | None = None,
    profiles: str | Path | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Assessment:
    """What a recipe finds in a CT, read already or not; the recipe is the house's where none is named.

    ``phantom`` is the file of a certificate whose rods lie under the patient, ``profiles`` a folder that
    ``trabecula calibrate`` keeps. ``progress`` is called with the name of each stage as it begins.

    Raises:
        WrongUsage: there is no such input or recipe.
        Refusal: no number may come from this CT.
        Defect: the weights are missing or corrupted.
    """
    chosen = recipe if isinstance(recipe, Recipe) else recipe_named(recipe)
    chosen = with_phantoms(chosen, _path(phantom), _path(profiles))
    return screen_scan(ct if isinstance(ct, Scan) else read(ct), chosen, progress)


def compare(assessment: Assessment, *earlier: Assessment) -> Assessment:
    """The assessment with what has changed since earlier ones of the same person, and whether it is more than error.

    Raises:
        Refusal: one of them is of another person, of a later day, or has no vertebra in common.
    """
    return with_change(assessment, *earlier)


def write(assessment: Assessment, out: str | Path, language: str = DEFAULT_LANGUAGE) -> Path:
    """The result folder: report.html, pictures, regions and assessment.json, whole or not at all; returns the report.

    Raises:
        WrongUsage: the folder cannot be written.
    """
    return report(assessment, Path(out), language=language)


def load(path: str | Path) -> Assessment:
    """A result from its folder or its assessment.json: everything but the voxels.

    Raises:
        Refusal: it cannot be read.
    """
    return read_prior(Path(path))


def values(assessment: Assessment) -> Row:
    """The result as one row: category, density with its interval and unit, levels, doubts by their codes."""
    diagnosis, said = assessment.diagnosis, assessment.scan.acquisition
    vertebrae = assessment.readings.vertebrae
    reasons = [*assessment.reasons, *(reason for one in vertebrae for reason in one.reasons)]
    return {
        "recipe": assessment.recipe,
        "sex": said.patient_sex,
        "age_years": said.patient_age_years,
        "tube_voltage_kvp": said.tube_voltage_kvp,
        "category": diagnosis.category.value,
        **{f"p_{category.value}": share for category, share in diagnosis.probabilities.items()},
        **_density(diagnosis.density),
        "levels_used": " ".join(level.value for level in diagnosis.levels_used),
        "withheld": " ".join(one.level.value for one in vertebrae if one.withheld),
        "fractures": float(len(assessment.fractures)),
        "doubts": _codes(reasons, Effect.DOUBT),
        "notes": _codes(reasons, Effect.NOTE),
    }


def vertebrae(assessment: Assessment) -> list[Row]:
    """A row for each vertebra, from the head down: level, density, HU, volume, and why it is withheld."""
    return [_vertebra(one) for one in assessment.readings.vertebrae]


def table(results: Mapping[str, Assessment] | Iterable[Assessment], by: str = "study") -> list[Row]:
    """Many results as rows with the same keys in the same order, for a CSV file or a data frame.

    ``by`` is ``study`` for a row each as ``values`` gives it, or ``vertebra`` for a row each as ``vertebrae`` does. The
    first column, ``name``, is the key in a mapping, else a number from 1.

    Raises:
        ValueError: ``by`` is neither.
    """
    if by not in ("study", "vertebra"):
        raise ValueError(f"by is {by!r}; it is 'study' or 'vertebra'.")
    named = results.items() if isinstance(results, Mapping) else ((str(n), one) for n, one in enumerate(results, 1))
    rows: list[Row] = []
    for name, assessment in named:
        rows += [{"name": name, **row} for row in ([values(assessment)] if by == "study" else vertebrae(assessment))]
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column) for column in columns} for row in rows]


def _vertebra(one: VertebraReading) -> Row:
    return {
        "level": one.level.value,
        **_density(one.density),
        "vertebra_category": None if one.likeliest is None else one.likeliest.value,
        "mean_hu": _known(one.mean_hu),
        "sd_hu": _known(one.sd_hu),
        "volume_mm3": _known(one.volume_mm3),
        "withheld": _codes(one.reasons, Effect.WITHHOLD),
        "doubts": _codes(one.reasons, Effect.DOUBT),
    }


def _density(density: Measurement | None) -> Row:
    low, high = (None, None) if density is None else density.interval
    return {
        "density": None if density is None else density.value,
        "density_low": low,
        "density_high": high,
        "unit": None if density is None else density.quantity.unit,
        "quantity": None if density is None else density.quantity.key,
    }


def _codes(reasons: Iterable[Reason], effect: Effect) -> str:
    return " ".join(dict.fromkeys(one.code for one in reasons if one.effect is effect))


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
