"""What pages show of a study and its versions, in words and rounded as the report rounds."""

import json
from dataclasses import dataclass
from typing import Any

from trabecula.anatomy import MEASURED_LEVELS, Level
from trabecula.flow.document import BANDS_MG_CM3, rounded_bmd
from trabecula.messages import LANGUAGES, messages
from trabecula.screening import STAGES
from trabecula.studies.correction import CAUSES
from trabecula.studies.record import Record, record_from
from trabecula.studies.tables import Study, Version

STAGE_WORDS = {
    "read": "Reading the images",
    "localise": "Finding the vertebrae",
    "segment": "Outlining trabecular bone",
    "measure": "Measuring density",
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

SCALE_MG_CM3 = (0.0, 200.0)
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
        "bmd": None if study.bmd_mg_cm3 is None else f"{rounded_bmd(study.bmd_mg_cm3, 0):g}",
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
    record = record_from(version.record)
    document = json.loads(version.document)
    diagnosis = record.diagnosis
    bmd, interval = diagnosis.bmd_mg_cm3, diagnosis.bmd_interval_mg_cm3
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
        "bmd": None if bmd is None else f"{rounded_bmd(bmd, 1)}",
        "interval": _interval(interval),
        "levels": " and ".join(diagnosis.levels_used),
        "probabilities": [(category, "under 1%" if p < 0.005 else f"{100 * p:.0f}%", p) for category, p in likely],
        "scale": scale(bmd, interval),
        "vertebrae": [_vertebra(record, i) for i in range(len(record.densities.vertebrae))],
        "reasons": document["reasons"],
        "patient": patient(record.acquisition.patient_sex, record.acquisition.patient_age_years),
        "recipe": record.recipe,
        "colours": label_colours(record),
    }


def scale(bmd: float | None, interval: tuple[float, float] | None) -> dict[str, Any]:
    """Where value, interval and bands lie on a scale of 0 to 100."""
    low, high = BANDS_MG_CM3
    last = max(SCALE_MG_CM3[1], bmd or 0.0, *(interval or (0.0,)))

    def at(value: float) -> float:
        return round(100 * min(max(value, 0.0), last) / last, 2)

    return {
        "low": at(low),
        "high": at(high),
        "at": None if bmd is None else at(bmd),
        "from": None if interval is None else at(interval[0]),
        "to": None if interval is None else at(interval[1]),
    }


def label_colours(record: Record) -> dict[int, str]:
    """The colour of each region's label in the viewer."""
    return {
        one.level.verse_id: LABEL_COLOURS[i % len(LABEL_COLOURS)] for i, one in enumerate(record.densities.vertebrae)
    }


def correction_choices() -> dict[str, Any]:
    """What the form for corrections offers."""
    causes = {key: cause.told() for key, cause in CAUSES.items()}
    return {"levels": [str(level) for level in MEASURED_LEVELS], "causes": causes}


def _vertebra(record: Record, i: int) -> dict[str, Any]:
    one = record.densities.vertebrae[i]
    used = record.diagnosis.bmd_mg_cm3 is not None and one.level in record.diagnosis.levels_used
    x, y, z = one.centroid_lps_mm
    return {
        "level": str(one.level),
        "colour": i % len(LABEL_COLOURS),
        "bmd": None if one.bmd_mg_cm3 is None else f"{rounded_bmd(one.bmd_mg_cm3, 1)}",
        "interval": _interval(one.bmd_interval_mg_cm3) or "-",
        "mean_hu": f"{one.mean_hu:.0f}" if one.mean_hu == one.mean_hu else "-",
        "standing": "used" if used else "not used" if one.measurable else "withheld",
        "reasons": one.reasons,
        "ras_mm": f"{-x:.2f},{-y:.2f},{z:.2f}",
    }


def _interval(interval: tuple[float, float] | None) -> str | None:
    return None if interval is None else f"{interval[0]:.0f} to {interval[1]:.0f}"


def level_of(name: str) -> Level | None:
    """The level of this name, if there is one."""
    return next((level for level in Level if level.value == name), None)
