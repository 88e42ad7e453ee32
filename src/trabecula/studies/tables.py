"""The database: studies, their versions, the queue, who may log in. It holds no patient identifier."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, ForeignKey, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from trabecula.errors import WrongUsage, wrong_usage
from trabecula.studies.migrating import bring_up, newest

BUSY_MS = 30_000
NUMBERED = {"sqlite_autoincrement": True}
"""SQLite would else give the number of what was removed to what comes next."""


class Base(DeclarativeBase):
    """All tables."""


class Study(Base):
    """One upload and how far it came. Times are ISO 8601 in UTC, so that they sort as text."""

    __tablename__ = "studies"
    __table_args__ = NUMBERED

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    label: Mapped[str]
    given: Mapped[str]  # the file or folder in the study's own folder
    received_utc: Mapped[str]
    received_by: Mapped[str]
    deidentify: Mapped[bool]
    language: Mapped[str]  # of the report
    recipe: Mapped[str | None] = mapped_column(default=None)  # the server's own where None
    offered: Mapped[str | None] = mapped_column(default=None)  # JSON: the studies in it, where there are several
    study_chosen: Mapped[str | None] = mapped_column(default=None)  # of these, by its number there or its UID
    series_chosen: Mapped[str | None] = mapped_column(default=None)
    state: Mapped[str] = mapped_column(index=True)  # queued, running, done, refused, failed or cancelled
    stage: Mapped[str] = mapped_column(default="")
    progress: Mapped[float] = mapped_column(default=0.0)
    code: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(default="")
    sex: Mapped[str | None] = mapped_column(default=None)
    age_years: Mapped[float | None] = mapped_column(default=None)
    category: Mapped[str | None] = mapped_column(default=None)
    reach: Mapped[str] = mapped_column(default="")  # the categories that the result allows, densest last
    density: Mapped[float | None] = mapped_column(default=None)
    quantity: Mapped[str | None] = mapped_column(default=None)  # which density that is, by the key of quantity.py
    latest: Mapped[int] = mapped_column(default=0)  # number of the newest version; 0 before there is a result
    standing: Mapped[str] = mapped_column(default="")  # of the newest version: to-check, checked, signed or sent
    doubts: Mapped[str] = mapped_column(default="")  # its reason codes with a space before and after each
    scanner: Mapped[str] = mapped_column(default="")
    seconds: Mapped[float | None] = mapped_column(default=None)  # that screening it took
    ct_removed_utc: Mapped[str] = mapped_column(default="")  # since when there is a result without its CT


class Version(Base):
    """One result of a study: the program's own is 1, each correction adds one. None is ever changed or removed."""

    __tablename__ = "versions"

    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    made_utc: Mapped[str]
    made_by: Mapped[str]
    based_on: Mapped[int]  # 0 for the program's own
    changes: Mapped[str]  # JSON: phrases (once sentences) that say what was corrected
    assessment: Mapped[str]  # JSON: what assessment.json says of it
    names: Mapped[str]  # JSON: from the program's names to those of this version
    files: Mapped[str]  # ready, pending or failed
    notes: Mapped[str] = mapped_column(default="[]")  # JSON: why an export is missing
    drawn: Mapped[int] = mapped_column(default=0)  # the version whose regions it has; 0 for the program's own
    confirmed: Mapped[bool] = mapped_column(default=False)  # its names, by a reader
    pending: Mapped[str] = mapped_column(default="")  # the level that waits to be measured anew


class Act(Base):
    """What somebody did with a version without changing it: signed it, or sent it on."""

    __tablename__ = "acts"
    __table_args__ = NUMBERED

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), index=True)
    version: Mapped[int]
    what: Mapped[str]  # signed or sent
    doubts_seen: Mapped[bool] = mapped_column(default=False)  # it was doubted, and whoever did it said to know that
    made_by: Mapped[str]
    made_utc: Mapped[str]


class Event(Base):
    """A line of the audit trail: who did what, with which study by its number here. Rows can only be added."""

    __tablename__ = "audit"
    __table_args__ = NUMBERED

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at_utc: Mapped[str]
    who: Mapped[str]  # a user, or what somebody who did not have to log in called themselves
    what: Mapped[str]  # an audit.What
    study: Mapped[int | None] = mapped_column(index=True, default=None)
    version: Mapped[int | None] = mapped_column(default=None)
    facts: Mapped[str]  # JSON: names of files, codes and counts


class Job(Base):
    """Something for the worker to do; it is gone once done. Corrections come before scans, as a person waits."""

    __tablename__ = "jobs"
    __table_args__ = NUMBERED

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), index=True)
    version: Mapped[int]  # 1 screens the scan; a later one writes the files of a correction; 0 unfolds the whole CT
    attempts: Mapped[int] = mapped_column(default=0)
    started_utc: Mapped[str] = mapped_column(default="")  # empty while it waits


class User(Base):
    """Somebody who may log in."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(primary_key=True)
    password: Mapped[str]
    added_utc: Mapped[str]
    role: Mapped[str | None] = mapped_column(default=None)  # a login.Role; None, of an earlier version, may everything


class Login(Base):
    """A login that is still good; the token itself is known to the browser alone."""

    __tablename__ = "logins"

    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"))
    until_utc: Mapped[str]


class Token(Base):
    """What a program shows instead of a password; the token itself is known to that program alone."""

    __tablename__ = "tokens"

    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str]  # whose name stands beside what is done with it
    name: Mapped[str]  # what it is for
    made_utc: Mapped[str]
    used_utc: Mapped[str] = mapped_column(default="")


def open_database(url: str, backups: Path | None = None) -> Engine:
    """The database at ``url`` with all tables in place; one of an earlier version is brought up to date.

    Before that a copy is made in the folder ``backups``, for SQLite beside the database where none is named.

    Raises:
        WrongUsage: it cannot be reached, is of a newer version, or cannot be copied. Its address is not told: it may
            hold a password.
        TrabeculaError: the copy could not be written.
    """
    engine = connect(url)
    try:
        if bring_up(engine, backups) is not None:
            with Session(engine) as session, session.begin():
                at = datetime.now(UTC).isoformat(timespec="seconds")
                session.add(Event(at_utc=at, who="", what="database-upgraded", facts=json.dumps({"step": newest()})))
    except SQLAlchemyError as error:
        engine.dispose()
        raise _unreachable() from error
    except Exception:
        engine.dispose()
        raise
    return engine


def connect(url: str) -> Engine:
    """The database at ``url`` as it is.

    Raises:
        WrongUsage: it cannot be reached.
    """
    try:
        engine = create_engine(url, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _careful_sqlite)
        with engine.connect():
            return engine
    except (SQLAlchemyError, ImportError) as error:
        raise _unreachable() from error


def _unreachable() -> WrongUsage:
    return wrong_usage("database-unreachable")


def _careful_sqlite(connection: Any, record: Any) -> None:
    """Two processes write: they wait for one another, and what was committed survives a loss of power."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
