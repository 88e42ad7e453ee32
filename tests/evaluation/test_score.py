"""One simulated patient, screened: what a row says of it, and an evaluation from a cohort to its page."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.cohort.case import Case, Cohort, Known, Seen, Split
from trabecula.cohort.folder import read_folder
from trabecula.cohort.table import read_table
from trabecula.errors import WrongUsage
from trabecula.evaluation.rows import read_rows, run_of
from trabecula.evaluation.run import ROWS, evaluate
from trabecula.evaluation.score import middles_of, score
from trabecula.line import screen
from trabecula.lock import one_run
from trabecula.quantity import AREAL_BMD, VBMD_HA, VBMD_K2HPO4
from trabecula.recipes import RECIPES
from trabecula.records import Assessment
from trabecula.virtual.order import Order, simulate

pytestmark = pytest.mark.slow

HOUSE = RECIPES["house"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    out = tmp_path_factory.mktemp("evaluation") / "simulated"
    simulate(Order(seed=501, protocol="abdomen-thick", format="nifti"), 1, out, 1, lambda done: None)
    return read_folder(out)


@pytest.fixture(scope="module")
def screened(cohort: Cohort) -> tuple[Case, Seen, Assessment]:
    case = cohort.cases[0]
    seen = case.load(("trabecular", "bodies"))
    return case, seen, screen(seen.scan, HOUSE)


def test_a_row_holds_what_was_found_against_what_is_true(
    cohort: Cohort, screened: tuple[Case, Seen, Assessment]
) -> None:
    case, seen, assessment = screened
    row = score(case, seen, HOUSE, assessment, run_of(HOUSE, cohort), 1.0)
    assert [one.level for one in row.vertebrae] == [one for one in HOUSE.levels if one in case.known.whole_levels]
    assert row.reference == pytest.approx((case.known.density[Level.L1] + case.known.density[Level.L2]) / 2)
    assert row.value == assessment.diagnosis.density.value  # type: ignore[union-attr]
    assert row.invented == ()
    for one in row.vertebrae:
        assert one.called == one.level
        assert one.off_mm is not None
        assert one.off_mm < 6
        assert one.dice is not None
        assert one.dice > 0.7
        reading = assessment.readings.find(Level(one.level))
        assert one.value == (None if reading.withheld else reading.density.value)  # type: ignore[union-attr]
        assert one.mean_hu is not None
        assert one.true_mean_hu == pytest.approx(one.mean_hu, abs=25)


def test_dice_is_that_of_the_voxels(cohort: Cohort, screened: tuple[Case, Seen, Assessment]) -> None:
    case, seen, assessment = screened
    row = score(case, seen, HOUSE, assessment, run_of(HOUSE, cohort), 1.0)
    for one in row.vertebrae:
        level = Level(one.level).verse_id
        true, found = seen.masks["trabecular"] == level, assessment.labels == level
        assert one.dice == pytest.approx(2 * (true & found).sum() / (true.sum() + found.sum()), abs=1e-4)


def test_a_table_of_the_same_scan_gives_the_same_row(
    cohort: Cohort, screened: tuple[Case, Seen, Assessment], tmp_path: Path
) -> None:
    case, seen, assessment = screened
    ct = case.source.ct  # type: ignore[attr-defined]
    cells = [f"{case.known.density[level]:.2f}" for level in (Level.L1, Level.L2)]
    table = tmp_path / "site.csv"
    table.write_text(
        "case,path,trabecular_mask,qct_L1,qct_L2,kvp\n"
        f"n,{ct},{ct.parent / 'trabecular.nii.gz'},{cells[0]},{cells[1]},{case.known.tube_voltage_kvp:g}\n"
    )
    told = read_table(table).cases[0]
    again = told.load(("trabecular", "bodies"))
    np.testing.assert_array_equal(again.scan.volume.hu, seen.scan.volume.hu)
    assert again.scan.acquisition.tube_voltage_kvp == case.known.tube_voltage_kvp
    row = score(told, again, HOUSE, assessment, run_of(HOUSE, cohort), 1.0)
    first = score(case, seen, HOUSE, assessment, run_of(HOUSE, cohort), 1.0)
    assert (row.value, row.category, row.true_category) == (first.value, first.category, first.true_category)
    ours = {one.level: one for one in row.vertebrae}
    for one in first.vertebrae:
        assert ours[one.level].dice == one.dice
        assert ours[one.level].called == one.level


def test_what_is_not_known_is_not_judged(cohort: Cohort, screened: tuple[Case, Seen, Assessment]) -> None:
    case, seen, assessment = screened
    run = run_of(HOUSE, cohort)
    nothing = score(case, Seen(seen.scan, {}, Known()), HOUSE, assessment, run, 1.0)
    assert (nothing.reference, nothing.true_category, nothing.vertebrae) == (None, None, ())
    by_name = Seen(seen.scan, {}, Known(density=case.known.density))
    row = score(case, by_name, HOUSE, assessment, run, 1.0)
    assert all(one.off_mm is None and one.dice is None for one in row.vertebrae)
    assert all(one.called == one.level for one in row.vertebrae)
    other = Seen(seen.scan, {}, replace(by_name.known, quantity=VBMD_HA))
    row = score(case, other, HOUSE, assessment, run, 1.0)
    assert row.reference is None
    assert all(one.value is None for one in row.vertebrae)


def test_a_vertebra_in_the_wrong_place_was_not_found(cohort: Cohort, screened: tuple[Case, Seen, Assessment]) -> None:
    case, seen, assessment = screened
    away = {level: (x, y, z + 300.0) for level, (x, y, z) in case.known.centres_lps_mm.items()}
    row = score(
        case,
        replace(seen, known=replace(seen.known, centres_lps_mm=away)),
        HOUSE,
        assessment,
        run_of(HOUSE, cohort),
        1.0,
    )
    assert not any(one.found for one in row.vertebrae)
    assert {one.dice for one in row.vertebrae} == {0.0}
    assert set(row.invented) == {one.level.value for one in assessment.readings.vertebrae if not one.withheld}


def test_middles_come_of_a_mask_where_no_truth_tells_them(screened: tuple[Case, Seen, Assessment]) -> None:
    _, seen, _ = screened
    told = middles_of(seen)
    from_mask = middles_of(Seen(seen.scan, seen.masks, Known()))
    for level in (Level.L1, Level.L3):
        apart = (told[level] - from_mask[level]) * seen.scan.volume.spacing_mm
        assert np.linalg.norm(apart) < 8


def test_an_areal_density_is_held_against_dxa() -> None:
    from trabecula.evaluation.score import reference_of

    known = Known(density={Level.L1: 100.0, Level.L2: 90.0}, areal_bmd_g_cm2=0.9)
    assert reference_of(known, HOUSE, AREAL_BMD) == 0.9
    assert reference_of(known, HOUSE, VBMD_K2HPO4) == 95.0
    assert reference_of(known, HOUSE, None) == 95.0


def test_an_evaluation_goes_on_where_it_stopped_and_refuses_another_recipe(cohort: Cohort, tmp_path: Path) -> None:
    """A scan that is none is a row as well, and cases of another split are left alone."""
    empty = tmp_path / "empty.nii.gz"
    empty.write_bytes(b"nothing")
    bad = replace(cohort.cases[0], name="bad", source=replace(cohort.cases[0].source, ct=empty, mask_files={}))  # type: ignore[type-var]
    marked = tuple(replace(case, split=Split.TEST) for case in (cohort.cases[0], bad))
    kept_out = replace(cohort.cases[0], name="training", split=Split.TRAIN)
    tested = replace(cohort, cases=(*marked, kept_out))
    steps: list[int] = []
    out = tmp_path / "out"
    page = evaluate("house", tested, out, 1, "trabecula evaluate", lambda done, total: steps.append(done))
    assert steps == [0, 1, 2]
    rows = read_rows(out / ROWS)
    assert [row.case for row in rows] == [cohort.cases[0].name, "bad"]
    assert rows[1].refused == "file-unreadable"
    assert page.exists()
    whole = (out / ROWS).read_text()
    first = whole.index("\n") + 1
    (out / ROWS).write_text(whole[: first + 300])  # killed while the second was written
    steps.clear()
    evaluate("house", tested, out, 1, "trabecula evaluate", lambda done, total: steps.append(done))
    assert steps == [1, 2]
    assert (out / ROWS).read_text().splitlines() == whole.splitlines()
    with one_run(out), pytest.raises(WrongUsage) as refused:
        evaluate("house", tested, out, 1, "trabecula evaluate", lambda done, total: None)
    assert refused.value.code == "output-in-use"
    with pytest.raises(WrongUsage) as refused:
        evaluate("niu2023", tested, out, 1, "trabecula evaluate", lambda done, total: None)
    assert refused.value.code == "other-run"
    shutil.copy(out / ROWS, tmp_path / "rows.jsonl")
    with pytest.raises(WrongUsage):
        read_rows(tmp_path / "rows.jsonl", run_of(RECIPES["niu2023"], tested))
