"""An upload of single slices as one zip, half of what it was: the pixels of a CT are seldom compressed as they come."""

import shutil
import zipfile
from pathlib import Path

from trabecula.disk import sync_file, sync_folder
from trabecula.formats.archive import nested

PACKED = "ct.zip"
LEVEL = 1
"""How hard zlib tries: 20 ms a megabyte; six times as long saves two hundredths more."""

WORTH, MOST = 0.9, 1 / 40
"""Kept as it came where the zip is no smaller than this share of it, or so small that it would be taken for a bomb."""


def packed_upload(given: Path, work: Path) -> Path | None:
    """The files of a folder in a zip beside it, byte for byte and in their order; None where they had better stay.

    The folder stays until ``drop`` is told. ``work`` is where the zip lies until it is whole, on the same disk.
    """
    if not given.is_dir():
        return None
    files = sorted(path for path in given.iterdir() if path.is_file())
    size = sum(path.stat().st_size for path in files)
    unfinished = work / f"{given.parent.name}.zip"
    try:
        if nested(files):
            return None
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as made:
            for path in files:
                made.write(path, path.name)
        if not MOST * size < unfinished.stat().st_size < WORTH * size:
            return None
        sync_file(unfinished)  # the files that it holds are dropped next
        packed = unfinished.rename(given.parent / PACKED)
        sync_folder(packed.parent)
        return packed
    except OSError:  # no room, or the study was removed meanwhile
        return None
    finally:
        unfinished.unlink(missing_ok=True)


def drop(given: Path) -> None:
    """Removes the files that a zip holds now; what a loss of power leaves is cleared away at the next start."""
    aside = given.with_name(".trabecula-packed")
    try:
        given.rename(aside)
    except OSError:
        return
    shutil.rmtree(aside, ignore_errors=True)
