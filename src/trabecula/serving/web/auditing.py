"""What the audit trail is told of requests that change nothing: who saw a study, who took something home.

What changes something is noted by the store, in the same transaction. Every page that shows a study stands here by the
name of its function, or in ``UNNOTED``; a test holds the two against the application.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.datastructures import QueryParams

from trabecula.report.folder import PAGE
from trabecula.serving.web.guards import Visitor
from trabecula.studies.audit import Trail, What, note
from trabecula.studies.tables import Study

LOG = logging.getLogger(__name__)
NOTED: dict[str, What] = {
    "study_page": What.SAW,
    "version_page": What.SAW,
    "again_page": What.SAW,
    "view": What.SAW,
    "labels": What.SAW,
    "study_status": What.SAW,
    "result": What.SAW,
    "file": What.EXPORTED,
    "result_file": What.EXPORTED,
    "cohort_csv": What.EXPORTED_TABLE,
    "cohort_parquet": What.EXPORTED_TABLE,
}
UNNOTED = {
    "state": "how far a study is, for a page that was noted when it was opened",
    "studies_page": "the list: numbers, labels and categories",
    "list_studies": "the same for programs",
    "cohort_page": "figures of everybody",
}
AGAIN_SECONDS = 600.0
"""Whoever goes on looking at a version is noted again after so long: a page asks for its parts one by one."""

MOST_KEPT = 10_000


class Auditing:
    """Notes what was looked at or taken home, before it leaves."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.trail = engine, Trail(engine)
        self.seen: dict[tuple[str, int, int | None], float] = {}
        self.lock = threading.Lock()

    def note(self, page: str, scope: Mapping[str, Any], visitor: Visitor) -> None:
        """A request that is about to be answered with what it asked for.

        On a full disk a study can still be looked at, which the log says; nothing can be taken home.
        """
        did = NOTED.get(page)
        if did is None:
            return
        try:
            self._note(did, page, scope, visitor)
        except SQLAlchemyError as error:
            LOG.error("audit: %s, %s was not noted", type(error).__name__, page)
            if did is not What.SAW:
                raise

    def _note(self, did: What, page: str, scope: Mapping[str, Any], visitor: Visitor) -> None:
        asked = QueryParams(scope.get("query_string", b""))
        values = scope.get("path_params", {})
        facts: dict[str, Any] = {} if visitor.program is None else {"program": visitor.program}
        name = values.get("name")
        if did is What.EXPORTED and name == PAGE and page == "file" and "save" not in asked:
            did = What.SAW
        if did is What.EXPORTED_TABLE:
            self.trail.note(visitor.name, did, file=scope["path"].rpartition("/")[2], **facts)
            return
        with Session(self.engine) as session, session.begin():
            found = session.execute(
                select(Study.number, Study.latest).where(Study.id == values.get("study_id"))
            ).first()
            if found is None:
                return
            version = int(values.get("number", found.latest)) or None
            if did is What.SAW and self._seen(visitor.name, found.number, version):
                return
            if did is What.EXPORTED:
                facts["file"] = str(name)
            note(session, visitor.name, did, found.number, version, **facts)

    def _seen(self, who: str, study: int, version: int | None) -> bool:
        """Whether it was noted just now."""
        key, now = (who, study, version), time.monotonic()
        with self.lock:
            if now - self.seen.get(key, -AGAIN_SECONDS) < AGAIN_SECONDS:
                return True
            if len(self.seen) >= MOST_KEPT:
                self.seen.clear()
            self.seen[key] = now
        return False
