"""Torsos to learn counting from: whole in every field of view, the same for the same seed, their truth in the image."""

import numpy as np
import pytest

from trabecula.virtual.cohort import draw
from trabecula.virtual.counting import counting_truth
from trabecula.virtual.families import sample_person
from trabecula.virtual.fields import FIELD_KINDS, sample_field
from trabecula.virtual.findings import POPULATION, VARIANTS
from trabecula.virtual.numbering import Castellvi, Numbering
from trabecula.virtual.subject import sample_subject
from trabecula.virtual.torso import Torso, draw_torso
from trabecula.volume import Grid


@pytest.fixture(scope="module", params=["a", "b"])
def trunk(request: pytest.FixtureRequest) -> Torso:
    return draw_torso(107, 5.0, family=request.param, field="trunk", rates=POPULATION)


def test_the_trunk_holds_every_body_from_the_neck_to_the_sacrum_where_it_is_said_to_be(trunk: Torso) -> None:
    shares = trunk.truth.in_view(trunk.volume)
    assert [name for name, share in shares.items() if share > 0.9 and name >= "T"][:1] == ["T1"]
    for body in trunk.truth.bodies:
        place = np.argwhere(trunk.body == body.verse_id)
        if shares[body.name] > 0.95 and body.name[0] in "TL":
            # Behind, a body is hollow; at 5 mm its middle is known to a fifth of a voxel at best.
            assert trunk.volume.to_lps(place.mean(axis=0)) == pytest.approx(np.array(body.centre_lps_mm), abs=4)
    assert 26 in trunk.body
    names = [body.name for body in trunk.truth.bodies]
    assert (names[2], names[-1], trunk.truth.first_rib, trunk.truth.sacrum) == ("C7", "S1", "T1", "S1")


def test_a_rib_is_in_the_image_where_the_truth_has_one(trunk: Torso) -> None:
    shares = trunk.truth.in_view(trunk.volume)
    for body in trunk.truth.bodies:
        if shares[body.name] == 1.0:
            assert (trunk.ribs == body.verse_id).any() == any(mm > 8 for mm in body.rib_mm), body.name
    ribs = trunk.volume.hu[trunk.ribs > 0]
    assert np.median(ribs) > 100


def test_the_iliac_crest_is_the_highest_bone_beside_the_sacrum(trunk: Torso) -> None:
    for crest in trunk.truth.iliac_crests_lps_mm:
        z, y, x = (round(i) for i in trunk.volume.to_index(np.array(crest)))
        below = trunk.volume.hu[max(z - 5, 0) : z, y - 3 : y + 4, x - 3 : x + 4]
        assert below.max() > 150
    s1 = trunk.truth.by_name["S1"].centre_lps_mm[2]
    assert all(10 < crest[2] - s1 < 90 for crest in trunk.truth.iliac_crests_lps_mm)


def test_the_same_seed_is_the_same_torso_and_another_field_the_same_person() -> None:
    one, two, other = draw_torso(9, 8.0), draw_torso(9, 8.0), draw_torso(9, 8.0, field="lumbar")
    np.testing.assert_array_equal(one.volume.hu, two.volume.hu)
    np.testing.assert_array_equal(one.ribs, two.ribs)
    assert one.truth == two.truth == other.truth
    assert one.field == two.field


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown field"):
        draw_torso(1, 8.0, field="knee")


@pytest.mark.parametrize("kind", FIELD_KINDS)
def test_fields_end_anywhere_in_a_body_and_hold_the_spine(kind: str) -> None:
    ends = []
    for seed in range(25):
        person = sample_subject(seed, rates=VARIANTS)
        field = sample_field(person, np.random.default_rng(seed), kind)
        assert field.high_mm - field.low_mm >= 80
        truth = counting_truth(person)
        within = [b for b in truth.bodies if field.low_mm < b.centre_lps_mm[2] < field.high_mm]
        assert len(within) >= 2
        middle = within[len(within) // 2].centre_lps_mm
        assert abs(middle[0] - field.middle_mm[0]) < field.width_mm / 2
        assert abs(middle[1] - field.middle_mm[1]) < field.depth_mm / 2
        ends += [(b.centre_lps_mm[2] - field.low_mm) / b.height_mm for b in truth.bodies]
    cut = [e for e in ends if abs(e) < 0.5]
    if kind not in ("trunk", "abdomen", "abdomen-pelvis"):  # these end below S1
        assert len(cut) > 5 and np.std(cut) > 0.15


def test_masked_torsos_are_blank_outside_and_keep_their_lungs() -> None:
    torso = next(
        t for t in (draw_torso(seed, 8.0, field="chest") for seed in range(100, 160)) if t.field.masked and t.body.any()
    )
    hu = torso.volume.hu
    assert (hu == -1024).mean() > 0.1
    assert ((hu > -950) & (hu < -600)).mean() > 0.03


def test_every_variant_can_be_ordered_often() -> None:
    people = [sample_subject(seed, rates=VARIANTS) for seed in range(300)]
    for kind in Numbering:
        assert sum(p.numbering is kind for p in people) > 15, kind
    for kind in Castellvi:
        assert any(p.variant.castellvi is kind for p in people), kind
    one_sided = [p for p in people if 0 in (p.rib_mm("T12", -1), p.rib_mm("T12", 1))]
    assert any(p.rib_mm("T12", -1) != p.rib_mm("T12", 1) for p in one_sided)


def test_joined_sides_are_told_right_and_left() -> None:
    for seed in range(200):
        person = sample_subject(seed, rates=VARIANTS)
        truth = counting_truth(person)
        last = person.spine[-2]
        assert [side != "" for side in truth.castellvi_sides] == [mass > 0 for mass in last.ala_mm]


@pytest.mark.parametrize("family", ["a", "b"])
@pytest.mark.parametrize("seed", [5, 6, 7])
def test_the_sacrum_bends_forwards_below_its_first_segment_and_keeps_traces_of_a_disc(seed: int, family: str) -> None:
    person = sample_person(seed, rates=POPULATION, family=family)
    s1 = person.spine[-1]
    assert s1.name == "S1"
    drawn = draw(person, Grid.axial(s1.centre_lps_mm + np.array([0, 20, -40]), (120, 80, 75), (1.5, 1.5, 1.5)))
    bone = np.argwhere(drawn.whole == s1.verse_id)
    own = (drawn.volume.to_lps(bone) - s1.centre_lps_mm) @ s1.axes.T  # left, anterior, up
    assert -135 < own[:, 2].min() < -60
    last = own[own[:, 2] < own[:, 2].min() + 15]
    assert last[:, 1].mean() > own[(own[:, 2] > -50) & (own[:, 2] < -35), 1].mean() + 5
    # Along the bone, in its middle, the end plates that once bounded the disc of S1 and S2 stand out from the marrow.
    hu = drawn.volume.hu[tuple(bone.T)]
    middle = (np.abs(own[:, 0]) < 6) & (np.abs(own[:, 1]) < 5)
    rows = [(-26, -12), (-36, -30)]
    disc, marrow = (hu[middle & (own[:, 2] > low) & (own[:, 2] < high)] for low, high in rows)
    assert np.ptp(np.percentile(disc, [5, 95])) > 1.2 * np.ptp(np.percentile(marrow, [5, 95]))
