"""The demonstration: a virtual patient is scanned, stored as DICOM, screened as any CT, and held against its truth."""

from pathlib import Path

import numpy as np

from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.recipes import recipe_named
from trabecula.screening import screen_to_folder
from trabecula.serving.terminal import progress_shown
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.study import header_of, write_dicom
from trabecula.virtual.subject import sample_subject

PROTOCOL = Protocol(thickness_mm=2.5, increment_mm=2.5, noise_hu=12.0, noise_peak_per_mm=0.25)
"""A soft-kernel abdomen."""


def demonstrate(out: Path, seed: int) -> None:
    """Writes ``out/ct`` (DICOM) and ``out/result``, and prints the density found beside the true one.

    Raises:
        WrongUsage: ``out`` holds something already, or cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise WrongUsage("output-not-empty", f"{out} already holds something; name a new folder.")
    print(f"Simulating virtual patient {seed} ...", flush=True)
    ct = scan_patient(sample_subject(seed), PROTOCOL, Level.T9, Level.L5, seed)
    write_dicom(ct.volume, out / "ct", seed=seed, header=header_of(ct.subject, ct.protocol))
    with progress_shown(True) as progress:
        assessment, written = screen_to_folder(out / "ct", out / "result", recipe_named(None), progress=progress)
    print(f"{'':6}{'measured':>10}{'true':>8}   mg/cm3, simulated")
    for vertebra in assessment.readings.vertebrae:
        measured = "withheld" if vertebra.density is None else f"{vertebra.density.value:.0f}"
        true = ct.bmd.get(vertebra.level)
        print(f"{vertebra.level:6}{measured:>10}{_number(true):>8}")
    diagnosis = assessment.diagnosis
    found = None if diagnosis.density is None else diagnosis.density.value
    print(f"{'mean':6}{_number(found):>10}{_true_mean(ct):8.0f}   {diagnosis.category}")
    print(f"The CT: {out / 'ct'}\nThe report: {written}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _true_mean(ct: VirtualCt) -> float:
    """The true mean of L1 and L2."""
    return float(np.mean([ct.bmd[Level.L1], ct.bmd[Level.L2]]))
