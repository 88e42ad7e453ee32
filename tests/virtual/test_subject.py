"""People as the tables describe them, the same for the same seed."""

from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest

from trabecula.anatomy import LEVELS, Level
from trabecula.virtual.subject import CHAIN, Subject, mean_bmd, sample_subject

PEOPLE = [sample_subject(seed) for seed in range(300)]

# Mean end-plate width (upper, lower) and posterior height of men in mm; women are about 0.91 of it.
TABLE_MM = {"L1": (43.0, 45.5, 27.0), "L2": (45.0, 47.5, 28.0), "L3": (47.0, 50.0, 28.5), "L4": (49.5, 52.0, 28.0)}


def of_sex(sex: str) -> list[Subject]:
    return [person for person in PEOPLE if person.sex == sex]


def test_the_same_seed_is_the_same_person() -> None:
    one, two, other = sample_subject(7), sample_subject(7), sample_subject(8)
    np.testing.assert_equal(asdict(one), asdict(two))
    assert one.age_years != other.age_years


def test_both_sexes_and_all_ages() -> None:
    assert 0.4 < len(of_sex("F")) / len(PEOPLE) < 0.6
    ages = [person.age_years for person in PEOPLE]
    assert min(ages) < 25
    assert max(ages) > 85


@pytest.mark.parametrize(("sex", "factor"), [("M", 1.0), ("F", 0.91)])
@pytest.mark.parametrize("name", TABLE_MM)
def test_lumbar_bodies_are_of_the_published_size(name: str, sex: str, factor: float) -> None:
    bodies = [person.vertebra(Level(name)) for person in of_sex(sex)]
    sizes = np.array([[*body.width_mm, body.height_mm] for body in bodies])
    np.testing.assert_allclose(sizes.mean(axis=0), np.array(TABLE_MM[name]) * factor, rtol=0.03)
    spread = sizes.std(axis=0) / sizes.mean(axis=0)
    assert (spread > 0.04).all()  # people differ
    assert (spread < 0.09).all()


def test_the_spine_is_a_stack_with_l3_at_the_origin() -> None:
    for person in PEOPLE[:40]:
        assert tuple(vertebra.name for vertebra in person.spine) == CHAIN
        assert person.vertebra(Level.L3).centre_lps_mm == pytest.approx((0, 0, 0))
        for upper, lower in pairwise(person.spine):
            apart = np.array(upper.centre_lps_mm) - lower.centre_lps_mm
            bodies = (upper.height_mm + lower.height_mm) / 2
            assert apart[2] > 0
            assert 0.75 * bodies < np.linalg.norm(apart) < bodies + 22


def test_each_vertebras_axes_are_orthonormal_left_anterior_up() -> None:
    for person in PEOPLE[:40]:
        for vertebra in person.spine:
            left, front, up = vertebra.axes
            np.testing.assert_allclose(vertebra.axes @ vertebra.axes.T, np.eye(3), atol=1e-9)
            assert left[0] > 0.8  # LPS: x grows to the left
            assert front[1] < 0  # and y to the back
            assert up[2] > (0.3 if vertebra.name == "S1" else 0.6)  # the sacrum may lie almost flat


def test_density_falls_with_age_and_less_in_men() -> None:
    for sex in "FM":
        values = [mean_bmd(age, sex) for age in (20, 35, 50, 65, 80, 90)]
        assert values == sorted(values, reverse=True)
    assert mean_bmd(60, "F") == 120
    assert mean_bmd(75, "M") == pytest.approx((108 + 98) / 2)
    assert mean_bmd(80, "M") > mean_bmd(80, "F")


def test_drawn_densities_follow_the_prior() -> None:
    apart = [p.vertebra(Level.L1).bmd_k2hpo4 - mean_bmd(p.age_years, p.sex) for p in PEOPLE]
    assert abs(np.mean(apart)) < 5
    assert np.std(apart) == pytest.approx(27, rel=0.2)


@pytest.mark.parametrize("bmd", [30.0, 80.0, 240.0])
def test_a_density_that_is_asked_for_is_that_of_l1(bmd: float) -> None:
    got = np.array([sample_subject(seed, bmd).vertebra(Level.L1).bmd_k2hpo4 for seed in range(60)])
    assert got.mean() == pytest.approx(bmd, rel=0.02)
    assert got.std() / bmd == pytest.approx(0.04, abs=0.015)


def test_asking_for_a_density_changes_nothing_that_came_before_it() -> None:
    plain, asked = sample_subject(3), sample_subject(3, 100.0)
    assert (plain.sex, plain.age_years, plain.scale) == (asked.sex, asked.age_years, asked.scale)


def test_findings_come_with_age_and_only_where_they_may() -> None:
    def osteophytes(people: list[Subject]) -> float:
        return float(np.mean([p.vertebra(level).findings.osteophyte_mm > 0 for p in people for level in LEVELS[:-1]]))

    assert osteophytes([p for p in PEOPLE if p.age_years < 40]) == 0
    assert osteophytes([p for p in PEOPLE if p.age_years > 70]) > 0.4
    for person in PEOPLE:
        assert person.vertebra(Level.S1).findings == type(person.vertebra(Level.S1).findings)()
        for vertebra in person.spine:
            assert 0 <= vertebra.findings.fracture_anterior < 0.6
            assert 0 <= vertebra.findings.fracture_middle < 0.6


def test_every_person_is_possible() -> None:
    for person in PEOPLE:
        assert 0 <= person.yellow_marrow <= 1
        assert person.fat_mm < person.half_depth_mm < person.half_width_mm
        assert all(vertebra.bmd_k2hpo4 >= 5 and vertebra.disc_below_mm > 1 for vertebra in person.spine)
    assert {person.phase for person in PEOPLE} == {"none", "arterial", "portal", "delayed"}
