"""The demonstration: a virtual patient is scanned, stored as DICOM, screened as any CT, and held against its truth."""

from pathlib import Path

import numpy as np

from trabecula.anatomy import Level
from trabecula.errors import wrong_usage
from trabecula.quantity import QCT_BANDS, VBMD_K2HPO4
from trabecula.recipes import ALL, recipes_named
from trabecula.records import Assessment
from trabecula.report.verdict import Verdict
from trabecula.screening import screen_to_folder
from trabecula.serving.terminal import progress_shown, summary_of_several
from trabecula.serving.wrapping import wrapped
from trabecula.side_by_side import screen_side_by_side
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.study import header_of, write_dicom
from trabecula.virtual.subject import sample_subject

PROTOCOL = Protocol(thickness_mm=2.5, increment_mm=2.5, noise_hu=12.0, noise_peak_per_mm=0.25)
"""A soft-kernel abdomen."""


def demonstrate(out: Path, seed: int, names: str | None = None) -> None:
    """Writes ``out/ct`` (DICOM) and ``out/result``, and prints what was found beside what is true.

    ``names`` are recipes with commas between them, or all.

    Raises:
        WrongUsage: there is no such recipe; ``out`` holds something already, or cannot be written.
    """
    recipes = recipes_named(names)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise wrong_usage("output-not-empty", path=str(out))
    print(f"Simulating virtual patient {seed} ...", flush=True)
    ct = scan_patient(sample_subject(seed), PROTOCOL, Level.T9, Level.L5, seed)
    write_dicom(ct.volume, out / "ct", seed=seed, header=header_of(ct.subject, ct.protocol))
    with progress_shown(True) as progress:
        if len(recipes) == 1 and names != ALL:
            assessment, written = screen_to_folder(out / "ct", out / "result", recipes[0], progress=progress)
            told = _beside_truth(assessment, ct)
        else:
            outcomes, written = screen_side_by_side(out / "ct", out / "result", recipes, progress=progress)
            told = summary_of_several(outcomes)
    print(wrapped(told))
    print(f"True: {_true(ct)}, simulated\nThe CT: {out / 'ct'}\nThe report: {written}")


def _beside_truth(assessment: Assessment, ct: VirtualCt) -> str:
    """The vertebrae's densities beside the true ones; of another quantity none is known vertebra by vertebra."""
    if assessment.quantity != VBMD_K2HPO4:
        return Verdict(assessment).headline()
    lines = [f"{'':6}{'measured':>10}{'true':>8}   mg/cm3, simulated"]
    for vertebra in assessment.readings.vertebrae:
        measured = "withheld" if vertebra.density is None else f"{vertebra.density.value:.0f}"
        lines.append(f"{vertebra.level:6}{measured:>10}{_number(ct.bmd.get(vertebra.level)):>8}")
    return "\n".join([*lines, Verdict(assessment).headline()])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _true(ct: VirtualCt) -> str:
    """The true mean of L1 and L2 and its category."""
    mean = float(np.mean([ct.bmd[Level.L1], ct.bmd[Level.L2]]))
    return f"{mean:.0f} mg/cm3, mean of L1 and L2, {QCT_BANDS.category(mean)}"
