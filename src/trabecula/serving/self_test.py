"""What a machine needs to screen, looked at one after another, each told with its cure."""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from trabecula.anatomy import Level
from trabecula.errors import TrabeculaError, defect, fault
from trabecula.messages import LANGUAGES, Phrase
from trabecula.serving import machine

SHIPPED = Path(__file__).parent / "shipped.json"
TOLERANCE_MG_CM3 = 1.0
"""Processors round differently; what a network gives moves by a few tenths."""

RECIPE = "house"
SEED = 0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is as it should be, and what was seen or what to do.

    ``what`` is a key of the message files after ``look-``; the fonts' has its language behind it.
    """

    what: str
    good: bool
    said: Phrase


def findings(data: Path | None, database: str | None, quick: bool) -> Iterator[Finding]:
    """Every check in turn, the slow one last. One that fails in a way nobody foresaw is told, and the others go on."""
    checks: dict[str, Callable[[], Phrase]] = {
        "packages": machine.packages,
        "weights": _weights,
        "disk": lambda: machine.disk(data),
        "memory": machine.memory,
        "files": machine.open_files,
        **{f"fonts {language}": partial(machine.printable, language) for language in LANGUAGES},
        "viewer": machine.viewer,
    }
    if data is not None:
        checks["rights"] = lambda: machine.rights(data)
    if data is not None or database is not None:
        checks["database"] = lambda: machine.database(data, database)
    if not quick:
        checks["demo"] = numbers_as_shipped
    for what, check in checks.items():
        try:
            yield Finding(what, True, check())
        except TrabeculaError as error:
            yield Finding(what, False, error.coded)
        except Exception as error:
            yield Finding(what, False, fault(error).coded)


def _weights() -> Phrase:
    from trabecula.weights import catalogue

    found = catalogue()
    size = sum(len(one.content()) for one in found.values())
    return Phrase("found-weights", {"number": len(found), "size": size / 2**20})


def numbers_as_shipped() -> Phrase:
    """What the demo patient reads, against what was shipped.

    Raises:
        Defect: another number, or other networks.
    """
    shipped, found = json.loads(SHIPPED.read_text(encoding="utf-8")), demo_numbers()
    if found["weights"] != shipped["weights"]:
        raise defect("self-test-of-other-weights")
    before, now = shipped["densities_mg_cm3"], found["densities_mg_cm3"]
    off = {level: now.get(level, 0.0) - value for level, value in before.items()}
    worst = max(off, key=lambda level: abs(off[level]))
    if set(now) != set(before) or abs(off[worst]) > TOLERANCE_MG_CM3 or found["category"] != shipped["category"]:
        raise defect("self-test-failed", found=now.get(worst, float("nan")), right=before[worst], level=worst)
    return Phrase("found-numbers", {"number": len(before), "apart": abs(off[worst])})


def demo_numbers() -> dict[str, Any]:
    """What the recipe reads in the demo's virtual patient, in pixels twice as wide so that it is quick."""
    from trabecula.export.bundle import Wanted
    from trabecula.recipes import recipe_named
    from trabecula.screening import assess, read_input
    from trabecula.serving.demo import PROTOCOL
    from trabecula.virtual.cohort import scan_patient
    from trabecula.virtual.study import header_of, write_dicom
    from trabecula.virtual.subject import sample_subject

    ct = scan_patient(sample_subject(SEED), replace(PROTOCOL, pixel_mm=1.5), Level.T9, Level.L5, SEED)
    with tempfile.TemporaryDirectory(prefix="trabecula-check-") as folder:
        write_dicom(ct.volume, Path(folder) / "ct", seed=SEED, header=header_of(ct.subject, ct.protocol))
        assessment = assess(read_input(Path(folder) / "ct", Wanted()), recipe_named(RECIPE))
    densities = {
        one.level.value: round(one.density.value, 2) for one in assessment.readings.vertebrae if one.density is not None
    }
    return {
        "weights": dict(sorted(assessment.run["weights_sha256"].items())),
        "densities_mg_cm3": densities,
        "category": assessment.diagnosis.category.value,
    }


def write_shipped() -> None:
    """Writes what is right for the weights that are here; for a new release of them."""
    SHIPPED.write_text(json.dumps(demo_numbers(), indent=1) + "\n", encoding="utf-8")
