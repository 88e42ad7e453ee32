"""A cohort to order: virtual patients as CTs on disk, each with its exact truth.

    cohort/cohort.json                what was ordered; an interrupted order is taken up again only as it was
    cohort/subject-000042/ct/         a DICOM series, or ct.nii.gz
    cohort/subject-000042/*.nii.gz    vertebrae, their bodies, trabecular and QCT regions (VerSe ids)
    cohort/subject-000042/rescan/     a second scan, if ordered: the same files
    cohort/subject-000042/truth.json  of both

A subject's folder appears whole or not at all, and depends on its seed and protocol alone.
"""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trabecula import __version__
from trabecula.anatomy import Level
from trabecula.errors import TrabeculaError, WrongUsage
from trabecula.virtual.cohort import VirtualCt, scan_field, scan_patient
from trabecula.virtual.families import FAMILIES, sample_person
from trabecula.virtual.fields import sample_field
from trabecula.virtual.rescan import Rescan, scan_again
from trabecula.virtual.scanner import Protocol, sample_protocol
from trabecula.virtual.study import StudyHeader, header_of, write_dicom
from trabecula.virtual.truth import truth
from trabecula.volume import Float64, Orientation

PROTOCOLS: dict[str, Callable[[np.random.Generator], Protocol]] = {
    "mixed": sample_protocol,
    "any-field": sample_protocol,
    "chest": lambda rng: replace(sample_protocol(rng), field_of_view_mm=None),
    "chest-low-dose": lambda rng: Protocol(thickness_mm=1.25, increment_mm=1.25, noise_hu=float(rng.uniform(20, 35))),
    "pet-ct": lambda rng: Protocol(
        pixel_mm=float(rng.uniform(0.97, 1.4)),
        thickness_mm=float(rng.choice([2.0, 3.0, 5.0])),
        increment_mm=3.0,
        psf_fwhm_mm=1.4,
        noise_hu=float(rng.uniform(14, 35)),
    ),
    "planning": lambda rng: Protocol(
        pixel_mm=float(rng.uniform(0.9, 1.3)), thickness_mm=3.0, increment_mm=3.0, noise_hu=float(rng.uniform(9, 18))
    ),
    "abdomen": lambda rng: Protocol(
        thickness_mm=3.0, increment_mm=3.0, psf_fwhm_mm=1.3, noise_hu=float(rng.uniform(8, 14))
    ),
    "abdomen-thick": lambda rng: Protocol(
        thickness_mm=5.0, increment_mm=5.0, psf_fwhm_mm=1.3, noise_hu=float(rng.uniform(7, 11))
    ),
}
"""Scan protocols by name; ``mixed`` draws thickness, kernel, noise and pixel size anew for each patient."""

FIELDS: dict[str, tuple[Level, Level] | str | None] = {
    "mixed": (Level.T8, Level.S1),
    "any-field": None,
    "chest": "chest",
    "chest-low-dose": (Level.T8, Level.L2),
    "pet-ct": "trunk",
    "planning": "planning",
    "abdomen": (Level.T9, Level.S1),
    "abdomen-thick": (Level.T9, Level.S1),
}
"""The first and last level in view, or one of ``fields.FIELD_KINDS`` (None: any), by protocol."""


@dataclass(frozen=True)
class Order:
    """What is ordered. Subject i has the seed ``seed`` + i."""

    seed: int = 0
    protocol: str = "mixed"
    format: str = "dicom"
    rescan: str | None = None  # one of ``Rescan``
    family: str = "a"  # of generators


def simulate(order: Order, number: int, out: Path, workers: int, progress: Callable[[int], None]) -> int:
    """Makes the missing ones of ``number`` subjects; returns how many were made. ``progress`` gets the number done.

    Raises:
        WrongUsage: unknown protocol, format or second scan, a number below one, a folder that holds something else or
            cannot be written.
    """
    _check(order, number, out)
    missing = [i for i in range(number) if not _folder(out, order, i).exists()]
    progress(number - len(missing))
    if not missing:
        return 0
    with ProcessPoolExecutor(min(workers, len(missing)), initializer=_one_thread) as pool:
        jobs = [pool.submit(partial(_make, order, out), i) for i in missing]
        try:
            for done, job in enumerate(as_completed(jobs), number - len(missing) + 1):
                job.result()
                progress(done)
        except OSError as error:
            pool.shutdown(cancel_futures=True)
            raise _unwritable(out, error) from error
        except TrabeculaError:
            pool.shutdown(cancel_futures=True)
            raise
        except BrokenProcessPool as error:
            raise WrongUsage(
                "worker-lost",
                f"One of {workers} --workers was stopped from outside, most often for lack of memory; give fewer."
                " What is there is whole; run it again to go on.",
            ) from error
    return len(missing)


