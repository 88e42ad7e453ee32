"""A disk without room, whichever library tells of it."""

import sqlite3

from sqlalchemy.exc import DBAPIError

from trabecula.formats.scratch import FULL

SQLITE_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE}
POSTGRESQL_FULL = "53100"

DISK_FULL = 75
"""The exit status of a worker that could not write down how its job ended: nothing is wrong with the scan."""


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that a disk has no room."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if isinstance(error, DBAPIError):
            code = getattr(error.orig, "sqlite_errorcode", None)
            if code in SQLITE_FULL or getattr(error.orig, "sqlstate", None) == POSTGRESQL_FULL:
                return True
        error = error.__cause__ or error.__context__
    return False
