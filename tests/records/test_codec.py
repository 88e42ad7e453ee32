"""An assessment as JSON and back: the contract's keys, every kind of answer, and what is corrupt is refused as such."""

import copy
import json
import math
import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trabecula.anatomy import UNKNOWN_LEVELS, Level
from trabecula.messages import Phrase
from trabecula.quantity import AREAL_BMD, QCT_BANDS, VBMD_K2HPO4, Category, Measurement
from trabecula.records import (
    Acquisition,
    Assessment,
    Basis,
    BodyHeights,
    Calibration,
    Diagnosis,
    Effect,
    Readings,
    Reason,
    Regions,
    Scan,
    Spine,
    VertebraBox,
    VertebraReading,
    VertebraRegion,
    reason,
)
from trabecula.records.codec import decode, encode, plain, to_json
from trabecula.volume import Orientation, Volume

METAL = reason("metal", Effect.WITHHOLD, level=Level.T12, limit_hu=2000.0)
SERIES = Phrase("series", {"number": 3, "slices": 80, "step_mm": 2.5, "coverage_mm": 200.0, "kernel": "B30f"})
CHOSEN = reason(
    "series-chosen", series=SERIES, why=Phrase("nothing"), unusable=Phrase("nothing"), others=(SERIES, SERIES)
)
SHARES = {Category.OSTEOPENIA: 0.7, Category.NORMAL: 0.2, Category.OSTEOPOROSIS: 0.1}


def assessment() -> Assessment:
    """T12 withheld, L1 and L2 measured and used, in a scan of a few voxels; of every record, every field."""
    affine = np.array([[0, 0, 1 / 3, -12.25], [0, 0.7, 0.01, 7.0], [2.5, 0, 0, 900.0], [0, 0, 0, 1.0]])
    volume = Volume(np.zeros((6, 5, 4), np.float32), affine)
    acquired = Acquisition("dicom", "ACME", None, 100.0, "B30f", 2.5, None, "ABDOMEN", "1.2.3", "1.2.4", "F", 67.0)
    scan = Scan(volume, Orientation((0, 2, 1), (True, False, False)), acquired, (CHOSEN,))
    levels, density = (Level.T12, Level.L1, Level.L2), Measurement(104.7625, (90.123456, 119.5))
    boxes = tuple(VertebraBox(level, 0.9, (4.5, 5.25), (1.0, 3.0), None) for level in levels)
    outlined = [VertebraRegion(level, 0.9, (1.0, 2.0, 930.5), 12000.0) for level in levels]
    outlined[1] = replace(outlined[1], heights=BodyHeights(26.0, 25.5, 27.0), reasons=(METAL,))
    measured = [VertebraReading(level, (1.0, 2.0, 930.5), 12000.0, 150.25, 40.5, density) for level in levels]
    measured[0] = replace(measured[0], density=None, reasons=(METAL,))
    facts = {"tube_voltage_kvp": 100.0, "blood_hu": None}
    line = Calibration(Phrase("rung-default"), 1.596, 0.0, 0.07, hu_factor=0.891, contrast_rise=16.7, facts=facts)
    return Assessment(
        recipe="by hand",
        scan=scan,
        spine=Spine((replace(boxes[0], y=2.5), *boxes[1:]), 2.5, (reason("level-uncertain", probability=0.71),)),
        regions=Regions(np.zeros(volume.shape, np.uint8), tuple(outlined), (Reason("own", "A word."),)),
        calibration=replace(line, reasons=(reason("contrast-medium.header", rise=9.0, rise_sd=4.0),)),
        readings=Readings(tuple(measured), Phrase("method-network", {"error_sd": 10.3}), (Reason("odd", "Odd."),)),
        diagnosis=Diagnosis(
            Category.OSTEOPENIA,
            Basis.BANDS,
            density,
            SHARES,
            (Level.L1, Level.L2),
            (reason("substitute-level", substitute=Level.T12, missing=(Level.L1,)),),
        ),
        run={"version": "0", "seconds": {"read": 1.5}, "weights_sha256": {"a": "b"}, "files": ["report.html"]},
    )


def measured_as(density: Measurement | None, category: Category, basis: Basis, **of_each: Any) -> Assessment:
    made = assessment()
    vertebrae = tuple(replace(one, density=density, reasons=(), **of_each) for one in made.readings.vertebrae)
    diagnosis = replace(made.diagnosis, category=category, basis=basis, density=density)
    return replace(made, readings=replace(made.readings, vertebrae=vertebrae), diagnosis=diagnosis)


def withheld() -> Assessment:
    made = assessment()
    vertebrae = tuple(replace(one, density=None, reasons=(METAL,)) for one in made.readings.vertebrae)
    nothing = Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, (), (Reason("too-few-vertebrae", "None."),))
    return replace(made, readings=replace(made.readings, vertebrae=vertebrae), diagnosis=nothing)


