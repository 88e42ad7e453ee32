"""Corrections as values: names shift along the spine, the recipe's own diagnosis is asked, nothing else moves."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.messages import Phrase
from trabecula.quantity import Category, Measurement
from trabecula.recipes import RECIPES
from trabecula.records import (
    Acquisition,
    Assessment,
    Calibration,
    Joint,
    Readings,
    Regions,
    Scan,
    Spine,
    VertebraBox,
    VertebraReading,
    VertebraRegion,
    reason,
)
from trabecula.studies.correction import Correction, corrected
from trabecula.studies.result import TOLD, Result, first_result, pseudonymous, relabelling, result_from
from trabecula.volume import Orientation, Volume

NIU = RECIPES["niu2023"]
BMD = {Level.T12: 130.0, Level.L1: 100.0, Level.L2: 60.0}


def made(levels: tuple[Level, ...] = tuple(BMD), seen: tuple[Level, ...] | None = None) -> Result:
    """The result of vertebrae from above, with the densities of ``BMD`` in that order."""
    affine = np.diag([-2.0, -3.0, 4.0, 1.0])
    scan = Scan(
        Volume(np.zeros((9, 5, 5), np.float32), affine),
        Orientation((2, 1, 0), (True, False, False)),
        Acquisition("nifti"),
    )
    boxes = tuple(
        VertebraBox(level, 0.9, (float(i), i + 1.0), (0.0, 4.0), 2.0) for i, level in enumerate(seen or levels)
    )
    spine = Spine(boxes, 2.0, (reason("level-uncertain", probability=0.6),))
    labels = np.zeros((9, 5, 5), np.uint8)
    found = []
    for i, (level, bmd) in enumerate(zip(levels, BMD.values(), strict=True)):
        labels[i] = level.verse_id
        reasons = (reason("uneven-density", level=level, sd_hu=90.0),) if i == 0 else ()
        density = Measurement(bmd, (bmd - 20, bmd + 20))
        found.append(VertebraReading(level, (1.0, 2.0, 3.0), 900.0, 120.0, 30.0, density, reasons=reasons))
    regions = Regions(labels, tuple(VertebraRegion(level, 0.9, (1.0, 2.0, 3.0), 900.0) for level in levels))
    readings = Readings(tuple(found), Phrase("method-network", {"error_sd": 5.0}))
    line = Calibration(Phrase("rung-assumed"), 1.5, 0.0, 0.1)
    return first_result(
        Assessment("niu2023", scan, spine, regions, line, readings, NIU.diagnose(readings), {"recipe": "niu2023"})
    )


def names(result: Result) -> list[str]:
    return [one.level.value for one in result.assessment.readings.vertebrae]


def density(result: Result) -> float | None:
    found = result.assessment.diagnosis.density
    return None if found is None else found.value


def test_a_result_comes_back_from_json_as_it_was() -> None:
    result = made()
    kept = result_from(result.assessment_json, result.names_json)
    assert kept.names == result.names
    assert replace(kept.assessment, scan=result.assessment.scan, regions=None) == replace(
        result.assessment, regions=None
    )
    assert kept.assessment.regions is not None and result.assessment.regions is not None
    assert kept.assessment.regions.vertebrae == result.assessment.regions.vertebrae
    assert kept.assessment.spine.reasons[0].told("zh") == result.assessment.spine.reasons[0].told("zh")
    assert kept.assessment_json == result.assessment_json


def test_a_region_without_a_voxel_survives_json() -> None:
    result = made()
    readings = result.assessment.readings
    empty = replace(readings.vertebrae[0], mean_hu=float("nan"), density=None)
    found = replace(result.assessment, readings=replace(readings, vertebrae=(empty,)))
    kept = result_from(Result(found, result.names).assessment_json, result.names_json)
    assert np.isnan(kept.assessment.readings.vertebrae[0].mean_hu)


def test_one_new_name_shifts_the_others_and_the_diagnosis_follows() -> None:
    result = made(seen=(Level.T11, *BMD, Level.L3))
    assert density(result) == 80.0  # the mean of L1 and L2
    after, changes = corrected(result, Correction({Level.L2: Level.L1}, {}), NIU)
    assert names(after) == ["T11", "T12", "L1"]
    assert [box.level for box in after.assessment.spine.vertebrae] == [
        Level.T10,
        Level.T11,
        Level.T12,
        Level.L1,
        Level.L2,
    ]
    assert after.assessment.diagnosis == NIU.diagnose(after.assessment.readings)
    assert after.assessment.diagnosis.levels_used == (Level.T12, Level.L1)
    assert tuple(map(str, changes)) == ("T12 is now T11.", "L1 is now T12.", "L2 is now L1.")
    assert "level-uncertain" not in [one.code for one in after.assessment.spine.reasons]
    kept = [one.density for one in after.assessment.readings.vertebrae]
    assert [one and one.value for one in kept] == list(BMD.values())


def test_names_shift_with_the_upper_thoracic_spine_in_view_and_with_a_sixth_lumbar_vertebra() -> None:
    upper = (Level.C7, Level.T1, Level.T6, Level.T7)
    after, _ = corrected(made(seen=(*upper, *BMD)), Correction({Level.L1: Level.T12}, {}), NIU)
    boxes = [box.level for box in after.assessment.spine.vertebrae]
    assert boxes == [Level.C6, Level.C7, Level.T5, Level.T6, Level.T11, Level.T12, Level.L1]
    six = made(tuple(BMD), seen=(*BMD, Level.L5, Level.L6))
    after, _ = corrected(six, Correction({Level.L1: Level.T12}, {}), NIU)
    assert [box.level for box in after.assessment.spine.vertebrae][-2:] == [Level.L4, Level.L5]


def test_what_was_found_in_a_vertebra_is_told_by_its_new_name() -> None:
    after, _ = corrected(made(), Correction({Level.T12: Level.T11}, {}), NIU)
    uneven, renamed = after.assessment.readings.vertebrae[0].reasons
    assert uneven.message.startswith("T11: HU vary by 90")
    assert uneven.told("de").startswith("T11:")
    assert renamed.message == "Named T11 by a reader; it was T12."


def test_a_vertebra_left_out_is_withheld_and_another_stands_in() -> None:
    after, changes = corrected(made(), Correction({}, {Level.L1: "fracture"}), NIU)
    left_out = after.assessment.readings.find(Level.L1)
    assert left_out is not None and left_out.withheld and left_out.density is None
    assert [one.code for one in left_out.reasons] == ["excluded-by-reader"]
    assert after.assessment.diagnosis.levels_used == (Level.T12, Level.L2)
    assert after.assessment.diagnosis == NIU.diagnose(after.assessment.readings)
    assert "substitute-level" in [one.code for one in after.assessment.diagnosis.reasons]
    assert tuple(map(str, changes)) == ("L1 was left out (fractured).",)
    assert "level-uncertain" in [one.code for one in after.assessment.spine.reasons]


def test_without_enough_left_nothing_is_diagnosed() -> None:
    after, _ = corrected(made(), Correction({}, {Level.L1: "hardware", Level.T12: "other"}), NIU)
    assert (after.assessment.diagnosis.category, density(after)) == (Category.UNDETERMINED, None)


def test_names_that_nobody_knew_are_given_one_after_the_other() -> None:
    unknown = (Level.UNKNOWN_1, Level.UNKNOWN_2, Level.UNKNOWN_3)
    result = made(unknown)
    assert result.assessment.diagnosis.category is Category.UNDETERMINED
    after, _ = corrected(result, Correction({Level.UNKNOWN_2: Level.L1}, {}), NIU)
    assert names(after) == ["T12", "L1", "L2"]
    assert density(after) == 80.0


def test_one_shifted_beyond_what_is_measured_is_dropped_and_said_so() -> None:
    result = made((Level.T11, Level.T12, Level.L1))
    after, changes = corrected(result, Correction({Level.T12: Level.T11}, {}), NIU)
    assert names(after) == ["T11", "T12"]
    assert str(changes[0]) == "T11 is now outside the levels that are measured; its number was dropped."
    assert after.assessment.spine.vertebrae[0].level is Level.T10  # the pictures go on naming it
    labels = relabelling(after.names)[[Level.T11.verse_id, Level.T12.verse_id, Level.L1.verse_id, 0]]
    assert labels.tolist() == [0, Level.T11.verse_id, Level.T12.verse_id, 0]


def test_regions_follow_through_two_corrections() -> None:
    result = made()
    once, _ = corrected(result, Correction({Level.L1: Level.T12}, {}), NIU)
    twice, _ = corrected(once, Correction({Level.T12: Level.L2}, {}), NIU)
    first = [level.verse_id for level in BMD]
    assert relabelling(twice.names)[first].tolist() == [Level.L1.verse_id, Level.L2.verse_id, Level.L3.verse_id]
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


def test_names_that_a_reader_confirms_are_in_doubt_no_longer() -> None:
    before = made()
    after, changes = corrected(before, Correction({}, {}, names_confirmed=True), NIU)
    assert tuple(map(str, changes)) == ("T12, L1, L2 were confirmed as the right names.",)
    assert "level-uncertain" in [one.code for one in before.assessment.spine.reasons]
    assert after.assessment.spine.reasons == ()
    assert [one.code for one in after.assessment.readings.reasons] == ["corrected-by-reader"]
    assert after.assessment.diagnosis == before.assessment.diagnosis and after.names == before.names


def test_names_that_are_none_cannot_be_confirmed() -> None:
    unknown = made((Level.UNKNOWN_1, Level.UNKNOWN_2, Level.UNKNOWN_3))
    with pytest.raises(WrongUsage) as refused:
        corrected(unknown, Correction({}, {}, names_confirmed=True), NIU)
    assert refused.value.code == "levels-unnamed"
    named, _ = corrected(unknown, Correction({Level.UNKNOWN_1: Level.T12}, {}, names_confirmed=True), NIU)
    assert names(named) == ["T12", "L1", "L2"]


def test_several_names_without_shifting() -> None:
    asked = Correction({Level.T12: Level.T11, Level.L1: Level.T12, Level.L2: Level.L1}, {}, shift_others=False)
    assert names(corrected(made(), asked, NIU)[0]) == ["T11", "T12", "L1"]


def test_pages_know_no_header_that_could_lead_to_a_person() -> None:
    told: dict[str, Any] = {
        **{one.name: "ZQ" for one in fields(Acquisition) if one.name not in TOLD},
        "patient_age_years": 97.0,
        "patient_sex": "F",
    }
    scan = Scan(
        Volume(np.zeros((3, 3, 3), np.float32), np.eye(4)), Orientation(), Acquisition("dicom", kernel="B30f", **told)
    )
    kept = pseudonymous(scan).acquisition
    assert "ZQ" not in repr(kept) and kept.kernel == "B30f"  # nor of a field that is yet to come
    assert (kept.patient_age_years, kept.patient_sex, kept.contrast_agent) == (90.0, "F", "recorded")


def test_what_was_seen_in_one_image_does_not_follow_a_new_name() -> None:
    pan, shares = RECIPES["pan2024"], {Category.NORMAL: 0.1, Category.OSTEOPENIA: 0.2, Category.OSTEOPOROSIS: 0.7}
    result = made()
    classified = tuple(replace(one, density=None, probabilities=None) for one in result.assessment.readings.vertebrae)
    readings = replace(result.assessment.readings, vertebrae=classified, joint=Joint((Level.L1, Level.L2), shares))
    found = replace(result.assessment, readings=readings, diagnosis=pan.diagnose(readings))
    assert found.diagnosis.category is Category.OSTEOPOROSIS
    kept = replace(result, assessment=found)
    confirmed, _ = corrected(kept, Correction({}, {}, names_confirmed=True), pan)
    assert confirmed.assessment.diagnosis.category is Category.OSTEOPOROSIS
    for asked in (Correction({Level.L1: Level.L2}, {}), Correction({}, {Level.L2: "fracture"})):
        after, _ = corrected(kept, asked, pan)
        assert not after.assessment.diagnosis.determined
