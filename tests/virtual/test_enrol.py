"""Whom a published study's virtual cohort holds, and that its vendors' physics differ in the images."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.virtual.cohort import draw, spine_grid
from trabecula.virtual.enrol import enrol, people_of
from trabecula.virtual.publications import EVEN_MG_CM3, PUBLICATIONS, Part, Publication, publication_named
from trabecula.virtual.scanner import acquire
from trabecula.virtual.subject import Subject, sample_subject

FANG = PUBLICATIONS["fang2021"]
VENDORS = [part.scanners[0][0] for part in FANG.parts if part.split == "test"]


@pytest.mark.parametrize("name", PUBLICATIONS)
def test_people_are_of_the_studys_ages_plain_and_without_metal(name: str) -> None:
    publication = PUBLICATIONS[name]
    people = [enrol(publication, publication.parts[0], index).subject for index in range(60)]
    ages = [person.age_years for person in people]
    low, high = publication.people.ages
    assert low <= min(ages) <= max(ages) <= high
    assert np.mean(ages) == pytest.approx(publication.people.age_mean, abs=5)
    assert {person.phase for person in people} == {"none"}
    assert not any(v.findings.screws or v.findings.cement_mm for person in people for v in person.spine)


def drawn_densities(publication: Publication, part: Part, number: int) -> np.ndarray:
    return np.array([enrol(publication, part, i).subject.vertebra(Level.L1).bmd_k2hpo4 for i in range(number)])


def test_training_meets_every_density_and_tests_the_published_prevalence() -> None:
    niu = publication_named("niu2023")
    trained, tested = (drawn_densities(niu, part, 200) for part in (niu.parts[0], niu.parts[2]))
    counts, _ = np.histogram(trained, bins=np.linspace(*EVEN_MG_CM3, 9))
    assert counts.min() > 0.3 * len(trained) / 8
    # 121 of 500 with osteoporosis, 307 with less than normal density; two standard errors of 200 people.
    assert (tested < 80).mean() == pytest.approx(0.242, abs=0.06)
    assert (tested <= 120).mean() == pytest.approx(0.614, abs=0.07)


@pytest.mark.parametrize("name", PUBLICATIONS)
def test_the_studys_vertebrae_lie_wholly_in_the_field_of_view(name: str) -> None:
    publication = PUBLICATIONS[name]
    for part in publication.parts:
        for index in range(8):
            who = enrol(publication, part, index)
            # Chest scans that end at L1 are pan2024's own case.
            levels = [level for level in publication.levels if who.view.kind != "chest to L1" or level is Level.L1]
            for level in levels:
                v = who.subject.vertebra(level)
                corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
                body = corners * [max(v.width_mm), max(v.depth_mm), v.height_mm] @ v.axes + v.centre_lps_mm
                assert who.field.low_mm + 3 < body[:, 2].min()
                assert body[:, 2].max() < who.field.high_mm - 3
                left = np.abs(body[:, 0] - who.field.middle_mm[0])
                assert left.max() < who.field.width_mm / 2


@pytest.fixture(scope="module")
def person() -> Subject:
    return replace(sample_subject(5, 140.0), phase="none")


def test_one_person_reads_differently_on_each_vendors_scanner(person: Subject) -> None:
    grid = spine_grid(person, Level.L2, Level.L2, 1.0, margin_mm=18.0)
    read, noise, sharp = [], [], []
    for scanner in VENDORS:
        drawn = draw(person, grid, scanner.protocol.kvp, scanner.protocol.slope)
        first, second = (
            acquire(drawn.volume, replace(scanner.protocol, slope=1.0), np.random.default_rng(seed), grid)
            for seed in (1, 2)
        )
        inside = drawn.trabecular() == Level.L2.verse_id
        read.append((first.hu[inside].mean() + second.hu[inside].mean()) / 2)
        noise.append((first.hu - second.hu)[inside].std() / 2**0.5)
        mean = (first.hu + second.hu) / 2
        edge = (drawn.body == Level.L2.verse_id) & (drawn.depth_mm < 1.0)
        sharp.append(np.abs(np.gradient(mean, axis=2))[edge].mean() / read[-1])
    # Slopes of 0.97, 1.035 and 1.0 with offsets of 2, -3 and 4 HU on about 170 HU.
    assert read[1] - read[0] > 3
    assert len({round(float(hu)) for hu in read}) == 3
    assert noise[1] > 1.2 * noise[0] > 1.2 * 1.2 * noise[2]
    assert sharp[1] > sharp[0] > sharp[2]


@pytest.mark.parametrize("share", [0.0, -1.0, 1.01, float("nan")])
def test_a_share_is_above_nothing_and_up_to_all(share: float) -> None:
    with pytest.raises(WrongUsage) as caught:
        people_of(FANG.parts[0], share)
    assert caught.value.code == "share-unusable"
