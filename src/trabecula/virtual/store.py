"""Folders of virtual patients: each is written beside its place and appears whole or not at all.

cohort/cohort.json                what was ordered; an interrupted order is taken up again only as it was
cohort/subject-000042/ct/         a DICOM series, or ct.nii.gz
cohort/subject-000042/*.nii.gz    vertebrae, their bodies, trabecular and QCT regions (VerSe ids)
cohort/subject-000042/rescan/     a second scan, if ordered: the same files
cohort/subject-000042/truth.json  of both
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trabecula import __version__
from trabecula.causes import cause_of
from trabecula.errors import TrabeculaError, WrongUsage, wrong_usage
from trabecula.lock import one_run
from trabecula.virtual.cohort import VirtualCt
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Float64, Orientation
from trabecula.workers import worker_processes

Json = dict[str, Any]

FORMATS = ("dicom", "nifti")
NOTE, UNFINISHED_NOTE = "cohort.json", ".cohort.json.part"

WriteSubject = Callable[[Path], Json]
"""Writes a subject's scans into a folder that is not there yet and returns its truth."""


def subject_folder(seed: int) -> str:
    """The name of a subject's folder."""
    return f"subject-{seed:06d}"


def require_format(format_: str) -> None:
    """Refuses a format that is not written.

    Raises:
        WrongUsage: ``unknown-format``.
    """
    if format_ not in FORMATS:
        raise wrong_usage("unknown-format.cohort", name=format_)


@contextmanager
def claimed(out: Path, order: Json) -> Iterator[None]:
    """Notes in ``out`` what is ordered, and keeps other runs out of it: two would remove one another's subjects.

    Raises:
        WrongUsage: ``out`` holds something else or what was ordered otherwise, another run is at it, or it cannot be
            written.
    """
    _require_ours(out)  # before anything of ours is put there
    with one_run(out):
        _note(out, order)
        yield


def _require_ours(out: Path) -> None:
    ours = {out / name for name in (NOTE, UNFINISHED_NOTE, ".lock")}
    if out.exists() and (not out.is_dir() or (set(out.iterdir()) - ours and not (out / NOTE).exists())):
        raise wrong_usage("output-not-empty", path=str(out))


def _note(out: Path, order: Json) -> None:
    wanted = {"schema": "trabecula.cohort/1", "version": __version__, **order}
    note, written = out / NOTE, out / UNFINISHED_NOTE
    _require_ours(out)
    if note.exists():
        if _noted(note) != wanted:
            raise wrong_usage("other-cohort", path=str(out))
        return
    try:
        written.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        written.rename(note)
    except OSError as error:
        with suppress(OSError):
            written.unlink()
        raise _unwritable(out, error) from error


def make_missing(out: Path, subjects: Mapping[str, WriteSubject], workers: int, progress: Callable[[int], None]) -> int:
    """Makes those subjects whose folder is missing; returns how many. ``progress`` gets the number that are there.

    Raises:
        WrongUsage: the folder cannot be written, or a worker was stopped from outside.
    """
    for parent in {(out / name).parent for name in subjects}:
        for abandoned in parent.glob(".subject-*.part"):  # of a run that was killed, and perhaps ordered more
            shutil.rmtree(abandoned, ignore_errors=True)
    missing = {name: write for name, write in subjects.items() if not (out / name).exists()}
    progress(len(subjects) - len(missing))
    if not missing:
        return 0
    with worker_processes(min(workers, len(missing))) as pool:
        jobs = [pool.submit(make_subject, out / name, write) for name, write in missing.items()]
        try:
            for done, job in enumerate(as_completed(jobs), len(subjects) - len(missing) + 1):
                job.result()
                progress(done)
        except OSError as error:
            pool.shutdown(cancel_futures=True)
            raise _unwritable(out, error) from error
        except TrabeculaError:
            pool.shutdown(cancel_futures=True)
            raise
        except BrokenProcessPool as error:
            raise wrong_usage("worker-lost", workers=workers) from error
    return len(missing)


def make_subject(folder: Path, write: WriteSubject) -> None:
    """One subject, built beside its place and moved there when whole."""
    partial_folder = folder.parent / f".{folder.name}.part"
    shutil.rmtree(partial_folder, ignore_errors=True)
    try:
        text = json.dumps(write(partial_folder), indent=1)
        (partial_folder / "truth.json").write_text(text + "\n", encoding="utf-8")
        partial_folder.rename(folder)
    except WrongUsage as error:
        cause = error.__cause__
        if isinstance(cause, OSError):  # of the series, whose folder is not the one that was asked for
            # A new one: the old one and ``error`` would name each other as cause and context, and a process with
            # tblib (Dask installs it) sends both along for ever.
            raise OSError(cause.errno, cause.strerror) from None
        raise
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


def _unwritable(out: Path, error: OSError) -> WrongUsage:
    return wrong_usage("output-unwritable.kept", path=str(out), cause=cause_of(error))


def _noted(note: Path) -> object:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_scan(ct: VirtualCt, format_: str, folder: Path, header: StudyHeader) -> None:
    """A CT and its regions; as NIfTI they are stored with the protocol's axes the other way round."""
    folder.mkdir(parents=True)
    as_stored = Orientation()
    if format_ == "dicom":
        write_dicom(ct.volume, folder / "ct", seed=ct.subject.seed, header=header)
    else:
        as_stored = Orientation(flips=ct.protocol.flips)
        write_nifti(ct.volume.hu.astype(np.int16), ct.volume.affine, as_stored, folder / "ct.nii.gz")
    for name in ("vertebrae", "bodies", "trabecular", "qct_regions"):
        write_nifti(getattr(ct, name), ct.volume.affine, as_stored, folder / f"{name}.nii.gz")


def write_nifti(array: NDArray[Any], affine: Float64, as_stored: Orientation, path: Path) -> None:
    """An array (z, y, x) in LPS as NIfTI (i, j, k) in RAS."""
    import nibabel as nib

    z, y, x = array.shape
    affine = as_stored.undo_affine(affine, (z, y, x))[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(as_stored.undo(array).transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)
    nib.save(image, path)
