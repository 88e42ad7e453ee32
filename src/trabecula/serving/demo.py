"""The demonstration: a virtual patient is scanned, stored as DICOM, screened as any CT, and held against its truth."""

from pathlib import Path

import numpy as np

from trabecula.anatomy import Level
from trabecula.errors import wrong_usage
from trabecula.export.bundle import Wanted
from trabecula.messages import DEFAULT_LANGUAGE, Phrase, messages
from trabecula.quantity import QCT_BANDS, VBMD_K2HPO4
from trabecula.recipes import ALL, recipes_named
from trabecula.records import Assessment
from trabecula.report.verdict import Verdict
from trabecula.screening import screen_to_folder
from trabecula.serving.terminal import progress_shown, summary_of_several, table
from trabecula.serving.wrapping import wrapped
from trabecula.side_by_side import screen_side_by_side
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.study import header_of, write_dicom
from trabecula.virtual.subject import sample_subject

PROTOCOL = Protocol(thickness_mm=2.5, increment_mm=2.5, noise_hu=12.0, noise_peak_per_mm=0.25)
"""A soft-kernel abdomen."""


def demonstrate(out: Path, seed: int, names: str | None = None, language: str = DEFAULT_LANGUAGE) -> None:
    """Writes ``out/ct`` (DICOM) and ``out/result``, and prints what was found beside what is true.

    ``names`` are recipes with commas between them, or all.

    Raises:
        WrongUsage: there is no such recipe; ``out`` holds something already, or cannot be written.
    """
    recipes = recipes_named(names)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise wrong_usage("output-not-empty", path=str(out))
    wanted = Wanted(language=language)
    print(Phrase("demo-simulating", {"seed": seed}).told(language), flush=True)
    ct = scan_patient(sample_subject(seed), PROTOCOL, Level.T9, Level.L5, seed)
    write_dicom(ct.volume, out / "ct", seed=seed, header=header_of(ct.subject, ct.protocol))
    with progress_shown(True, language) as progress:
        if len(recipes) == 1 and names != ALL:
            assessment, written = screen_to_folder(out / "ct", out / "result", recipes[0], wanted, progress)
            told = _beside_truth(assessment, ct, language)
        else:
            outcomes, written = screen_side_by_side(out / "ct", out / "result", recipes, wanted, progress)
            told = summary_of_several(outcomes, language)
    print(wrapped(told))
    for one in (_true(ct), Phrase("demo-ct", {"path": str(out / "ct")}), Phrase("report-at", {"path": str(written)})):
        print(one.told(language))


def _beside_truth(assessment: Assessment, ct: VirtualCt, language: str) -> str:
    """The vertebrae's densities beside the true ones; of another quantity none is known vertebra by vertebra."""
    if assessment.quantity != VBMD_K2HPO4:
        return Verdict(assessment, language).headline()
    text = messages(language)
    rows = [
        [
            str(one.level),
            text["withheld"] if one.density is None else f"{one.density.value:.0f}",
            _number(ct.bmd.get(one.level)),
        ]
        for one in assessment.readings.vertebrae
    ]
    beside = table(["", text["demo-measured"], text["demo-true"]], rows)
    return "\n".join([beside, f"  {text['demo-unit']}", Verdict(assessment, language).headline()])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _true(ct: VirtualCt) -> Phrase:
    """The true mean of L1 and L2 and its category."""
    mean = float(np.mean([ct.bmd[Level.L1], ct.bmd[Level.L2]]))
    return Phrase("demo-truth", {"mean": mean, "category": Phrase(f"word-{QCT_BANDS.category(mean)}")})