def unnamed() -> Assessment:
    made = assessment()
    pairs = zip(made.readings.vertebrae, UNKNOWN_LEVELS, strict=False)
    vertebrae = tuple(replace(one, level=level) for one, level in pairs)
    return replace(withheld(), readings=replace(made.readings, vertebrae=vertebrae), spine=Spine((), 0.0))


ASSESSMENTS = {
    "bands": assessment(),
    "classifier": measured_as(None, Category.OSTEOPOROSIS, Basis.CLASSIFIER, probabilities=SHARES),
    "areal": measured_as(Measurement(0.8125, (0.7, 0.95), AREAL_BMD), Category.OSTEOPENIA, Basis.T_SCORE),
    "nothing outlined": replace(assessment(), regions=None),
    "withheld": withheld(),
    "unnamed": unnamed(),
}


def back(made: Assessment) -> Assessment:
    return decode(json.loads(to_json(made)))


@pytest.mark.parametrize("kind", ASSESSMENTS)
def test_an_assessment_comes_back_from_its_json(kind: str) -> None:
    made = ASSESSMENTS[kind]
    again = back(made)
    assert to_json(again) == to_json(made)
    for name in ("recipe", "spine", "calibration", "readings", "diagnosis", "run"):
        assert getattr(again, name) == getattr(made, name), name
    assert (again.scan.acquisition, again.scan.orientation) == (made.scan.acquisition, made.scan.orientation)
    assert again.scan.volume.shape == made.scan.volume.shape
    np.testing.assert_array_equal(again.scan.volume.affine, made.scan.volume.affine)
    assert again.reasons == made.reasons
    assert [one.told("zh") for one in again.reasons] == [one.told("zh") for one in made.reasons]
    assert (again.regions is None) == (made.regions is None)
    if again.regions is not None and made.regions is not None:
        assert again.regions.vertebrae == made.regions.vertebrae
    assert not again.labels.any() and again.labels.shape == made.scan.volume.shape


def test_the_voxels_are_those_that_are_given() -> None:
    made = assessment()
    labels = np.full(made.scan.volume.shape, 20, np.uint8)
    again = decode(encode(made), made.scan, labels)
    assert again.scan is made.scan
    assert again.labels is labels


def test_a_copy_from_a_worker_process_says_the_same() -> None:
    made = assessment()
    copied = pickle.loads(pickle.dumps(made))
    assert to_json(copied) == to_json(made)
    assert copied.diagnosis.density.quantity == VBMD_K2HPO4


def test_the_keys_of_the_contract() -> None:
    told = encode(assessment())
    assert told["schema"] == "trabecula.assessment/1"
    assert {"recipe", "scan", "vertebrae", "diagnosis", "calibration", "reasons", "run"} <= set(told)
    keys = {"level", "centroid_lps_mm", "bmd_mg_cm3", "bmd_interval_mg_cm3", "mean_hu", "sd_hu", "volume_mm3"}
    assert all(keys | {"measurable", "reasons"} <= set(one) for one in told["vertebrae"])
    assert {"category", "bmd_mg_cm3", "bmd_interval_mg_cm3", "probabilities", "levels_used"} <= set(told["diagnosis"])
    assert {"code", "message", "stage", "effect"} <= set(told["reasons"][0])
    t12, l1, _ = told["vertebrae"]
    assert (t12["bmd_mg_cm3"], t12["bmd_interval_mg_cm3"], t12["measurable"]) == (None, None, False)
    assert (l1["bmd_mg_cm3"], l1["bmd_interval_mg_cm3"], l1["measurable"]) == (104.76, [90.12, 119.5], True)
    assert l1["density"] == {
        "value": 104.7625,
        "interval": [90.123456, 119.5],
        "quantity": "vbmd-k2hpo4",
        "own_sd": 0.0,
    }
    assert [one["level"] for one in told["scan"]["vertebrae_in_view"]] == ["T12", "L1", "L2"]


@pytest.mark.parametrize("kind", ["classifier", "areal"])
def test_what_is_no_k2hpo4_density_has_no_bmd_of_the_contract_and_is_no_less_measurable(kind: str) -> None:
    told = encode(ASSESSMENTS[kind])
    for one in told["vertebrae"]:
        assert (one["bmd_mg_cm3"], one["bmd_interval_mg_cm3"]) == (None, None)
        assert (one["measurable"], one["withheld"]) == (True, False)
    assert told["diagnosis"]["bmd_mg_cm3"] is None
    assert told["diagnosis"]["category"] == ("osteoporosis" if kind == "classifier" else "osteopenia")


