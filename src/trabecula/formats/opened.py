"""What was given, opened once: a folder is walked, a zip is unpacked, and all that reads it reads the same files."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trabecula.errors import WrongUsage, refusal
from trabecula.formats import nifti, nrrd
from trabecula.formats.archive import unpacked

MAX_FILES = 50_000
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True)
class Opened:
    """Where the input lies, what kind of file holds it, and the files themselves; a zip's are temporary ones."""

    path: Path
    kind: Literal["dicom", "nifti", "nrrd"]
    files: tuple[Path, ...]


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """A DICOM folder, file or zip, a NIfTI or an NRRD, open as long as the context is.

    Raises:
        WrongUsage: there is nothing at ``path``, or it may not be read.
        Refusal: the folder is empty, the zip is damaged or too large, or the file is of no kind that is known.
    """
    with told_as_missing(path):
        if path.is_dir():
            given = Opened(path, "dicom", _files_in(path))
        elif (kind := _kind_of(path)) != "zip":
            given = Opened(path, kind, (path,))
        else:
            given = None
    if given is not None:
        yield given
        return
    with unpacked(path) as files:
        yield Opened(path, "dicom", tuple(files))


@contextmanager
def told_as_missing(path: Path) -> Iterator[None]:
    """Tells in a sentence that a file is not there, or may not be read."""
    try:
        yield
    except FileNotFoundError as error:
        raise WrongUsage("input-missing", f"There is no file or folder {path}.") from error
    except PermissionError as error:
        raise WrongUsage("input-unreadable", f"You may not read {path}: ask for access.") from error


def _kind_of(path: Path) -> Literal["dicom", "nifti", "nrrd", "zip"]:
    with path.open("rb") as file:
        head = file.read(132)
    if path.name.lower().endswith(nifti.SUFFIXES):
        return "nifti"
    if head.startswith(nrrd.MAGIC):
        return "nrrd"
    if zipfile.is_zipfile(path):
        return "zip"
    if head[128:] == b"DICM" or path.suffix.lower() in DICOM_SUFFIXES:
        return "dicom"
    raise refusal("unknown-format")


def _files_in(folder: Path) -> tuple[Path, ...]:
    files: list[Path] = []
    for path in folder.rglob("*"):
        if path.is_file():
            files.append(path)
        if len(files) > MAX_FILES:
            raise refusal("too-many-files", most=MAX_FILES)
    if not files:
        raise refusal("empty-folder")
    return tuple(sorted(files))
