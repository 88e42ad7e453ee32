"""One study: its progress, its result with the viewer, corrections, files."""

import io
import json
import shutil
import zipfile
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.export.bundle import DICOM_FOLDER, FHIR, PDF
from trabecula.recipes import recipe_named
from trabecula.report.folder import ASSESSMENT, PAGE, REGIONS
from trabecula.serving.web.guards import REPORT_POLICY, checked_form, visitor_of
from trabecula.serving.web.parts import Count, Parts, parts_of
from trabecula.serving.web.presentation import (
    DOWNLOADS,
    correction_choices,
    level_of,
    progress_of,
    result_of,
    stages_of,
    when,
)
from trabecula.serving.web.uploads import clean_label
from trabecula.studies import viewer
from trabecula.studies.correction import CAUSES, Correction, corrected
from trabecula.studies.result import result_from
from trabecula.studies.tables import Study, Version

router = APIRouter(prefix="/studies/{study_id}")

FILES = {
    PAGE: "text/html; charset=utf-8",
    PDF: "application/pdf",
    ASSESSMENT: "application/json",
    REGIONS: "application/gzip",
    FHIR: "application/fhir+json",
    "sagittal.png": "image/png",
    "coronal.png": "image/png",
}
VIEWS = (viewer.FULL, viewer.OVERVIEW, viewer.SPINE)
DICOM_ZIP = "dicom.zip"


@router.get("")
def study_page(request: Request, study_id: str) -> Response:
    """The newest version, or how far the study is."""
    parts = parts_of(request)
    study = parts.study(study_id)
    return _page(request, parts, study, study.latest)


@router.get("/versions/{number}")
def version_page(request: Request, study_id: str, number: Count) -> Response:
    """One version; the original is number 1 and stays."""
    parts = parts_of(request)
    return _page(request, parts, parts.study(study_id), number)


@router.get("/state")
def state(request: Request, study_id: str) -> Response:
    """How far the study is, for the page's script."""
    parts = parts_of(request)
    study = parts.study(study_id)
    version = parts.store.version(study_id, study.latest)
    told: dict[str, Any] = progress_of(study, parts.store.ahead_of(study_id)).to_dict()
    told |= {
        "stages": stages_of(study),
        "viewable": (parts.folders.study(study_id) / "view" / viewer.OVERVIEW).exists(),
        "files": "" if version is None else version.files,
    }
    return JSONResponse(told)


@router.get("/view/{name}")
def view(request: Request, study_id: str, name: str) -> Response:
    """The CT for the viewer."""
    parts = parts_of(request)
    study = parts.study(study_id)
    if name not in VIEWS:
        raise HTTPException(404)
    return _file(parts, study, f"view/{name}", "application/octet-stream")


@router.get("/versions/{number}/labels.nii")
def labels(request: Request, study_id: str, number: Count) -> Response:
    """The regions for the viewer, under this version's names: right from the moment the version is kept."""
    parts = parts_of(request)
    study = parts.study(study_id)
    version = parts.store.version(study_id, number)
    path = parts.folders.study(study.id) / "view" / viewer.LABELS
    if version is None or not path.is_file():
        raise HTTPException(404)
    names = result_from(version.assessment, version.names).names
    return Response(viewer.renamed_labels(path, names), media_type="application/octet-stream")


@router.get("/versions/{number}/files/{name}")
def file(request: Request, study_id: str, number: Count, name: str) -> Response:
    """One file of a version's result, under a name that tells nothing but which study it is here."""
    parts = parts_of(request)
    study = parts.study(study_id)
    folder = f"version-{number}"
    saved_as = f"study-{study.number}-version-{number}-{name}"
    if name == DICOM_ZIP:
        return _dicom(parts, study, folder, saved_as)
    if name not in FILES:
        raise HTTPException(404)
    answer = _file(parts, study, f"{folder}/{name}", FILES[name])
    how = (
        "inline"
        if name in (PAGE, "sagittal.png", "coronal.png") and "save" not in request.query_params
        else "attachment"
    )
    answer.headers["Content-Disposition"] = f'{how}; filename="{saved_as}"'
    if name == PAGE:
        answer.headers["Content-Security-Policy"] = REPORT_POLICY
    return answer


@router.post("/corrections")
async def correct(request: Request, study_id: str) -> Response:
    """A new version with other names or without some vertebrae; the others stay as they are."""
    form = await checked_form(request)
    number = await run_in_threadpool(_correct, request, study_id, form)
    return RedirectResponse(f"/studies/{study_id}/versions/{number}", 303)


