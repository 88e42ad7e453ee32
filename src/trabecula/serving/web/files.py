"""What belongs to a study as files: the CT and the regions for the viewer, and what a version's folder holds."""

import gzip
import hashlib
import io
import zipfile
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from trabecula.export.bundle import DICOM_FOLDER, FHIR, PDF
from trabecula.report.folder import ASSESSMENT, PAGE, REGIONS
from trabecula.serving.web.guards import REPORT_POLICY, visitor_of
from trabecula.serving.web.parts import Count, Parts, parts_of, told
from trabecula.studies import viewer
from trabecula.studies.folders import DICOM_ZIP
from trabecula.studies.result import result_from
from trabecula.studies.tables import Study

router = APIRouter(prefix="/studies/{study_id}", include_in_schema=False)

FILES = {
    PAGE: "text/html; charset=utf-8",
    PDF: "application/pdf",
    ASSESSMENT: "application/json",
    REGIONS: "application/gzip",
    FHIR: "application/fhir+json",
    DICOM_ZIP: "application/zip",
}
VIEWS = (viewer.FULL, viewer.OVERVIEW, viewer.SPINE)
ASKED_EACH_TIME = "private, no-cache"
"""A browser may keep it and has to ask whether it may still be shown: whoever has logged out sees nothing."""


@router.get("/view/{name}")
def view(request: Request, study_id: str, name: str) -> Response:
    """The CT for the viewer; the whole of it is made by the worker when it is first asked for, which 202 says."""
    parts = parts_of(request)
    study = parts.study(study_id)
    if name not in VIEWS:
        raise HTTPException(404)
    if study.ct_removed_utc:
        said = told(visitor_of(request).language, "web-ct-removed", day=study.ct_removed_utc[:10])
        return JSONResponse({"code": "ct-removed", "message": said}, 410)
    content = viewer.packed(parts.folders.study(study.id) / "view", name)
    if content is not None:
        return packed(request, content)
    if name == viewer.SPINE or study.state != "done":
        raise HTTPException(404)
    if parts.store.unfolding(study.id) or "wait" not in request.query_params:
        parts.store.unfold(study.id)
        return JSONResponse({"message": told(visitor_of(request).language, "web-unfolding")}, 202)
    return JSONResponse({"message": told(visitor_of(request).language, "web-unfolding-failed")}, 500)


@router.get("/versions/{number}/labels.nii")
def labels(request: Request, study_id: str, number: Count) -> Response:
    """The regions for the viewer, under this version's names: right from the moment the version is kept."""
    parts = parts_of(request)
    study = parts.study(study_id)
    version = parts.store.version(study_id, number)
    if version is None:
        raise HTTPException(404)
    content = viewer.packed(parts.folders.study(study.id) / "view", viewer.labels_name(version.drawn))
    if content is None:
        raise HTTPException(404)
    names = result_from(version.assessment, version.names).names
    return packed(request, gzip.compress(viewer.renamed_labels(gzip.decompress(content), names), 6, mtime=0))


@router.get("/versions/{number}/files/{name}")
def file(request: Request, study_id: str, number: Count, name: str) -> Response:
    """One file of a version's result, under a name that tells nothing but which study it is here."""
    parts = parts_of(request)
    return file_of(parts, parts.study(study_id), number, name, "save" in request.query_params)


def file_of(parts: Parts, study: Study, number: int, name: str, save: bool) -> Response:
    """A file of a version for a browser or a program.

    Raises:
        HTTPException: there is none.
    """
    folder = parts.folders.version(study.id, number)
    saved_as = f"study-{study.number}-version-{number}-{name}"
    if name == DICOM_ZIP and not (folder / name).is_file():
        return _zipped(folder / DICOM_FOLDER, saved_as)
    if name not in FILES or not (folder / name).is_file():
        raise HTTPException(404)
    inline = name == PAGE and not save
    headers = {"Content-Disposition": f'{"inline" if inline else "attachment"}; filename="{saved_as}"'}
    if name == PAGE:
        headers["Content-Security-Policy"] = REPORT_POLICY
    return FileResponse(folder / name, media_type=FILES[name], headers=headers)


def _zipped(folder: Path, saved_as: str) -> Response:
    """The DICOM objects of a version that was written when they were kept apart."""
    objects = sorted(folder.glob("*.dcm"))
    if not objects:
        raise HTTPException(404)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        for path in objects:
            made.write(path, path.name)
    headers = {"Content-Disposition": f'attachment; filename="{saved_as}"'}
    return Response(held.getvalue(), media_type="application/zip", headers=headers)


def packed(request: Request, content: bytes) -> Response:
    """Bytes that lie as gzip, sent so where the browser takes it, and not at all where it has them already."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": ASKED_EACH_TIME, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(None, 304, headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(content, headers={**headers, "Content-Encoding": "gzip"}, media_type="application/octet-stream")
    return Response(gzip.decompress(content), headers=headers, media_type="application/octet-stream")
