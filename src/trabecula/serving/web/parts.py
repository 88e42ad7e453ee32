"""What every page needs, in one place."""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from pydantic import Field

from trabecula.serving.web.guards import Visitor
from trabecula.serving.web.login import Failures, Users
from trabecula.serving.web.settings import Settings
from trabecula.studies.folders import Folders
from trabecula.studies.store import Store
from trabecula.studies.tables import Study

Count = Annotated[int, Field(ge=1, le=1_000_000)]
"""A version or a page in an address."""


@dataclass(frozen=True)
class Parts:
    """The parts of a running server."""

    settings: Settings
    folders: Folders
    store: Store
    users: Users
    failures: Failures
    templates: Environment
    secret: bytes = field(repr=False)

    def page(self, template: str, visitor: Visitor, status: int = 200, **shown: Any) -> HTMLResponse:
        return HTMLResponse(self.templates.get_template(template).render(visitor=visitor, **shown), status)

    def known_browser(self, name: str) -> str:
        """What the cookie of a browser holds in which ``name`` has logged in before."""
        return hmac.new(self.secret, f"known browser of {name.lower()}".encode(), hashlib.sha256).hexdigest()

    def study(self, study_id: str) -> Study:
        """The study of this name, or the page that says there is none."""
        ours = len(study_id) == 32 and study_id.isascii() and study_id.isalnum()
        found = self.store.study(study_id) if ours else None
        if found is None:
            raise HTTPException(404)
        return found


def parts_of(request: Request) -> Parts:
    """The parts of the server that was asked."""
    parts: Parts = request.app.state.parts
    return parts
