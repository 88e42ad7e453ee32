"""What pages show of a study and its versions, in words and rounded as the report rounds."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trabecula.anatomy import MEASURED_LEVELS, Level
from trabecula.messages import Phrase, joined, likely, messages
from trabecula.palette import colour_of, swatch_of
from trabecula.quantity import BANDS, QUANTITIES, Measurement, rounded
from trabecula.records import Assessment, Reason, VertebraReading
from trabecula.report.beside import beside
from trabecula.report.curve import curve
from trabecula.report.verdict import Verdict
from trabecula.report.words import Words, unit_shown
from trabecula.screening import STAGES
from trabecula.serving.web.parts import told
from trabecula.studies.correction import CAUSES
from trabecula.studies.result import result_from
from trabecula.studies.store import Store, seconds_since
from trabecula.studies.tables import Study, Version
from trabecula.volume import Point, point

SCALE_END = 5 / 3
"""Where the scale ends, in parts of the upper cut: at 200 mg/cm3."""
DOWNLOADS = ("report.pdf", "report.html", "assessment.json", "regions.nii.gz", "dicom.zip", "fhir.json")
SOON_SECONDS = 90
"""Above it, time is told in minutes."""

FIRST_SHARE = 0.15
"""Where nothing is known of earlier studies, no time is told before this share is done."""


@dataclass(frozen=True)
class Progress:
    """How far a study is: what the page polls."""

    state: str
    words: str
    share: float
    ahead: int
    left: str = ""

    def to_dict(self) -> dict[str, Any]:
        told = {"state": self.state, "words": self.words, "share": round(self.share, 3), "ahead": self.ahead}
        return told | {"left": self.left}


@dataclass(frozen=True)
class Pace:
    """What there is to tell how long studies still take."""

    ahead: int = 0  # jobs that come first
    began_utc: str = ""
    typical_seconds: float | None = None

    def left_seconds(self, study: Study) -> float | None:
        """How long until the study has ended; None where nothing is known."""
        if study.state == "queued":
            return None if self.typical_seconds is None else self.typical_seconds * (self.ahead + 1)
        if study.state != "running" or not self.began_utc:
            return None
        passed = seconds_since(self.began_utc) or 0.0
        if self.typical_seconds is not None:
            return max(self.typical_seconds - passed, 2.0)
        return passed * (1 - study.progress) / study.progress if study.progress > FIRST_SHARE else None


def paces(store: Store) -> dict[str, Pace]:
    """The pace of every study that waits or runs."""
    typical, began = store.typical_seconds(), {job.study_id: job.started_utc for job in store.running_jobs()}
    return {study.id: Pace(ahead, began.get(study.id, ""), typical) for study, ahead in store.active()}


def progress_of(study: Study, pace: Pace, language: str) -> Progress:
    """How far the study is."""
    words = state_words(study, language)
    if study.state == "queued" and pace.ahead:
        words = told(language, "web-state-queued-ahead", ahead=pace.ahead)
    elif study.state == "running" and study.stage in STAGES:
        words = told(language, f"web-stage-{study.stage}")
    seconds, left = pace.left_seconds(study), ""
    if seconds is not None and seconds < SOON_SECONDS:
        left = told(language, "web-left-seconds", seconds=max(5, 5 * round(seconds / 5)))
    elif seconds is not None:
        left = told(language, "web-left-minutes", minutes=seconds / 60)
    return Progress(study.state, words, study.progress, pace.ahead, left)


def state_words(study: Study, language: str) -> str:
    """Where a study stands: with the program, or, once it is done, with people."""
    return told(language, f"web-state-{study.standing or study.state if study.state == 'done' else study.state}")


def stages_of(study: Study, language: str) -> list[dict[str, str]]:
    """Every stage with whether it is over, under way or still to come."""
    at = STAGES.index(study.stage) if study.stage in STAGES else (len(STAGES) if study.state == "done" else -1)
    return [
        {
            "key": stage,
            "words": told(language, f"web-stage-{stage}"),
            "standing": "over" if i < at else "now" if i == at else "ahead",
        }
        for i, stage in enumerate(STAGES)
    ]


def row_of(study: Study, pace: Pace, language: str) -> dict[str, Any]:
    """One line of the list of studies."""
    return {
        "id": study.id,
        "label": study.label,
        "received": study.received_utc,
        "progress": progress_of(study, pace, language),
        "standing": study.standing if study.state == "done" else study.state,
        "code": study.code,
        "doubts": study.doubts.split(),
        "scanner": study.scanner,
        "category": study.category,
        "others": [one for one in study.reach.split() if one != study.category],
        "density": shown_short(study),
        "patient": patient(study.sex, study.age_years, language),
        "corrected": study.latest > 1,
    }


def patient(sex: str | None, age_years: float | None, language: str) -> str:
    """All that is told of the patient."""
    parts = [told(language, f"web-sex-{sex.lower()}")] if sex in ("F", "M") else []
    if age_years is not None:
        parts.append(told(language, "web-age-90" if age_years >= 90 else "web-age", years=age_years))
    return messages(language)["list-separator"].join(parts) or told(language, "not-recorded")


def result_of(version: Version, language: str) -> dict[str, Any]:
    """All that the study page shows of one version."""
    kept = result_from(version.assessment, version.names)
    assessment = kept.assessment
    diagnosis, density = assessment.diagnosis, assessment.diagnosis.density
    said, quantity = assessment.scan.acquisition, assessment.quantity
    shares = sorted(diagnosis.probabilities.items(), key=lambda item: -item[1])
    return {
        "number": version.number,
        "made": version.made_utc,
        "by": version.made_by,
        "based_on": version.based_on,
        "notes": json.loads(version.notes),
        "files": version.files,
        "category": diagnosis.category,
        "others": [one for one in diagnosis.candidates if one is not diagnosis.category],
        "fractures": [one.told(language) for one in assessment.fractures],
        "determined": diagnosis.determined,
        "density": None if density is None else density.shown,
        "interval": None if density is None else interval_shown(density, language),
        "unit": None if quantity is None else unit_shown(quantity),
        "material": None if quantity is None else quantity.material,
        "levels": joined(diagnosis.levels_used).told(language),
        "basis": diagnosis.basis,
        "classified": any(one.probabilities for one in assessment.readings.vertebrae),
        "probabilities": [(category, likely(p).told(language), p) for category, p in shares],
        "scale": scale(density, language),
        "vertebrae": [_vertebra(assessment, one, language) for one in assessment.readings.vertebrae],
        **_weighed(assessment, language),
        "patient": patient(said.patient_sex, said.patient_age_years, language),
        "recipe": assessment.recipe,
        "pending": version.pending,
        "outlined": assessment.regions is not None,
        "marks": marks(assessment),
        "history": curve(Words(assessment, language)),
        "population": beside(assessment, language)["curve"],
    }


def _weighed(assessment: Assessment, language: str) -> dict[str, Any]:
    """What to check first, the other doubts by weight, and what is only noted; and what else the interval allows."""
    verdict = Verdict(assessment, language)
    told_all = verdict.told

    def shown(reasons: Sequence[Reason]) -> list[tuple[str, str]]:
        return [(one.told(language), one.code) for one in reasons]

    first = shown([] if told_all.first is None else [told_all.first])
    return {
        "first": first[0] if first else None,
        "undoubted": verdict.undoubted(),
        "crossing": verdict.crossing(),
        "doubts": shown(told_all.doubts),
        "notes_on": shown(told_all.notes),
    }


def shown_short(study: Study) -> str | None:
    """The density in the list with its unit, with one digit less than its kind has."""
    if study.density is None or study.quantity is None:
        return None
    quantity = QUANTITIES[study.quantity]
    return f"{rounded(quantity, study.density, max(0, quantity.digits - 1)):g} {unit_shown(quantity)}"


def interval_shown(density: Measurement, language: str) -> str:
    """The ends of the interval, with one digit less than its kind has."""
    digits = max(0, density.quantity.digits - 1)
    low, high = (f"{end:.{digits}f}" for end in density.interval)
    return told(language, "range", low=low, high=high)


def scale(density: Measurement | None, language: str) -> dict[str, Any] | None:
    """Where value, interval and bands lie on a scale of 0 to 100; None where there are no bands for it."""
    bands = None if density is None else BANDS.get(density.quantity.key)
    if density is None or bands is None:
        return None
    last = max(SCALE_END * bands.normal_above, density.value, *density.interval)

    def at(value: float) -> float:
        return round(100 * min(max(value, 0.0), last) / last, 2)

    low, high = bands.edges
    first, final = density.interval
    words = told(language, "web-scale", low=low, high=high)
    return {
        "low": at(low),
        "high": at(high),
        "at": at(density.value),
        "from": at(first),
        "to": at(final),
        "words": words,
    }


def marks(assessment: Assessment) -> list[dict[str, Any]]:
    """The vertebrae as the viewer names, colours and finds them: measured ones, and those that were only seen.

    ``low`` and ``high`` are corners of the body's box as it was localised, ``middle`` its middle; RAS mm.
    """
    volume, measured = assessment.scan.volume, {one.level: one for one in assessment.readings.vertebrae}
    boxes = {box.level: box for box in assessment.spine.vertebrae}
    found = []
    for level in [*measured, *(level for level in boxes if level not in measured)]:
        box, reading = boxes.get(level), measured.get(level)
        if box is None:
            low = high = (math.nan,) * 3
        else:
            y = assessment.spine.middle(box)[1]
            ends = [[box.z_range[i], y, box.x_range[i]] for i in (0, 1)]
            low, high = (point(end * RAS) for end in volume.to_lps(np.array(ends)))
        if reading is not None:
            middle = point(np.array(reading.centroid_lps_mm) * RAS)
        else:
            assert box is not None
            middle = point(volume.to_lps(assessment.spine.middle(box)) * RAS)
        found.append(
            {
                "level": str(level),
                "short": str(level).replace("unknown-", "?"),
                "label": level.verse_id,
                "colour": colour_of(level),
                "measured": reading is not None,
                "withheld": reading is not None and reading.withheld,
                "middle": [round(value, 2) for value in middle],
                "half": _half(low, high),
            }
        )
    return found


RAS = np.array([-1.0, -1.0, 1.0])
"""LPS mm times this are RAS mm, in which the viewer reckons."""

USUAL_HALF_MM = (22.0, 17.0, 13.0)
"""Of a vertebral body: half its width, depth and height, where no box was found."""


def _half(low: Point, high: Point) -> list[float]:
    spans = [abs(b - a) / 2 for a, b in zip(low, high, strict=True)]
    return [round(span if span > 2 else usual, 2) for span, usual in zip(spans, USUAL_HALF_MM, strict=True)]


def correction_choices(language: str) -> dict[str, Any]:
    """What the form for corrections offers."""
    causes = {key: cause.told(language) for key, cause in CAUSES.items()}
    return {"levels": [str(level) for level in MEASURED_LEVELS], "causes": causes}


def _vertebra(assessment: Assessment, one: VertebraReading, language: str) -> dict[str, Any]:
    used = assessment.diagnosis.decided_by(one.level)
    standing = "used" if used else "withheld" if one.withheld else "not-used"
    return {
        "level": str(one.level),
        "swatch": swatch_of(one.level),
        "density": None if one.density is None else one.density.shown,
        "interval": "-" if one.density is None else interval_shown(one.density, language),
        "category": _category(one, language),
        "mean_hu": f"{one.mean_hu:.0f}" if math.isfinite(one.mean_hu) else "-",
        "standing": standing,
        "standing_words": told(language, standing),
        "reasons": [(reason.told(language), reason.code) for reason in one.reasons],
    }


def _category(one: VertebraReading, language: str) -> str:
    """What a classifier finds likeliest of a vertebra."""
    if one.likeliest is None or one.probabilities is None:
        return "-"
    share = likely(one.probabilities[one.likeliest])
    return told(language, "probability", category=Phrase(f"category-{one.likeliest}"), share=share)


def level_of(name: str) -> Level | None:
    """The level of this name, if there is one."""
    return next((level for level in Level if level.value == name), None)
