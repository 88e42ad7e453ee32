"""One process at a time: a lock that goes with its process, however that ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trabecula.causes import cause_of
from trabecula.errors import wrong_usage


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second process out of a private folder.

    Raises:
        WrongUsage: another process is at it, or it cannot be written.
    """
    with _held(folder, "lock", private=True) as alone:
        if not alone:
            raise wrong_usage("data-in-use", path=str(folder))
        yield


@contextmanager
def one_run(out: Path, name: str = ".lock", private: bool = False) -> Iterator[None]:
    """Keep a second run from writing into ``out`` meanwhile; only its owner may read it where it is ``private``.

    Raises:
        WrongUsage: another run is at it, or it cannot be written.
    """
    with _held(out, name, private) as alone:
        if not alone:
            raise wrong_usage("output-in-use", path=str(out))
        yield


@contextmanager
def _held(folder: Path, name: str, private: bool) -> Iterator[bool]:
    """Whether the lock is ours until the end; the file itself stays, as another may wait at it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if private:
            folder.chmod(0o700)
        held = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600 if private else 0o666)
    except OSError as error:
        raise wrong_usage("output-unwritable", path=str(folder), cause=cause_of(error)) from error
    try:
        yield _taken(held)
    finally:
        os.close(held)


def _taken(held: int) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
