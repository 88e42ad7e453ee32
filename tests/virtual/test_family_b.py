"""Family b is another way of drawing people: whole, in place, its truth its own image's, and unlike family a."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.virtual.attenuation import TABLE
from trabecula.virtual.cohort import Drawn, draw, scan_patient
from trabecula.virtual.families import sample_person
from trabecula.virtual.findings import NOTHING
from trabecula.virtual.order import Order, simulate
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.subject import Subject
from trabecula.volume import Grid

LABEL = Level.L2.verse_id


def plain(seed: int, family: str) -> Subject:
    subject = sample_person(seed, 120.0, family=family)
    return replace(subject, spine=tuple(replace(v, findings=NOTHING) for v in subject.spine))


def around(subject: Subject, spacing_mm: float = 1.5, size_mm: float = 60.0) -> Drawn:
    n = round(size_mm / spacing_mm)
    return draw(subject, Grid.axial(subject.vertebra(Level.L2).centre_lps_mm, (n, n, n), (spacing_mm,) * 3))


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return around(plain(3, "b"), 1.0, 66.0)


def test_the_same_seed_is_the_same_person_and_another_than_in_family_a() -> None:
    one, two, other = (sample_person(3, family=family) for family in "bba")
    assert [v.width_mm for v in one.spine] == [v.width_mm for v in two.spine]
    assert (one.age_years, one.sex, one.family, other.family) == (other.age_years, other.sex, "b", "a")
    assert all(v.width_mm != w.width_mm for v, w in zip(one.spine, other.spine, strict=True))
    assert [v.findings for v in one.spine] == [v.findings for v in other.spine]


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match="family"):
        sample_person(1, family="c")


def test_an_order_of_an_unknown_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage) as refused:
        simulate(Order(family="c"), 1, tmp_path / "cohort", 1, lambda done: None)
    assert refused.value.code == "unknown-family"
    assert "a, b" in refused.value.message


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_the_spine_is_a_stack_of_plausible_bodies(seed: int) -> None:
    person = sample_person(seed, family="b")
    heights = [v.centre_lps_mm[2] for v in person.spine]
    assert heights == sorted(heights, reverse=True)
    assert person.vertebra(Level.L3).centre_lps_mm == pytest.approx((0, 0, 0))
    for level in (Level.L1, Level.L3):
        v = person.vertebra(level)
        assert 36 < v.width_mm[0] < 60
        assert 26 < v.depth_mm[0] < 44
        assert 20 < v.height_mm < 35
        np.testing.assert_allclose(v.axes @ v.axes.T, np.eye(3), atol=1e-9)
    # lordosis: the lowest bodies lean forward, those of the thoracolumbar junction back
    assert person.vertebra(Level.L5).axes[2][1] < person.vertebra(Level.T12).axes[2][1]


def test_truth_is_the_image_and_lies_inside_the_body(drawn: Drawn) -> None:
    region = drawn.trabecular() == LABEL
    body = drawn.body == LABEL
    assert body[region].all()
    assert 0.35 < region.sum() / body.sum() < 0.8
    assert drawn.depth_mm[region].min() > 2.5
    assert drawn.end_mm[region].min() > 2.5
    at_120 = drawn.bone.hu_at_120(float(drawn.volume.hu[region].mean(dtype=float)))
    assert drawn.bmd()[Level.L2] == pytest.approx(at_120 / TABLE[120].slope_k2hpo4, rel=1e-5)
    assert drawn.bmd()[Level.L2] == pytest.approx(drawn.subject.vertebra(Level.L2).bmd_k2hpo4, rel=0.15)


def test_a_body_is_as_large_as_its_numbers_say_and_in_its_place(drawn: Drawn) -> None:
    v = drawn.subject.vertebra(Level.L2)
    at = (drawn.volume.to_lps(np.argwhere(drawn.body == LABEL)) - v.centre_lps_mm) @ v.axes.T
    np.testing.assert_allclose(at.mean(axis=0), (0, 0, 0), atol=2.5)
    np.testing.assert_allclose(np.ptp(at, axis=0), (max(v.width_mm), max(v.depth_mm), v.height_mm), rtol=0.13)


def test_the_depth_is_the_distance_to_the_surface(drawn: Drawn) -> None:
    body = drawn.body == LABEL
    inside = drawn.trabecular() == LABEL
    measured = ndimage.distance_transform_edt(body, drawn.volume.spacing_mm)
    assert measured[inside].min() > 1.5
    assert inside[measured > 5.5].mean() > 0.9


def test_a_person_is_the_same_on_every_grid(drawn: Drawn) -> None:
    coarse = around(drawn.subject, 2.0, 66.0)
    assert coarse.bmd()[Level.L2] == pytest.approx(drawn.bmd()[Level.L2], rel=0.05)
    sizes = [(d.body == LABEL).sum() * d.volume.voxel_volume_mm3 for d in (coarse, drawn)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.03)


def shape_and_texture(drawn: Drawn) -> list[float]:
    """Of L2: how broad its back is, its front against its back, how tall the arch is; how fine its texture is."""
    v = drawn.subject.vertebra(Level.L2)
    body, region = drawn.body == LABEL, drawn.trabecular() == LABEL
    whole, solid = (
        (drawn.volume.to_lps(np.argwhere(mask)) - v.centre_lps_mm) @ v.axes.T for mask in (drawn.whole == LABEL, body)
    )
    slab = solid[np.abs(solid[:, 2]) < 0.1 * v.height_mm]
    front = np.ptp(slab[slab[:, 1] > 0.25 * v.depth_mean_mm, 0])
    back = np.ptp(slab[slab[:, 1] < -0.3 * v.depth_mean_mm, 0])
    aside = np.abs(whole[:, 0])
    arch = whole[(whole[:, 1] < -v.depth_mean_mm / 2 - 2) & (aside > 8) & (aside < 14), 2]
    hu = drawn.volume.hu - drawn.volume.hu[region].mean()
    fine = hu - ndimage.uniform_filter(hu, 3)
    below = region & np.roll(region, 2, 0)
    along = (hu * np.roll(hu, 2, 0))[below].mean() / hu[region].var()
    return [
        float(back / v.width_mm[0]),
        float(front / back),
        float(np.ptp(np.quantile(arch, [0.02, 0.98]))),
        float(fine[region].std() / hu[region].std()),
        float(along),
    ]


def test_the_families_differ_by_more_than_people_of_one_family_do() -> None:
    measured = {}
    for family in "ab":
        people = [plain(seed, family) for seed in range(6)]
        grids = []
        for person in people:
            x, y, z = person.vertebra(Level.L2).centre_lps_mm
            grids.append(Grid.axial((x, y + 22, z), (40, 64, 60), (1.5,) * 3))
        measured[family] = np.array(
            [shape_and_texture(draw(person, grid)) for person, grid in zip(people, grids, strict=True)]
        )
    apart = np.abs(measured["a"].mean(axis=0) - measured["b"].mean(axis=0))
    spread = np.sqrt((measured["a"].var(axis=0, ddof=1) + measured["b"].var(axis=0, ddof=1)) / 2)
    effect = apart / spread
    assert effect[:3].max() > 2, effect  # in shape
    assert effect[3:].min() > 2, effect  # and in texture


def test_a_whole_patient_can_be_scanned() -> None:
    person = sample_person(5, 100.0, family="b")
    quick = Protocol(pixel_mm=1.6, thickness_mm=5.0, increment_mm=5.0, noise_hu=10.0)
    ct = scan_patient(person, quick, Level.L1, Level.L3)
    for level in (Level.L1, Level.L2, Level.L3):
        place = ct.volume.to_lps(np.argwhere(ct.trabecular == level.verse_id).mean(axis=0))
        np.testing.assert_allclose(place, person.vertebra(level).centre_lps_mm, atol=3.5)
    assert np.isfinite(ct.volume.hu).all()
