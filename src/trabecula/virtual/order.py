"""A cohort to order: virtual patients as CTs on disk, each with its exact truth.

    cohort/cohort.json            what was ordered; an interrupted order is taken up again only as it was
    cohort/subject-000042/ct/     a DICOM series, or ct.nii.gz
    cohort/subject-000042/trabecular.nii.gz, truth.json

A subject's folder appears whole or not at all, and depends on its seed and protocol alone.
"""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trabecula import __version__
from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.virtual.attenuation import bmd_ha_from_qct
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.scanner import Protocol, sample_protocol
from trabecula.virtual.study import header_of, write_dicom
from trabecula.virtual.subject import sample_subject

PROTOCOLS: dict[str, Callable[[np.random.Generator], Protocol]] = {
    "mixed": sample_protocol,
    "chest-low-dose": lambda rng: Protocol(thickness_mm=1.25, increment_mm=1.25, noise_hu=float(rng.uniform(20, 35))),
    "abdomen": lambda rng: Protocol(
        thickness_mm=3.0, increment_mm=3.0, psf_fwhm_mm=1.3, noise_hu=float(rng.uniform(8, 14))
    ),
    "abdomen-thick": lambda rng: Protocol(
        thickness_mm=5.0, increment_mm=5.0, psf_fwhm_mm=1.3, noise_hu=float(rng.uniform(7, 11))
    ),
}
"""Scan protocols by name; ``mixed`` draws thickness, kernel, noise and pixel size anew for each patient."""

FIELDS: dict[str, tuple[Level, Level]] = {
    "mixed": (Level.T8, Level.S1),
    "chest-low-dose": (Level.T8, Level.L2),
    "abdomen": (Level.T9, Level.S1),
    "abdomen-thick": (Level.T9, Level.S1),
}
"""The first and last level in view, by protocol."""


@dataclass(frozen=True)
class Order:
    """What is ordered. Subject i has the seed ``seed`` + i."""

    seed: int = 0
    protocol: str = "mixed"
    format: str = "dicom"


def simulate(order: Order, number: int, out: Path, workers: int, progress: Callable[[int], None]) -> int:
    """Makes the missing ones of ``number`` subjects; returns how many were made. ``progress`` gets the number done.

    Raises:
        WrongUsage: unknown protocol or format, a number below one, or a folder that holds something else.
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
            raise WrongUsage(
                "output-unwritable",
                f"{out} cannot be written: {error.strerror}. What is there is whole; run it again to go on.",
            ) from error
    return len(missing)


def _check(order: Order, number: int, out: Path) -> None:
    if number < 1:
        raise WrongUsage("nothing-ordered", f"{number} subjects were ordered; order at least one.")
    if order.protocol not in PROTOCOLS:
        raise WrongUsage(
            "unknown-protocol", f"There is no protocol {order.protocol!r}. Choose among: {', '.join(PROTOCOLS)}."
        )
    if order.format not in ("dicom", "nifti"):
        raise WrongUsage("unknown-format", f"There is no format {order.format!r}. Choose dicom or nifti.")
    wanted = {"schema": "trabecula.cohort/1", "version": __version__, **asdict(order)}
    note = out / "cohort.json"
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not note.exists())):
        raise WrongUsage("output-not-empty", f"{out} already holds something else; name a new folder.")
    if note.exists():
        if json.loads(note.read_text(encoding="utf-8")) != wanted:
            raise WrongUsage(
                "other-cohort", f"{out} holds a cohort ordered otherwise (see cohort.json); name a new folder."
            )
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise WrongUsage("output-unwritable", f"{out} cannot be written: {error.strerror}.") from error


def _folder(out: Path, order: Order, index: int) -> Path:
    return out / f"subject-{order.seed + index:06d}"


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"


def _make(order: Order, out: Path, index: int) -> None:
    """One subject, built beside its place and moved there when whole."""
    seed = order.seed + index
    rng = np.random.default_rng([seed, 11])
    subject = sample_subject(seed)
    ct = scan_patient(subject, PROTOCOLS[order.protocol](rng), *FIELDS[order.protocol])
    folder = _folder(out, order, index)
    partial_folder = out / f".{folder.name}.part"
    shutil.rmtree(partial_folder, ignore_errors=True)
    try:
        partial_folder.mkdir()
        if order.format == "dicom":
            write_dicom(ct.volume, partial_folder / "ct", seed=seed, header=header_of(subject, ct.protocol))
        else:
            _write_nifti(ct.volume.hu.astype(np.int16), ct.volume.affine, partial_folder / "ct.nii.gz")
        _write_nifti(ct.trabecular, ct.volume.affine, partial_folder / "trabecular.nii.gz")
        text = json.dumps(truth(ct), indent=1)
        (partial_folder / "truth.json").write_text(text + "\n", encoding="utf-8")
        partial_folder.rename(folder)
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


def truth(ct: VirtualCt) -> dict[str, Any]:
    """All that is known of a virtual patient and scan, ready for JSON; densities in mg/cm3, lengths in mm."""
    subject = ct.subject
    levels = {}
    for level, bmd in ct.bmd.items():
        vertebra = subject.vertebra(level)
        inside = ct.trabecular == level.verse_id
        levels[level.value] = {
            "centre_lps_mm": [round(v, 2) for v in vertebra.centre_lps_mm],
            "bmd_k2hpo4": round(bmd, 2),
            "bmd_hydroxyapatite": round(bmd_ha_from_qct(bmd, subject.yellow_marrow), 2),
            "in_view": bool(inside.any()),
            "cut_by_view": bool(inside[[0, -1]].any()),
            "findings": {k: v for k, v in asdict(vertebra.findings).items() if v and k != "schmorl_upper"},
        }
    return {
        "schema": "trabecula.truth/1",
        "simulated": True,
        "seed": subject.seed,
        "sex": subject.sex,
        "age_years": round(subject.age_years, 1),
        "yellow_marrow_fraction": round(subject.yellow_marrow, 3),
        "contrast_phase": subject.phase,
        "twelfth_rib_mm": round(subject.rib12_mm, 1),
        "lumbar_ribs_mm": round(subject.lumbar_ribs_mm, 1),
        "protocol": asdict(ct.protocol),
        "levels": levels,
    }


def _write_nifti(array: np.ndarray[Any, Any], affine: np.ndarray[Any, Any], path: Path) -> None:
    """An array (z, y, x) in LPS as NIfTI (i, j, k) in RAS."""
    import nibabel as nib

    swapped = affine[:, [2, 1, 0, 3]]
    nib.save(nib.Nifti1Image(array.transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0]) @ swapped), path)
