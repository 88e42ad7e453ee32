"""A second reading of one person: what is a change, what is error, and what may not be compared."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.errors import Refusal
from trabecula.flow.diagnose.bands import BandDiagnosis
from trabecula.messages import Phrase
from trabecula.quantity import VBMD_HA, Measurement
from trabecula.records import Acquisition, Assessment, Calibration, Effect, Readings, Scan, Spine, VertebraReading
from trabecula.records.change import change_between, change_reason, precision_cv
from trabecula.records.codec import decode, to_json
from trabecula.screening import read_prior, with_change
from trabecula.volume import Orientation, Volume

HEADER = Acquisition(
    "dicom", "GE", "LightSpeed", 120.0, "SOFT", series_instance_uid="1.2.1", patient_sex="F", patient_age_years=60.0
)


def result(
    bmd: dict[str, float], acquired: Acquisition = HEADER, phase: str = "plain", size: float = 1.0
) -> Assessment:
    vertebrae = tuple(
        VertebraReading(Level(level), (0.0, 0.0, 0.0), 14000.0 * size, 140.0, 30.0, Measurement(v, (v - 15, v + 15)))
        for level, v in bmd.items()
    )
    readings = Readings(vertebrae, Phrase("method-region"))
    scan = Scan(Volume(np.zeros((2, 2, 2), np.float32), np.eye(4)), Orientation(), acquired)
    line = Calibration(Phrase("rung-default"), 1.4, 0.0, 0.045, facts={"contrast_phase": phase})
    return Assessment("house", scan, Spine((), 0.0), None, line, readings, BandDiagnosis()(readings))


def later(**said: Any) -> Acquisition:
    return replace(HEADER, series_instance_uid="1.2.2", patient_age_years=62.0, **said)


BEFORE = result({"L1": 110.0, "L2": 100.0, "L3": 96.0})


@pytest.mark.parametrize(
    ("now", "code"),
    [((104.0, 98.0), "no change"), ((90.0, 84.0), "fallen by 18.0"), ((130.0, 118.0), "risen by 19.0")],
)
def test_a_change_is_one_beyond_the_least_significant(now: tuple[float, float], code: str) -> None:
    after = result({"L1": now[0], "L2": now[1]}, later())
    found = change_between(BEFORE, after)
    assert found.levels == (Level.L1, Level.L2) and found.before == pytest.approx(105)
    assert found.least_significant == pytest.approx(2.77 * 0.047 * (105 + sum(now) / 2) / 2)
    said = change_reason(found)
    assert code in said.message and (said.code, said.effect) == ("second-reading", Effect.NOTE)
    assert with_change(after, BEFORE).diagnosis.reasons[-1] == said


def test_results_of_one_person_stand_in_their_order_over_the_levels_that_all_measured() -> None:
    first = result({"T12": 130.0, "L1": 120.0, "L2": 110.0}, replace(HEADER, scanned_on="2015-01-01"))
    second = result({"L1": 110.0, "L3": 96.0}, later(scanned_on="2020-01-01"))
    at = replace(HEADER, series_instance_uid="1.2.3", scanned_on="2025-01-01", patient_age_years=65.0)
    now = result({"L1": 100.0, "L2": 96.0}, at)
    made = with_change(now, second, first)  # in whatever order they are given
    assert made.history is not None and made.history.levels == (Level.L1,)
    assert [point.density.value for point in made.history.points] == [120.0, 110.0, 100.0]
    assert [point.scanned_on for point in made.history.points] == ["2015-01-01", "2020-01-01", "2025-01-01"]
    assert made.history.least_significant == pytest.approx(2.77 * 0.047 * 105.0)
    assert "L1 differs from the earlier result by -10.0" in made.diagnosis.reasons[-1].message  # from the latest
    kept = decode(json.loads(to_json(made))).history
    assert kept is not None and (kept.levels, kept.points) == (made.history.levels, made.history.points)


def test_an_earlier_result_of_a_later_day_is_refused() -> None:
    late = result({"L1": 110.0}, replace(HEADER, scanned_on="2026-01-01"))
    with pytest.raises(Refusal) as refused:
        with_change(result({"L1": 100.0}, later(scanned_on="2025-12-31")), late)
    assert refused.value.code == "prior-is-newer" and "2026-01-01" in refused.value.message


def test_what_differs_between_the_scans_adds_its_error() -> None:
    after = result({"L1": 100.0}, later())
    assert precision_cv(BEFORE, after) == pytest.approx(0.047)
    other = result({"L1": 100.0}, later(model="Revolution"), phase="portal")
    assert precision_cv(BEFORE, other) == pytest.approx((0.047**2 + 0.049**2 + 0.029**2) ** 0.5)
    voltage = result({"L1": 100.0}, later(tube_voltage_kvp=100.0, kernel="BONE"))
    assert precision_cv(BEFORE, voltage) == pytest.approx((0.047**2 + 0.03**2 + 0.013**2) ** 0.5)


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (result({"L1": 100.0}, later(patient_sex="M")), "prior-of-another-patient"),
        (result({"L1": 100.0}, later(), size=1.5), "prior-of-another-patient"),
        (result({"L1": 100.0}, replace(later(), patient_age_years=59.0)), "prior-is-newer"),
        (result({"L1": 100.0}), "prior-is-the-same-scan"),
        (result({"T12": 100.0}, later()), "prior-without-common-level"),
    ],
)
def test_another_patient_a_newer_result_and_the_same_scan_are_refused(now: Assessment, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        change_between(BEFORE, now)
    assert refused.value.code == code


def test_another_quantity_is_never_compared() -> None:
    now = result({"L1": 100.0}, later())
    in_ha = tuple(replace(one, density=Measurement(120.0, (100.0, 140.0), VBMD_HA)) for one in now.readings.vertebrae)
    with pytest.raises(Refusal):
        change_between(BEFORE, replace(now, readings=replace(now.readings, vertebrae=in_ha)))


def test_an_earlier_result_is_read_from_its_folder_or_file(tmp_path: Path) -> None:
    (tmp_path / "assessment.json").write_text(to_json(BEFORE), encoding="utf-8")
    for given in (tmp_path, tmp_path / "assessment.json"):
        assert change_between(read_prior(given), result({"L1": 110.0, "L2": 100.0}, later())).difference == 0


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "other"}'])
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "assessment.json").write_text(text, encoding="utf-8")
    with pytest.raises(Refusal) as refused:
        read_prior(tmp_path)
    assert refused.value.code == "prior-unreadable"
    with pytest.raises(Refusal):
        read_prior(tmp_path / "nowhere")
