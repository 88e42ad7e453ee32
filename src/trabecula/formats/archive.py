"""Zip archives from anyone: unpacked under names of our own, counted by what really comes out."""

import errno
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trabecula.errors import TrabeculaError, refusal

MAX_BYTES = 4 * 2**30
MAX_FILES = 20_000
CHUNK_BYTES = 2**20
ZIP_MAGIC = b"PK\x03\x04"


@contextmanager
def unpacked(archive: Path, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> Iterator[list[Path]]:
    """The files of a zip, in a temporary folder that is gone afterwards.

    Names and sizes written in the archive are not believed: files are numbered, bytes are counted as they come.

    Raises:
        Refusal: the archive is damaged, encrypted, nested or too large.
    """
    with tempfile.TemporaryDirectory(prefix="trabecula-") as folder:
        try:
            with zipfile.ZipFile(archive) as opened:
                files = _unpack(opened, Path(folder), max_bytes, max_files)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
            raise refusal("archive-damaged.unopened") from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise refusal("archive-damaged.unread") from error
            raise TrabeculaError("disk-full", "The temporary folder is full: free some space and try again.") from error
        yield files


def _unpack(opened: zipfile.ZipFile, folder: Path, max_bytes: int, max_files: int) -> list[Path]:
    members = [member for member in opened.infolist() if not member.is_dir()]
    if len(members) > max_files:
        raise refusal("archive-too-large.files", number=len(members), most=max_files)
    files: list[Path] = []
    left = max_bytes
    for number, member in enumerate(members):
        if member.flag_bits & 1:
            raise refusal("archive-encrypted")
        target = folder / f"{number:06d}"
        left -= _write(opened, member, target, left, max_bytes)
        files.append(target)
    return files


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, left: int, max_bytes: int) -> int:
    written = 0
    with opened.open(member) as source, target.open("wb") as sink:
        while chunk := source.read(CHUNK_BYTES):
            if written == 0 and chunk.startswith(ZIP_MAGIC):
                raise refusal("archive-nested")
            written += len(chunk)
            if written > left:
                raise refusal("archive-too-large.bytes", limit_gib=max_bytes / 2**30)
            sink.write(chunk)
    return written
