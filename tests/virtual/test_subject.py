"""People as the tables describe them, the same for the same seed."""

from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest

from trabecula.anatomy import LEVELS, Level
from trabecula.virtual.findings import LEARNT, POPULATION
from trabecula.virtual.numbering import CHAIN, Numbering, chain
from trabecula.virtual.subject import Subject, cortex_share, mean_bmd, sample_subject

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
    # End plates are wider by what rounding takes off them before they are measured.
    np.testing.assert_allclose(sizes.mean(axis=0), np.array(TABLE_MM[name]) * factor, rtol=0.045)
    spread = sizes.std(axis=0) / sizes.mean(axis=0)
    assert (spread > 0.04).all()  # people differ
    assert (spread < 0.09).all()


def test_the_spine_is_a_stack_with_l3_at_the_origin() -> None:
    for person in PEOPLE[:40]:
        assert tuple(vertebra.name for vertebra in person.spine) == chain(person.numbering)
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


def test_the_cortex_is_as_thin_as_the_bone_is_poor() -> None:
    assert cortex_share(150) == 1
    assert cortex_share(75) == pytest.approx(2**-0.4)
    rich, poor = (
        np.mean([sample_subject(n, bmd).vertebra(Level.L3).cortex_mm for n in range(60)]) for bmd in (150, 60)
    )
    assert rich == pytest.approx(0.41, abs=0.03)  # the mean of the lognormal spread about 0.38
    assert poor / rich == pytest.approx(cortex_share(60), abs=0.02)


def test_asking_for_a_density_changes_nothing_that_came_before_it() -> None:
    plain, asked = sample_subject(3), sample_subject(3, 100.0)
    assert (plain.sex, plain.age_years, plain.scale) == (asked.sex, asked.age_years, asked.scale)


def test_findings_come_with_age_and_only_where_they_may() -> None:
    def osteophytes(people: list[Subject]) -> float:
        return float(np.mean([p.vertebra(level).findings.osteophyte_mm > 0 for p in people for level in LEVELS[:-1]]))

    assert osteophytes([p for p in PEOPLE if p.age_years < 40]) == 0
    assert osteophytes([p for p in PEOPLE if p.age_years > 70]) > 0.4
    for person in PEOPLE:
        assert not any(
            v for k, v in asdict(person.by_name["S1"].findings).items() if k not in ("schmorl_upper", "screws")
        )
        for vertebra in person.spine:
            assert 0 <= vertebra.findings.fracture_anterior <= 0.6
            assert 0 <= vertebra.findings.fracture_middle <= 0.6


def test_every_person_is_possible() -> None:
    for person in PEOPLE:
        assert 0 <= person.yellow_marrow <= 1
        assert person.fat_mm < person.half_depth_mm < person.half_width_mm
        assert all(vertebra.bmd_k2hpo4 >= 5 and vertebra.disc_below_mm > 1 for vertebra in person.spine)
    assert {person.phase for person in PEOPLE} == {"none", "arterial", "portal", "delayed"}


def test_vertebrae_are_numbered_as_people_are() -> None:
    people = [sample_subject(seed) for seed in range(1500)]
    share = {kind: np.mean([p.numbering is kind for p in people]) for kind in Numbering}
    assert share[Numbering.SACRALISED] + share[Numbering.FOUR_LUMBAR] == pytest.approx(0.123, abs=0.03)
    assert share[Numbering.LUMBARISED] == pytest.approx(0.04, abs=0.015)
    assert min(share.values()) > 0.005
    assert np.mean([any(p.rib_mm("L1", side) for side in (-1, 1)) for p in people]) == pytest.approx(0.03, abs=0.015)


@pytest.mark.parametrize(
    ("numbering", "lumbar", "labels"),
    [
        (Numbering.REGULAR, 5, [19, 20, 21, 22, 23, 24, 26]),
        (Numbering.SACRALISED, 5, [19, 20, 21, 22, 23, 24, 26]),
        (Numbering.FOUR_LUMBAR, 4, [19, 20, 21, 22, 23, 26]),
        (Numbering.LUMBARISED, 6, [19, 20, 21, 22, 23, 24, 25, 26]),
        (Numbering.THIRTEEN_RIBS, 5, [19, 28, 20, 21, 22, 23, 24, 26]),
        (Numbering.ELEVEN_RIBS, 5, [19, 20, 21, 22, 23, 24, 26]),
    ],
)
def test_a_variant_has_its_bodies_with_their_verse_labels(numbering: Numbering, lumbar: int, labels: list[int]) -> None:
    person = numbered(numbering)
    names = [v.name for v in person.spine]
    assert sum(name[0] == "L" for name in names) == lumbar
    assert [v.verse_id for v in person.spine][names.index("T12") :] == labels
    heights = [v.centre_lps_mm[2] for v in person.spine]
    assert heights == sorted(heights, reverse=True)
    assert (person.rib_mm("T12", 1) == person.rib_mm("T12", -1) == 0) == (numbering is Numbering.ELEVEN_RIBS)
    thirteenth = any(person.rib_mm("T13", side) for side in (-1, 1))
    assert thirteenth == (numbering is Numbering.THIRTEEN_RIBS)
    for level in LEVELS:
        assert person.vertebra(level).name == level.value or (level, numbering) == (Level.L5, Numbering.FOUR_LUMBAR)


