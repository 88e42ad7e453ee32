"""An assessment as JSON and back, all but its voxels: assessment.json, the contract others hold on to.

Every field of the records stands in it under its own name, so that a new field needs no line here. Beside them stand
the contract's own keys (schema ``trabecula.assessment/1``: ``bmd_mg_cm3``, ``measurable`` and so on), which are
derived and not read back. No value is ever NaN: what is not known is null.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from trabecula.messages import Fact, Phrase
from trabecula.quantity import QUANTITIES, VBMD_K2HPO4, Measurement, Quantity, rounded
from trabecula.records import (
    Acquisition,
    Assessment,
    Calibration,
    Diagnosis,
    Readings,
    Reason,
    Regions,
    Scan,
    Spine,
    VertebraReading,
    VertebraRegion,
)
from trabecula.records.doubts import check_first, reach
from trabecula.records.history import History
from trabecula.records.population import Population
from trabecula.volume import Orientation, Volume

SCHEMA = "trabecula.assessment/1"
Json = dict[str, Any]
Kind = TypeVar("Kind")


def encode(assessment: Assessment, run: Mapping[str, Any] | None = None) -> Json:
    """The assessment as JSON values; ``run`` is its run record where that has grown since."""
    regions = assessment.regions
    return {
        "schema": SCHEMA,
        "recipe": assessment.recipe,
        "scan": _scan(assessment),
        "spine": plain({"vertebrae": assessment.spine.vertebrae, "body_y": assessment.spine.body_y}),
        "regions": None if regions is None else plain(regions.vertebrae),
        "vertebrae": [_vertebra(one) for one in assessment.readings.vertebrae],
        "method": plain(assessment.readings.method),
        "joint": plain(assessment.readings.joint),
        "sex": assessment.readings.sex,
        "history": plain(assessment.history),
        "check_first": plain(check_first(assessment)),
        "diagnosis": _diagnosis(assessment.diagnosis),
        "calibration": _without_reasons(plain(assessment.calibration)),
        "reasons": [
            {**plain(one), "stage": name} for name, stage in assessment.stages.items() for one in stage.reasons
        ],
        "population": plain(assessment.population),
        "run": plain(dict(assessment.run if run is None else run)),
    }


def to_json(assessment: Assessment, run: Mapping[str, Any] | None = None) -> str:
    """``encode`` as text."""
    return json.dumps(encode(assessment, run), indent=1, ensure_ascii=False, allow_nan=False)


def decode(told: Json, scan: Scan | None = None, labels: NDArray[np.uint8] | None = None) -> Assessment:
    """The assessment that ``told`` was made of, with the voxels given, or with none worth looking at.

    Raises:
        KeyError, TypeError, ValueError: it is no assessment, or lacks a field.
    """
    reasons = _reasons_by_stage(told["reasons"])
    if scan is None:
        orientation = _decoded(Orientation, told["scan"]["orientation"])
        scan = Scan(_grid(told["scan"]), orientation, _decoded(Acquisition, told["scan"]), reasons.get("scan", ()))
    regions = None
    if told["regions"] is not None:
        if labels is None:
            labels = np.broadcast_to(np.uint8(0), scan.volume.shape)
        outlined = _decoded(tuple[VertebraRegion, ...], told["regions"])
        regions = Regions(labels, outlined, reasons.get("regions", ()))

    def stage(kind: type[Kind], name: str, value: Json) -> Kind:
        return cast(Kind, _decoded(kind, {**value, "reasons": reasons.get(name, ())}))

    return Assessment(
        _required(told["recipe"], str),
        scan,
        stage(Spine, "spine", told["spine"]),
        regions,
        stage(Calibration, "calibration", told["calibration"]),
        stage(Readings, "readings", {name: told[name] for name in ("vertebrae", "method")} | _since(told)),
        stage(Diagnosis, "diagnosis", told["diagnosis"]),
        _required(told["run"], dict),
        _decoded(Population | None, told.get("population")),
        _decoded(History | None, told.get("history")),
    )


def _since(told: Json) -> Json:
    """Fields of the readings that an assessment of an earlier version does not have."""
    return {name: told[name] for name in ("joint", "sex") if name in told}


def _grid(told: Json) -> Volume:
    """Where the voxels of the scan lay; all of them are 0."""
    shape = _decoded(tuple[int, int, int], told["shape_zyx"])
    affine = np.array(_decoded(tuple[tuple[float, ...], ...], told["affine_lps_from_zyx"]))
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or not all(0 < n < 2**31 for n in shape):
        raise ValueError("no grid of a scan")
    return Volume(np.broadcast_to(np.float32(0), shape), affine)


def plain(value: Any) -> Any:
    """A value as JSON knows it: finite numbers of six figures, lists, objects, strings, null."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bool | int | str | None):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Quantity):
        return value.key
    if isinstance(value, Measurement):  # all its figures: a category hangs on them
        ends = {"value": float(value.value), "interval": _numbers(value.interval)}
        return {**ends, "quantity": value.quantity.key, "own_sd": float(value.own_sd)}
    if isinstance(value, Phrase):
        return {"key": value.key, "facts": plain(value.facts)}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key.value if isinstance(key, Enum) else key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return [plain(item) for item in value]
    return str(value)


