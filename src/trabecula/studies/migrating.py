"""Brings a database to this version's tables: a copy of it first, then every step in one transaction."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, MetaData, inspect, text

from trabecula.errors import wrong_usage
from trabecula.studies.backup import back_up
from trabecula.studies.migrations import first

if TYPE_CHECKING:
    from alembic.config import Config

LOG = logging.getLogger(__name__)
SCRIPTS = Path(__file__).parent / "migrations"
ONE_AT_A_TIME = 7_209_511_814
"""The number of the lock that PostgreSQL holds while somebody changes the tables; it means nothing."""


class Standing(Enum):
    """How a database stands to this version of the program."""

    EMPTY = "empty"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"
    STRANGE = "strange"


@cache
def newest() -> str:
    """The step that this version's tables are at."""
    from alembic.script import ScriptDirectory

    head = ScriptDirectory(str(SCRIPTS)).get_current_head()
    assert head is not None
    return head


def revision_of(connection: Connection) -> str | None:
    """The step a database is at; None where it never learnt that."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def standing_of(engine: Engine) -> Standing:
    """How the database stands to this version; nothing is changed."""
    with engine.connect() as connection:
        revision = revision_of(connection)
        if revision is not None:
            return (
                Standing.CURRENT if revision == newest() else Standing.OLDER if revision in _known() else Standing.NEWER
            )
        if not set(inspect(connection).get_table_names()) & set(first.TABLES.tables):
            return Standing.EMPTY
        return Standing.OLDER if first.recognised(connection) else Standing.STRANGE


def bring_up(engine: Engine, backups: Path | None, backed_up: bool = False) -> Path | None:
    """This version's tables, whatever was there; returns the copy that was made first, if anything had to be changed.

    ``backups`` is where that copy goes; beside the file for SQLite where it is None. ``backed_up`` where somebody has
    made one already.

    Raises:
        WrongUsage: the database is of a newer version, or is none of ours, or cannot be copied.
        TrabeculaError: the copy could not be written.
    """
    standing = standing_of(engine)
    if standing is Standing.CURRENT:
        return None
    if standing is Standing.NEWER:
        raise wrong_usage("database-newer")
    if standing is Standing.STRANGE:
        raise wrong_usage("database-of-another-version")
    copy = None
    if standing is Standing.OLDER and not backed_up:
        copy = back_up(engine, backups, f"before-{newest()}")
    _run(engine)
    if standing is Standing.OLDER:
        LOG.info("the database was brought to step %s%s", newest(), "" if copy is None else f"; copy: {copy.name}")
    return copy


def _known() -> set[str]:
    from alembic.script import ScriptDirectory

    return {step.revision for step in ScriptDirectory(str(SCRIPTS)).walk_revisions()}


def _run(engine: Engine) -> None:
    from alembic import command

    with changing(engine) as connection:
        command.upgrade(config_for(connection), "head")


def config_for(connection: Connection, *tables: MetaData) -> "Config":
    """What Alembic's commands are given; ``tables`` are those of the source, for writing a step."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes.update({"connection": connection, "tables": tables})
    return config


@contextmanager
def changing(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction in which tables can be changed, by one process at a time; what fails is undone."""
    with engine.connect() as connection:
        connection.detach()  # its settings are not those of the others
        if engine.dialect.name == "sqlite":
            held = connection.connection.dbapi_connection
            held.isolation_level = None  # type: ignore[union-attr]  # it would else commit before each change of a table
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")  # a table that is made anew is dropped meanwhile
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": ONE_AT_A_TIME})
        yield connection
        connection.commit()
