"""Logging in and out."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from trabecula.serving.web.guards import checked_form, visitor_of
from trabecula.serving.web.parts import parts_of

router = APIRouter()


@router.get("/health")
def health() -> Response:
    """Whether the server runs."""
    return PlainTextResponse("ok")


@router.get("/login")
def login_page(request: Request) -> Response:
    """The form to log in."""
    return parts_of(request).page("login.html", visitor_of(request), failed="")


@router.post("/login")
async def log_in(request: Request) -> Response:
    """A right password gives the browser a new token; wrong ones are slowed down."""
    parts, visitor = parts_of(request), visitor_of(request)
    form = await checked_form(request)
    name = form.get("name", "")[:100]
    keys = (f"user {name.lower()}", f"address {request.client.host if request.client else ''}")
    if parts.failures.wait_seconds(*keys) > 0:
        wait = parts.failures.wait_seconds(*keys)
        answer = parts.page(
            "login.html", visitor, 429, failed=f"Too many wrong passwords. Try again in {wait / 60:.0f} minutes."
        )
        answer.headers["Retry-After"] = f"{wait:.0f}"
        return answer
    parts.failures.count(*keys)  # before the check, so that many at once are not let through together
    if not await run_in_threadpool(parts.users.check, name, form.get("password", "")[:1000]):
        return parts.page("login.html", visitor, 403, failed="Name or password is wrong.")
    for key in keys:
        parts.failures.forget(key)
    token = await run_in_threadpool(parts.users.log_in, name)
    return _with_cookie(request, RedirectResponse("/", 303), token)


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """The token of this browser is no longer good."""
    parts, visitor = parts_of(request), visitor_of(request)
    await checked_form(request)
    await run_in_threadpool(parts.users.log_out, visitor.token)
    return _with_cookie(request, RedirectResponse("/", 303), "")


def _with_cookie(request: Request, answer: Response, token: str) -> Response:
    secure = parts_of(request).settings.secure
    name = "__Host-trabecula" if secure else "trabecula"
    answer.set_cookie(name, token, path="/", httponly=True, samesite="lax", secure=secure)
    return answer
