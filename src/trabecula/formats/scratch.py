"""Temporary folders that a killed run leaves behind are found by their lock and cleared at the next start.

The lock of a folder is held by the process that made it and falls when that ends, however it ends: so a folder whose
lock can be taken belongs to nobody. Process numbers would be used again, and differ between containers.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from trabecula.causes import cause_of
from trabecula.errors import WrongUsage, wrong_usage

PREFIX = "trabecula-"
LOCK, SET_ASIDE = ".lock", "old"
"""What a run puts into ``SET_ASIDE`` belongs beside its folder, and is put back there if the run is killed."""

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for temporary files, gone afterwards; those of killed runs beside it are cleared first.

    Raises:
        WrongUsage: the disk of temporary files is full, when the folder is made or while it is used.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(locked_folder(Path(tempfile.gettempdir()), PREFIX))
        except OSError as error:
            raise _unwritable(error) from error
        with temporary_writes():
            yield folder


@contextmanager
def locked_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in ``parent``, gone afterwards; those of killed runs there are cleared first."""
    clear_abandoned(parent, prefix)
    folder, lock = _locked_folder(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def temporary_writes() -> Iterator[None]:
    """Where temporary files are written: a full disk there is not the input's fault.

    Raises:
        WrongUsage: it is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise _unwritable(error) from error


@contextmanager
def libraries_write_here() -> Iterator[None]:
    """What libraries write to the folder of temporary files goes into one of ours: if the run is killed it is cleared.

    Python, for one, runs a compiler there to find a system's library (``ctypes.util.find_library``).
    """
    with scratch_folder() as folder:
        before, named = tempfile.tempdir, os.environ.get("TMPDIR")
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before
            if named is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = named


def clear_temporary() -> None:
    """Remove the temporary files of killed runs."""
    with suppress(OSError):
        clear_abandoned(Path(tempfile.gettempdir()), PREFIX)


def clear_abandoned(parent: Path, prefix: str) -> None:
    """Remove the folders of runs that have ended without removing them; those of others are left alone."""
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != _user():
                continue
            lock = os.open(folder / LOCK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            try:
                if _taken(lock, wait=False):
                    _put_back(folder / SET_ASIDE, parent)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _put_back(aside: Path, parent: Path) -> None:
    for path in aside.iterdir() if aside.is_dir() else ():
        if not (parent / path.name).exists():
            path.rename(parent / path.name)


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and its lock; again where another start cleared it away before it was locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        _taken(lock, wait=True)
        if (folder / LOCK).exists():
            return folder, lock
        os.close(lock)


def _taken(lock: int, wait: bool) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: nothing is cleared
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _unwritable(error: OSError) -> WrongUsage:
    if error.errno in FULL:
        return wrong_usage("temporary-disk-full")
    return wrong_usage("temporary-disk-unwritable", cause=cause_of(error))
