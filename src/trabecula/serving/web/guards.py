"""What every request passes: the right host, a login where one is needed, headers that keep strangers out."""

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trabecula.errors import TrabeculaError
from trabecula.messages import DEFAULT_LANGUAGE, LANGUAGES, messages
from trabecula.serving.web.login import Role, Tokens, Users
from trabecula.serving.web.settings import Settings
from trabecula.studies.sentences import wrong

TellDefect = Callable[[Scope, Exception], Awaitable[Response]]
Audit = Callable[[str, Scope, "Visitor"], None]
"""Notes a request that is about to be answered, by the name of its page."""

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
OPEN_PATHS = ("/login", "/language", "/static/", "/health")
API, API_DESCRIPTION = "/api/v1/", "/api/v1/openapi.json"
"""Where programs ask; each request but the one for the description carries a token of its own."""

LANGUAGE_COOKIE = "trabecula-language"
LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}
FORM_BYTES, FORM_FIELDS = 64 * 1024, 200
ADDRESS_LETTERS = 2000


@dataclass(frozen=True)
class Visitor:
    """Who is asking: the browser's own token, the user where one is logged in, a program by its token's name."""

    token: str
    user: str | None
    csrf: str
    language: str = DEFAULT_LANGUAGE
    program: str | None = None
    role: Role = Role.ADMIN
    address: str = "/"  # of the page that is looked at, for coming back to it

    @property
    def sees(self) -> str | None:
        """Whose studies they see; None for all."""
        return (self.user or "") if self.role is Role.OWN else None

    @property
    def removes(self) -> str | None:
        """Whose studies they may remove; None for all."""
        return None if self.role is Role.ADMIN else (self.user or "")

    @property
    def name(self) -> str:
        """What stands beside what they do."""
        return self.user or self.program or ""


class Guard:
    """The outermost layer of the application."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        users: Users,
        tokens: Tokens,
        secret: bytes,
        tell_defect: TellDefect,
        audit: Audit,
    ) -> None:
        self.app, self.settings, self.users, self.tokens, self.secret = app, settings, users, tokens, secret
        self.tell_defect, self.audit = tell_defect, audit
        self.cookie = "__Host-trabecula" if settings.secure else "trabecula"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, begun = time.monotonic(), 500, False
        connection, of_program = HTTPConnection(scope), scope["path"].startswith(API)
        token = connection.cookies.get(self.cookie, "")
        fresh = not of_program and not (20 <= len(token) <= 64 and token.isascii())
        if of_program:
            visitor = await run_in_threadpool(self._program, connection)
        else:
            token = secrets.token_urlsafe(32) if fresh else token
            user = None if fresh else await run_in_threadpool(self.users.who, token)
            visitor = Visitor(token, user, self._csrf(token), language_of(connection), address=_address(scope))
        visitor = replace(visitor, role=await run_in_threadpool(self.users.role_of, visitor.user))
        scope.setdefault("state", {})["visitor"] = visitor

        async def sending(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                if message["status"] < 300:  # before anything leaves
                    page = getattr(scope.get("endpoint"), "__name__", "")
                    await run_in_threadpool(self.audit, page, scope, visitor)
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

    def _program(self, connection: HTTPConnection) -> Visitor:
        """Who asks by a token alone: cookies count for nothing there, so that no page can ask in a user's name."""
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        found = self.tokens.who(token.strip()) if kind.lower() == "bearer" else None
        if found is not None and not found[0] and self.login_needed():
            found = None
        user, program = (None, None) if found is None else found
        return Visitor("", user or None, "", language_of(connection), program)

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
        if path.startswith(API):
            return None if visitor.program is not None or path == API_DESCRIPTION else _no_token(visitor.language)
        is_open = any(path == known or (known.endswith("/") and path.startswith(known)) for known in OPEN_PATHS)
        if is_open or visitor.user is not None or not await run_in_threadpool(self.login_needed):
            return None
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            return RedirectResponse(f"/login?{urlencode({'to': visitor.address})}", 303)
        return JSONResponse({"code": "login-needed", "message": messages(visitor.language)["web-status-401"]}, 401)

    def _harden(self, headers: MutableHeaders, path: str) -> None:
        for name, value in HEADERS.items():
            headers[name] = value
        headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        headers.setdefault("Cache-Control", UNCHANGING if path.startswith("/static/") else "no-store")
        if self.settings.secure:
            headers["Strict-Transport-Security"] = "max-age=31536000"


def inside(address: str) -> str:
    """An address of ours as it is; the first page for any other, so that no form or link leads elsewhere."""
    ours = address.startswith("/") and not address.startswith("//") and "\\" not in address and address.isprintable()
    return address if ours and len(address) <= ADDRESS_LETTERS else "/"


def _address(scope: Scope) -> str:
    """What a page was asked for by; the first page where nothing could be asked for again."""
    if scope["method"] != "GET":
        return "/"
    query = scope["query_string"].decode("latin-1")
    return inside(quote(scope["path"]) + (f"?{query}" if query else ""))


def visitor_of(request: Request) -> Visitor:
    """Who asks, as the guard found out."""
    visitor: Visitor = request.state.visitor
    return visitor


def language_of(connection: HTTPConnection) -> str:
    """The language chosen in this browser, else the first that it asks for and that there is."""
    chosen = connection.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    for wanted in connection.headers.get("accept-language", "")[:200].split(","):
        language = wanted.partition(";")[0].strip().lower().partition("-")[0]
        if language in LANGUAGES:
            return language
    return DEFAULT_LANGUAGE


def _no_token(language: str) -> Response:
    message = messages(language)["web-token-missing"]
    return JSONResponse({"code": "token-missing", "message": message}, 401, {"WWW-Authenticate": "Bearer"})


def require_csrf(request: Request, given: str) -> None:
    """Raises WrongUsage where a request that changes something does not come from a page of ours."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none") or not hmac.compare_digest(
        given.encode(), visitor_of(request).csrf.encode()
    ):
        raise wrong("form-expired")


async def checked_form(request: Request) -> dict[str, str]:
    """The fields of a small form from a page of ours.

    Raises:
        WrongUsage: it is too large, or does not come from a page of ours.
    """
    declared = request.headers.get("content-length", "")
    if not declared.isdecimal() or int(declared) > FORM_BYTES:
        raise wrong("form-too-large")
    form = await request.form(max_files=0, max_fields=FORM_FIELDS, max_part_size=FORM_BYTES)
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    require_csrf(request, fields.get("csrf", ""))
    return fields


def status_of(error: TrabeculaError) -> int:
    """The HTTP status that says the same as the error."""
    known = {"upload-too-large": 413, "form-too-large": 413, "disk-full": 507, "form-expired": 403}
    known |= {"corrected-meanwhile": 409, "study-busy": 409, "study-gone": 404}
    return known.get(error.code, {1: 500, 2: 400, 3: 422}[error.exit_code])


def _hostname(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host