def numbered(numbering: Numbering) -> Subject:
    return next(person for person in map(sample_subject, range(2000)) if person.numbering is numbering)


def test_a_sacralised_vertebra_is_squarer_over_a_lower_disc_and_joined_to_the_ala() -> None:
    people = [sample_subject(seed) for seed in range(1200)]
    groups = [[p.vertebra(Level.L5) for p in people if p.numbering is kind] for kind in Numbering][:2]
    ordinary, joined = groups
    broad = [v for v in ordinary if any(v.ala_mm)]  # type I: broad processes that end above the ala
    assert 0.04 < len(broad) / len(ordinary) < 0.13
    assert all(max(v.ala_reach) < 0.5 for v in broad) and all(max(v.ala_reach) > 0.8 for v in joined)
    assert all(any(v.ala_mm) for v in joined)
    assert {all(v.ala_mm) for v in joined} == {True, False}  # on both sides or on one
    assert np.mean([v.disc_below_mm for v in joined]) < 0.6 * np.mean([v.disc_below_mm for v in ordinary])
    assert np.mean([abs(v.width_mm[0] / v.width_mm[1] - 1) for v in joined]) < 0.05


def test_a_variant_changes_nothing_else_about_a_person() -> None:
    seed = next(seed for seed in range(200) if sample_subject(seed).numbering is Numbering.LUMBARISED)
    never = replace(LEARNT, sacralised=0, four_lumbar=0, lumbarised=0, thirteen_ribs=0, eleven_ribs=0)
    with_l6, without = sample_subject(seed), sample_subject(seed, rates=never)
    assert (without.numbering, len(without.spine)) == (Numbering.REGULAR, len(with_l6.spine) - 1)
    for name in CHAIN:
        assert with_l6.by_name[name].width_mm == without.by_name[name].width_mm
    assert with_l6.half_width_mm == without.half_width_mm


def test_rates_are_settings() -> None:
    always = replace(LEARNT, lumbarised=1.0, sacralised=0.0, four_lumbar=0.0, fractures=20.0)
    people = [sample_subject(seed, rates=always) for seed in range(60)]
    assert {p.numbering for p in people} == {Numbering.LUMBARISED}

    def broken(some: list[Subject]) -> float:
        return float(np.mean([any(v.findings.fracture_anterior for v in p.spine) for p in some]))

    as_met = [sample_subject(seed, rates=POPULATION) for seed in range(600)]
    assert broken(as_met) == pytest.approx(0.054, abs=0.025)
    assert broken(people) > 2 * broken(PEOPLE) > 2 * broken(as_met)


def test_findings_are_as_common_as_published() -> None:
    people = [sample_subject(seed, rates=POPULATION) for seed in range(1500)]

    def share(name: str) -> float:
        return float(np.mean([any(getattr(v.findings, name) for v in p.spine) for p in people]))

    assert share("schmorl_mm") == pytest.approx(0.157, abs=0.03)
    assert share("haemangioma_mm") == pytest.approx(0.10, abs=0.025)
    assert 0.01 < share("island_mm") < 0.03
    assert 0.004 < share("metastasis_mm") < 0.03
    assert share("cement_mm") + share("screws") == pytest.approx(0.017, abs=0.01)
    old = [p for p in people if p.age_years > 60]
    worn = [any(v.findings.sclerosis_upper_mm for v in p.spine) for p in old]
    assert np.mean(worn) == pytest.approx(0.15, abs=0.05)


def test_fractures_are_of_three_kinds_and_bend_the_spine() -> None:
    broken = [v for seed in range(900) for v in sample_subject(seed).spine if v.findings.fracture_anterior]
    wedge = [v for v in broken if not v.findings.fracture_posterior and v.front_mm < 0.85 * v.height_mm]
    crush = [v for v in broken if v.findings.fracture_posterior]
    biconcave = [v for v in broken if v.findings.fracture_middle > v.findings.fracture_anterior]
    assert min(len(kind) for kind in (wedge, crush, biconcave)) > 10
    for v in crush:
        assert v.back_mm < 0.95 * v.height_mm
    for v in broken:
        lost = max(v.findings.fracture_anterior, v.findings.fracture_middle)
        assert 0.2 <= lost <= 0.6


def test_flowing_bridges_join_four_thoracic_vertebrae_and_more() -> None:
    runs = []
    for person in (sample_subject(seed) for seed in range(500)):
        marks = "".join("x" if v.findings.bridge_mm else " " for v in person.spine)
        runs += [len(run) for run in marks.split()]
    assert max(runs) >= 6
    assert {1, 4} <= set(runs)
