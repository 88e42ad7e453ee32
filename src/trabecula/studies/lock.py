"""One process at a time: a lock that goes with its process, however that ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trabecula.causes import cause_of
from trabecula.errors import wrong_usage


@contextmanager
def locked(folder: Path, name: str = "lock") -> Iterator[None]:
    """Keep a second process out of a private folder.

    Raises:
        WrongUsage: another process is at it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        held = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise wrong_usage("output-unwritable", path=str(folder), cause=cause_of(error)) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        raise wrong_usage("data-in-use", path=str(folder)) from error
    try:
        yield
    finally:
        os.close(held)
