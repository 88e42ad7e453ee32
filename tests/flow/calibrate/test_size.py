"""The water path through a spine, against bodies whose chords are known."""

import numpy as np
import pytest

from trabecula.flow.calibrate.size import water_path
from trabecula.volume import Grid, Volume


def torso(half_width: float, half_depth: float, view_mm: float = 560.0, hu: float = 0.0) -> Volume:
    """An ellipse of water on a table of carbon over foam, in air."""
    size = int(view_mm / 2)
    grid = Grid.axial((0.0, 0.0, 0.0), (10, size, size), (4.0, 2.0, 2.0))
    y, x = (np.indices((size, size)) - (size - 1) / 2) * 2.0
    image = np.full((size, size), -1000.0, np.float32)
    image[(y > half_depth + 2) & (y < half_depth + 30) & (np.abs(x) < 200)] = -950
    image[(y > half_depth + 30) & (y < half_depth + 36) & (np.abs(x) < 220)] = 100
    image[(x / half_width) ** 2 + (y / half_depth) ** 2 < 1] = hu
    return Volume(np.repeat(image[None], 10, 0), grid.affine)


def test_the_middle_of_a_disc_has_its_diameter() -> None:
    found = water_path(torso(120, 120), np.zeros(3))
    assert found.mm == pytest.approx(240, rel=0.02)
    assert found.whole and found.cut_share == 0


def test_off_the_middle_the_mean_chord_is_shorter() -> None:
    # Mean over angles of 2 sqrt(R2 - d2 sin2) for d = R / 2 is 2 R E(1/4) 2 / pi = 0.9342 of the diameter.
    found = water_path(torso(120, 120), np.array([0.0, 60.0, 0.0]))
    assert found.mm == pytest.approx(0.9342 * 240, rel=0.02)


def test_lean_tissue_counts_by_its_density() -> None:
    thin, dense = water_path(torso(150, 100), np.zeros(3)), water_path(torso(150, 100, hu=50.0), np.zeros(3))
    assert dense.mm == pytest.approx(1.05 * thin.mm, rel=0.01)


def test_a_body_that_the_view_cuts_is_not_measured() -> None:
    found = water_path(torso(160, 110, view_mm=240.0), np.zeros(3))
    assert found.cut_share > 0.2 and not found.whole