def test_reasons_come_back_to_the_stage_that_gave_them() -> None:
    again = back(assessment())
    found = {name: [one.code for one in stage.reasons] for name, stage in again.stages.items()}
    assert found == {
        "scan": ["series-chosen"],
        "spine": ["level-uncertain"],
        "regions": ["own"],
        "calibration": ["contrast-medium"],
        "readings": ["odd"],
        "diagnosis": ["substitute-level"],
    }
    assert again.readings.vertebrae[0].withheld and not again.readings.vertebrae[1].withheld


def test_what_is_not_known_is_null_and_never_nan() -> None:
    made = assessment()
    dark = tuple(replace(one, mean_hu=math.nan, sd_hu=math.inf) for one in made.readings.vertebrae)
    made = replace(made, readings=replace(made.readings, vertebrae=dark), run={"window": (0, np.nan)})
    text = to_json(made)
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text)["vertebrae"][0]["mean_hu"] is None
    again = back(made)
    assert math.isnan(again.readings.vertebrae[0].mean_hu)
    assert to_json(again) == text


@pytest.mark.parametrize("value", [79.97, 79.9996, 80.0, 79.99999999, 120.0, 120.0000001, 120.04])
def test_a_density_beside_a_cut_keeps_its_category(value: float) -> None:
    made = assessment()
    density = Measurement(value, (60.0, 140.0))
    category = QCT_BANDS.category(value)
    made = replace(made, diagnosis=replace(made.diagnosis, density=density, category=category))
    again = back(made)
    assert again.diagnosis.density == density
    assert QCT_BANDS.category(encode(again)["diagnosis"]["bmd_mg_cm3"]) is again.diagnosis.category is category


def test_a_run_record_that_has_grown_stands_in_the_place_of_the_first() -> None:
    told = encode(assessment(), {"version": "1", "files": ("a", "b")})
    assert told["run"] == {"version": "1", "files": ["a", "b"]}


def test_values_are_plain() -> None:
    given = {Level.L1: np.float32(1 / 3), "b": np.arange(2), "c": {3}, "d": b"x", "e": np.bool_(True), "f": Effect.NOTE}
    assert plain(given) == {"L1": 0.333333, "b": [0, 1], "c": [3], "d": "b'x'", "e": True, "f": "note"}


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, itself first."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*at, key))


WRONG = (None, 5, -1, 10**400, 0.5, True, "words", "L1", [], [1], [None], {}, {"key": 1})
REMOVED = object()


def spoilt(told: Any, at: tuple[Any, ...], wrong: Any) -> Any:
    """A copy with something else at a place, or without it."""
    if not at:
        return wrong
    made = copy.copy(told)
    if wrong is REMOVED and len(at) == 1:
        del made[at[0]]
    else:
        made[at[0]] = spoilt(told[at[0]], at[1:], wrong)
    return made


def test_what_is_corrupt_is_refused_as_key_type_or_value_and_nothing_else() -> None:
    told = json.loads(to_json(assessment()))
    refused = 0
    for at in places(told):
        for wrong in (*WRONG, *([REMOVED] if at else [])):
            try:
                found = decode(spoilt(told, at, wrong))
            except (KeyError, TypeError, ValueError):
                refused += 1
            else:
                assert isinstance(found, Assessment)
    assert refused > 1000


@pytest.mark.parametrize(
    "key", ["recipe", "scan", "spine", "vertebrae", "method", "diagnosis", "calibration", "reasons"]
)
def test_an_assessment_without_one_of_its_parts_is_none(key: str) -> None:
    told = encode(assessment())
    del told[key]
    with pytest.raises(KeyError):
        decode(told)


@pytest.mark.parametrize(
    ("at", "wrong"),
    [
        *((("diagnosis", "category"), "excellent"), (("diagnosis", "basis"), "guess")),
        *((("diagnosis", "density", "quantity"), "kg"), (("vertebrae", 0, "level"), "T99")),
        *((("vertebrae", 1, "mean_hu"), "bright"), (("vertebrae", 1, "centroid_lps_mm"), [1.0, 2.0])),
        *((("vertebrae",), {}), (("scan", "orientation"), "upright"), (("calibration", "slope_hu_cm3_mg"), [1])),
        *((("reasons", 0, "message"), 5), (("reasons", 0, "effect"), "shout"), (("spine", "vertebrae"), "T12")),
        *((("recipe",), ["house"]), (("run",), []), (("diagnosis", "probabilities"), [0.5])),
        *((("vertebrae", 1, "centroid_lps_mm"), "123"), (("reasons", 0, "phrase", "facts"), [])),
    ],
)
def test_a_value_of_another_kind_is_refused(at: tuple[Any, ...], wrong: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode(spoilt(json.loads(to_json(assessment())), at, wrong))
