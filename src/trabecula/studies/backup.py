"""A copy of the database that can be put back, made before its tables are changed."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from trabecula.causes import cause_of
from trabecula.errors import TrabeculaError, failure, wrong_usage
from trabecula.messages import Fact, Phrase


def back_up(engine: Engine, folder: Path | None, why: str) -> Path:
    """A copy in ``folder``, readable by its owner alone; beside the database where that is a file and None is given.

    Raises:
        WrongUsage: nothing here can copy such a database.
        TrabeculaError: the copy could not be written.
    """
    if engine.dialect.name == "sqlite" and engine.url.database:
        source = Path(engine.url.database)
        target = _target(folder or source.parent, source.stem, why, "sqlite")
        _of_sqlite(engine, target)
    elif engine.dialect.name == "postgresql" and folder is not None and shutil.which("pg_dump"):
        target = _target(folder, "trabecula", why, "dump")
        _of_postgresql(engine, target)
    else:
        raise wrong_usage("backup-impossible")
    return target


def _target(folder: Path, stem: str, why: str, ending: str) -> Path:
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    path = folder / f"{stem}-{why}-{at}.{ending}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise _failed(cause_of(error)) from error
    return path


def _of_sqlite(engine: Engine, target: Path) -> None:
    """By VACUUM INTO, which waits for nobody and takes what is committed."""
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(target),))
    except SQLAlchemyError as error:
        target.unlink(missing_ok=True)
        raise _failed(Phrase("cause-disk-full")) from error


def _of_postgresql(engine: Engine, target: Path) -> None:
    from psycopg.conninfo import make_conninfo

    given = engine.url.translate_connect_args(username="user", database="dbname") | dict(engine.url.query)
    password = given.pop("password", None)
    address = make_conninfo(**given)
    environment = dict(os.environ) if password is None else {**os.environ, "PGPASSWORD": str(password)}
    command = ["pg_dump", "--format=custom", f"--file={target}", f"--dbname={address}"]
    done = subprocess.run(command, env=environment, capture_output=True)  # what it says may hold the address
    if done.returncode != 0:
        target.unlink(missing_ok=True)
        raise _failed(Phrase("cause-pg-dump"))


def _failed(cause: Fact) -> TrabeculaError:
    return failure("backup-failed", cause=cause)
