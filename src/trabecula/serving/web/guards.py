"""What every request passes: the right host, a login where one is needed, headers that keep strangers out."""

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trabecula.errors import TrabeculaError, WrongUsage
from trabecula.serving.web.login import Users
from trabecula.serving.web.settings import Settings

TellDefect = Callable[[Scope, Exception], Awaitable[Response]]

LOG = logging.getLogger(__name__)

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self' data:;"
    " connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
"""NiiVue keeps its font and textures as data: addresses inside its own file."""

REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'none';"
    " form-action 'none'; sandbox allow-popups"
)
"""report.html has its style and pictures in itself, and no script."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), usb=(), payment=()",
}
UNCHANGING = "public, max-age=31536000, immutable"  # its address holds the hash of its content
OPEN_PATHS = ("/login", "/static/", "/health")
LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}
FORM_BYTES, FORM_FIELDS = 64 * 1024, 200


@dataclass(frozen=True)
class Visitor:
    """Who is asking: the browser's own token, and the user where one is logged in."""

    token: str
    user: str | None
    csrf: str

    @property
    def name(self) -> str:
        return self.user or ""


class Guard:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, settings: Settings, users: Users, secret: bytes, tell_defect: TellDefect) -> None:
        self.app, self.settings, self.users, self.secret = app, settings, users, secret
        self.tell_defect = tell_defect
        self.cookie = "__Host-trabecula" if settings.secure else "trabecula"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, begun = time.monotonic(), 500, False
        connection = HTTPConnection(scope)
        token = connection.cookies.get(self.cookie, "")
        fresh = not (20 <= len(token) <= 64 and token.isascii())
        token = secrets.token_urlsafe(32) if fresh else token
        user = None if fresh else await run_in_threadpool(self.users.who, token)
        visitor = Visitor(token, user, self._csrf(token))
        scope.setdefault("state", {})["visitor"] = visitor

        async def sending(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                headers = MutableHeaders(scope=message)
                self._harden(headers, scope["path"])
                if fresh and "set-cookie" not in headers and not scope["path"].startswith("/static/"):
                    headers.append("set-cookie", self.cookie_text(token))
            await send(message)

        turned_away = await self._turned_away(scope, visitor)
        try:
            await (turned_away or self.app)(scope, receive, sending)
        except ClientDisconnect:
            status = 499  # as nginx writes it: the browser left before the answer
        except Exception as error:
            if begun:
                raise
            await (await self.tell_defect(scope, error))(scope, receive, sending)
        if not scope["path"].startswith("/static/"):
            # which page, never its address: people type into addresses
            page = getattr(scope.get("endpoint"), "__name__", "-")
            LOG.info("%s %s %d %.0f ms", scope["method"], page, status, 1000 * (time.monotonic() - started))

    def cookie_text(self, token: str) -> str:
        secure = "; Secure" if self.settings.secure else ""
        return f"{self.cookie}={token}; Path=/; HttpOnly; SameSite=Lax{secure}"

    def login_needed(self) -> bool:
        """Beyond this machine always; on it as soon as there is a user."""
        return self.settings.beyond_this_machine or self.users.any()

    def _csrf(self, token: str) -> str:
        return hmac.new(self.secret, token.encode(), hashlib.sha256).hexdigest()

    async def _turned_away(self, scope: Scope, visitor: Visitor) -> Response | None:
        headers = Headers(scope=scope)
        known_as = {*LOCAL_HOSTS, self.settings.host}
        if not self.settings.beyond_this_machine and _hostname(headers.get("host", "")) not in known_as:
            return PlainTextResponse("This server answers to localhost only.", 421)  # against DNS rebinding
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("This method is not used here.", 405)
        path: str = scope["path"]
        is_open = any(path == known or (known.endswith("/") and path.startswith(known)) for known in OPEN_PATHS)
        if is_open or visitor.user is not None or not await run_in_threadpool(self.login_needed):
            return None
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        return PlainTextResponse("Log in first.", 401)

    def _harden(self, headers: MutableHeaders, path: str) -> None:
        for name, value in HEADERS.items():
            headers[name] = value
        headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        headers.setdefault("Cache-Control", UNCHANGING if path.startswith("/static/") else "no-store")
        if self.settings.secure:
            headers["Strict-Transport-Security"] = "max-age=31536000"


def visitor_of(request: Request) -> Visitor:
    """Who asks, as the guard found out."""
    visitor: Visitor = request.state.visitor
    return visitor


def require_csrf(request: Request, given: str) -> None:
    """Raises WrongUsage where a request that changes something does not come from a page of ours."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none") or not hmac.compare_digest(
        given.encode(), visitor_of(request).csrf.encode()
    ):
        raise WrongUsage("form-expired", "This form is no longer valid. Load the page again and repeat what you did.")


async def checked_form(request: Request) -> dict[str, str]:
    """The fields of a small form from a page of ours.

    Raises:
        WrongUsage: it is too large, or does not come from a page of ours.
    """
    declared = request.headers.get("content-length", "")
    if not declared.isdecimal() or int(declared) > FORM_BYTES:
        raise WrongUsage("form-too-large", "The form is too large.")
    form = await request.form(max_files=0, max_fields=FORM_FIELDS, max_part_size=FORM_BYTES)
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    require_csrf(request, fields.get("csrf", ""))
    return fields


def status_of(error: TrabeculaError) -> int:
    """The HTTP status that says the same as the error."""
    known = {"upload-too-large": 413, "form-too-large": 413, "disk-full": 507, "form-expired": 403}
    return known.get(error.code, {1: 500, 2: 400, 3: 422}[error.exit_code])


def _hostname(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host
