"""What every page needs, in one place."""

import hashlib
import hmac
import threading
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Annotated, Any

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from pydantic import Field

from trabecula.messages import LANGUAGES, Fact, Phrase, messages
from trabecula.serving.web.guards import Visitor
from trabecula.serving.web.login import Failures, Tokens, Users
from trabecula.serving.web.settings import Settings
from trabecula.studies.audit import Trail
from trabecula.studies.folders import Folders
from trabecula.studies.sentences import wrong
from trabecula.studies.store import Store
from trabecula.studies.supervisor import Supervisor
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
    tokens: Tokens
    failures: Failures
    supervisor: Supervisor
    templates: Environment
    secret: bytes = field(repr=False)
    trail: Trail
    removes: str | None = None  # whose studies whoever asks may remove; all where None
    keeping: threading.Lock = field(default_factory=threading.Lock, repr=False)  # one version is kept at a time

    def page(self, template: str, visitor: Visitor, status: int = 200, **shown: Any) -> HTMLResponse:
        language = visitor.language
        words = {"t": partial(told, language), "language": language, "script_words": script_words(language)}
        return HTMLResponse(self.templates.get_template(template).render(visitor=visitor, **words, **shown), status)

    def by(self, visitor: Visitor, form_name: str, clean: Any) -> str:
        """Who does something that is kept with a name.

        Raises:
            WrongUsage: nobody is logged in, and no name was given.
        """
        by = visitor.name or str(clean(form_name, self.settings.limits))
        if not by:
            raise wrong("reader-unnamed")
        return by

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


def told(language: str, key: str, /, **facts: Fact) -> str:
    """What the message files say under ``key`` in a language."""
    return Phrase(key, facts).told(language)


@cache
def script_words(language: str) -> dict[str, str]:
    """What the page's own scripts say, by their names there."""
    head = "web-js-"
    return {key.removeprefix(head): text for key, text in messages(language).items() if key.startswith(head)}


def language_names() -> list[tuple[str, str]]:
    """Every language by its key and its own name."""
    return [(key, messages(key)["language-name"]) for key in LANGUAGES]


def parts_of(request: Request) -> Parts:
    """The parts of the server that was asked; whoever sees only their own studies finds no others in its store."""
    parts: Parts = request.app.state.parts
    visitor: Visitor = request.state.visitor
    store = parts.store.used_by(visitor.name)
    parts = replace(parts, store=store if visitor.sees is None else store.seen_by(visitor.sees))
    return parts if visitor.removes is None else replace(parts, removes=visitor.removes)
