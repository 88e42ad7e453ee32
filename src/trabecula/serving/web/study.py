"""One study: its progress, its result with the viewer, its label, and how it goes on."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from trabecula.dicom.contents import Choice, without_words
from trabecula.errors import TrabeculaError
from trabecula.export.bundle import DICOM_FOLDER
from trabecula.messages import Phrase
from trabecula.recipes import RECIPES, recipe_named
from trabecula.records.codec import fact_from
from trabecula.screening import studies_in
from trabecula.serving.web.guards import checked_form, visitor_of
from trabecula.serving.web.parts import Count, Parts, parts_of
from trabecula.serving.web.presentation import (
    DOWNLOADS,
    Pace,
    correction_choices,
    paces,
    progress_of,
    result_of,
    stages_of,
    state_words,
)
from trabecula.serving.web.seeking import address_of
from trabecula.serving.web.studies import cancel, remove
from trabecula.serving.web.uploads import clean_label
from trabecula.studies.folders import DICOM_ZIP
from trabecula.studies.queue import require_ct
from trabecula.studies.sentences import wrong
from trabecula.studies.store import Upload, choice_of, offered_by, unlabelled
from trabecula.studies.tables import Study, Version

router = APIRouter(prefix="/studies/{study_id}", include_in_schema=False)
OTHERS = 200
"""So many studies are offered as earlier ones of the same person, the newest."""


@router.get("")
def study_page(request: Request, study_id: str) -> Response:
    """The newest version, or how far the study is."""
    return page_of(request, study_id, None)


@router.get("/versions/{number}")
def version_page(request: Request, study_id: str, number: Count) -> Response:
    """One version; the original is number 1 and stays."""
    return page_of(request, study_id, number)


@router.get("/state")
def state(request: Request, study_id: str) -> Response:
    """How far the study is, for the page's script."""
    parts, language = parts_of(request), visitor_of(request).language
    study = parts.study(study_id)
    version = parts.store.version(study_id, study.latest)
    told: dict[str, Any] = progress_of(study, paces(parts.store).get(study_id, Pace()), language).to_dict()
    told |= {
        "stages": stages_of(study, language),
        "files": "" if version is None else version.files,
        "latest": study.latest,
    }
    return JSONResponse(told)


@router.post("/label")
async def relabel(request: Request, study_id: str) -> Response:
    """Another label for the study."""
    form, parts = await checked_form(request), parts_of(request)
    study = parts.study(study_id)
    label = clean_label(form.get("label", ""), parts.settings.limits) or unlabelled(study)
    await run_in_threadpool(parts.store.rename, study_id, label)
    return back_to(request, study_id)


@router.post("/cancellation")
async def cancel_study(request: Request, study_id: str) -> Response:
    """The study is not screened after all; its upload stays."""
    await checked_form(request)
    parts = parts_of(request)
    await run_in_threadpool(cancel, parts, parts.study(study_id))
    return back_to(request, study_id)


@router.post("/retrial")
async def retry(request: Request, study_id: str) -> Response:
    """A study that ended without a result is screened again, by another recipe if one is named."""
    form, parts = await checked_form(request), parts_of(request)
    parts.study(study_id)
    recipe = form.get("recipe") or None
    recipe_named(recipe)
    if not await run_in_threadpool(parts.store.retry, study_id, recipe):
        raise wrong("study-not-ended")
    return back_to(request, study_id)


@router.get("/again")
def again_page(request: Request, study_id: str) -> Response:
    """What else there is in the upload, and the recipes, for another screening of it."""
    parts, address = parts_of(request), address_of(request.query_params)
    study = parts.study(study_id)
    before, after = parts.store.beside(address.sought, study.id)
    return parts.page(
        "again.html",
        visitor_of(request),
        study=study,
        offered=_contents(parts, study),
        address=address,
        before=before,
        after=after,
        recipes=list(RECIPES.values()),
        recipe=study.recipe or recipe_named(parts.settings.recipe).name,
    )


@router.post("/again")
async def again(request: Request, study_id: str) -> Response:
    """A study more of the same upload: another series of it, or another recipe. The files are kept once."""
    form, parts, visitor = await checked_form(request), parts_of(request), visitor_of(request)
    study = parts.study(study_id)
    require_ct(study)
    recipe, asked = form.get("recipe") or None, form.get("choice", "")
    recipe_named(recipe)
    choice = choice_of(study)
    if asked:
        offered = await run_in_threadpool(_contents, parts, study)
        choice = _chosen(asked, offered)
    made = uuid.uuid4().hex
    upload = Upload(
        made, study.given, study.label, visitor.user or "", study.deidentify, study.language, recipe, choice
    )
    await run_in_threadpool(_twin, parts, study, upload)
    return back_to(request, made)


def _twin(parts: Parts, study: Study, upload: Upload) -> None:
    with parts.folders.settling(upload.id):
        parts.folders.twin(study.id, study.given, upload.id)
        parts.store.enqueue(upload)