def _unwritable(out: Path, error: OSError) -> WrongUsage:
    return WrongUsage(
        "output-unwritable",
        f"{out} cannot be written: {error.strerror}. What is there is whole; run it again to go on.",
    )


def _check(order: Order, number: int, out: Path) -> None:
    if number < 1:
        raise WrongUsage("nothing-ordered", f"{number} subjects were ordered; order at least one.")
    if order.protocol not in PROTOCOLS:
        raise WrongUsage(
            "unknown-protocol", f"There is no protocol {order.protocol!r}. Choose among: {', '.join(PROTOCOLS)}."
        )
    if order.format not in ("dicom", "nifti"):
        raise WrongUsage("unknown-format", f"There is no format {order.format!r}. Choose dicom or nifti.")
    if order.rescan is not None and order.rescan not in tuple(Rescan):
        raise WrongUsage(
            "unknown-rescan", f"There is no second scan {order.rescan!r}. Choose among: {', '.join(Rescan)}."
        )
    if order.family not in FAMILIES:
        raise WrongUsage("unknown-family", f"There is no family {order.family!r}. Choose among: {', '.join(FAMILIES)}.")
    wanted = {"schema": "trabecula.cohort/1", "version": __version__, **asdict(order)}
    note = out / "cohort.json"
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not note.exists())):
        raise WrongUsage("output-not-empty", f"{out} already holds something else; name a new folder.")
    if note.exists():
        if _noted(note) != wanted:
            raise WrongUsage(
                "other-cohort", f"{out} holds a cohort ordered otherwise (see cohort.json); name a new folder."
            )
        return
    written = out / ".cohort.json.part"
    try:
        out.mkdir(parents=True, exist_ok=True)
        written.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        written.rename(note)
    except OSError as error:
        with suppress(OSError):
            written.unlink()
        raise _unwritable(out, error) from error


def _noted(note: Path) -> object:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _folder(out: Path, order: Order, index: int) -> Path:
    return out / f"subject-{order.seed + index:06d}"


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"


def _make(order: Order, out: Path, index: int) -> None:
    """One subject, built beside its place and moved there when whole."""
    seed = order.seed + index
    view = FIELDS[order.protocol]
    protocol = PROTOCOLS[order.protocol](np.random.default_rng([seed, 11]))
    subject = sample_person(seed, family=order.family)
    if isinstance(view, tuple):
        ct = scan_patient(subject, protocol, *view)
    else:
        ct = scan_field(subject, protocol, sample_field(subject, np.random.default_rng([seed, 48]), view))
    what = None if order.rescan is None else Rescan(order.rescan)
    folder = _folder(out, order, index)
    partial_folder = out / f".{folder.name}.part"
    shutil.rmtree(partial_folder, ignore_errors=True)
    try:
        _write_scan(ct, order.format, partial_folder, header_of(ct.subject, ct.protocol))
        again = None
        if what is not None:
            again = scan_again(ct, what)
            header = header_of(again.subject, again.protocol)
            header = replace(header, series=3) if what is Rescan.KERNEL else replace(header, study=1)
            _write_scan(again, order.format, partial_folder / "rescan", header)
        text = json.dumps(truth(ct, again, what), indent=1)
        (partial_folder / "truth.json").write_text(text + "\n", encoding="utf-8")
        partial_folder.rename(folder)
    except WrongUsage as error:
        if isinstance(error.__cause__, OSError):  # of the series, whose folder is not the one that was asked for
            raise error.__cause__ from error
        raise
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


def _write_scan(ct: VirtualCt, format_: str, folder: Path, header: StudyHeader) -> None:
    """A CT and its regions; as NIfTI they are stored with the protocol's axes the other way round."""
    folder.mkdir(parents=True)
    as_stored = Orientation()
    if format_ == "dicom":
        write_dicom(ct.volume, folder / "ct", seed=ct.subject.seed, header=header)
    else:
        as_stored = Orientation(flips=ct.protocol.flips)
        _write_nifti(ct.volume.hu.astype(np.int16), ct.volume.affine, as_stored, folder / "ct.nii.gz")
    for name in ("vertebrae", "bodies", "trabecular", "qct_regions"):
        _write_nifti(getattr(ct, name), ct.volume.affine, as_stored, folder / f"{name}.nii.gz")


def _write_nifti(array: NDArray[Any], affine: Float64, as_stored: Orientation, path: Path) -> None:
    """An array (z, y, x) in LPS as NIfTI (i, j, k) in RAS."""
    import nibabel as nib

    z, y, x = array.shape
    affine = as_stored.undo_affine(affine, (z, y, x))[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(as_stored.undo(array).transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)
    nib.save(image, path)
