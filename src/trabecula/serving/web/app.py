"""The application: its parts are made here once and handed to the pages."""

import gzip
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Scope

from trabecula import __version__
from trabecula.errors import Defect, TrabeculaError, fault_of, place_of
from trabecula.serving.web import api, cohort, corrections, entry, files, studies, study, tokens
from trabecula.serving.web.auditing import Auditing
from trabecula.serving.web.guards import Guard, status_of, visitor_of
from trabecula.serving.web.login import Failures, Tokens, Users
from trabecula.serving.web.parts import Parts, language_names, told
from trabecula.serving.web.settings import Settings, secret_of
from trabecula.studies.audit import Trail
from trabecula.studies.folders import Folders
from trabecula.studies.store import Store
from trabecula.studies.supervisor import Supervisor
from trabecula.studies.tables import open_database

LOG = logging.getLogger(__name__)
HERE = Path(__file__).parent
VIEWER = HERE / "static" / "vendor" / "niivue.js"
SENTENCES = (401, 404, 405, 429)
PACKED = (".js", ".css", ".svg")


def create_app(settings: Settings) -> FastAPI:
    """The web application over ``settings.data``, its worker running as long as it does.

    Raises:
        WrongUsage: the folder or the database cannot be used.
        Defect: the viewer was not installed.
    """
    if not VIEWER.exists():
        raise Defect("viewer-missing", "The viewer NiiVue is not installed. Run: make web")
    folders = Folders(settings.data)
    folders.prepare()
    engine = open_database(settings.database, settings.backups)
    store, users, programs, secret = Store(engine), Users(engine), Tokens(engine), secret_of(settings.data)
    folders.clear_unlisted(lambda study_id: store.study(study_id) is not None)
    supervisor = Supervisor(settings.orders, store)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        supervisor.start()
        yield
        supervisor.stop()
        engine.dispose()

    app = FastAPI(lifespan=running, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.parts = Parts(
        settings, folders, store, users, programs, Failures(), supervisor, _templates(), secret, Trail(engine)
    )
    app.mount("/static", _Static(directory=HERE / "static"), name="static")
    for module in (studies, study, corrections, files, cohort, entry, tokens, api):
        app.include_router(module.router)
    app.add_exception_handler(TrabeculaError, _tell_error)
    app.add_exception_handler(HTTPException, _tell_status)
    app.add_exception_handler(RequestValidationError, _tell_no_address)
    app.add_middleware(
        Guard,
        settings=settings,
        users=users,
        tokens=programs,
        secret=secret,
        tell_defect=_tell_defect,
        audit=Auditing(engine).note,
    )
    return app


class _Static(StaticFiles):
    """The page's own files, compressed once: the viewer is two megabytes else. Pages themselves are not, as they hold
    what was searched for beside their secret (BREACH)."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if "gzip" in Headers(scope=scope).get("accept-encoding", "") and path.endswith(PACKED):
            found, _ = self.lookup_path(path)
            if found:
                kind = "text/javascript" if path.endswith(".js") else "text/css" if path.endswith(".css") else None
                headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
                return Response(_packed(found), media_type=kind or "image/svg+xml", headers=headers)
        return await super().get_response(path, scope)


@cache
def _packed(path: str) -> bytes:
    return gzip.compress(Path(path).read_bytes(), 9)


def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "version": __version__,
        "assets": _hash_of(HERE / "static"),
        "languages": language_names(),
        "has_dicom_parser": (HERE / "static" / "vendor" / "dicom-parser.js").exists(),
    }
    return made


def _hash_of(folder: Path) -> str:
    """Another word whenever a file of the page changes, so that browsers may keep them for good."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


async def _tell_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TrabeculaError)
    return tell(request, status_of(error), error.code, error.told(visitor_of(request).language))


async def _tell_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return tell(request, error.status_code, "", _sentence(request, error.status_code))


async def _tell_no_address(request: Request, error: Exception) -> Response:
    """A page, version or number that is none: there is nothing at such an address. A program is told what is wrong."""
    if request.url.path.startswith("/api/") and isinstance(error, RequestValidationError):
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return tell(request, 422, "request-invalid", wrong)
    return tell(request, 404, "", _sentence(request, 404))


async def _tell_defect(scope: Scope, error: Exception) -> Response:
    """What was not foreseen. The exception's own words are told to nobody: they may quote a header."""
    LOG.error("%s in %s", type(error).__name__, place_of(error.__traceback__))
    return tell(Request(scope), 500, "defect", fault_of(error))


def _sentence(request: Request, status: int) -> str:
    return told(visitor_of(request).language, f"web-status-{status if status in SENTENCES else 'other'}")


def tell(request: Request, status: int, code: str, message: str) -> Response:
    """An error as a page for people, or as JSON for the page's own script and for programs."""
    if "text/html" not in request.headers.get("accept", "") or request.url.path.startswith("/api/"):
        return JSONResponse({"code": code, "message": message}, status)
    parts: Parts = request.app.state.parts
    return parts.page("error.html", visitor_of(request), status, code=code, message=message)
