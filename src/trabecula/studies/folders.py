"""Where studies lie on disk."""

import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from trabecula.errors import WrongUsage

SLICES = "ct"
"""The folder of an upload of many files."""

DICOM_ZIP = "dicom.zip"
"""The DICOM objects of a version, in its folder."""

UNLISTED = ".unlisted"
"""Stands in a study's folder while the database does not know of it: until it is in the queue, and while it is removed.

A kill in between leaves a CT that belongs to no study. A folder without this mark is never cleared away, whatever the
database says: it may be another one."""


class Folders:
    """The private folder: nobody else may read it, and no name in it comes from an upload."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.studies = data / "studies"
        self.incoming = data / "incoming"  # uploads under way
        self.work = data / "work"  # temporary files of the worker

    def prepare(self) -> None:
        """Make the folders, for the owner alone, and clear away what an earlier run left unfinished.

        Raises:
            WrongUsage: the folder cannot be written.
        """
        try:
            for unfinished in (self.incoming, self.work, *self.studies.glob("*/.trabecula-*")):
                shutil.rmtree(unfinished, ignore_errors=True)
            for folder in (self.data, self.studies, self.incoming, self.work):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise WrongUsage(
                "output-unwritable",
                f"{self.data} cannot be written: {(error.strerror or 'unknown cause').lower()}."
                " Name a folder where you may write, on a disk with room.",
            ) from error

    def study(self, study_id: str) -> Path:
        """The folder of a study; the name is one of ours."""
        if not (len(study_id) == 32 and study_id.isalnum() and study_id.isascii()):
            raise ValueError("not a study of ours")
        return self.studies / study_id

    def unlist(self, study_id: str) -> None:
        """The folder is cleared at the next start unless the database knows of the study then."""
        with suppress(OSError):  # a disk without room, where removing must go on
            (self.study(study_id) / UNLISTED).touch()

    def enlist(self, study_id: str) -> None:
        """The folder stays."""
        (self.study(study_id) / UNLISTED).unlink(missing_ok=True)

    def clear_unlisted(self, known: Callable[[str], bool]) -> None:
        """Removes what a kill left of an upload that was not acknowledged, and of a study that was removed."""
        for mark in self.studies.glob(f"*/{UNLISTED}"):
            if known(mark.parent.name):
                self.enlist(mark.parent.name)
            else:
                shutil.rmtree(mark.parent, ignore_errors=True)

    def version(self, study_id: str, number: int) -> Path:
        return self.study(study_id) / f"version-{number}"

    def twin(self, study_id: str, given: str) -> str:
        """A study more of the same upload, its files linked so that they are kept once; returns its name."""
        made = uuid.uuid4().hex
        folder = self.study(made)
        folder.mkdir(mode=0o700)
        source = self.study(study_id) / given
        if source.is_dir():
            shutil.copytree(source, folder / given, copy_function=_linked)
        else:
            _linked(str(source), str(folder / given))
        return made


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a disk without links
        shutil.copy2(source, target)
