"""The one door: what is given, a recipe and what is wanted go in; a result folder comes out.

The command line, the web page and every later door call ``screen_to_folder``, or the three steps it is made of.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from trabecula.dicom.contents import UNCHOSEN, Choice, ListedStudy
from trabecula.dicom.reader import list_dicom
from trabecula.errors import Refusal, refusal, require_language, wrong_usage
from trabecula.export.bundle import REPORT_ALONE, Export, Wanted, prepare
from trabecula.export.fhir import RELEASES
from trabecula.flow.calibrate.asynchronous import ControlChart, Profile, Profiles, require_mode
from trabecula.flow.calibrate.certificate import Certificate, read_certificate
from trabecula.flow.calibrate.ladder import LadderCalibration
from trabecula.flow.calibrate.phantom import read_phantom
from trabecula.flow.calibrate.size import water_path
from trabecula.flow.calibrate.stack import read_stack
from trabecula.flow.read import read_opened
from trabecula.formats.opened import opened
from trabecula.line import Shared, screen
from trabecula.recipe import Recipe
from trabecula.records import Acquisition, Assessment, Scan
from trabecula.records.change import change_between, change_reason, history_with, in_order
from trabecula.records.codec import decode
from trabecula.records.population import Population
from trabecula.records.reference import reference_reason
from trabecula.report.folder import report, require_writable

STAGES = ("read", "localise", "segment", "calibrate", "measure", "exclude", "diagnose", "report")

LEAST_PATH_MM = 80.0
"""A phantom smaller than this is taken for one this large: no beam is computed behind less."""

Progress = Callable[[str, float], None]
"""Told the stage that is under way and how much of the whole line is done, from 0 to 1."""


def silent(stage: str, share: float) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Beside:
    """What a result is held against: an earlier one of the same person, people of the same age and sex."""

    priors: tuple[Assessment, ...] = ()
    reference: Population | None = None


def screen_to_folder(
    given: Path,
    out: Path,
    recipe: Recipe,
    wanted: Wanted = REPORT_ALONE,
    progress: Progress = silent,
    beside: Beside = Beside(),
    choice: Choice = UNCHOSEN,
) -> tuple[Assessment, Path]:
    """Read, screen and report, with the ``wanted`` exports; returns what was found and where its report.html is.
    ``choice`` says which of several studies or series is read.

    What it is held ``beside`` is told among the notes of its diagnosis.

    Raises:
        WrongUsage: there is no such language, FHIR version or input, or ``out`` cannot be written.
        Refusal: no number may come from this input.
    """
    require_known(wanted)
    require_writable(out)
    source = read_input(given, wanted, progress, choice=choice)
    assessment = assess(source, recipe, progress)
    assessment = held_beside(assessment, beside)
    if wanted.deidentify and assessment.history is not None:
        assessment = replace(assessment, history=assessment.history.undated)
    tell_stage(progress, "report")
    attach = partial(source.export.write, assessment, progress=partial(tell_stage, progress, "report"))
    written = report(assessment, out, attach, wanted.language, source.export.head)
    return assessment, written


@dataclass(frozen=True)
class Source:
    """An input that was read, with what its exports need of it and why one of them cannot be made."""

    scan: Scan
    export: Export
    seconds: float
    notes: tuple[str, ...] = ()


def read_input(
    given: Path,
    wanted: Wanted,
    progress: Progress = silent,
    as_far_as_possible: bool = False,
    choice: Choice = UNCHOSEN,
) -> Source:
    """The scan in ``given``, which is opened once, and its exports prepared before anything is computed.

    ``as_far_as_possible`` leaves the DICOM objects, or of them SEG and SR, out of ``wanted`` where the input does not
    allow them, and says why in ``notes``.

    Raises:
        WrongUsage: there is no such input.
        Refusal: it cannot be read, or does not allow what is wanted.
    """
    tell_stage(progress, "read")
    started = time.perf_counter()
    notes: tuple[str, ...] = ()
    with opened(given) as held:
        scan = read_opened(held, lambda done, total: tell_stage(progress, "read", done / max(total, 1)), choice)
        try:
            export = prepare(held, scan, wanted)
        except Refusal as refused:
            if not (as_far_as_possible and wanted.dicom):
                raise
            notes = (refused.told(wanted.language),)
            mended = refused.code == "dicom-grid-mended"  # a report and a picture need no grid
            export = prepare(held, scan, replace(wanted, regions=False) if mended else replace(wanted, dicom=False))
    return Source(scan, export, round(time.perf_counter() - started, 3), notes)


def studies_in(given: Path) -> tuple[ListedStudy, ...]:
    """The studies and series of CT that there are in an input, the earliest first; none where it is no DICOM.

    Raises:
        WrongUsage: there is no such input.
        Refusal: it cannot be opened.
    """
    with opened(given) as held:
        return list_dicom(held.files, held.budget) if held.kind == "dicom" else ()


def assess(source: Source, recipe: Recipe, progress: Progress = silent, shared: Shared | None = None) -> Assessment:
    """What the recipe finds in the scan as the exports may tell it; its run record counts the seconds of reading too.

    ``shared`` is what other recipes have already worked out of this source.

    Raises:
        Refusal: no vertebra is in view.
        Defect: the weights are missing or corrupted.
    """
    found = screen(source.export.scan, recipe, partial(tell_stage, progress), shared)
    seconds = {"read": source.seconds, **found.run["seconds"]}
    return replace(found, run={**found.run, "seconds": seconds, **source.export.run})


def tell_stage(progress: Progress, stage: str, done: float = 0.0) -> None:
    """Tells that a stage is under way and which share of it is done; every stage counts the same."""
    progress(stage, (STAGES.index(stage) + done) / len(STAGES))


def require_known(wanted: Wanted) -> None:
    """Refuse a language or a version of FHIR that there is not.

    Raises:
        WrongUsage: one of them is unknown.
    """
    require_language(wanted.language)
    release = wanted.fhir_release
    if release not in RELEASES:
        raise wrong_usage("unknown-fhir-version", name=release, choices=tuple(RELEASES))


def read_prior(given: Path) -> Assessment:
    """An earlier result, from its folder or its assessment.json.

    Raises:
        Refusal: it cannot be read.
    """
    path = given / "assessment.json" if given.is_dir() else given
    try:
        return decode(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise refusal("prior-unreadable") from error


def held_beside(assessment: Assessment, beside: Beside) -> Assessment:
    """The assessment with what an earlier result and a reference population say of it.

    Raises:
        Refusal: the earlier result is of another person, of a later day, or has no vertebra in common.
    """
    if beside.priors:
        assessment = with_change(assessment, *beside.priors)
    place = None if beside.reference is None else reference_reason(assessment, beside.reference)
    if place is None:
        return assessment
    diagnosis = replace(assessment.diagnosis, reasons=(*assessment.diagnosis.reasons, place))
    return replace(assessment, diagnosis=diagnosis, population=beside.reference)


def with_change(assessment: Assessment, *priors: Assessment) -> Assessment:
    """The assessment with what has changed since the latest of the earlier ones, and with all of them as its history.

    Raises:
        Refusal: one of them is of another person, of a later day, or has no vertebra in common.
    """
    earlier = in_order(priors)
    told = change_reason(change_between(earlier[-1], assessment))
    diagnosis = replace(assessment.diagnosis, reasons=(*assessment.diagnosis.reasons, told))
    return replace(assessment, diagnosis=diagnosis, history=history_with(earlier, assessment))


def with_phantoms(recipe: Recipe, phantom: Path | None, profiles: Path | None) -> Recipe:
    """The recipe calibrated by a phantom's rods in the scan, or by the kept profiles of scanners, where there are any.

    Raises:
        WrongUsage: the phantom's file lacks its values, it is none that lies under a patient, or the recipe
            calibrates in its own way.
    """
    if phantom is None and profiles is None:
        return recipe
    if not isinstance(recipe.calibrate, LadderCalibration):
        raise wrong_usage("recipe-without-ladder", recipe=recipe.name)
    certificate = None if phantom is None else read_certificate(phantom)
    if certificate is not None and certificate.stacked:
        raise wrong_usage("phantom-scanned-alone")
    ladder = LadderCalibration(certificate, None if profiles is None else Profiles(profiles))
    return replace(recipe, calibrate=ladder)


def calibrate_scanner(given: Path, phantom: Path, profiles: Path) -> ControlChart:
    """Reads a phantom that was scanned alone, and keeps its line in its scanner's profile.

    Raises:
        WrongUsage: there is no such input, the phantom's file lacks its values, the scanner is not recorded.
        Refusal: the scan cannot be read, or not all rods are in it.
    """
    acquisition, profile = phantom_profile(given, read_certificate(phantom))
    return Profiles(profiles).keep(acquisition, profile)


def phantom_profile(given: Path, certificate: Certificate) -> tuple[Acquisition, Profile]:
    """How a phantom that was scanned alone was scanned, and its line.

    Raises:
        WrongUsage: there is no such input, or the scanner is not recorded.
        Refusal: the scan cannot be read, or not all rods are in it.
    """
    with opened(given) as held:
        scan = read_opened(held, lambda done, total: None)
    acquisition, kvp = scan.acquisition, scan.acquisition.tube_voltage_kvp
    require_mode(acquisition)
    assert kvp is not None, "required just now"
    if certificate.stacked:
        reading = read_stack(scan.volume, certificate, kvp)
    else:
        reading = read_phantom(scan.volume, None, certificate, kvp)
    if reading is None:
        raise refusal("phantom-rods-missing", rods=len(certificate.rods), phantom=certificate.name)
    middle = scan.volume.to_lps((np.asarray(scan.volume.shape) - 1) / 2)
    return acquisition, Profile(
        measured=date.today().isoformat(),
        phantom=f"{certificate.name} {certificate.serial}".strip(),
        slope_hu_cm3_mg=round(reading.slope_hu_cm3_mg, 4),
        offset_hu=round(reading.offset_hu, 2),
        misfit_hu=round(reading.misfit_hu, 2),
        path_mm=round(max(water_path(scan.volume, middle).hardening_mm, LEAST_PATH_MM), 1),
    )
