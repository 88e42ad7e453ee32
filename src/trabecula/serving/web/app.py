"""The application: its parts are made here once and handed to the pages."""

import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.types import Scope

from trabecula import __version__
from trabecula.errors import Defect, TrabeculaError, fault_of, place_of
from trabecula.report.page import NO_RULING_OUT, RESEARCH_ONLY
from trabecula.serving.web import cohort, entry, studies, study
from trabecula.serving.web.guards import Guard, status_of, visitor_of
from trabecula.serving.web.login import Failures, Users
from trabecula.serving.web.parts import Parts
from trabecula.serving.web.settings import Settings, secret_of
from trabecula.studies.folders import Folders
from trabecula.studies.store import Store
from trabecula.studies.supervisor import Supervisor
from trabecula.studies.tables import open_database

LOG = logging.getLogger(__name__)
HERE = Path(__file__).parent
VIEWER = HERE / "static" / "vendor" / "niivue.js"
SENTENCES = {
    401: "Log in first.",
    404: "There is nothing here. The study may have been removed.",
    405: "This page is not used that way.",
    429: "Too many wrong passwords. Wait a quarter of an hour.",
}


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
    engine = open_database(settings.database)
    store, users, secret = Store(engine), Users(engine), secret_of(settings.data)
    supervisor = Supervisor(settings.orders, store)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        supervisor.start()
        yield
        supervisor.stop()
        engine.dispose()

    app = FastAPI(lifespan=running, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.parts = Parts(settings, folders, store, users, Failures(), _templates(), secret)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    for module in (studies, study, cohort, entry):
        app.include_router(module.router)
    app.add_exception_handler(TrabeculaError, _tell_error)
    app.add_exception_handler(HTTPException, _tell_status)
    app.add_exception_handler(RequestValidationError, _tell_no_address)
    app.add_middleware(Guard, settings=settings, users=users, secret=secret, tell_defect=_tell_defect)
    return app


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
        "research_only": RESEARCH_ONLY,
        "no_ruling_out": NO_RULING_OUT,
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
    return told(request, status_of(error), error.code, error.message)


async def _tell_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    return told(request, status, "", SENTENCES.get(status, "This did not work. Go back and try again."))


async def _tell_no_address(request: Request, error: Exception) -> Response:
    """A page, version or number that is none: there is nothing at such an address."""
    return told(request, 404, "", SENTENCES[404])


async def _tell_defect(scope: Scope, error: Exception) -> Response:
    """What was not foreseen. The exception's own words are told to nobody: they may quote a header."""
    LOG.error("%s in %s", type(error).__name__, place_of(error.__traceback__))
    return told(Request(scope), 500, "defect", fault_of(error))


def told(request: Request, status: int, code: str, message: str) -> Response:
    """An error as a page for people, or as JSON for the page's own script."""
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"code": code, "message": message}, status)
    parts: Parts = request.app.state.parts
    return parts.page("error.html", visitor_of(request), status, code=code, message=message)
