"""Ribs join their vertebrae, run outside the lungs, and are as long as they are said to be."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from trabecula.virtual.cohort import draw, field_between
from trabecula.virtual.counting import counting_truth
from trabecula.virtual.families import sample_person
from trabecula.virtual.family_b.ribs import ribs_of_b
from trabecula.virtual.ribs import Rib, ribs_of
from trabecula.virtual.subject import Subject
from trabecula.volume import Grid

FAMILIES = ("a", "b")


def ribs(subject: Subject) -> tuple[Rib, ...]:
    return ribs_of(subject) if subject.family == "a" else ribs_of_b(subject)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [3, 12, 40])
def test_twelve_pairs_leave_their_vertebrae_and_fall_to_the_front(seed: int, family: str) -> None:
    person = replace(sample_person(seed, family=family), variable_ribs=(("T12", 90.0, 100.0),))
    drawn = {(rib.vertebra, rib.side): rib for rib in ribs(person)}
    assert len(drawn) == 24
    for (name, side), rib in drawn.items():
        body = person.by_name[name]
        head = (rib.path_lps_mm[0] - body.centre_lps_mm) @ body.axes.T
        assert side * head[0] == pytest.approx(body.width_mm[0] / 2, abs=4)
        nearest, furthest = (-0.35, -0.8) if rib.number >= 11 else (0.0, -0.6)
        assert furthest * body.depth_mean_mm < head[1] < nearest * body.depth_mean_mm
        assert rib.path_lps_mm[-1, 2] < rib.path_lps_mm[0, 2]
        if 3 <= rib.number <= 9:
            assert rib.path_lps_mm[0, 2] - rib.path_lps_mm[-1, 2] > 30
            assert np.abs(rib.path_lps_mm[:, 0]).max() > 70


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_ribs_hang_on_both_sides_and_begin_furthest_back(family: str) -> None:
    person = replace(sample_person(12, family=family), variable_ribs=(("T12", 120.0, 120.0),))
    behind = {}
    for rib in ribs(person):
        body = person.by_name[rib.vertebra]
        place = (rib.path_lps_mm - body.centre_lps_mm) @ body.axes.T
        behind[rib.number] = -place[0, 1] / body.depth_mean_mm
        if rib.number == 12:
            aside = np.abs(place[:, 0] - place[0, 0])
            assert place[0, 2] - np.interp(60, aside, place[:, 2]) > 5
    assert min(behind[11], behind[12]) > max(behind[n] for n in range(2, 11))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [3, 9])
def test_costal_processes_are_thin_and_slant_backwards(seed: int, family: str) -> None:
    person = replace(sample_person(seed, family=family), variable_ribs=())
    for name in ("L2", "L3"):
        body = person.by_name[name]
        drawn = draw(person, Grid.axial(body.centre_lps_mm, (64, 110, 110), (1.0, 1.0, 1.0)))
        place = drawn.volume.to_lps(np.argwhere(drawn.whole == body.verse_id)) - body.centre_lps_mm
        left, front, _ = (place @ body.axes.T).T
        root = body.canal_mm[0] / 2 + body.pedicle_mm[0] + 5
        for side in (-1, 1):
            bins = [front[(side * left >= at) & (side * left < at + 1.5)] for at in np.arange(root, root + 9, 1.5)]
            there = [b for b in bins if len(b)]
            assert len(there) >= 4
            assert np.median([np.ptp(b) for b in there]) < 9
            assert there[-1].mean() < there[0].mean()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rib_is_as_long_as_was_wished(family: str) -> None:
    wished = (("C7", 30.0, 0.0), ("T12", 0.0, 62.0), ("L1", 25.0, 40.0))
    person = replace(sample_person(5, family=family), variable_ribs=wished)
    bodies = counting_truth(person).by_name
    for name, right, left in wished:
        assert bodies[name].rib_mm == pytest.approx((right, left), rel=0.03)
        assert (bodies[name].rib_head_lps_mm[0] is None) == (right == 0)
    assert bodies["T11"].rib_mm[0] > 100
    assert bodies["L2"].rib_mm == (0.0, 0.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rib_touches_the_vertebra_it_is_labelled_with_on_both_sides(family: str) -> None:
    person = sample_person(8, family=family)
    for name in ("T3", "T7"):
        body = person.by_name[name]
        drawn = draw(person, Grid.axial(body.centre_lps_mm, (40, 70, 80), (1.5, 1.5, 1.5)))
        touching = ndimage.binary_dilation(drawn.whole == body.verse_id, iterations=2) & (drawn.ribs == body.verse_id)
        x = drawn.volume.to_lps(np.argwhere(touching))[:, 0] - body.centre_lps_mm[0]
        assert (x > 0).sum() > 4 and (x < 0).sum() > 4, name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [3, 21])
def test_lungs_are_air_within_the_ribs(seed: int, family: str) -> None:
    person = sample_person(seed, family=family)
    high, low = (person.by_name[name].centre_lps_mm[2] for name in ("T2", "T11"))
    drawn = draw(person, field_between(person, (low, high)).grid(4.0))
    hu, bone = drawn.volume.hu, drawn.ribs > 0
    assert (hu[bone] < -300).mean() < 0.03
    # Eroded: at the skin there is half air. The table's foam is thinner than lungs.
    x = drawn.volume.to_lps(np.argwhere(ndimage.binary_erosion((hu < -600) & (hu > -878))))
    litres = len(x) * drawn.volume.voxel_volume_mm3 / 1e6
    assert 0.4 < litres < 7
    ends = np.concatenate([rib.path_lps_mm for rib in ribs(person)])
    assert x[:, 0].min() > ends[:, 0].min() and x[:, 0].max() < ends[:, 0].max()
