"""A study's row: every figure of its result, or the code and the sentence why there is none."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trabecula.anatomy import USUAL_LEVELS, Level
from trabecula.batch.studies import Item
from trabecula.errors import Refusal, TrabeculaError
from trabecula.messages import DEFAULT_LANGUAGE
from trabecula.quantity import CATEGORIES, Measurement
from trabecula.records import Assessment, Effect, Reason

LEVELS = USUAL_LEVELS[USUAL_LEVELS.index(Level.T11) :]
Cell = str | float | int | None
Row = dict[str, Cell]

TEXT, REAL, WHOLE = "text", "real", "whole"
ABOUT = {"number": WHOLE, "name": TEXT, "input": TEXT, "key": TEXT, "state": TEXT, "code": TEXT, "message": TEXT}
RESULT = {
    "recipe": TEXT,
    "category": TEXT,
    "candidates": TEXT,
    **{f"p_{category}": REAL for category in CATEGORIES},
    "density": REAL,
    "density_low": REAL,
    "density_high": REAL,
    "quantity": TEXT,
    "unit": TEXT,
    "levels_used": TEXT,
    "withheld": TEXT,
    "withheld_codes": TEXT,
    "doubts": TEXT,
    "notes": TEXT,
    "fractures": TEXT,
}
LEVEL = {
    f"{what}_{level.value.lower()}": REAL for level in LEVELS for what in ("density", "mean_hu", "sd_hu", "volume_cm3")
}
SCAN = {
    "sex": TEXT,
    "age_years": REAL,
    "manufacturer": TEXT,
    "model": TEXT,
    "kernel": TEXT,
    "tube_voltage_kvp": REAL,
    "slice_thickness_mm": REAL,
    "contrast_agent": TEXT,
    "month": TEXT,
    "scan": TEXT,
    "seconds": REAL,
}
COLUMNS: Mapping[str, str] = {**ABOUT, **RESULT, **LEVEL, **SCAN}
"""Every column in its order, and what it holds."""

TIMES = ("seconds",)
"""Columns that differ between two runs over the same studies."""

OLDEST_TOLD_YEARS = 90.0


@dataclass(frozen=True)
class Asked:
    """How a batch is screened; the same for all its studies."""

    recipe: str | None = None
    deidentify: bool = False
    reports: str = ""  # the folder that result folders go to; none where empty
    language: str = DEFAULT_LANGUAGE  # of the page and of the results' folders; a row is the same in every language

    @property
    def order(self) -> str:
        """Tells whether a row was made the same way."""
        from trabecula import __version__

        return hashlib.sha256(f"{__version__} {self.recipe} {self.deidentify}".encode()).hexdigest()[:8]


def row_of(item: Item, asked: Asked, assessment: Assessment, seconds: float) -> Row:
    """The row of a result."""
    diagnosis, readings = assessment.diagnosis, assessment.readings
    withheld = [one for one in readings.vertebrae if one.withheld]
    every = [*assessment.reasons, *(reason for one in readings.vertebrae for reason in one.reasons)]
    row: Row = {
        **about(item, asked, "done"),
        "recipe": assessment.recipe,
        "category": diagnosis.category.value,
        "candidates": " ".join(one.value for one in diagnosis.candidates),
        **{f"p_{one}": _number(diagnosis.probabilities.get(one)) for one in CATEGORIES},
        **_density(diagnosis.density),
        "levels_used": " ".join(one.value for one in diagnosis.levels_used),
        "withheld": " ".join(one.level.value for one in withheld),
        "withheld_codes": _codes([reason for one in withheld for reason in one.reasons], Effect.WITHHOLD),
        "doubts": _codes(every, Effect.DOUBT),
        "notes": _codes(every, Effect.NOTE),
        "fractures": str(len(assessment.fractures)),
        **_scan(assessment),
        "seconds": round(seconds, 3),
    }
    for one in readings.vertebrae:
        if one.level in LEVELS:
            end = one.level.value.lower()
            row[f"density_{end}"] = None if one.density is None else _number(one.density.value)
            row[f"mean_hu_{end}"], row[f"sd_hu_{end}"] = _number(one.mean_hu), _number(one.sd_hu)
            row[f"volume_cm3_{end}"] = _number(one.volume_mm3 / 1000)
    return row


def row_without(item: Item, asked: Asked, error: TrabeculaError, seconds: float) -> Row:
    """The row of a study that gave no result: refused where the input is unfit, else failed."""
    state = "refused" if isinstance(error, Refusal) else "failed"
    message = "".join(letter if letter.isprintable() else "?" for letter in error.message)
    return {**about(item, asked, state), "code": error.code, "message": message, "seconds": round(seconds, 3)}


def about(item: Item, asked: Asked, state: str) -> Row:
    """What every row says first; a path may name a patient."""
    hidden = asked.deidentify
    return {
        "number": item.number,
        "name": str(item.number) if hidden else item.name,
        "input": "" if hidden else item.path,
        "key": item.key,
        "state": state,
        "code": "",
        "message": "",
    }


def _density(density: Measurement | None) -> Row:
    if density is None:
        return {}
    low, high = density.interval
    quantity = density.quantity
    figures: Row = {"density": _number(density.value), "density_low": _number(low), "density_high": _number(high)}
    return {**figures, "quantity": quantity.key, "unit": quantity.unit}


def _scan(assessment: Assessment) -> Row:
    said = assessment.scan.acquisition
    uids = (said.study_instance_uid, said.series_instance_uid)
    age = said.patient_age_years
    return {
        "sex": said.patient_sex,
        "age_years": None if age is None else min(age, OLDEST_TOLD_YEARS),
        "manufacturer": said.manufacturer,
        "model": said.model,
        "kernel": said.kernel,
        "tube_voltage_kvp": _number(said.tube_voltage_kvp),
        "slice_thickness_mm": _number(said.slice_thickness_mm),
        "contrast_agent": None if said.contrast_agent is None else "recorded",
        "month": None if said.scanned_on is None else said.scanned_on[:7],
        "scan": None if None in uids else hashlib.sha256("\n".join(map(str, uids)).encode()).hexdigest()[:16],
    }


def _codes(reasons: list[Reason], effect: Effect) -> str:
    return " ".join(dict.fromkeys(one.code for one in reasons if one.effect is effect))


def _number(value: Any) -> float | None:
    """A figure to four digits after the point; None where it is none."""
    return None if value is None or not math.isfinite(value) else round(float(value), 4)
