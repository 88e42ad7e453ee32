"""A cohort to order: virtual patients as CTs on disk, each with its exact truth, in folders as ``store`` has them.

A subject's folder depends on its seed and protocol alone.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from trabecula.anatomy import Level
from trabecula.errors import wrong_usage
from trabecula.virtual.cohort import scan_field, scan_patient
from trabecula.virtual.families import FAMILIES, sample_person
from trabecula.virtual.fields import sample_field
from trabecula.virtual.rescan import Rescan, scan_again
from trabecula.virtual.scanner import Protocol, sample_protocol
from trabecula.virtual.store import Json, claimed, make_missing, require_format, subject_folder, write_scan
from trabecula.virtual.study import header_of
from trabecula.virtual.truth import truth

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
        WrongUsage: unknown protocol, format or second scan, a number below one, a folder that holds something else,
            that another run writes into, or that cannot be written.
    """
    _check(order, number)
    seeds = range(order.seed, order.seed + number)
    subjects = {subject_folder(seed): partial(_write, order, seed) for seed in seeds}
    with claimed(out, asdict(order)):
        return make_missing(out, subjects, workers, progress)


def _check(order: Order, number: int) -> None:
    if number < 1:
        raise wrong_usage("nothing-ordered", number=number)
    if order.protocol not in PROTOCOLS:
        raise wrong_usage("unknown-protocol", name=order.protocol, choices=tuple(PROTOCOLS))
    require_format(order.format)
    if order.rescan is not None and order.rescan not in tuple(Rescan):
        raise wrong_usage("unknown-rescan", name=order.rescan, choices=tuple(Rescan))
    if order.family not in FAMILIES:
        raise wrong_usage("unknown-family", name=order.family, choices=tuple(FAMILIES))


def _write(order: Order, seed: int, folder: Path) -> Json:
    """A subject's scans in a folder; returns what is true of it."""
    view = FIELDS[order.protocol]
    protocol = PROTOCOLS[order.protocol](np.random.default_rng([seed, 11]))
    subject = sample_person(seed, family=order.family)
    if isinstance(view, tuple):
        ct = scan_patient(subject, protocol, *view)
    else:
        ct = scan_field(subject, protocol, sample_field(subject, np.random.default_rng([seed, 48]), view))
    write_scan(ct, order.format, folder, header_of(ct.subject, ct.protocol))
    if order.rescan is None:
        return truth(ct)
    what = Rescan(order.rescan)
    again = scan_again(ct, what)
    header = header_of(again.subject, again.protocol)
    header = replace(header, series=3) if what is Rescan.KERNEL else replace(header, study=1)
    write_scan(again, order.format, folder / "rescan", header)
    return truth(ct, again, what)
