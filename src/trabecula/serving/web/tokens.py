"""Tokens for programs: made, listed and taken back by whoever they stand for."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from trabecula.serving.web.guards import checked_form, visitor_of
from trabecula.serving.web.parts import parts_of
from trabecula.serving.web.uploads import clean_label
from trabecula.studies.audit import What
from trabecula.studies.sentences import wrong

router = APIRouter(include_in_schema=False)


@router.get("/tokens")
def tokens_page(request: Request) -> Response:
    """The visitor's own tokens, and what they are for."""
    return _page(request, "")


@router.post("/tokens")
async def make_token(request: Request) -> Response:
    """A new token, which is shown this once."""
    form, parts, visitor = await checked_form(request), parts_of(request), visitor_of(request)
    name = clean_label(form.get("name", ""), parts.settings.limits)
    if not name:
        raise wrong("token-unnamed")
    made = await run_in_threadpool(parts.tokens.make, visitor.user or "", name)
    await run_in_threadpool(parts.trail.note, visitor.name, What.TOKEN_MADE)
    return await run_in_threadpool(_page, request, made)


@router.post("/tokens/removal")
async def drop_token(request: Request) -> Response:
    """A token that is good no longer."""
    form, parts, visitor = await checked_form(request), parts_of(request), visitor_of(request)
    await run_in_threadpool(parts.tokens.drop, visitor.user or "", form.get("token", ""))
    await run_in_threadpool(parts.trail.note, visitor.name, What.TOKEN_DROPPED)
    return RedirectResponse("/tokens", 303)


def _page(request: Request, made: str) -> Response:
    parts, visitor = parts_of(request), visitor_of(request)
    return parts.page("tokens.html", visitor, tokens=parts.tokens.of(visitor.user or ""), made=made)
