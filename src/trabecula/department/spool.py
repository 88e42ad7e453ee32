"""Instances on disk. What has been acknowledged is a file here that survives a loss of power, and nothing else is.

Names are hashes of UIDs, so that no name leads to a person; the same UID is the same file, however often it is sent.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from trabecula.disk import sync_file, sync_folder

CHUNK_BYTES = 2**20


def key_of(uid: str) -> str:
    """A name for a UID: 32 hex digits."""
    return hashlib.sha256(uid.encode("ascii", "replace")).hexdigest()[:32]


class Spool:
    """``spool/STUDY/INSTANCE.dcm`` under the private folder.

    ``arriving`` holds what is not whole yet, ``leaving`` what is just being removed.
    """

    def __init__(self, data: Path) -> None:
        self.folder = data / "node" / "spool"
        self.arriving = data / "node" / "arriving"
        self.leaving = data / "node" / "leaving"

    def prepare(self) -> None:
        """Makes the folders for the owner alone, and clears what an earlier run had not received whole."""
        shutil.rmtree(self.arriving, ignore_errors=True)
        for folder in (self.folder.parent, self.folder, self.arriving, self.leaving):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        for aside in self.leaving.iterdir():  # ended between taking it away and knowing that no more of it comes
            self._put_back(aside)
            shutil.rmtree(aside, ignore_errors=True)
        for unfinished in self.folder.glob("*/*.new"):
            unfinished.unlink(missing_ok=True)
        sync_folder(self.folder)

    def keep(self, arrived: Path, study: str, instance: str) -> bool:
        """Puts a received file in its place, safely; False where the very same is there already.

        A file that differs takes the place of the one before: archives send corrected headers under the same UID.

        Raises:
            OSError: the disk is full or fails.
        """
        folder = self.folder / study
        place = folder / f"{instance}.dcm"
        if place.exists() and same_contents(place, arrived):
            return False
        sync_file(arrived)
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.folder)
        beside = folder / f"{instance}.new"
        beside.unlink(missing_ok=True)
        os.link(arrived, beside)
        beside.replace(place)
        sync_folder(folder)
        return True

    def holds(self, instance: str) -> bool:
        """Whether an instance of any study is here."""
        return next(self.folder.glob(f"*/{instance}.dcm"), None) is not None

    def files(self, study: str) -> list[Path]:
        """The instances of a study, in the order of their names."""
        return sorted((self.folder / study).glob("*.dcm"))

    def studies(self) -> Iterator[str]:
        return (path.name for path in self.folder.iterdir() if path.is_dir())

    def touched(self, study: str) -> float:
        """When the last instance came, by the clock of this machine; 0 where there is none."""
        return max((path.stat().st_mtime for path in self.files(study)), default=0.0)

    def forget_unless(self, study: str, comes_again: Callable[[], bool]) -> bool:
        """Removes a study's instances, but where it turns out that more of it comes: then all that was here stays."""
        aside = self.leaving / study
        try:
            (self.folder / study).rename(aside)
        except FileNotFoundError:
            return True
        again = True  # also where the question fails
        try:
            again = comes_again()
        finally:
            if again:
                self._put_back(aside)
            shutil.rmtree(aside, ignore_errors=True)
        return not again

    def _put_back(self, aside: Path) -> None:
        folder = self.folder / aside.name
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in sorted(aside.glob("*.dcm")):
            with suppress(FileExistsError):  # it was sent again meanwhile
                os.link(path, folder / path.name)
        sync_folder(folder)
        sync_folder(self.folder)


def digest_of(files: Sequence[Path]) -> str:
    """What tells one delivery of a study from another: the same files, unchanged, give the same text."""
    told = hashlib.sha256()
    for path in sorted(files):
        seen = path.stat()
        told.update(f"{path.name} {seen.st_size} {seen.st_mtime_ns}\n".encode())
    return told.hexdigest()


def link_all(files: Sequence[Path], folder: Path) -> None:
    """Every file once more in a new folder, without copying where the disk allows it; safe when this returns.

    Raises:
        OSError: the disk is full or fails.
    """
    beside = folder.with_name(folder.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True, mode=0o700)
    for path in files:
        try:
            os.link(path, beside / path.name)
        except OSError:
            shutil.copy2(path, beside / path.name)
            sync_file(beside / path.name)
    sync_folder(beside)
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    sync_folder(folder.parent)


def same_contents(one: Path, other: Path) -> bool:
    """Whether two files hold the same bytes."""
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            left, right = first.read(CHUNK_BYTES), second.read(CHUNK_BYTES)
            if left != right:
                return False
            if not left:
                return True


def write_safely(path: Path, told: object) -> None:
    """A JSON file in place of the one before; safe when this returns."""
    beside = path.with_suffix(".new")
    with beside.open("w", encoding="ascii") as file:
        json.dump(told, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)
