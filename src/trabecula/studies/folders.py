"""Where studies lie on disk."""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from trabecula.causes import cause_of
from trabecula.disk import sync_file, sync_folder, sync_tree
from trabecula.errors import wrong_usage

SLICES = "ct"
"""The folder of an upload of many files."""

DICOM_ZIP = "dicom.zip"
"""The DICOM objects of a version, in its folder."""


class Folders:
    """The private folder: nobody else may read it, and no name in it comes from an upload."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.studies = data / "studies"
        self.incoming = data / "incoming"  # uploads under way
        self.work = data / "work"  # temporary files of the worker
        self.unsettled = data / "unsettled"  # the names of studies whose folder and row come or go just now

    def prepare(self) -> None:
        """Make the folders, for the owner alone, and clear away what an earlier run left unfinished.

        Raises:
            WrongUsage: the folder cannot be written.
        """
        try:
            for unfinished in (self.incoming, self.work, *self.studies.glob("*/.trabecula-*")):
                shutil.rmtree(unfinished, ignore_errors=True)
            for folder in (self.data, self.studies, self.incoming, self.work, self.unsettled):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise wrong_usage("output-unwritable", path=str(self.data), cause=cause_of(error)) from error

    def study(self, study_id: str) -> Path:
        """The folder of a study; the name is one of ours."""
        if not (len(study_id) == 32 and study_id.isalnum() and study_id.isascii()):
            raise ValueError("not a study of ours")
        return self.studies / study_id

    def version(self, study_id: str, number: int) -> Path:
        return self.study(study_id) / f"version-{number}"

    @contextmanager
    def settling(self, study_id: str) -> Iterator[None]:
        """While a study's folder and its row come, or go, one after the other: what is cut off between them by a kill,
        or by a failure, is settled at the next start."""
        self.unsettled.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = self.unsettled / study_id
        mark.touch(mode=0o600)
        sync_folder(self.unsettled)
        yield
        mark.unlink(missing_ok=True)

    def on_their_way(self) -> list[str]:
        """The studies of ``settling``, those too that were cut off."""
        return sorted(one.name for one in self.unsettled.iterdir()) if self.unsettled.is_dir() else []

    def settle_in(self, arrived: Path, study_id: str, given: str) -> None:
        """An upload, a file or a folder, becomes a study's own under the name ``given``, and is safe on the disk."""
        if arrived.is_dir():
            sync_tree(arrived)
        else:
            sync_file(arrived)
        folder = self.study(study_id)
        folder.mkdir(mode=0o700)
        arrived.rename(folder / given)
        sync_folder(folder)
        sync_folder(self.studies)

    def twin(self, study_id: str, given: str, made: str) -> None:
        """The study ``made`` of the same upload, its files linked so that they are kept once."""
        folder = self.study(made)
        folder.mkdir(mode=0o700)
        source = self.study(study_id) / given
        if source.is_dir():
            shutil.copytree(source, folder / given, copy_function=_linked)
        else:
            _linked(str(source), str(folder / given))
        sync_tree(folder)
        sync_folder(self.studies)

    def remove(self, study_id: str) -> None:
        """All that is kept of a study."""
        shutil.rmtree(self.study(study_id), ignore_errors=True)

    def strangers(self, known: Collection[str]) -> list[str]:
        """Folders that are none of the studies ``known``."""
        return sorted(one.name for one in self.studies.iterdir() if one.is_dir() and one.name not in known)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a disk without links
        shutil.copy2(source, target)