@router.post("/label")
async def relabel(request: Request, study_id: str) -> Response:
    """Another label for the study."""
    form, parts = await checked_form(request), parts_of(request)
    study = parts.study(study_id)
    label = clean_label(form.get("label", ""), parts.settings.limits) or f"Study {study.number}"
    await run_in_threadpool(parts.store.rename, study_id, label)
    return RedirectResponse(f"/studies/{study_id}", 303)


@router.post("/removal")
async def remove(request: Request, study_id: str) -> Response:
    """Remove a study with everything that is kept of it."""
    form, parts = await checked_form(request), parts_of(request)
    study = parts.study(study_id)
    if form.get("sure") != "yes":
        raise WrongUsage("removal-unconfirmed", "Tick that you are sure before you remove a study.")
    if not await run_in_threadpool(parts.store.remove, study.id):
        raise WrongUsage("study-busy", "The study is being worked on. Wait until it is done, then remove it.")
    await run_in_threadpool(shutil.rmtree, parts.folders.study(study.id), True)
    return RedirectResponse("/", 303)


def _page(request: Request, parts: Parts, study: Study, number: int) -> Response:
    version = parts.store.version(study.id, number)
    if version is None:
        if number != study.latest or study.state == "done":
            raise HTTPException(404)
        progress = progress_of(study, parts.store.ahead_of(study.id))
        return parts.page("progress.html", visitor_of(request), study=study, progress=progress, stages=stages_of(study))
    return parts.page(
        "study.html",
        visitor_of(request),
        study=study,
        received=when(study.received_utc),
        result=result_of(version),
        versions=[_line(one) for one in parts.store.versions(study.id)],
        downloads=_downloads(parts, study, version),
        choices=correction_choices(),
    )


def _line(version: Version) -> dict[str, Any]:
    diagnosis = json.loads(version.assessment)["diagnosis"]
    return {
        "number": version.number,
        "made": when(version.made_utc),
        "by": version.made_by,
        "category": diagnosis["category"],
        "changes": json.loads(version.changes),
    }


def _downloads(parts: Parts, study: Study, version: Version) -> list[tuple[str, str]]:
    """What there is to download of a version, by name and in words."""
    folder = parts.folders.version(study.id, version.number)
    return [
        (name, words) for name, words in DOWNLOADS if (folder / (DICOM_FOLDER if name == DICOM_ZIP else name)).exists()
    ]


def _file(parts: Parts, study: Study, name: str, kind: str) -> Response:
    path = parts.folders.study(study.id) / name
    if not path.is_file():
        raise HTTPException(404)
    return FileResponse(path, media_type=kind)


def _dicom(parts: Parts, study: Study, folder: str, saved_as: str) -> Response:
    """The DICOM objects in one zip; they are small beside the CT."""
    objects = sorted((parts.folders.study(study.id) / folder / DICOM_FOLDER).glob("*.dcm"))
    if not objects:
        raise HTTPException(404)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for path in objects:
            packed.write(path, path.name)
    headers = {"Content-Disposition": f'attachment; filename="{saved_as}"'}
    return Response(held.getvalue(), media_type="application/zip", headers=headers)


def _correct(request: Request, study_id: str, form: dict[str, str]) -> int:
    parts, visitor = parts_of(request), visitor_of(request)
    parts.study(study_id)
    asked = form.get("version", "")
    version = parts.store.version(study_id, int(asked)) if asked.isdecimal() and len(asked) <= 6 else None
    if version is None:
        raise HTTPException(404)
    by = visitor.user or clean_label(form.get("by", ""), parts.settings.limits)
    if not by:
        raise WrongUsage("reader-unnamed", "Say who you are: a correction is kept with who made it and when.")
    kept = result_from(version.assessment, version.names)
    made, changes = corrected(kept, _asked(form), recipe_named(kept.assessment.recipe))
    return parts.store.keep_correction(study_id, version.number, by, changes, made)


def _asked(form: dict[str, str]) -> Correction:
    names: dict[Level, Level] = {}
    excluded: dict[Level, str] = {}
    for field, value in form.items():
        kind, _, name = field.partition("-")
        level, new = level_of(name), level_of(value)
        if level is not None and kind == "name" and new is not None:
            names[level] = new
        if level is not None and kind == "exclude" and value in CAUSES:
            excluded[level] = value
    return Correction(names, excluded, form.get("shift") == "yes", form.get("confirm") == "yes")
