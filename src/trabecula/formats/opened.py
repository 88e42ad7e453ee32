"""What was given, opened once: a folder is walked, a zip is unpacked, and all that reads it reads the same files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trabecula.errors import refusal, wrong_usage
from trabecula.formats.archive import unpacked
from trabecula.formats.budget import Budget
from trabecula.formats.kinds import Kind, kind_of, require_ordinary
from trabecula.formats.scratch import clear_temporary

MAX_FILES = 50_000


@dataclass(frozen=True)
class Opened:
    """Where the input lies, what kind of file holds it, and the files themselves; a zip's are temporary ones.

    ``left_out`` counts the files beside a NIfTI or NRRD; ``budget`` is that of the whole input.
    """

    path: Path
    kind: Literal["dicom", "nifti", "nrrd"]
    files: tuple[Path, ...]
    budget: Budget
    left_out: int = 0


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """A DICOM folder, file or zip, a NIfTI or an NRRD (alone in a folder or zip), open as long as the context is.

    Raises:
        WrongUsage: there is no file or folder at ``path``, it may not be read, or the temporary disk is full.
        Refusal: the folder is empty, the zip is damaged or too large, or the file is of no kind that is known.
    """
    require_ordinary(path)
    clear_temporary()
    with Budget() as budget, _files(path, budget) as files:
        budget.expect_files(len(files))
        yield _told(path, files, budget)


@contextmanager
def told_as_missing(path: Path) -> Iterator[None]:
    """Tells in a sentence that a file is not there, or may not be read."""
    try:
        yield
    except FileNotFoundError as error:
        raise wrong_usage("input-missing", path=str(path)) from error
    except PermissionError as error:
        raise wrong_usage("input-unreadable", path=str(path)) from error


@contextmanager
def _files(path: Path, budget: Budget) -> Iterator[tuple[Path, ...]]:
    with told_as_missing(path):
        kind = kind_of(path)
        found = _files_in(path) if kind is Kind.FOLDER else (path,)
    with unpacked(path, budget) if kind is Kind.ZIP else nullcontext(found) as files:
        yield tuple(files)


def _told(path: Path, files: Sequence[Path], budget: Budget) -> Opened:
    """DICOM wherever there is some; else the one NIfTI or NRRD; else what may be DICOM without its preamble."""
    images: list[tuple[Path, Kind]] = []
    for file in files:
        kind = kind_of(file)
        if kind is Kind.DICOM:
            return Opened(path, "dicom", tuple(files), budget)
        if kind in (Kind.NIFTI, Kind.NRRD):
            images.append((file, kind))
    whole = [file for file, _ in images]
    images = [(file, kind) for file, kind in images if file.suffix != ".img" or file.with_suffix(".hdr") not in whole]
    if len(images) > 1:
        raise refusal("several-images", number=len(images))
    if images:
        image, kind = images[0]
        return Opened(path, "nifti" if kind is Kind.NIFTI else "nrrd", (image,), budget, len(files) - len(whole))
    if list(files) == [path]:
        raise refusal("unknown-format")
    return Opened(path, "dicom", tuple(files), budget)


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
