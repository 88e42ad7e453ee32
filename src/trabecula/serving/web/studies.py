"""The first page: dropping a study, the queue, and the list of what was screened."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from trabecula.recipes import RECIPES, recipe_named
from trabecula.serving.web.guards import checked_form, require_csrf, visitor_of
from trabecula.serving.web.parts import Count, parts_of
from trabecula.serving.web.presentation import language_names, row_of
from trabecula.serving.web.uploads import clean_label, receive
from trabecula.studies.store import ACTIVE, SORTS

router = APIRouter()
PAGE_LENGTH = 50


@router.get("/")
def studies_page(request: Request, sort: str = "received", order: str = "down", page: Count = 1) -> Response:
    """Where studies are dropped, and the list of them."""
    return _list(request, sort, order, page, "")


@router.post("/")
async def search(request: Request) -> Response:
    """The list, searched. What is sought is sent in the form, so that it stands in no address."""
    form = await checked_form(request)
    words = clean_label(form.get("words", ""), parts_of(request).settings.limits)
    return await run_in_threadpool(_list, request, "received", "down", 1, words)


@router.get("/queue")
def queue(request: Request) -> Response:
    """What waits and runs, for the page's script; ``revision`` changes when a study comes, goes or ends."""
    store = parts_of(request).store
    active = store.active()
    return JSONResponse(
        {
            "revision": store.revision(),
            "active": {study.id: row_of(study, ahead)["progress"].to_dict() for study, ahead in active},
        }
    )


@router.post("/studies")
async def upload(request: Request) -> Response:
    """A study comes in: fields first, then files; its place in the queue is that of its last byte."""
    parts, visitor = parts_of(request), visitor_of(request)

    def admit(fields: dict[str, str]) -> None:
        require_csrf(request, fields.get("csrf", ""))
        recipe_named(fields.get("recipe") or None)

    declared = request.headers.get("content-length", "")
    received = await receive(
        request.headers.get("content-type", ""),
        int(declared) if declared.isdecimal() else 0,
        request.stream(),
        parts.folders,
        parts.settings.limits,
        admit,
    )
    study = await run_in_threadpool(parts.store.enqueue, replace(received, by=visitor.name))
    place = f"/studies/{study.id}"
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(place, 303)
    return JSONResponse({"id": study.id, "url": place, "label": study.label}, 201)


def _list(request: Request, sort: str, order: str, page: int, words: str) -> Response:
    parts = parts_of(request)
    sort = sort if sort in SORTS else "received"
    found, total = parts.store.studies(sort, order != "up", words, (page - 1) * PAGE_LENGTH, PAGE_LENGTH)
    ahead = {study.id: count for study, count in parts.store.active()}
    shown: dict[str, Any] = {
        "rows": [row_of(study, ahead.get(study.id, 0)) for study in found],
        "total": total,
        "page": page,
        "pages": max(1, -(-total // PAGE_LENGTH)),
        "sort": sort,
        "order": "up" if order == "up" else "down",
        "words": words,
        "revision": parts.store.revision(),
        "active": ACTIVE,
        "limits": parts.settings.limits,
        "languages": language_names(),
        "recipes": list(RECIPES.values()),
        "recipe": recipe_named(parts.settings.recipe).name,
    }
    return parts.page("studies.html", visitor_of(request), **shown)
