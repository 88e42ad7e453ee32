"""What pages show of a study and its versions, in words and rounded as the report rounds."""

import json
import math
from dataclasses import dataclass
from typing import Any

from trabecula.anatomy import MEASURED_LEVELS, Level
from trabecula.messages import LANGUAGES, joined, messages
from trabecula.quantity import BANDS, QUANTITIES, Measurement, rounded
from trabecula.records import Assessment, Diagnosis, VertebraReading
from trabecula.report.page import unit_shown
from trabecula.screening import STAGES
from trabecula.studies.correction import CAUSES
from trabecula.studies.result import result_from
from trabecula.studies.tables import Study, Version

STAGE_WORDS = {
    "read": "Reading the images",
    "localise": "Finding the vertebrae",
    "segment": "Outlining trabecular bone",
    "calibrate": "Calibrating",
    "measure": "Measuring density",
    "exclude": "Leaving out what misleads",
    "diagnose": "Diagnosing",
    "report": "Writing the report",
}
STATE_WORDS = {
    "queued": "Waiting",
    "running": "Being screened",
    "done": "Done",
    "refused": "Refused",
    "failed": "Failed",
}
LABEL_COLOURS = ("#4f9dff", "#ffb000", "#3ecf8e", "#ff6f91", "#b48cff", "#ff9f5a", "#5ad1d1", "#d7d250")
"""Told apart by people with any colour vision only together with the names that stand beside them."""

SCALE_END = 5 / 3
"""Where the scale ends, in parts of the upper cut: at 200 mg/cm3."""
DOWNLOADS = (
    ("report.pdf", "Report, PDF"),
    ("report.html", "Report, one HTML page"),
    ("assessment.json", "All figures, JSON"),
    ("regions.nii.gz", "Regions, NIfTI"),
    ("dicom.zip", "DICOM: SEG, SR, PDF, picture"),
    ("fhir.json", "FHIR R4 Bundle"),
)


@dataclass(frozen=True)
class Progress:
    """How far a study is: what the page polls."""

    state: str
    words: str
    share: float
    ahead: int

    def to_dict(self) -> dict[str, Any]:
        return {"state": self.state, "words": self.words, "share": round(self.share, 3), "ahead": self.ahead}


def language_names() -> list[tuple[str, str]]:
    """Every language of the report by its key and its own name."""
    return [(key, messages(key)["language-name"]) for key in LANGUAGES]


def progress_of(study: Study, ahead: int) -> Progress:
    """How far the study is, with ``ahead`` jobs before it."""
    words = STATE_WORDS[study.state]
    if study.state == "queued" and ahead:
        words = f"Waiting, {ahead} ahead"
    elif study.state == "running":
        words = STAGE_WORDS.get(study.stage, words)
    return Progress(study.state, words, study.progress, ahead)


def stages_of(study: Study) -> list[dict[str, str]]:
    """Every stage with whether it is over, under way or still to come."""
    at = STAGES.index(study.stage) if study.stage in STAGES else (len(STAGES) if study.state == "done" else -1)
    return [
        {"key": stage, "words": STAGE_WORDS[stage], "standing": "over" if i < at else "now" if i == at else "ahead"}
        for i, stage in enumerate(STAGES)
    ]


def row_of(study: Study, ahead: int) -> dict[str, Any]:
    """One line of the list of studies."""
    return {
        "id": study.id,
        "label": study.label,
        "received": when(study.received_utc),
        "progress": progress_of(study, ahead),
        "code": study.code,
        "category": study.category,
        "density": shown_short(study),
        "patient": patient(study.sex, study.age_years),
        "corrected": study.latest > 1,
    }


def patient(sex: str | None, age_years: float | None) -> str:
    """All that is told of the patient."""
    parts = [{"F": "woman", "M": "man"}.get(sex or "", ""), "" if age_years is None else _age(age_years)]
    return ", ".join(part for part in parts if part) or "not recorded"


def _age(years: float) -> str:
    return "90 or older" if years >= 90 else f"{years:.0f} y"


def when(utc: str) -> str:
    """A time as people read it."""
    return utc[:16].replace("T", " ") + " UTC"


