"""The database: studies, their versions, the queue, who may log in. It holds no patient identifier."""

from typing import Any

from sqlalchemy import Engine, ForeignKey, create_engine, event, inspect, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from trabecula.errors import WrongUsage

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
    state: Mapped[str] = mapped_column(index=True)  # queued, running, done, refused or failed
    stage: Mapped[str] = mapped_column(default="")
    progress: Mapped[float] = mapped_column(default=0.0)
    code: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(default="")
    sex: Mapped[str | None] = mapped_column(default=None)
    age_years: Mapped[float | None] = mapped_column(default=None)
    category: Mapped[str | None] = mapped_column(default=None)
    density: Mapped[float | None] = mapped_column(default=None)
    quantity: Mapped[str | None] = mapped_column(default=None)  # which density that is, by the key of quantity.py
    latest: Mapped[int] = mapped_column(default=0)  # number of the newest version; 0 before there is a result


class Version(Base):
    """One result of a study: the program's own is 1, each correction adds one. None is ever changed or removed."""

    __tablename__ = "versions"

    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    made_utc: Mapped[str]
    made_by: Mapped[str]
    based_on: Mapped[int]  # 0 for the program's own
    changes: Mapped[str]  # JSON: sentences that say what was corrected
    assessment: Mapped[str]  # JSON: what assessment.json says of it
    names: Mapped[str]  # JSON: from the program's names to those of this version
    files: Mapped[str]  # ready, pending or failed
    notes: Mapped[str] = mapped_column(default="[]")  # JSON: why an export is missing


class Job(Base):
    """Something for the worker to do; it is gone once done. Corrections come before scans, as a person waits."""

    __tablename__ = "jobs"
    __table_args__ = NUMBERED

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), index=True)
    version: Mapped[int]  # 1 screens the scan; a later one writes the files of a correction
    attempts: Mapped[int] = mapped_column(default=0)
    started_utc: Mapped[str] = mapped_column(default="")  # empty while it waits


class User(Base):
    """Somebody who may log in."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(primary_key=True)
    password: Mapped[str]
    added_utc: Mapped[str]


class Login(Base):
    """A login that is still good; the token itself is known to the browser alone."""

    __tablename__ = "logins"

    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"))
    until_utc: Mapped[str]


def open_database(url: str) -> Engine:
    """The database at ``url`` with all tables in place.

    Raises:
        WrongUsage: it cannot be reached, or its tables are those of another version. Its address is not told: it may
            hold a password.
    """
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    try:
        engine = create_engine(url, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _careful_sqlite)
        Base.metadata.create_all(engine)
        _add_recipe(engine)
        known = inspect(engine)
        strange = any(
            {column.name for column in table.columns} != {column["name"] for column in known.get_columns(table.name)}
            for table in Base.metadata.tables.values()
        )
    except (SQLAlchemyError, ArgumentError, NoSuchModuleError, ImportError) as error:
        raise WrongUsage(
            "database-unreachable",
            "The database cannot be opened. Check its address, its password, and that its driver is installed.",
        ) from error
    if strange:
        engine.dispose()
        raise WrongUsage(
            "database-of-another-version",
            "The database was made by another version of Trabecula. Name another folder, or another database.",
        )
    return engine


def _add_recipe(engine: Engine) -> None:
    """Studies were kept before each had a recipe of its own: theirs is the server's."""
    if "recipe" not in {column["name"] for column in inspect(engine).get_columns("studies")}:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE studies ADD COLUMN recipe VARCHAR"))


def _careful_sqlite(connection: Any, record: Any) -> None:
    """Two processes write: they wait for one another, and what was committed survives a loss of power."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
