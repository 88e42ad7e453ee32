"""The cohort as a table, a row for each vertebra of each study's newest version; one schema for CSV and Parquet."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from trabecula.records import Assessment, VertebraReading
from trabecula.records.doubts import check_first
from trabecula.studies.result import result_from
from trabecula.studies.store import reach_of
from trabecula.studies.tables import Study, Version

if TYPE_CHECKING:
    import pyarrow as pa

CSV, PARQUET = "vertebrae.csv", "vertebrae.parquet"
WORD, NUMBER, COUNT = "string", "double", "int64"
COLUMNS = {
    "study": COUNT,
    "label": WORD,
    "version": COUNT,
    "made_by": WORD,
    "received_utc": WORD,
    "state": WORD,
    "recipe": WORD,
    "sex": WORD,
    "age_years": NUMBER,
    "manufacturer": WORD,
    "model": WORD,
    "tube_voltage_kvp": NUMBER,
    "kernel": WORD,
    "slice_thickness_mm": NUMBER,
    "category": WORD,
    "reach": WORD,
    "result_density": NUMBER,
    "result_density_low": NUMBER,
    "result_density_high": NUMBER,
    "result_quantity": WORD,
    "result_unit": WORD,
    "level": WORD,
    "standing": WORD,
    "density": NUMBER,
    "density_low": NUMBER,
    "density_high": NUMBER,
    "quantity": WORD,
    "unit": WORD,
    "vertebra_category": WORD,
    "mean_hu": NUMBER,
    "sd_hu": NUMBER,
    "volume_mm3": NUMBER,
    "reasons": WORD,
    "check_first": WORD,
    "result_reasons": WORD,
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for a formula at the head of a text: an apostrophe is set before it."""


def table_of(found: Sequence[tuple[Study, list[Version]]]) -> "pa.Table":
    """The table; a study without a vertebra has one row that says so by having no level."""
    import pyarrow as pa

    rows = [row for study, kept in found for row in _rows(study, kept[-1])]
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, kind) for name, kind in COLUMNS.items()]))


def as_csv(table: "pa.Table") -> bytes:
    """Comma-separated values with a header; texts cannot be taken for formulas."""
    from pyarrow import csv

    held = BytesIO()
    safe = [{name: _text(value) for name, value in row.items()} for row in table.to_pylist()]
    csv.write_csv(type(table).from_pylist(safe, schema=table.schema), held)
    return held.getvalue()


def as_parquet(table: "pa.Table") -> bytes:
    """Parquet, compressed."""
    from pyarrow import parquet

    held = BytesIO()
    parquet.write_table(table, held)
    return held.getvalue()


def _rows(study: Study, version: Version) -> list[dict[str, Any]]:
    assessment = result_from(version.assessment, version.names).assessment
    whole = _of_study(study, version, assessment)
    return [whole | _of_vertebra(assessment, one) for one in assessment.readings.vertebrae] or [whole]


def _of_study(study: Study, version: Version, assessment: Assessment) -> dict[str, Any]:
    said, density = assessment.scan.acquisition, assessment.diagnosis.density
    first = check_first(assessment)
    return {
        "study": study.number,
        "label": study.label,
        "version": version.number,
        "made_by": version.made_by,
        "received_utc": study.received_utc,
        "state": study.standing,
        "recipe": assessment.recipe,
        "sex": said.patient_sex,
        "age_years": said.patient_age_years,
        "manufacturer": said.manufacturer,
        "model": said.model,
        "tube_voltage_kvp": said.tube_voltage_kvp,
        "kernel": said.kernel,
        "slice_thickness_mm": said.slice_thickness_mm,
        "category": str(assessment.diagnosis.category),
        "reach": " ".join(reach_of(assessment)),
        "result_density": None if density is None else density.value,
        "result_density_low": None if density is None else density.interval[0],
        "result_density_high": None if density is None else density.interval[1],
        "result_quantity": None if density is None else density.quantity.key,
        "result_unit": None if density is None else density.quantity.unit,
        "check_first": None if first is None else first.code,
        "result_reasons": " ".join(one.code for one in assessment.reasons),
    }


def _of_vertebra(assessment: Assessment, one: VertebraReading) -> dict[str, Any]:
    used = assessment.diagnosis.decided_by(one.level)
    told: dict[str, Any] = {
        "level": str(one.level),
        "standing": "used" if used else "withheld" if one.withheld else "not used",
        "vertebra_category": None if one.likeliest is None else str(one.likeliest),
        "mean_hu": _finite(one.mean_hu),
        "sd_hu": _finite(one.sd_hu),
        "volume_mm3": one.volume_mm3,
        "reasons": " ".join(reason.code for reason in one.reasons),
    }
    if one.density is not None:
        low, high = one.density.interval
        told |= {"density": one.density.value, "density_low": low, "density_high": high}
        told |= {"quantity": one.density.quantity.key, "unit": one.density.quantity.unit}
    return told


def _finite(value: float) -> float | None:
    return value if value - value == 0 else None


def _text(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
