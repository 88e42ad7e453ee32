"""Report: an Assessment as a folder that a person and a program can read. It appears whole or not at all."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from trabecula.causes import cause_of
from trabecula.errors import wrong_usage
from trabecula.formats.scratch import SET_ASIDE, locked_folder
from trabecula.messages import DEFAULT_LANGUAGE
from trabecula.records import Assessment, Scan
from trabecula.report.masthead import UNNAMED, Masthead

ASSESSMENT, REGIONS, PAGE = "assessment.json", "regions.nii.gz", "report.html"
COMPARISON = "comparison.json"
RECORDS = {ASSESSMENT: "trabecula.assessment/", COMPARISON: "trabecula.comparison/"}
"""Which files say what a result consists of, and what their schema begins with."""

UNFINISHED = ".trabecula-"
"""What a result's folder begins with until it is whole."""

LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""What file managers leave in any folder."""


def report(
    assessment: Assessment,
    out: Path,
    attach: Callable[[Path], None] = lambda folder: None,
    language: str = DEFAULT_LANGUAGE,
    head: Masthead = UNNAMED,
) -> Path:
    """Write the result folder ``out``, in the place of an earlier result if there is one; returns its report.html.

    It holds assessment.json, regions.nii.gz on the grid of the CT as given (VerSe ids, RAS mm), overlay PNGs and a
    report.html that needs nothing beside itself. ``attach`` is given the folder when all but assessment.json is in it,
    and may write more files there. ``language`` and ``head`` are those of report.html; assessment.json is always
    English.

    Raises:
        WrongUsage: the folder holds something else, or cannot be written.
    """
    with replaced_whole(out) as made, _told_as_unwritable(out):
        _write_all(assessment, made, attach, language, head)
    return out.resolve() / PAGE


@contextmanager
def replaced_whole(out: Path) -> Iterator[Path]:
    """A new folder to write a result into, which takes the place of ``out`` when all of it is there.

    Raises:
        WrongUsage: ``out`` holds something else than an earlier result, or cannot be written.
    """
    require_writable(out)
    out = out.resolve()
    with ExitStack() as stack:
        with _told_as_unwritable(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            beside = stack.enter_context(locked_folder(out.parent, UNFINISHED))
            made, aside = beside / "new", beside / SET_ASIDE
            made.mkdir()
            aside.mkdir()
        yield made
        with _told_as_unwritable(out):
            _swap_in(made, out, aside / out.name)


def require_writable(out: Path) -> None:
    """Find out before a long computation whether a result may be written to ``out``. Leaves nothing behind, nor what
    a killed run left.

    Raises:
        WrongUsage: ``output-not-empty`` or ``output-unwritable``.
    """
    out = out.resolve()
    if out.exists():
        _require_replaceable(out)
    above = out.parent
    while not above.exists():
        above = above.parent
    with _told_as_unwritable(out), locked_folder(above, UNFINISHED):
        pass


def _require_replaceable(out: Path) -> None:
    if not out.is_dir():
        raise wrong_usage("output-unwritable.file", path=str(out))
    if os.path.ismount(out):
        raise wrong_usage("output-unwritable.mount", path=str(out))
    with _told_as_unwritable(out):
        earlier = _earlier_files(out)
        folders = {parent.as_posix() for name in earlier for parent in PurePosixPath(name).parents}
        foreign = set(_names(out, out, folders)) - earlier
    if foreign:
        raise wrong_usage("output-not-empty.entries", path=str(out), number=len(foreign))


def _names(out: Path, folder: Path, folders: set[str]) -> Iterator[str]:
    """What stands in ``folder``, by its path from ``out``; what is in folders that an earlier result made, in turn."""
    for path in folder.iterdir():
        name = path.relative_to(out).as_posix()
        if path.name in LITTER:
            continue
        if name in folders and path.is_dir() and not path.is_symlink():
            yield from _names(out, path, folders)
        else:
            yield name


def files_in(folder: Path) -> list[str]:
    """Every file below a folder, by its path from there."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def _earlier_files(out: Path) -> set[str]:
    """The names that an earlier result in ``out`` says it consists of; none where there is no result."""
    return {name for record, schema in RECORDS.items() for name in _recorded(out / record, schema)}


def _recorded(path: Path, schema: str) -> set[str]:
    """The files that a result's record names; none where it is no record of this schema."""
    try:
        earlier = json.loads(path.read_bytes())
        if not str(earlier["schema"]).startswith(schema):
            return set()
        return {str(name) for name in earlier["run"]["files"]}
    except (FileNotFoundError, IsADirectoryError, ValueError, KeyError, TypeError):
        return set()


@contextmanager
def _told_as_unwritable(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise wrong_usage("output-unwritable", path=str(out), cause=cause_of(error)) from error


def _swap_in(made: Path, out: Path, old: Path) -> None:
    """Move the new folder into place; the old one is back if that fails."""
    if out.exists():
        out.rename(old)
    try:
        made.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise


def _write_all(
    assessment: Assessment, folder: Path, attach: Callable[[Path], None], language: str, head: Masthead
) -> None:
    # Loaded here: together they take longer to import than a refusal takes to be found.
    from trabecula.records.codec import to_json
    from trabecula.report.figures import overlays
    from trabecula.report.page import page

    started = time.perf_counter()
    pictures = overlays(assessment)
    for name, picture in pictures.items():
        (folder / name).write_bytes(picture)
    _write_regions(assessment, folder / REGIONS)
    written = datetime.now(UTC).isoformat(timespec="seconds")
    run: dict[str, Any] = {"written_utc": written, **assessment.run}  # a caller may have its reasons to hide the day
    (folder / PAGE).write_text(page(assessment, run, pictures, language, head), encoding="utf-8")
    attach(folder)
    run["files"] = sorted([ASSESSMENT, *files_in(folder)])
    run["seconds"] = {**run.get("seconds", {}), "report": round(time.perf_counter() - started, 3)}
    (folder / ASSESSMENT).write_text(to_json(assessment, run) + "\n", encoding="utf-8")


def _write_regions(assessment: Assessment, path: Path) -> None:
    """The regions on the grid of the CT as given; a DICOM series as (column, row, slice), as other programs do."""
    import nibabel as nib
    import numpy as np

    from trabecula.formats.given import on_given_grid

    scan: Scan = assessment.scan
    labels, affine_ras = on_given_grid(assessment.labels, scan.volume, scan.orientation)
    if scan.acquisition.source == "dicom":
        labels, affine_ras = labels.transpose(2, 1, 0), affine_ras[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(np.asarray(labels, np.uint8), affine_ras)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine_ras, code="scanner")
    image.set_qform(affine_ras, code="scanner")
    nib.save(image, path)
