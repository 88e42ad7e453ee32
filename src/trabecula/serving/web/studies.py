"""The first page: dropping studies, the queue, and the list of what was screened."""

import shutil
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from trabecula.quantity import Category
from trabecula.recipes import RECIPES, recipe_named
from trabecula.serving.web.guards import checked_form, require_csrf, visitor_of
from trabecula.serving.web.parts import Count, Parts, language_names, parts_of
from trabecula.serving.web.presentation import Pace, paces, row_of
from trabecula.serving.web.seeking import address_of
from trabecula.serving.web.uploads import disk_full, receive
from trabecula.studies.listing import ACTIVE, STATES
from trabecula.studies.room import is_full
from trabecula.studies.sentences import wrong
from trabecula.studies.store import SENT, SIGNED, Upload
from trabecula.studies.tables import Study

router = APIRouter(include_in_schema=False)
PAGE_LENGTH = 50
MANY = {"cancel", "retry", "remove", "sent"}


@router.get("/")
def studies_page(request: Request, page: Count = 1) -> Response:
    """Where studies are dropped, and the list of them: what an address asks for, in its order."""
    parts, visitor, address = parts_of(request), visitor_of(request), address_of(request.query_params)
    found, total = parts.store.studies(address.sought, (page - 1) * PAGE_LENGTH, PAGE_LENGTH)
    pace = paces(parts.store)
    shown: dict[str, Any] = {
        "rows": [row_of(study, pace.get(study.id, Pace()), visitor.language) for study in found],
        "total": total,
        "page": page,
        "pages": max(1, -(-total // PAGE_LENGTH)),
        "address": address,
        "sought": address.sought,
        "revision": parts.store.revision(),
        "active": ACTIVE,
        "choices": parts.store.choices() | {"states": STATES, "categories": list(Category)},
        "limits": parts.settings.limits,
        "report_languages": language_names(),
        "recipes": list(RECIPES.values()),
        "recipe": recipe_named(parts.settings.recipe).name,
    }
    return parts.page("studies.html", visitor, **shown)


@router.get("/queue")
def queue(request: Request) -> Response:
    """What waits and runs, for the page's script; ``revision`` changes when a study comes, goes or ends."""
    store, language = parts_of(request).store, visitor_of(request).language
    pace = paces(store)
    rows = {study.id: row_of(study, pace[study.id], language) for study, _ in store.active() if study.id in pace}
    active = {study: row["progress"].to_dict() for study, row in rows.items()}
    return JSONResponse({"revision": store.revision(), "active": active})


@router.post("/studies")
async def upload(request: Request) -> Response:
    """A study comes in: fields first, then files; its place in the queue is that of its last byte."""

    def admit(fields: dict[str, str]) -> None:
        require_csrf(request, fields.get("csrf", ""))
        recipe_named(fields.get("recipe") or None)

    study = await received(request, admit)
    place = f"/studies/{study.id}"
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(place, 303)
    return JSONResponse({"id": study.id, "url": place, "label": study.label}, 201)


async def received(request: Request, admit: Any) -> Study:
    """The study that a request brings, at the end of the queue; ``admit`` may turn it away by its fields."""
    parts, visitor = parts_of(request), visitor_of(request)
    declared = request.headers.get("content-length", "")
    got = await receive(
        request.headers.get("content-type", ""),
        int(declared) if declared.isdecimal() else 0,
        request.stream(),
        parts.folders,
        parts.settings.limits,
        admit,
    )
    return await run_in_threadpool(_enqueued, parts, replace(got, by=visitor.user or ""))


def _enqueued(parts: Parts, got: Upload) -> Study:
    try:
        study = parts.store.enqueue(got)
    except Exception as error:  # nobody knows of the upload
        shutil.rmtree(parts.folders.study(got.id), ignore_errors=True)
        if is_full(error):
            raise disk_full() from error
        raise
    parts.folders.enlist(study.id)
    return study


@router.post("/bulk")
async def many(request: Request) -> Response:
    """The same for several studies of the list: cancel, try again, remove, mark as sent."""
    form, parts, visitor = await checked_form(request), parts_of(request), visitor_of(request)
    what, back = form.get("what", ""), address_of({"words": ""} | form).query()
    ids = [name.removeprefix("study-") for name in form if name.startswith("study-")]
    if what not in MANY or not ids:
        raise wrong("nothing-chosen")
    chosen = [parts.study(study_id) for study_id in ids]
    if what == "remove" and form.get("sure") != "yes":
        return parts.page("removal-of-many.html", visitor, chosen=chosen, address=address_of(form))
    if what == "remove" and any(parts.removes not in (None, study.received_by) for study in chosen):
        raise wrong("removal-not-allowed")  # before any is removed
    if what == SENT:
        _require_settled(chosen)
    for study in chosen:
        await run_in_threadpool(_do, parts, study, what, visitor.name)
    return RedirectResponse(f"/?{back}" if back else "/", 303)


def _do(parts: Parts, study: Study, what: str, by: str) -> None:
    if what == "cancel":
        cancel(parts, study)
    elif what == "retry":
        parts.store.retry(study.id)
    elif what == "remove":
        cancel(parts, study)
        remove(parts, study)
    elif study.state == "done":
        parts.store.act(study.id, study.latest, SENT, by)


def _require_settled(chosen: list[Study]) -> None:
    """Raises WrongUsage where one is doubted and nobody has signed it: one tick is no look at several."""
    doubted = [study.label for study in chosen if study.doubts and study.standing not in (SIGNED, SENT)]
    if doubted:
        raise wrong("sent-doubted", labels=tuple(doubted))


def cancel(parts: Parts, study: Study) -> None:
    """The study is not screened after all; where the worker is at it, the worker ends."""
    if parts.store.cancel(study.id) is not None:
        parts.supervisor.interrupt()


def remove(parts: Parts, study: Study) -> None:
    """Removes a study with everything that is kept of it.

    Raises:
        WrongUsage: it is somebody else's, or the worker is at it.
    """
    if parts.removes not in (None, study.received_by):
        raise wrong("removal-not-allowed")
    parts.folders.unlist(study.id)
    if not parts.store.remove(study.id):
        parts.folders.enlist(study.id)
        raise wrong("study-busy")
    shutil.rmtree(parts.folders.study(study.id), ignore_errors=True)
