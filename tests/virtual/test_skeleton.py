"""What is drawn is what the subject's numbers say: size, place, density, and truth that is the image's own."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.virtual.cohort import Drawn, draw
from trabecula.virtual.findings import NOTHING, Findings
from trabecula.virtual.skeleton import mean_bmd
from trabecula.virtual.subject import Subject, sample_subject
from trabecula.volume import Grid, point


def plain(seed: int, bmd: float | None = None) -> Subject:
    """A person to whom nothing has happened."""
    subject = sample_subject(seed, bmd)
    return replace(subject, metal_hip=False, spine=tuple(replace(v, findings=NOTHING) for v in subject.spine))


def around(subject: Subject, level: Level, spacing_mm: float = 1.0, size_mm: float = 64.0) -> Drawn:
    n = round(size_mm / spacing_mm)
    return draw(subject, Grid.axial(subject.vertebra(level).centre_lps_mm, (n, n, n), (spacing_mm,) * 3))


PERSON = plain(5)


@pytest.fixture(scope="module")
def l2() -> Drawn:
    return around(PERSON, Level.L2)


def in_own_frame(drawn: Drawn, level: Level, mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask as (left, anterior, up) mm from the vertebra's centre."""
    vertebra = drawn.subject.vertebra(level)
    return (drawn.volume.to_lps(np.argwhere(mask)) - vertebra.centre_lps_mm) @ vertebra.axes.T


def test_a_body_is_as_large_as_its_numbers_say(l2: Drawn) -> None:
    vertebra = PERSON.vertebra(Level.L2)
    left, front, up = np.ptp(in_own_frame(l2, Level.L2, l2.body == Level.L2.verse_id), axis=0)
    # rounded rims take a little, a warped surface gives or takes a little
    assert left == pytest.approx(max(vertebra.width_mm), abs=3)
    assert front == pytest.approx(max(vertebra.depth_mm), abs=3)
    assert up == pytest.approx(vertebra.height_mm, abs=3)


def test_a_body_lies_at_its_centre(l2: Drawn) -> None:
    middle = in_own_frame(l2, Level.L2, l2.body == Level.L2.verse_id).mean(axis=0)
    np.testing.assert_allclose(middle, (0, 0, 0), atol=1.5)


def test_the_cortex_is_brighter_than_the_inside_and_the_canal_is_not_bone(l2: Drawn) -> None:
    body = l2.body == Level.L2.verse_id
    inside = l2.volume.hu[l2.trabecular() == Level.L2.verse_id]
    rim = l2.volume.hu[body & (l2.depth_mm > 0) & (l2.depth_mm < 0.6)]
    assert rim.mean() > inside.mean() + 100
    vertebra = PERSON.vertebra(Level.L2)
    canal = np.array([0, -vertebra.depth_mean_mm / 2 - vertebra.canal_mm[1] / 2 + 1.5, 0]) @ vertebra.axes
    index = np.rint(l2.volume.to_index(canal + vertebra.centre_lps_mm)).astype(int)
    assert l2.volume.hu[tuple(index)] < 60


def test_the_end_plates_are_denser_than_the_middle(l2: Drawn) -> None:
    mask = l2.trabecular() == Level.L2.verse_id
    up = np.abs(in_own_frame(l2, Level.L2, mask)[:, 2])
    hu = l2.volume.hu[mask]
    assert hu[up > np.quantile(up, 0.9)].mean() > hu[up < np.quantile(up, 0.4)].mean()


@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize("bmd", [40.0, 110.0, 220.0])
def test_the_density_asked_for_is_the_density_drawn(seed: int, bmd: float) -> None:
    drawn = around(plain(seed, bmd), Level.L1, 1.25, 45.0)
    asked = drawn.subject.vertebra(Level.L1).bmd_k2hpo4
    assert drawn.bmd()[Level.L1] == pytest.approx(asked, rel=0.12)


def test_an_island_makes_a_vertebra_denser_and_a_crushed_one_is_lower(l2: Drawn) -> None:
    def changed(**findings: float) -> Drawn:
        spine = tuple(
            replace(v, findings=Findings(**findings)) if v.name == Level.L2 else v  # type: ignore[arg-type]
            for v in PERSON.spine
        )
        return around(replace(PERSON, spine=spine), Level.L2)

    assert changed(island_mm=10.0).bmd()[Level.L2] > l2.bmd()[Level.L2] + 5
    crushed = changed(fracture_anterior=0.4, fracture_middle=0.3)
    assert (crushed.body == Level.L2.verse_id).sum() < 0.85 * (l2.body == Level.L2.verse_id).sum()


def test_a_metal_hip_is_metal() -> None:
    with_metal = replace(PERSON, metal_hip=True)
    hip = np.array(PERSON.vertebra(Level.S1).centre_lps_mm) + np.array([88, -38, -92]) * PERSON.scale
    grid = Grid.axial(point(hip), (20, 20, 20), (3.0, 3.0, 3.0))
    assert draw(with_metal, grid).volume.hu.max() > 3000
    assert draw(PERSON, grid).volume.hu.max() < 2000


def test_the_mean_of_l1_and_l2() -> None:
    both = [PERSON.vertebra(level).bmd_k2hpo4 for level in (Level.L1, Level.L2)]
    assert mean_bmd(PERSON) == pytest.approx(np.mean(both))


def test_ribs_reach_the_side_of_the_chest() -> None:
    t10 = PERSON.vertebra(Level.T10).centre_lps_mm
    grid = Grid.axial((0.0, t10[1] - 30, t10[2] - 30), (30, 100, 150), (2.5, 2.5, 2.5))
    bone = draw(PERSON, grid).volume.hu > 200
    x = grid.affine[0, 3] + np.nonzero(bone)[2] * 2.5
    assert x.min() < -60
    assert x.max() > 60