@router.post("/choice")
async def choose(request: Request, study_id: str) -> Response:
    """Which of several studies in the upload is screened, as ``study`` or ``study:series`` by their numbers."""
    form, parts = await checked_form(request), parts_of(request)
    study = parts.study(study_id)
    choice = _chosen(form.get("choice", ""), offered_by(study))
    if not await run_in_threadpool(parts.store.choose, study.id, choice):
        raise wrong("study-chosen")
    return back_to(request, study_id)


@router.post("/versions/{number}/writing")
async def write_again(request: Request, study_id: str, number: Count) -> Response:
    """The files of a version, which could not be written, are written after all."""
    await checked_form(request)
    parts = parts_of(request)
    parts.study(study_id)
    if not await run_in_threadpool(parts.store.write_again, study_id, number):
        raise HTTPException(404)
    return back_to(request, study_id, number)


@router.post("/removal")
async def remove_study(request: Request, study_id: str) -> Response:
    """Remove a study with everything that is kept of it."""
    form, parts = await checked_form(request), parts_of(request)
    study = parts.study(study_id)
    if form.get("sure") != "yes":
        raise wrong("removal-unconfirmed")
    await run_in_threadpool(remove, parts, study)
    query = address_of(request.query_params).query()
    return RedirectResponse(f"/?{query}" if query else "/", 303)


def place_of_study(request: Request, study_id: str, number: int | None = None) -> str:
    """The address of a study, or of one version, with the list one came from."""
    query = address_of(request.query_params).query()
    version = "" if number is None else f"/versions/{number}"
    return f"/studies/{study_id}{version}" + (f"?{query}" if query else "")


def back_to(request: Request, study_id: str, number: int | None = None) -> Response:
    """Leads a browser to it."""
    return RedirectResponse(place_of_study(request, study_id, number), 303)


def _contents(parts: Parts, study: Study) -> list[dict[str, Any]]:
    """The studies and series in an upload, without what people typed into headers; none where there is no DICOM."""
    try:
        found = studies_in(parts.folders.study(study.id) / study.given)
    except (TrabeculaError, OSError):
        return []
    return [without_words(one).to_dict() for one in found]


def _chosen(asked: str, offered: list[dict[str, Any]]) -> Choice:
    """What was chosen, as ``study`` or ``study:series`` by their numbers.

    Raises:
        WrongUsage: it is not among what was offered.
    """
    chosen, _, series = asked.partition(":")
    known = {str(one["number"]): {str(of["number"]) for of in one["series"]} for one in offered}
    if chosen not in known or (series and series not in known[chosen]):
        raise wrong("study-not-found")
    return Choice(chosen, series)


def page_of(
    request: Request,
    study_id: str,
    number: int | None,
    status: int = 200,
    asked: Mapping[str, str] | None = None,
    error: TrabeculaError | None = None,
) -> Response:
    """A version's page, or the newest one's; with what was ``asked`` of it and why that could not be done."""
    parts, visitor, address = parts_of(request), visitor_of(request), address_of(request.query_params)
    study, language = parts.study(study_id), visitor.language
    version = parts.store.version(study.id, study.latest if number is None else number)
    before, after = parts.store.beside(address.sought, study.id)
    shown: dict[str, Any] = {
        "study": study,
        "state_words": state_words(study, language),
        "address": address,
        "before": before,
        "after": after,
        "recipes": list(RECIPES.values()),
        "recipe": study.recipe or recipe_named(parts.settings.recipe).name,
    }
    if version is None:
        if number is not None and (number != study.latest or study.state == "done"):
            raise HTTPException(404)
        pace = paces(parts.store).get(study.id, Pace())
        progress, stages = progress_of(study, pace, language), stages_of(study, language)
        return parts.page(
            "progress.html", visitor, progress=progress, stages=stages, offered=offered_by(study), **shown
        )
    return parts.page(
        "study.html",
        visitor,
        status,
        result=result_of(version, language),
        versions=_lines(parts, study, language),
        downloads=_downloads(parts, study, version),
        choices=correction_choices(language),
        others=parts.store.with_result(study.id, OTHERS),
        asked=dict(asked or {}),
        error=error.told(language) if error else "",
        error_code=error.code if error else "",
        **shown,
    )


def _lines(parts: Parts, study: Study, language: str) -> list[dict[str, Any]]:
    """Every version with who made it, what was changed, and who signed or sent it."""
    acts = parts.store.acts(study.id)
    return [
        {
            "number": one.number,
            "made": one.made_utc,
            "by": one.made_by,
            "category": json.loads(one.assessment)["diagnosis"]["category"],
            "changes": [
                said.told(language) if isinstance(said, Phrase) else said
                for said in map(fact_from, json.loads(one.changes))
            ],
            "acts": [act for act in acts if act.version == one.number],
        }
        for one in parts.store.versions(study.id)
    ]


def _downloads(parts: Parts, study: Study, version: Version) -> list[str]:
    """What there is to download of a version."""
    folder = parts.folders.version(study.id, version.number)
    apart = {DICOM_ZIP: DICOM_FOLDER}  # as versions were once written
    return [name for name in DOWNLOADS if (folder / name).exists() or (folder / apart.get(name, name)).exists()]
