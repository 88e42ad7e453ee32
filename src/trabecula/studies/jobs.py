"""What the worker does with a study: screen it, or write the files of a correction. Same line, same exports."""

import logging
import shutil
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trabecula.errors import Defect, Refusal, place_of
from trabecula.export.bundle import DICOM_FOLDER, PDF, Export, Wanted
from trabecula.flow.report import ASSESSMENT, PAGE, report
from trabecula.messages import DEFAULT_LANGUAGE
from trabecula.recipe import Recipe
from trabecula.records import Assessment, Scan
from trabecula.screening import Progress, Source, assess, read_input, silent, tell_stage
from trabecula.studies import viewer
from trabecula.studies.record import Record, pseudonymous, record_of
from trabecula.studies.store import Result

LOG = logging.getLogger(__name__)
KEPT_LABELS = "labels.npz"


@dataclass(frozen=True)
class Task:
    """One study on disk: what was given, where its results go, and how its exports are wanted."""

    folder: Path
    given: Path
    deidentify: bool
    language: str

    @property
    def view(self) -> Path:
        return self.folder / "view"

    def version(self, number: int) -> Path:
        return self.folder / f"version-{number}"


def screen_study(task: Task, recipe: Recipe, progress: Progress) -> tuple[Result, Scan]:
    """The whole line; the CT can be looked at while it is being screened.

    Raises:
        TrabeculaError: as ``trabecula screen``.
    """
    source = _read(task, progress)
    viewer.write_ct(source.scan, task.view)
    assessment = assess(source, recipe, progress)
    tell_stage(progress, "report")
    viewer.write_spine(source.scan, assessment.spine, assessment.regions.labels, task.view)
    np.savez_compressed(task.folder / KEPT_LABELS, labels=assessment.regions.labels)
    public = replace(assessment, scan=pseudonymous(assessment.scan))
    document, notes = _write(public, assessment, source.export, task.version(1))
    return Result(record_of(public).to_json(), document, source.notes + notes), public.scan


def write_correction(task: Task, record: Record, number: int) -> tuple[str, tuple[str, ...]]:
    """The files of a corrected version; returns its assessment.json and why an export is missing.

    Raises:
        TrabeculaError: the scan cannot be read again.
    """
    source = _read(task)
    if source.scan.volume.shape != record.shape:
        raise Refusal("upload-changed", "The scan is no longer the one that was screened. Upload it again.")
    labels = relabelled(kept_labels(task), record)
    viewer.write_labels(source.scan.volume, labels, task.view / f"labels-{number}.nii")
    whole = record.assessment(replace(source.export.scan, reasons=record.scan_reasons), labels)
    public = replace(whole, scan=pseudonymous(whole.scan))
    document, notes = _write(public, whole, source.export, task.version(number))
    return document, source.notes + notes


def kept_labels(task: Task) -> NDArray[np.uint8]:
    """The regions as the program named them, (z, y, x)."""
    with np.load(task.folder / KEPT_LABELS, allow_pickle=False) as held:
        labels: NDArray[np.uint8] = held["labels"]
    return labels


def relabelled(labels: NDArray[np.uint8], record: Record) -> NDArray[np.uint8]:
    """The program's regions under the names of ``record``; those it no longer names are gone."""
    table = np.zeros(256, np.uint8)
    for first, now in record.names:
        table[first.verse_id] = now.verse_id
    return table[labels]


@cache
def unprintable(language: str) -> str | None:
    """Why no PDF can be made on this machine, or None; looked into once."""
    from trabecula.export.pdf import pdf_of, require_fonts

    try:
        pdf_of("<p>Trabecula</p>")
        if language != DEFAULT_LANGUAGE:
            require_fonts(language)
    except Defect as defect:
        return defect.message
    return None


def _read(task: Task, progress: Progress = silent) -> Source:
    """The study with DICOM and FHIR prepared where the input and the machine allow them."""
    why_not = unprintable(task.language)
    wanted = Wanted(dicom=why_not is None, fhir=True, deidentify=task.deidentify, language=task.language)
    source = read_input(task.given, wanted, progress, as_far_as_possible=True)
    return source if why_not is None else replace(source, notes=(why_not, *source.notes))


def _write(public: Assessment, whole: Assessment, export: Export, folder: Path) -> tuple[str, tuple[str, ...]]:
    """The result folder: pages from ``public``, objects for the archive from ``whole``.

    Returns assessment.json, and a sentence where the objects could not be made: a result is not lost for that.
    """
    notes: list[str] = []

    def attach(made: Path) -> None:
        try:
            export.write(whole, made)
        except Exception as error:
            LOG.error("exports: %s in %s", type(error).__name__, place_of(error.__traceback__))
            shutil.rmtree(made / DICOM_FOLDER, ignore_errors=True)
            notes.append("DICOM and FHIR could not be made of this study; the fault is Trabecula's own.")
        if not (made / PDF).exists() and unprintable(export.wanted.language) is None:
            from trabecula.export.pdf import pdf_of

            (made / PDF).write_bytes(pdf_of((made / PAGE).read_text(encoding="utf-8")))

    report(public, folder, attach, export.wanted.language)
    return (folder / ASSESSMENT).read_text(encoding="utf-8"), tuple(notes)
