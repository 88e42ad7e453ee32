"""Cohorts like those of published studies: their sizes, splits and seeds, and what is true of a case."""

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.cohort.case import Case, Field, Split, validation_split
from trabecula.cohort.drawn import TEST_SEED, TRAINING_SEED
from trabecula.cohort.like import like_cohort
from trabecula.cohort.read import read_cohort
from trabecula.errors import WrongUsage
from trabecula.virtual.publications import PUBLICATIONS

MASKS = ("bodies", "trabecular")

SIZES = {  # training, with whom weights are chosen by, and test sets, as published
    "niu2023": (400, 100),
    "fang2021": (586, 463 + 200 + 200),
    "peng2023": (703, 176 + 340),
    "pan2024": (630, 418),
    "yasaka2020": (183, 45 + 50),
}


@pytest.mark.parametrize("name", SIZES)
def test_parts_have_the_published_sizes(name: str) -> None:
    parts = PUBLICATIONS[name].parts
    tested = sum(part.people for part in parts if part.split == "test")
    assert (sum(part.people for part in parts) - tested, tested) == SIZES[name]


def test_nobody_is_trained_on_and_judged() -> None:
    cohort = like_cohort("like:yasaka2020")
    training, judging = validation_split(cohort.cases)
    tested = [case for case in cohort.cases if case.split is Split.TEST]
    assert (len(training), len(judging), len(tested)) == (165, 18, 95)
    people = [{case.patient for case in part} for part in (training, judging, tested)]
    assert len(set().union(*people)) == len(cohort.cases)


def test_no_two_parts_of_any_study_share_a_seed_nor_take_one_that_others_use() -> None:
    seeds = [
        seed
        for publication in PUBLICATIONS.values()
        for part in publication.parts
        for seed in range(part.first_seed, part.first_seed + part.people)
    ]
    assert len(seeds) == len(set(seeds))
    assert min(seeds) > TEST_SEED + (TEST_SEED - TRAINING_SEED)  # the last that virtual:NUMBER can have


def test_a_larger_share_holds_the_people_of_a_smaller_one() -> None:
    some, more = (like_cohort(f"like:yasaka2020:{share}") for share in ("0.2", "0.5"))
    assert (some.name, some.digest) == (more.name, more.digest)
    assert {case.name for case in some.cases} < {case.name for case in more.cases}
    assert {case.known.groups["part"] for case in some.cases} == {
        part.name for part in PUBLICATIONS["yasaka2020"].parts
    }
    by_name = {case.name: case for case in more.cases}
    assert all(case.known == by_name[case.name].known for case in some.cases)


def test_scanners_and_fields_of_view_are_shared_out_as_asked_in_any_first_few() -> None:
    cases = like_cohort("like:peng2023:0.1").cases
    independent = [case.known.scanner for case in cases if case.known.groups["part"] == "independent test"]
    counts = [independent.count(scanner) for scanner in set(independent)]
    assert len(counts) == 4
    assert max(counts) - min(counts) <= 2
    pan = [case.known.groups["in view"] for case in like_cohort("like:pan2024:0.1").cases]
    assert 0.25 < pan.count("chest to L1") / len(pan) < 0.45


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("like:smith1999", "unknown-publication"),
        ("like:", "unknown-publication"),
        ("like:fang2021:0", "share-unusable"),
        ("like:fang2021:1.2", "share-unusable"),
        ("like:fang2021:nan", "share-unusable"),
        ("like:fang2021:half", "share-unusable"),
    ],
)
def test_a_cohort_that_is_not_there_is_refused(given: str, code: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        read_cohort(given, judging=True)
    assert caught.value.code == code
    if code == "unknown-publication":
        assert all(name in caught.value.message for name in PUBLICATIONS)


@pytest.fixture(scope="module")
def yasaka() -> Case:
    """Thick slices: the quickest to scan whole."""
    return read_cohort("like:yasaka2020:0.01", judging=True).cases[0]


def test_what_is_true_does_not_depend_on_how_much_is_scanned(yasaka: Case) -> None:
    levels = PUBLICATIONS["yasaka2020"].levels
    whole, part = yasaka.load(MASKS), yasaka.labelled(MASKS, Field.SPINE)
    assert set(levels) <= set(whole.known.whole_levels or ())
    for level in levels:
        assert part.known.density[level] == pytest.approx(whole.known.density[level], abs=1.5)
        assert (part.masks["trabecular"] == level.verse_id).any()
    assert whole.known.areal_bmd_g_cm2 == part.known.areal_bmd_g_cm2
    assert whole.scan.acquisition.patient_sex == part.known.sex
    for seen, volume in ((whole.masks, whole.scan.volume), (part.masks, part.volume)):
        at_l2 = np.argwhere(seen["bodies"] == Level.L2.verse_id).mean(axis=0)
        assert np.allclose(volume.to_lps(at_l2), yasaka.known.centres_lps_mm[Level.L2], atol=4)
    # Both are of one scanner: the same bone reads the same.
    inside = [
        volume.hu[masks["trabecular"] == Level.L2.verse_id].mean()
        for masks, volume in ((whole.masks, whole.scan.volume), (part.masks, part.volume))
    ]
    assert inside[0] == pytest.approx(inside[1], abs=6)


@pytest.mark.parametrize("name", ["niu2023", "fang2021"])
def test_a_stretch_shows_the_studys_vertebrae_whole_with_what_lies_beyond(name: str) -> None:
    levels = PUBLICATIONS[name].levels
    seen = like_cohort(f"like:{name}:0.01").cases[0].labelled(MASKS, Field.SPINE)
    assert set(levels) <= set(seen.known.density)
    ids = [level.verse_id for level in levels]
    rows = np.flatnonzero(np.isin(seen.masks["bodies"], ids).any(axis=(1, 2)))
    spacing_mm = seen.volume.spacing_mm[0]
    below_mm, above_mm = rows[0] * spacing_mm, (seen.volume.shape[0] - 1 - rows[-1]) * spacing_mm
    assert 25 < below_mm < 60 and 25 < above_mm < 60
