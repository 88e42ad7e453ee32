"""Logging in and out."""

import hmac

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from trabecula.messages import LANGUAGES
from trabecula.serving.web.guards import LANGUAGE_COOKIE, checked_form, inside, visitor_of
from trabecula.serving.web.login import FAILURES_ANYWHERE, FAILURES_HERE
from trabecula.serving.web.parts import parts_of, told
from trabecula.studies.audit import What

router = APIRouter()

KNOWN, KNOWN_SECONDS = "trabecula-known", 180 * 24 * 3600
"""The cookie by which a browser shows that somebody has logged in with it before."""


@router.get("/health")
def health() -> Response:
    """Whether the server runs."""
    return PlainTextResponse("ok")


@router.get("/login")
def login_page(request: Request) -> Response:
    """The form to log in."""
    return _login(request, request.query_params.get("to", ""))


@router.post("/login")
async def log_in(request: Request) -> Response:
    """A right password gives the browser a new token; wrong ones are slowed down."""
    parts, visitor = parts_of(request), visitor_of(request)
    form = await checked_form(request)
    name, to = form.get("name", "")[:100], inside(form.get("to", ""))
    most = _allowed(request, name)
    if (wait := parts.failures.wait_seconds(most)) > 0:
        too_many = told(visitor.language, "web-too-many-passwords", minutes=wait / 60)
        paused = _login(request, to, 429, too_many)
        paused.headers["Retry-After"] = f"{wait:.0f}"
        return paused
    parts.failures.count(most)  # before the check, so that many at once are not let through together
    if not await run_in_threadpool(parts.users.check, name, form.get("password", "")[:1000]):
        # a name that is nobody's may be a password
        known = name if await run_in_threadpool(parts.users.knows, name) else ""
        await run_in_threadpool(parts.trail.note, known, What.LOGIN_FAILED)
        return _login(request, to, 403, told(visitor.language, "web-password-wrong"))
    for key in most:
        parts.failures.forget(key)
    await run_in_threadpool(parts.trail.note, name, What.LOGGED_IN)
    answer = _with_cookie(request, RedirectResponse(to, 303), await run_in_threadpool(parts.users.log_in, name))
    secure = parts.settings.secure
    answer.set_cookie(
        KNOWN, parts.known_browser(name), KNOWN_SECONDS, path="/login", httponly=True, samesite="lax", secure=secure
    )
    return answer


def _allowed(request: Request, name: str) -> dict[str, int]:
    """How many wrong passwords there may be, by what they are counted under.

    A browser in which this name has logged in before counts alone: nobody else's guesses keep its owner out.
    """
    name_key, parts = name.lower(), parts_of(request)
    known = request.cookies.get(KNOWN, "")
    if hmac.compare_digest(known.encode(), parts.known_browser(name).encode()):
        return {f"known browser of {name_key}": FAILURES_HERE}
    address = request.client.host if request.client else ""
    return {
        f"{name_key} from {address}": FAILURES_HERE,
        f"address {address}": 4 * FAILURES_HERE,
        f"name {name_key}": FAILURES_ANYWHERE,
    }


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """The token of this browser is no longer good."""
    parts, visitor = parts_of(request), visitor_of(request)
    await checked_form(request)
    await run_in_threadpool(parts.users.log_out, visitor.token)
    await run_in_threadpool(parts.trail.note, visitor.name, What.LOGGED_OUT)
    return _with_cookie(request, RedirectResponse("/", 303), "")


@router.post("/language")
async def choose_language(request: Request) -> Response:
    """The language of the pages in this browser."""
    form = await checked_form(request)
    language = form.get("language", "")
    answer = RedirectResponse(inside(form.get("back", "")), 303)
    if language in LANGUAGES:
        secure = parts_of(request).settings.secure
        answer.set_cookie(LANGUAGE_COOKIE, language, KNOWN_SECONDS, httponly=True, samesite="lax", secure=secure)
    return answer


def _login(request: Request, to: str, status: int = 200, failed: str = "") -> Response:
    """The form, which leads to where somebody wanted to go, and why the last try failed."""
    return parts_of(request).page("login.html", visitor_of(request), status, failed=failed, to=inside(to))


def _with_cookie(request: Request, answer: Response, token: str) -> Response:
    secure = parts_of(request).settings.secure
    name = "__Host-trabecula" if secure else "trabecula"
    answer.set_cookie(name, token, path="/", httponly=True, samesite="lax", secure=secure)
    return answer
