"""Drawn bodies have the HU of the specification's formula at every tube voltage."""

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.evaluation.world.voltage import beside_120, expected_hu, measure, path_through_mm
from trabecula.volume import Volume


def test_the_formula_by_hand() -> None:
    # All red marrow, 100 mg/cm3: 142.6 HU at 120 kVp, of which 132.5 are mineral; behind 20 cm of water.
    assert expected_hu(100.0, 0.0, -20.0, 120, 200.0) == pytest.approx(142.6, abs=0.1)
    assert expected_hu(100.0, 0.0, -20.0, 80, 200.0) == pytest.approx(2 + 132.5 * 2.093 / 1.544, abs=0.2)
    # A third of it yellow marrow, -72.4 HU: 142.6 + 17.4 HU of mineral; in a 30 cm patient about x 1.5^-0.19.
    mineral, marrow = 142.6 + 17.4, -17.4
    assert expected_hu(100.0, 1 / 3, -20.0, 120, 300.0) == pytest.approx(marrow + mineral * 0.9258, abs=3)


@pytest.mark.parametrize("kvp", [80, 100, 120, 140])
def test_drawn_bodies_have_the_hu_of_the_formula(rows: list, kvp: int) -> None:
    off = np.array([r.drawn_hu - r.expected_hu for r in rows if r.kvp == kvp])
    assert len(off) == 6
    assert abs(off.mean()) < 8  # six bodies with a texture of some 7 HU; 32 are within 5 HU in docs/results/world.md
    # the texture, and beside the same body at 120 kVp without it
    assert off.std() < 0.1 * np.mean([r.drawn_hu for r in rows if r.kvp == kvp])
    assert max(np.abs(beside_120(rows)[kvp])) < 1


@pytest.fixture(scope="module")
def rows() -> list:
    return measure(range(3), (Level.L1, Level.L2))


def test_the_water_path_of_a_disc() -> None:
    y, x = np.mgrid[:160, :160] - 79.5
    disc = np.where(np.hypot(x, y) < 60, 0.0, -1000.0)[None].astype(np.float32)
    affine = np.array([[0, 0, 2.0, 0], [0, 2.0, 0, 0], [2.0, 0, 0, 0], [0, 0, 0, 1]])
    slice_ = Volume(disc, affine)
    assert path_through_mm(slice_, np.array([159.0, 159.0, 0.0])) == pytest.approx(240, rel=0.01)
    # Rays through a point half way out: the mean chord of a disc there is a complete elliptic integral.
    angle = np.linspace(0, np.pi, 1000)
    chords = 2 * np.sqrt(120**2 - (60 * np.sin(angle)) ** 2)
    assert path_through_mm(slice_, np.array([219.0, 159.0, 0.0])) == pytest.approx(chords.mean(), rel=0.01)


def test_a_body_is_measured_where_it_is(rows: list) -> None:
    assert {r.level for r in rows} == {Level.L1, Level.L2}
    assert all(100 < r.path_mm < 300 for r in rows)
