"""What readers do with a result: other names, vertebrae left out, a region outlined anew, a signature."""

import base64
import binascii
from collections.abc import Mapping

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from trabecula.anatomy import Level
from trabecula.errors import TrabeculaError
from trabecula.messages import Phrase
from trabecula.recipes import recipe_named
from trabecula.screening import with_change
from trabecula.serving.web.guards import checked_form, status_of, visitor_of
from trabecula.serving.web.parts import Parts, parts_of
from trabecula.serving.web.presentation import level_of
from trabecula.serving.web.study import back_to, page_of, place_of_study
from trabecula.serving.web.uploads import clean_label
from trabecula.studies import drawing
from trabecula.studies.correction import CAUSES, Correction, corrected, sentence
from trabecula.studies.queue import require_ct
from trabecula.studies.result import Result, result_from
from trabecula.studies.sentences import wrong
from trabecula.studies.store import SENT, SIGNED
from trabecula.studies.tables import Version

router = APIRouter(prefix="/studies/{study_id}", include_in_schema=False)


@router.post("/corrections")
async def correct(request: Request, study_id: str) -> Response:
    """A new version with other names or without some vertebrae; the others stay as they are.

    What cannot be followed is told beside the form, which keeps its choices.
    """
    form, parts, visitor = await checked_form(request), parts_of(request), visitor_of(request)
    version = await run_in_threadpool(_version, parts, study_id, form)
    try:
        by = parts.by(visitor, form.get("by", ""), clean_label)
        number = await run_in_threadpool(keep, parts, version, asked_in(form), by, _seen(form))
    except TrabeculaError as error:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        return await run_in_threadpool(page_of, request, study_id, version.number, status_of(error), form, error)
    return _moved(request, study_id, number)


@router.post("/regions")
async def redraw(request: Request, study_id: str) -> Response:
    """A new version with one region as a reader drew it; it is measured anew by the worker."""
    form, parts, visitor = await checked_form(request), parts_of(request), visitor_of(request)
    version = await run_in_threadpool(_version, parts, study_id, form)
    by = parts.by(visitor, form.get("by", ""), clean_label)
    level = level_of(form.get("level", ""))
    if level is None:
        raise drawing.damaged()
    try:
        packed = base64.b64decode(form.get("inside", ""), validate=True)
    except binascii.Error as error:
        raise drawing.damaged() from error
    outline = drawing.outline_from(level, _three(form.get("low", "")), _three(form.get("size", "")), packed)
    number = await run_in_threadpool(keep_outline, parts, version, outline, by, _seen(form))
    return _moved(request, study_id, number)


@router.post("/acts")
async def act(request: Request, study_id: str) -> Response:
    """The newest version is signed, or was sent on."""
    form, parts, visitor = await checked_form(request), parts_of(request), visitor_of(request)
    version = await run_in_threadpool(_version, parts, study_id, form)
    what = form.get("what", "")
    if what not in (SIGNED, SENT):
        raise HTTPException(404)
    by = parts.by(visitor, form.get("by", ""), clean_label)
    await run_in_threadpool(parts.store.act, study_id, version.number, what, by, form.get("sure") == "yes")
    return back_to(request, study_id)


@router.post("/priors")
async def compare(request: Request, study_id: str) -> Response:
    """A new version that is held beside an earlier result of the same person, the newest version of another study."""
    form, parts, visitor = await checked_form(request), parts_of(request), visitor_of(request)
    version = await run_in_threadpool(_version, parts, study_id, form)
    require_ct(parts.study(study_id))
    other = parts.study(form.get("prior", ""))
    prior = parts.store.version(other.id, other.latest)
    if prior is None or version.pending or prior.pending:
        raise wrong("region-waits")
    by = parts.by(visitor, form.get("by", ""), clean_label)
    kept = result_from(version.assessment, version.names)
    earlier = result_from(prior.assessment, prior.names).assessment
    made = Result(await run_in_threadpool(with_change, kept.assessment, earlier), kept.names)
    change = Phrase("change-compared", {"number": other.number, "version": prior.number})
    changes = (sentence(change),)
    with parts.keeping:
        number = await run_in_threadpool(
            parts.store.keep_correction, study_id, version.number, by, changes, made, None, version.drawn
        )
    return _moved(request, study_id, number)


def keep(parts: Parts, version: Version, asked: Correction, by: str, seen: int | None) -> int:
    """Keeps a correction of a version; returns the number of the new one.

    Raises:
        WrongUsage: it cannot be followed, or another reader was quicker.
    """
    require_ct(parts.study(version.study_id))
    if version.pending:
        raise wrong("region-waits")
    kept = result_from(version.assessment, version.names)
    made, changes = corrected(kept, asked, recipe_named(kept.assessment.recipe))
    with parts.keeping:
        return parts.store.keep_correction(
            version.study_id,
            version.number,
            by,
            changes,
            made,
            seen,
            version.drawn,
            confirmed=asked.names_confirmed,
        )


def keep_outline(parts: Parts, version: Version, outline: drawing.Outline, by: str, seen: int | None) -> int:
    """Keeps a version with another region; returns its number.

    Raises:
        WrongUsage: nothing of use was drawn, or another reader was quicker.
        TrabeculaError: the disk has no room; nothing is kept then.
    """
    require_ct(parts.study(version.study_id))
    kept = result_from(version.assessment, version.names)
    if version.pending:
        raise wrong("region-waits")
    if kept.assessment.regions is None or kept.assessment.regions.find(outline.level) is None:
        raise drawing.damaged()
    folder = parts.folders.study(version.study_id)
    with parts.keeping:
        study = parts.study(version.study_id)
        parts.store.require_newest(study.id, seen)
        number = study.latest + 1
        region = drawing.keep_outline(folder, kept, version.drawn, number, outline)
        made, changes = drawing.waiting(kept, region, recipe_named(kept.assessment.recipe))
        try:
            return parts.store.keep_correction(
                study.id, version.number, by, changes, made, study.latest, number, str(outline.level)
            )
        except Exception:
            drawing.drop_outline(folder, number)
            raise


def asked_in(form: Mapping[str, str]) -> Correction:
    """What the form for corrections asks for."""
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


def _version(parts: Parts, study_id: str, form: Mapping[str, str]) -> Version:
    parts.study(study_id)
    asked = form.get("version", "")
    version = parts.store.version(study_id, int(asked)) if asked.isdecimal() and len(asked) <= 6 else None
    if version is None:
        raise HTTPException(404)
    return version


def _seen(form: Mapping[str, str]) -> int | None:
    """The newest version that the reader knew of; None where another one shall not matter."""
    seen = form.get("seen", "")
    return int(seen) if seen.isdecimal() and len(seen) <= 6 and form.get("anyway") != "yes" else None


def _three(text: str) -> tuple[int, int, int]:
    words = text.split(",")
    if len(words) != 3 or not all(word.isdecimal() and len(word) <= 5 for word in words):
        raise drawing.damaged()
    a, b, c = (int(word) for word in words)
    return a, b, c


def _moved(request: Request, study_id: str, number: int) -> Response:
    place = place_of_study(request, study_id, number)
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"number": number, "url": place}, 201)
    return RedirectResponse(place, 303)