def result_of(version: Version) -> dict[str, Any]:
    """All that the study page shows of one version."""
    assessment = result_from(version.assessment, version.names).assessment
    diagnosis, density = assessment.diagnosis, assessment.diagnosis.density
    said, quantity = assessment.scan.acquisition, assessment.quantity
    likely = sorted(diagnosis.probabilities.items(), key=lambda item: -item[1])
    return {
        "number": version.number,
        "made": when(version.made_utc),
        "by": version.made_by,
        "based_on": version.based_on,
        "changes": json.loads(version.changes),
        "notes": json.loads(version.notes),
        "files": version.files,
        "category": diagnosis.category,
        "others": [one for one in diagnosis.candidates if one is not diagnosis.category],
        "fractures": [one.message for one in assessment.fractures],
        "determined": diagnosis.determined,
        "density": None if density is None else density.shown,
        "interval": None if density is None else interval_shown(density),
        "unit": None if quantity is None else unit_shown(quantity),
        "material": None if quantity is None else quantity.material,
        "levels": joined(diagnosis.levels_used).told(),
        "basis": diagnosis.basis,
        "classified": any(one.probabilities for one in assessment.readings.vertebrae),
        "probabilities": [(category, "under 1%" if p < 0.005 else f"{100 * p:.0f}%", p) for category, p in likely],
        "scale": scale(density),
        "vertebrae": [_vertebra(diagnosis, one, i) for i, one in enumerate(assessment.readings.vertebrae)],
        "reasons": assessment.reasons,
        "patient": patient(said.patient_sex, said.patient_age_years),
        "recipe": assessment.recipe,
        "colours": label_colours(assessment),
    }


def shown_short(study: Study) -> str | None:
    """The density in the list with its unit, with one digit less than its kind has."""
    if study.density is None or study.quantity is None:
        return None
    quantity = QUANTITIES[study.quantity]
    return f"{rounded(quantity, study.density, max(0, quantity.digits - 1)):g} {unit_shown(quantity)}"


def interval_shown(density: Measurement) -> str:
    """The ends of the interval, with one digit less than its kind has."""
    digits = max(0, density.quantity.digits - 1)
    low, high = density.interval
    return f"{low:.{digits}f} to {high:.{digits}f}"


def scale(density: Measurement | None) -> dict[str, Any] | None:
    """Where value, interval and bands lie on a scale of 0 to 100; None where there are no bands for it."""
    bands = None if density is None else BANDS.get(density.quantity.key)
    if density is None or bands is None:
        return None
    last = max(SCALE_END * bands.normal_above, density.value, *density.interval)

    def at(value: float) -> float:
        return round(100 * min(max(value, 0.0), last) / last, 2)

    low, high = bands.edges
    first, final = density.interval
    words = f"osteoporosis < {low:g} ≤ osteopenia ≤ {high:g} < normal"
    return {
        "low": at(low),
        "high": at(high),
        "at": at(density.value),
        "from": at(first),
        "to": at(final),
        "words": words,
    }


def label_colours(assessment: Assessment) -> dict[int, str]:
    """The colour of each region's label in the viewer."""
    return {
        one.level.verse_id: LABEL_COLOURS[i % len(LABEL_COLOURS)] for i, one in enumerate(assessment.readings.vertebrae)
    }


def correction_choices() -> dict[str, Any]:
    """What the form for corrections offers."""
    causes = {key: cause.told() for key, cause in CAUSES.items()}
    return {"levels": [str(level) for level in MEASURED_LEVELS], "causes": causes}


def _vertebra(diagnosis: Diagnosis, one: VertebraReading, i: int) -> dict[str, Any]:
    used = diagnosis.decided_by(one.level)
    x, y, z = one.centroid_lps_mm
    return {
        "level": str(one.level),
        "colour": i % len(LABEL_COLOURS),
        "density": None if one.density is None else one.density.shown,
        "interval": "-" if one.density is None else interval_shown(one.density),
        "category": _category(one),
        "mean_hu": f"{one.mean_hu:.0f}" if math.isfinite(one.mean_hu) else "-",
        "standing": "used" if used else "withheld" if one.withheld else "not used",
        "reasons": one.reasons,
        "ras_mm": f"{-x:.2f},{-y:.2f},{z:.2f}",
    }


def _category(one: VertebraReading) -> str:
    """What a classifier finds likeliest of a vertebra."""
    if one.likeliest is None or one.probabilities is None:
        return "-"
    return f"{one.likeliest.capitalize()} {one.probabilities[one.likeliest]:.0%}"


def level_of(name: str) -> Level | None:
    """The level of this name, if there is one."""
    return next((level for level in Level if level.value == name), None)
