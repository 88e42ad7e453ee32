"""A study's cohort on disk: its folder and its table are the same cases, with splits, sites and references."""

from functools import partial
from pathlib import Path

import pydicom
import pytest

from trabecula.anatomy import Level
from trabecula.cohort.case import Case, Cohort, Known, Split
from trabecula.cohort.drawn import Drawn
from trabecula.cohort.like import like_cohort
from trabecula.cohort.read import read_cohort
from trabecula.cohort.write import write_table
from trabecula.errors import WrongUsage
from trabecula.virtual.order_like import LikeOrder, simulate_like, write_person
from trabecula.virtual.publications import PUBLICATIONS
from trabecula.virtual.store import claimed, make_missing, subject_folder

YASAKA = PUBLICATIONS["yasaka2020"]
TRAINING, _, _, EXTERNAL = YASAKA.parts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person to train on and one of the other institution, in the folder of an order that is not done yet."""
    out = tmp_path_factory.mktemp("like") / "cohort"
    people = {
        subject_folder(part.first_seed): partial(write_person, YASAKA, part, 0, "dicom")
        for part in (TRAINING, EXTERNAL)
    }
    with claimed(out, {"like": "yasaka2020", "format": "dicom", "family": "a"}):
        assert make_missing(out, people, 1, lambda done: None) == 2
    return out


def test_the_table_says_what_the_folder_says(folder: Path) -> None:
    whole = read_cohort(str(folder), judging=True)
    table = read_cohort(str(write_table(whole, folder)), judging=True)
    assert not table.bad
    assert [case.split for case in whole.cases] == [Split.TRAIN, Split.TEST]
    for first, second in zip(whole.cases, table.cases, strict=True):
        assert (first.name, first.patient, first.split) == (second.name, second.patient, second.split)
        assert set(first.source.masks) == set(second.source.masks) == {"bodies", "trabecular", "vertebrae"}
        known, told = first.known, second.known
        for level in (Level.L1, Level.L2, Level.L3, Level.L4):
            assert told.density[level] == pytest.approx(known.density[level], abs=0.01)
        assert (told.sex, told.age_years, told.scanner, told.site) == (
            known.sex,
            known.age_years,
            known.scanner,
            known.site,
        )
        assert told.areal_bmd_g_cm2 == known.areal_bmd_g_cm2
        assert told.groups.items() <= known.groups.items()
        assert told.findings == known.findings


def test_what_is_written_is_the_person_that_is_drawn_when_needed(folder: Path) -> None:
    drawn = {case.name.split("-")[1]: case for case in like_cohort("like:yasaka2020:0.01").cases}
    for case in read_cohort(str(folder), judging=True).cases:
        same = drawn[case.name.split("-")[1]]
        assert case.split is same.split
        assert (case.known.sex, case.known.age_years) == (same.known.sex, same.known.age_years)
        assert case.known.groups == same.known.groups
        assert set(YASAKA.levels) <= set(case.known.whole_levels or ())


def test_headers_name_each_sites_own_scanner(folder: Path) -> None:
    for part in (TRAINING, EXTERNAL):
        machine = part.scanners[0][0].machine
        header = pydicom.dcmread(next((folder / subject_folder(part.first_seed) / "ct").iterdir()))
        assert header.Manufacturer == machine.manufacturer
        assert header.ManufacturerModelName == machine.model
        assert header.StationName == machine.station
        assert header.BodyPartExamined == "ABDOMEN"
        assert "ContrastBolusAgent" not in header


def test_an_order_of_another_study_does_not_go_into_the_folder(folder: Path) -> None:
    with pytest.raises(WrongUsage) as caught:
        simulate_like(LikeOrder("pan2024", 0.01), folder, 1, lambda done: None)
    assert caught.value.code == "other-cohort"


def test_a_case_without_files_has_no_row(tmp_path: Path) -> None:
    cohort = Cohort("x", "x", (Case("x", "x", Drawn(3), Known()),))
    with pytest.raises(ValueError, match="does not lie in files"):
        write_table(cohort, tmp_path)