def _scan(assessment: Assessment) -> Json:
    scan = assessment.scan
    return {
        **plain(scan.acquisition),
        "shape_zyx": list(scan.volume.shape),
        "spacing_zyx_mm": plain(scan.volume.spacing_mm),
        "affine_lps_from_zyx": [_numbers(row) for row in scan.volume.affine],
        "orientation": plain(scan.orientation),
        "vertebrae_in_view": [
            {"level": str(box.level), "confidence": plain(box.confidence)} for box in assessment.spine.vertebrae
        ],
    }


def _vertebra(one: VertebraReading) -> Json:
    told = plain(one)
    first = {name: told[name] for name in ("level", "centroid_lps_mm")}
    return {**first, **_bmd(one.density), **told, "measurable": not one.withheld, "withheld": one.withheld}


def _diagnosis(diagnosis: Diagnosis) -> Json:
    beside = {"candidates": plain(diagnosis.candidates), "reach": plain(reach(diagnosis))}
    return {**_without_reasons(plain(diagnosis)), **beside, **_bmd(diagnosis.density)}


def _bmd(density: Measurement | None) -> Json:
    """The contract's own keys: volumetric BMD in K2HPO4, and null for every other quantity."""
    if density is None or density.quantity != VBMD_K2HPO4:
        return {"bmd_mg_cm3": None, "bmd_interval_mg_cm3": None}
    low, high = density.interval
    return {
        "bmd_mg_cm3": rounded(density.quantity, float(density.value), 2),
        "bmd_interval_mg_cm3": [round(float(low), 2), round(float(high), 2)],
    }


def _without_reasons(told: Json) -> Json:
    return {name: value for name, value in told.items() if name != "reasons"}


def _numbers(values: Any) -> list[float]:
    return [float(value) for value in values]


def _reasons_by_stage(told: list[Json]) -> dict[str, tuple[Reason, ...]]:
    stages: dict[str, tuple[Reason, ...]] = {}
    for one in told:
        stages[one["stage"]] = (*stages.get(one["stage"], ()), _decoded(Reason, one))
    return stages


def _decoded(kind: Any, value: Any) -> Any:
    """``value`` (of objects, lists and scalars) as a ``kind``; keys that the dataclass does not have are left aside."""
    if kind is Any:
        return value
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any or (is_dataclass(kind) and isinstance(value, cast(type, kind))):
        return value
    if origin in (Union, UnionType):
        (inner,) = (one for one in arguments if one is not NoneType)
        return None if value is None else _decoded(inner, value)
    if origin is tuple:
        items = _required(value, list, tuple)
        kinds = arguments[:1] * len(items) if arguments[1:] == (...,) else arguments
        return tuple(_decoded(one, item) for one, item in zip(kinds, items, strict=True))
    if origin is Mapping:
        pairs = _required(value, Mapping).items()
        return {_decoded(arguments[0], key): _decoded(arguments[1], item) for key, item in pairs}
    if kind is Quantity:
        return QUANTITIES[value]
    if kind is Phrase:
        return _phrase(value)
    if is_dataclass(kind):
        hints, known = _hints(cast(type, kind)), _required(value, Mapping)
        names = [one.name for one in fields(kind) if one.init and one.name in known]
        return cast(Any, kind)(**{name: _decoded(hints[name], known[name]) for name in names})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return _number(value) if kind is float else _required(value, kind)


def _required(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise TypeError(f"{type(value).__name__} in the place of {kinds[0].__name__}")
    return value


def _number(value: Any) -> float:
    """A float; NaN where it is not known."""
    try:
        return math.nan if value is None else float(_required(value, int, float))
    except OverflowError as error:
        raise ValueError("a number beyond every float") from error


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _phrase(value: Json) -> Phrase:
    facts = _required(_required(value, Mapping)["facts"], Mapping)
    return Phrase(_required(value["key"], str), {name: fact_from(fact) for name, fact in facts.items()})


def fact_from(value: Any) -> Fact:
    """A fact as ``plain`` wrote it: a phrase, words, a number, or a list of these."""
    if isinstance(value, dict):
        return _phrase(value)
    fact: Fact = tuple(fact_from(one) for one in value) if isinstance(value, list) else value
    return fact
