"""The same for programs: upload, status, result and correction, by tokens; described by OpenAPI."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from trabecula import __version__
from trabecula.anatomy import Level
from trabecula.quantity import QUANTITIES
from trabecula.recipes import RECIPES, recipe_named
from trabecula.serving.web.corrections import keep
from trabecula.serving.web.files import file_of
from trabecula.serving.web.guards import API_DESCRIPTION, visitor_of
from trabecula.serving.web.parts import Count, parts_of
from trabecula.serving.web.presentation import Pace, paces
from trabecula.serving.web.seeking import address_of
from trabecula.serving.web.studies import received
from trabecula.studies.correction import CAUSES, Correction
from trabecula.studies.sentences import wrong
from trabecula.studies.tables import Study, Version

router = APIRouter(prefix="/api/v1", tags=["studies"])
PAGE_LENGTH = 100
UPLOAD_FIELDS = {
    "label": {"type": "string", "description": "No name of a patient. Study N where it is empty."},
    "recipe": {"type": "string", "enum": sorted(RECIPES)},
    "language": {"type": "string", "description": "Of the report: en, zh ..."},
    "deidentify": {"type": "string", "enum": ["yes"], "description": "Leave the patient out of DICOM and FHIR too."},
    "files": {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "The slices of one study, a zip of them, or one NIfTI or NRRD; after all other fields.",
    },
}
MULTIPART = {"multipart/form-data": {"schema": {"type": "object", "required": ["files"], "properties": UPLOAD_FIELDS}}}


class Problem(BaseModel):
    """Why something was not done: a stable code and a sentence."""

    code: str
    message: str


class Density(BaseModel):
    """A density with its unit; two of different quantities cannot be compared."""

    value: float
    quantity: str
    unit: str


class Told(BaseModel):
    """A study and where it stands."""

    id: str
    number: int
    label: str
    received_utc: str
    state: str = Field(description="queued, running, done, refused, failed or cancelled")
    standing: str = Field(description="to-check, checked, signed or sent; empty before there is a result")
    stage: str
    progress: float
    seconds_left: float | None
    code: str = Field(description="Why there is no result")
    message: str
    latest: int = Field(description="The number of the newest version; 0 before there is a result")
    files: str = Field(description="Of the newest version: ready, pending or failed")
    category: str | None
    reach: list[str] = Field(description="Every category that the headline names or the interval touches")
    density: Density | None
    doubts: list[str] = Field(description="Reason codes")


class Listed(BaseModel):
    """Some studies, and how many there are in all."""

    total: int
    studies: list[Told]


class Asked(BaseModel):
    """A correction of one version."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, description="The version that is corrected")
    seen: int | None = Field(None, description="The newest version known; refused (409) where there is a newer one")
    names: dict[Level, Level] = Field(default_factory=dict, description="New name of a level by its name now")
    excluded: dict[Level, str] = Field(
        default_factory=dict, description=f"Why a level is left out: {', '.join(CAUSES)}"
    )
    shift: bool = Field(True, description="Shift the names of all others along")
    confirm: bool = Field(False, description="The names are right")


class Made(BaseModel):
    """The version that a correction made."""

    number: int
    result: str = Field(description="Its address")


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem} for status in (400, 401, 404, 409, 413, 422, 507)
}
Page = Annotated[int, Field(ge=1, le=1_000_000)]


@router.get("/studies", response_model=Listed, responses=PROBLEMS)
def list_studies(
    request: Request, page: Page = 1, words: str = "", state: str = "", category: str = "", doubt: str = ""
) -> Any:
    """The newest studies first, 100 a page, narrowed as the page's own list is."""
    store = parts_of(request).store
    fields = {"words": words, "state": state, "category": category, "doubt": doubt}
    found, total = store.studies(address_of(fields).sought, (page - 1) * PAGE_LENGTH, PAGE_LENGTH)
    pace = paces(store)
    return {"total": total, "studies": [_told(study, pace.get(study.id, Pace()), "") for study in found]}


