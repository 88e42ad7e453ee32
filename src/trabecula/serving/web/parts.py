"""What every page needs, in one place."""

from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment

from trabecula.serving.web.guards import Visitor
from trabecula.serving.web.login import Failures, Users
from trabecula.serving.web.settings import Settings
from trabecula.studies.folders import Folders
from trabecula.studies.store import Store
from trabecula.studies.tables import Study


@dataclass(frozen=True)
class Parts:
    """The parts of a running server."""

    settings: Settings
    folders: Folders
    store: Store
    users: Users
    failures: Failures
    templates: Environment

    def page(self, template: str, visitor: Visitor, status: int = 200, **shown: Any) -> HTMLResponse:
        return HTMLResponse(self.templates.get_template(template).render(visitor=visitor, **shown), status)

    def study(self, study_id: str) -> Study:
        """The study of this name, or the page that says there is none."""
        found = self.store.study(study_id) if len(study_id) == 32 else None
        if found is None:
            raise HTTPException(404)
        return found


def parts_of(request: Request) -> Parts:
    """The parts of the server that was asked."""
    parts: Parts = request.app.state.parts
    return parts
