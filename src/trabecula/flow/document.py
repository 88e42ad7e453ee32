"""assessment.json as typed models: the contract others hold on to, schema ``trabecula.assessment/1``.

The keys below are the contract; further facts stand only in ``scan``, ``calibration`` and ``run``. No value is ever
NaN: what is not known is null.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from trabecula.records import Assessment, Diagnosis, Reason, VertebraDensity

SCHEMA: Literal["trabecula.assessment/1"] = "trabecula.assessment/1"
BANDS_MG_CM3 = (80.0, 120.0)
"""ACR / ISCD QCT bands, K2HPO4: osteoporosis below the first, normal above the second, both included in osteopenia."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ReasonEntry(_Entry):
    """A doubt or a correction: a stable code and a sentence."""

    code: str
    message: str


class VertebraEntry(_Entry):
    """One vertebra, measured or withheld. BMD is K2HPO4-equivalent; a withheld one has none."""

    level: str
    centroid_lps_mm: tuple[float, float, float]
    bmd_mg_cm3: float | None
    bmd_interval_mg_cm3: tuple[float, float] | None
    mean_hu: float | None
    sd_hu: float | None
    volume_mm3: float
    measurable: bool
    reasons: tuple[ReasonEntry, ...]


class DiagnosisEntry(_Entry):
    """The category and what it rests on."""

    category: Literal["normal", "osteopenia", "osteoporosis", "undetermined"]
    bmd_mg_cm3: float | None
    bmd_interval_mg_cm3: tuple[float, float] | None
    probabilities: dict[str, float]
    levels_used: tuple[str, ...]


class AssessmentDocument(_Entry):
    """The whole of assessment.json."""

    schema_name: Literal["trabecula.assessment/1"] = Field(alias="schema")
    recipe: str
    scan: dict[str, Any]
    vertebrae: tuple[VertebraEntry, ...]
    diagnosis: DiagnosisEntry
    calibration: dict[str, Any]
    reasons: tuple[ReasonEntry, ...]
    run: dict[str, Any]

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False, allow_nan=False)


def document(assessment: Assessment, run: Mapping[str, Any]) -> AssessmentDocument:
    """The assessment as it is written down; ``run`` is its run record."""
    return AssessmentDocument(
        schema=SCHEMA,
        recipe=assessment.recipe,
        scan=_scan(assessment),
        vertebrae=tuple(_vertebra(vertebra) for vertebra in assessment.densities.vertebrae),
        diagnosis=_diagnosis(assessment.diagnosis),
        calibration=plain(assessment.densities.calibration),
        reasons=_reasons(assessment.reasons),
        run=plain(run),
    )


def rounded_bmd(bmd_mg_cm3: float, digits: int) -> float:
    """Rounded, but never across a band's edge: 79.97 is osteoporosis and may not be shown as 80.0."""
    while digits < 12 and _band(round(bmd_mg_cm3, digits)) != _band(bmd_mg_cm3):
        digits += 1
    return round(bmd_mg_cm3, digits)


def plain(value: Any) -> Any:
    """A value as JSON knows it: finite numbers of six figures, lists, objects, strings, null."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | None):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return [plain(item) for item in value]
    return str(value)


def _band(bmd_mg_cm3: float) -> int:
    low, high = BANDS_MG_CM3
    return (bmd_mg_cm3 >= low) + (bmd_mg_cm3 > high)


def _scan(assessment: Assessment) -> dict[str, Any]:
    scan = assessment.scan
    facts = plain(dataclasses.asdict(scan.acquisition))
    facts["shape_zyx"] = list(scan.volume.shape)
    facts["spacing_zyx_mm"] = plain(scan.volume.spacing_mm)
    facts["vertebrae_in_view"] = [
        {"level": str(box.level), "confidence": plain(box.confidence)} for box in assessment.spine.vertebrae
    ]
    return dict(facts)


def _vertebra(vertebra: VertebraDensity) -> VertebraEntry:
    x, y, z = (round(float(length), 2) for length in vertebra.centroid_lps_mm)
    bmd, interval = vertebra.bmd_mg_cm3, vertebra.bmd_interval_mg_cm3
    return VertebraEntry(
        level=str(vertebra.level),
        centroid_lps_mm=(x, y, z),
        bmd_mg_cm3=None if bmd is None else rounded_bmd(float(bmd), 2),
        bmd_interval_mg_cm3=_interval(interval),
        mean_hu=_finite(vertebra.mean_hu),
        sd_hu=_finite(vertebra.sd_hu),
        volume_mm3=round(float(vertebra.volume_mm3), 1),
        measurable=vertebra.measurable,
        reasons=_reasons(vertebra.reasons),
    )


def _interval(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (round(float(interval[0]), 2), round(float(interval[1]), 2))


def _diagnosis(diagnosis: Diagnosis) -> DiagnosisEntry:
    bmd = diagnosis.bmd_mg_cm3
    return DiagnosisEntry.model_validate(
        {
            "category": diagnosis.category,
            "bmd_mg_cm3": None if bmd is None else rounded_bmd(float(bmd), 2),
            "bmd_interval_mg_cm3": _interval(diagnosis.bmd_interval_mg_cm3),
            "probabilities": plain(diagnosis.probabilities),
            "levels_used": tuple(str(level) for level in diagnosis.levels_used),
        }
    )


def _reasons(reasons: tuple[Reason, ...]) -> tuple[ReasonEntry, ...]:
    return tuple(ReasonEntry(code=reason.code, message=reason.message) for reason in reasons)


def _finite(value: float) -> float | None:
    return round(float(value), 2) if math.isfinite(value) else None
