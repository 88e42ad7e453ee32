"""The audit trail: who saw, changed, signed, took home or removed what, and who came in. Rows are only ever added.

A study is its number here: no label and no patient stands in it. Who did it is a user, or what a reader called
themselves where nobody has to log in.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from trabecula.studies.clock import now_utc
from trabecula.studies.tables import Event


class What(StrEnum):
    """What somebody did."""

    SAW = "saw"
    UPLOADED = "uploaded"
    CHOSE = "chose"  # one of several studies in an upload
    CORRECTED = "corrected"
    OUTLINED = "outlined"
    CONFIRMED = "confirmed"
    SIGNED = "signed"
    SENT = "sent"
    EXPORTED = "exported"  # a file of one study
    EXPORTED_TABLE = "exported-table"  # figures of many
    ANSWERED = "answered"  # the node to a destination
    RELEASED = "released"  # from the node's quarantine
    RENAMED = "renamed"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    REMOVED_CT = "removed-ct"
    REMOVED = "removed"
    LOGGED_IN = "logged-in"
    LOGIN_FAILED = "login-failed"
    LOGGED_OUT = "logged-out"
    TOKEN_MADE = "token-made"
    TOKEN_DROPPED = "token-dropped"
    USER_ADDED = "user-added"
    USER_CHANGED = "user-changed"
    USER_REMOVED = "user-removed"
    DATABASE_UPGRADED = "database-upgraded"
    READ_AUDIT = "read-audit"


@dataclass(frozen=True)
class Asked:
    """Which lines of the trail; what is empty asks for nothing. Moments are ISO 8601 in UTC, days will do."""

    who: str = ""
    what: str = ""
    study: int | None = None
    since_utc: str = ""
    before_utc: str = ""


def note(
    session: Session, who: str, what: What, study: int | None = None, version: int | None = None, **facts: Any
) -> None:
    """A line more, in the very transaction that it tells of."""
    written = json.dumps(facts, ensure_ascii=False, sort_keys=True)
    session.add(Event(at_utc=now_utc(), who=who, what=what, study=study, version=version, facts=written))


class Trail:
    """The trail by itself: what changes nothing is noted in a transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def note(self, who: str, what: What, study: int | None = None, version: int | None = None, **facts: Any) -> None:
        with Session(self.engine) as session, session.begin():
            note(session, who, what, study, version, **facts)

    def lines(self, asked: Asked) -> Iterator[dict[str, Any]]:
        """The lines in the order in which they were written."""
        query = select(Event).order_by(Event.id)
        for column, value in ((Event.who, asked.who), (Event.what, asked.what), (Event.study, asked.study)):
            query = query if value in ("", None) else query.where(column == value)
        if asked.since_utc:
            query = query.where(Event.at_utc >= asked.since_utc)
        if asked.before_utc:
            query = query.where(Event.at_utc < asked.before_utc)
        with Session(self.engine) as session:
            for one in session.scalars(query.execution_options(yield_per=1000)):
                told = {"id": one.id, "at": one.at_utc, "who": one.who, "what": one.what}
                told |= {"study": one.study, "version": one.version}
                yield told | json.loads(one.facts)
