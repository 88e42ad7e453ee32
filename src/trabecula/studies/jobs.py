"""What the worker does with a study: screen it, or write the files of a correction. Same line, same exports."""

import json
import logging
import shutil
import zipfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from trabecula.anatomy import Level
from trabecula.dicom.contents import UNCHOSEN, Choice
from trabecula.disk import sync_folder, sync_tree
from trabecula.errors import Defect, place_of, refusal
from trabecula.export.bundle import DICOM_FOLDER, PDF, Export, Wanted
from trabecula.messages import DEFAULT_LANGUAGE, messages
from trabecula.recipe import Recipe
from trabecula.records import Assessment
from trabecula.records.codec import decode
from trabecula.report.folder import ASSESSMENT, PAGE, report
from trabecula.report.masthead import UNNAMED, Masthead
from trabecula.screening import Progress, Source, assess, read_input, silent, tell_stage
from trabecula.studies import viewer
from trabecula.studies.drawing import keep_labels, kept_labels, measured_anew
from trabecula.studies.folders import DICOM_ZIP
from trabecula.studies.result import Result, first_result, pseudonymous, relabelling
from trabecula.studies.room import is_full

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """One study on disk: what was given, where its results go, and how its exports are wanted."""

    folder: Path
    given: Path
    deidentify: bool
    language: str
    choice: Choice = UNCHOSEN
    head: Masthead = UNNAMED  # of the report

    @property
    def view(self) -> Path:
        return self.folder / "view"

    def version(self, number: int) -> Path:
        return self.folder / f"version-{number}"


def screen_study(task: Task, recipe: Recipe, progress: Progress) -> Result:
    """The whole line; the CT can be looked at while it is being screened.

    Raises:
        TrabeculaError: as ``trabecula screen``.
    """
    source = _read(task, progress)
    assessment = assess(source, recipe, progress)
    tell_stage(progress, "report")
    viewer.write_spine(source.scan, assessment.spine, assessment.labels, task.view)
    keep_labels(task.folder, assessment.labels)
    public = replace(assessment, scan=pseudonymous(assessment.scan))
    written, notes = _write(public, assessment, source.export, task.version(1), task.head)
    sync_tree(task.view)
    return first_result(written, source.notes + notes)


def unfold(task: Task) -> None:
    """The whole CT for the viewer.

    Raises:
        TrabeculaError: the scan cannot be read again.
    """
    viewer.write_whole(read_input(task.given, Wanted(), choice=task.choice).scan, task.view)


def write_correction(
    task: Task, kept: Result, number: int, recipe: Recipe, drawn: int = 0, pending: str = ""
) -> Result:
    """Writes the files of a corrected version; returns it with their names in its run record.

    ``drawn`` is the version whose regions it has; the level ``pending``, whose region is new, is measured first.

    Raises:
        TrabeculaError: the scan cannot be read again.
    """
    source, assessment = _read(task), kept.assessment
    if source.scan.volume.shape != assessment.scan.volume.shape:
        raise refusal("upload-changed")
    scan = replace(source.export.scan, reasons=assessment.scan.reasons)
    regions = assessment.regions
    if regions is not None:
        regions = replace(regions, labels=relabelling(kept.names)[kept_labels(task.folder, drawn)])
    whole = replace(assessment, scan=scan, regions=regions)
    if pending:
        whole = measured_anew(whole, Level(pending), recipe)
    public = replace(whole, scan=pseudonymous(scan))
    written, notes = _write(public, whole, source.export, task.version(number), task.head)
    return Result(written, kept.names, source.notes + notes)


@cache
def unprintable(language: str) -> str | None:
    """Why no PDF can be made on this machine, or None; looked into once."""
    from trabecula.export.pdf import pdf_of, require_fonts

    try:
        pdf_of("<p>Trabecula</p>")
        if language != DEFAULT_LANGUAGE:
            require_fonts(language)
    except Defect as defect:
        return defect.told(language)
    return None


def _read(task: Task, progress: Progress = silent) -> Source:
    """The study with DICOM and FHIR prepared where the input and the machine allow them."""
    why_not = unprintable(task.language)
    wanted = Wanted(dicom=why_not is None, fhir=True, deidentify=task.deidentify, language=task.language)
    source = read_input(task.given, wanted, progress, as_far_as_possible=True, choice=task.choice)
    return source if why_not is None else replace(source, notes=(why_not, *source.notes))


def _pack(made: Path) -> None:
    """The DICOM objects as one zip, a fraction of what they are; the pictures that stand in the report not twice."""
    for picture in made.glob("*.png"):
        picture.unlink()
    objects = sorted((made / DICOM_FOLDER).glob("*.dcm"))
    if objects:
        with zipfile.ZipFile(made / DICOM_ZIP, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in objects:
                packed.write(path, path.name)
    shutil.rmtree(made / DICOM_FOLDER, ignore_errors=True)


def _write(
    public: Assessment, whole: Assessment, export: Export, folder: Path, head: Masthead
) -> tuple[Assessment, tuple[str, ...]]:
    """The result folder: pages from ``public``, objects for the archive from ``whole``.

    Returns what assessment.json says, and a sentence where the objects could not be made: a result is not lost for
    that.
    """
    notes: list[str] = []

    def attach(made: Path) -> None:
        try:
            export.write(whole, made)
        except Exception as error:
            if is_full(error):
                raise  # with room the whole result can be had
            LOG.error("exports: %s in %s", type(error).__name__, place_of(error.__traceback__))
            shutil.rmtree(made / DICOM_FOLDER, ignore_errors=True)
            notes.append(messages(export.wanted.language)["objects-not-made"])
        _pack(made)
        if not (made / PDF).exists() and unprintable(export.wanted.language) is None:
            from trabecula.export.pdf import pdf_of

            (made / PDF).write_bytes(pdf_of((made / PAGE).read_text(encoding="utf-8")))

    report(public, folder, attach, export.wanted.language, head)
    sync_tree(folder)  # the database will say that it is there
    sync_folder(folder.parent)
    return decode(json.loads((folder / ASSESSMENT).read_bytes())), tuple(notes)
