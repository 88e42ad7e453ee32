"""Zip archives from anyone: unpacked under names of our own, counted by what really comes out."""

import io
import lzma
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trabecula.errors import refusal
from trabecula.formats.budget import Budget
from trabecula.formats.damage import MALFORMED
from trabecula.formats.scratch import scratch_folder, temporary_writes

MAX_FILES = 20_000
CHUNK_BYTES = 2**20
MAX_INDEX_BYTES = 32 * 2**20
"""An archive's index is read at once; that of so many files with long names is no larger."""

ZIP_MAGIC, END_MAGIC = b"PK\x03\x04", b"PK\x05\x06"

END_BYTES = 22 + 65_535
"""The end of a zip with the longest comment (APPNOTE 4.3.16)."""


@contextmanager
def unpacked(archive: Path, budget: Budget | None = None, max_files: int = MAX_FILES) -> Iterator[list[Path]]:
    """The files of a zip, in a temporary folder that is gone afterwards.

    Names and sizes written in the archive are not believed: files are numbered, bytes are counted as they come. A zip
    inside the zip (office documents are such) is a file like any other and stays packed.

    Raises:
        Refusal: the archive is damaged, encrypted or too large.
        WrongUsage: the disk of temporary files is full.
    """
    budget = budget or Budget()
    budget.packed(archive.stat().st_size)
    budget.inside_archive(archive.stat().st_size)
    with scratch_folder() as folder:
        try:
            with _Archive(archive) as file, zipfile.ZipFile(file) as opened:
                files = _unpack(opened, folder, budget, max_files)
        except OSError as error:
            raise refusal("archive-damaged.unread") from error
        except (zipfile.BadZipFile, lzma.LZMAError, *MALFORMED) as error:
            if _cut_short(archive):
                raise refusal("archive-damaged.cut") from error
            raise refusal("archive-damaged.unopened") from error
        budget.expect_files(len(files))
        yield files


def nested(files: Iterable[Path]) -> bool:
    """Whether one of the files is itself a zip."""
    for path in files:
        with path.open("rb") as file:
            if file.read(4) == ZIP_MAGIC:
                return True
    return False


def _cut_short(archive: Path) -> bool:
    """Whether the end is missing, where a zip has its index: a download or a copy that broke off."""
    with archive.open("rb") as file:
        file.seek(max(0, archive.stat().st_size - END_BYTES))
        return END_MAGIC not in file.read()


class _Archive(io.BufferedReader):
    """The archive's bytes, of which ``zipfile`` asks for the whole index at once, however long it says that is."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_INDEX_BYTES:
            raise zipfile.BadZipFile("index")
        return super().read(size)


def _unpack(opened: zipfile.ZipFile, folder: Path, budget: Budget, max_files: int) -> list[Path]:
    members = [member for member in opened.infolist() if not member.is_dir()]
    if len(members) > max_files:
        raise refusal("archive-too-large.files", number=len(members), most=max_files)
    files: list[Path] = []
    for number, member in enumerate(members):
        if member.flag_bits & 1:
            raise refusal("archive-encrypted")
        target = folder / f"{number:06d}"
        _write(opened, member, target, budget)
        files.append(target)
    return files


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, budget: Budget) -> None:
    with temporary_writes(), opened.open(member) as source, target.open("wb") as sink:
        while chunk := source.read(CHUNK_BYTES):
            budget.unpacked(len(chunk))
            budget.on_disk(len(chunk))
            sink.write(chunk)
