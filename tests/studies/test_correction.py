"""Corrections as values: names shift along the spine, the recipe's own diagnosis is asked, nothing else moves."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.flow.diagnose import diagnose
from trabecula.recipes import RECIPES
from trabecula.records import (
    Acquisition,
    Assessment,
    Densities,
    Regions,
    Scan,
    Spine,
    VertebraBox,
    VertebraDensity,
    VertebraRegion,
    reason,
)
from trabecula.studies.correction import Correction, corrected
from trabecula.studies.jobs import relabelled
from trabecula.studies.record import Record, pseudonymous, record_from, record_of
from trabecula.volume import Orientation, Volume

NIU = RECIPES["niu2023"]()
BMD = {Level.T12: 130.0, Level.L1: 100.0, Level.L2: 60.0}


def made(levels: tuple[Level, ...] = tuple(BMD), seen: tuple[Level, ...] | None = None) -> Record:
    """A record of vertebrae from above, with the densities of ``BMD`` in that order."""
    affine = np.diag([-2.0, -3.0, 4.0, 1.0])
    scan = Scan(
        Volume(np.zeros((9, 5, 5), np.float32), affine),
        Orientation((2, 1, 0), (True, False, False)),
        Acquisition("nifti"),
    )
    boxes = tuple(VertebraBox(level, 0.9, (i, i + 1.0), (0, 4), 2.0) for i, level in enumerate(seen or levels))
    spine = Spine(boxes, 2.0, (reason("level-uncertain", probability=0.6),))
    labels = np.zeros((9, 5, 5), np.uint8)
    densities = []
    for i, (level, bmd) in enumerate(zip(levels, BMD.values(), strict=True)):
        labels[i] = level.verse_id
        reasons = (reason("metal", level=level, limit_hu=1500.0),) if i == 0 else ()
        densities.append(
            VertebraDensity(level, (1.0, 2.0, 3.0), 900.0, 120.0, 30.0, bmd, (bmd - 20, bmd + 20), reasons)
        )
    regions = Regions(labels, tuple(VertebraRegion(level, 0.9, (1.0, 2.0, 3.0), 900.0) for level in levels))
    found = Densities(tuple(densities), {"rung": "voltage", "slope_hu_cm3_mg": np.float32(1.5)})
    return record_of(Assessment("niu2023", scan, spine, regions, found, NIU.diagnose(found), {"recipe": "niu2023"}))


def names(record: Record) -> list[str]:
    return [one.level.value for one in record.densities.vertebrae]


def test_a_record_comes_back_from_json_as_it_was() -> None:
    record = made()
    kept = record_from(record.to_json())
    assert replace(kept, densities=replace(kept.densities, calibration={})) == replace(
        record, densities=replace(record.densities, calibration={})
    )
    assert kept.densities.calibration == {"rung": "voltage", "slope_hu_cm3_mg": 1.5}
    assert kept.spine.reasons[0].told("zh") == record.spine.reasons[0].told("zh")
    assert kept.document() == record.document()


def test_nan_survives_json() -> None:
    record = made()
    empty = replace(record.densities.vertebrae[0], mean_hu=float("nan"), bmd_mg_cm3=None, bmd_interval_mg_cm3=None)
    record = replace(record, densities=replace(record.densities, vertebrae=(empty,)))
    assert np.isnan(record_from(record.to_json()).densities.vertebrae[0].mean_hu)


def test_one_new_name_shifts_the_others_and_the_diagnosis_follows() -> None:
    record = made(seen=(Level.T11, *BMD, Level.L3))
    assert record.diagnosis.bmd_mg_cm3 == 80.0  # the mean of L1 and L2
    after, changes = corrected(record, Correction({Level.L2: Level.L1}, {}), NIU)
    assert names(after) == ["T11", "T12", "L1"]
    assert [box.level for box in after.spine.vertebrae] == [Level.T10, Level.T11, Level.T12, Level.L1, Level.L2]
    assert after.diagnosis == diagnose(after.densities)
    assert after.diagnosis.levels_used == (Level.T12, Level.L1)
    assert after.diagnosis.bmd_mg_cm3 == 80.0  # 100 and 60: what were L1 and L2
    assert changes == ("T12 is now T11.", "L1 is now T12.", "L2 is now L1.")
    assert "level-uncertain" not in [one.code for one in after.spine.reasons]
    assert [one.bmd_mg_cm3 for one in after.densities.vertebrae] == list(BMD.values())


def test_a_vertebra_left_out_is_withheld_and_another_stands_in() -> None:
    after, changes = corrected(made(), Correction({}, {Level.L1: "fracture"}), NIU)
    left_out = after.densities.find(Level.L1)
    assert left_out is not None and not left_out.measurable
    assert [one.code for one in left_out.reasons] == ["excluded-by-reader"]
    assert after.diagnosis.levels_used == (Level.T12, Level.L2) and after.diagnosis.bmd_mg_cm3 == 95.0
    assert "substitute-level" in [one.code for one in after.diagnosis.reasons]
    assert changes == ("L1 was left out (fractured).",)
    assert "level-uncertain" in [one.code for one in after.spine.reasons]


def test_without_enough_left_nothing_is_diagnosed() -> None:
    after, _ = corrected(made(), Correction({}, {Level.L1: "hardware", Level.T12: "other"}), NIU)
    assert (after.diagnosis.category, after.diagnosis.bmd_mg_cm3) == ("undetermined", None)


def test_names_that_nobody_knew_are_given_one_after_the_other() -> None:
    unknown = (Level.UNKNOWN_1, Level.UNKNOWN_2, Level.UNKNOWN_3)
    record = made(unknown)
    assert record.diagnosis.category == "undetermined"
    after, _ = corrected(record, Correction({Level.UNKNOWN_2: Level.L1}, {}), NIU)
    assert names(after) == ["T12", "L1", "L2"]
    assert after.diagnosis.bmd_mg_cm3 == 80.0


def test_one_shifted_beyond_what_is_measured_is_dropped_and_said_so() -> None:
    record = made((Level.T11, Level.T12, Level.L1))
    after, changes = corrected(record, Correction({Level.T12: Level.T11}, {}), NIU)
    assert names(after) == ["T11", "T12"]
    assert changes[0] == "T11 lies beyond the levels that are measured and was dropped."
    labels = relabelled(np.array([Level.T11.verse_id, Level.T12.verse_id, Level.L1.verse_id, 0], np.uint8), after)
    assert labels.tolist() == [0, Level.T11.verse_id, Level.T12.verse_id, 0]


def test_regions_follow_through_two_corrections() -> None:
    record = made()
    once, _ = corrected(record, Correction({Level.L1: Level.T12}, {}), NIU)
    twice, _ = corrected(once, Correction({Level.T12: Level.L2}, {}), NIU)
    first = np.array([level.verse_id for level in BMD], np.uint8)
    assert relabelled(first, twice).tolist() == [Level.L1.verse_id, Level.L2.verse_id, Level.L3.verse_id]
    assert names(twice) == ["L1", "L2", "L3"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Correction({}, {}), "nothing-corrected"),
        (Correction({Level.L1: Level.L1}, {}), "nothing-corrected"),
        (Correction({Level.L1: Level.L2}, {}, shift_others=False), "levels-out-of-order"),
        (Correction({Level.T12: Level.L3}, {}, shift_others=False), "levels-out-of-order"),
        (Correction({Level.T12: Level.T11, Level.L1: Level.T12}, {}), "names-ambiguous"),
        (Correction({Level.L1: Level.S1}, {}), "level-unmeasured"),
        (Correction({Level.L5: Level.L4}, {}), "nothing-corrected"),
    ],
)
def test_what_cannot_be_is_refused(asked: Correction, code: str) -> None:
    with pytest.raises(WrongUsage) as refused:
        corrected(made(), asked, NIU)
    assert refused.value.code == code


def test_several_names_without_shifting() -> None:
    asked = Correction({Level.T12: Level.T11, Level.L1: Level.T12, Level.L2: Level.L1}, {}, shift_others=False)
    assert names(corrected(made(), asked, NIU)[0]) == ["T11", "T12", "L1"]


def test_pages_know_no_header_that_could_lead_to_a_person() -> None:
    told: dict[str, Any] = {
        "contrast_agent": "ZQ01",
        "series_description": "ZQ02",
        "study_instance_uid": "1.2.3",
        "series_instance_uid": "1.2.4",
        "patient_age_years": 97.0,
        "patient_sex": "F",
    }
    scan = Scan(Volume(np.zeros((3, 3, 3), np.float32), np.eye(4)), Orientation(), Acquisition("dicom", **told))
    kept = pseudonymous(scan).acquisition
    assert "ZQ" not in repr(kept) and "1.2." not in repr(kept)
    assert (kept.patient_age_years, kept.patient_sex, kept.contrast_agent) == (90.0, "F", "recorded")