@router.post(
    "/studies",
    status_code=201,
    response_model=Told,
    responses=PROBLEMS,
    openapi_extra={"requestBody": {"required": True, "content": MULTIPART}},
)
async def upload_study(request: Request) -> Any:
    """One study comes in and waits to be screened."""

    def admit(fields: dict[str, str]) -> None:
        recipe_named(fields.get("recipe") or None)

    study = await received(request, admit)
    return _told(study, Pace(), "")


@router.get("/studies/{study_id}", response_model=Told, responses=PROBLEMS)
def study_status(request: Request, study_id: str) -> Any:
    """Where a study stands."""
    parts = parts_of(request)
    study = parts.study(study_id)
    version = parts.store.version(study_id, study.latest)
    return _told(study, paces(parts.store).get(study_id, Pace()), "" if version is None else version.files)


@router.get("/studies/{study_id}/versions/{number}", responses=PROBLEMS)
def result(request: Request, study_id: str, number: Count) -> dict[str, Any]:
    """What was found, as assessment.json says it; ``number`` is that of a version, 1 the program's own."""
    version = _version(request, study_id, number)
    if version.pending:
        raise wrong("region-waits")
    told: dict[str, Any] = json.loads(version.assessment)
    return told


@router.get("/studies/{study_id}/versions/{number}/files/{name}", responses=PROBLEMS, response_class=Response)
def result_file(request: Request, study_id: str, number: Count, name: str) -> Response:
    """A file of a version: report.html, report.pdf, regions.nii.gz, dicom.zip, fhir.json ..."""
    return file_of(parts_of(request), parts_of(request).study(study_id), number, name, save=True)


@router.post("/studies/{study_id}/corrections", status_code=201, response_model=Made, responses=PROBLEMS)
async def correct_result(request: Request, study_id: str, asked: Asked) -> Any:
    """A new version with other names, or without some vertebrae. It is there at once; its files follow."""
    unknown = sorted(set(asked.excluded.values()) - set(CAUSES))
    if unknown:
        raise wrong("cause-unknown", cause=unknown[0], causes=tuple(CAUSES))
    version = await run_in_threadpool(_version, request, study_id, asked.version)
    correction = Correction(asked.names, asked.excluded, asked.shift, asked.confirm)
    by = visitor_of(request).name
    number = await run_in_threadpool(keep, parts_of(request), version, correction, by, asked.seen)
    return {"number": number, "result": f"{router.prefix}/studies/{study_id}/versions/{number}"}


@router.get(API_DESCRIPTION.removeprefix(router.prefix), include_in_schema=False)
def description(request: Request) -> Response:
    """OpenAPI's description of all this."""
    told = get_openapi(
        title="Trabecula",
        version=__version__,
        summary="Opportunistic osteoporosis screening from any CT. Research use only.",
        routes=router.routes,
    )
    told["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    told["security"] = [{"token": []}]
    return JSONResponse(told)


def _version(request: Request, study_id: str, number: int) -> Version:
    parts = parts_of(request)
    parts.study(study_id)
    found = parts.store.version(study_id, number)
    if found is None:
        raise HTTPException(404)
    return found


def _told(study: Study, pace: Pace, files: str) -> Told:
    density = None
    if study.density is not None and study.quantity is not None:
        quantity = QUANTITIES[study.quantity]
        density = Density(value=study.density, quantity=quantity.key, unit=quantity.unit)
    left = pace.left_seconds(study)
    same = ("id", "number", "label", "received_utc", "state", "standing", "stage", "progress", "code", "message")
    return Told(
        **{name: getattr(study, name) for name in (*same, "latest", "category")},
        seconds_left=None if left is None else round(left, 1),
        files=files,
        density=density,
        reach=study.reach.split(),
        doubts=study.doubts.split(),
    )
