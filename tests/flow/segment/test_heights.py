"""Heights of bodies whose shape is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trabecula.flow.exclude.height import HeightLoss, lost_share
from trabecula.flow.segment.heights import body_heights
from trabecula.records import BodyHeights
from trabecula.volume import Grid

GRID = Grid.axial((0.0, 0.0, 0.0), (56, 56, 64), (1.25, 1.25, 1.25))


def body(front_mm: float, middle_mm: float, back_mm: float, tilt: float = 0.0) -> NDArray[np.bool_]:
    """A body of 44 x 34 mm whose height runs from front (low y) over the middle to the back."""
    z, y, x = (np.indices(GRID.shape) - np.array(GRID.shape).reshape(3, 1, 1, 1) / 2) * 1.25
    height = np.interp(y, [-17, 0, 17], [front_mm, middle_mm, back_mm])
    return np.asarray((np.abs(z - tilt * y) < height / 2) & ((x / 22) ** 2 + (y / 17) ** 2 < 1))


@pytest.mark.parametrize("tilt", [0.0, 0.35])
def test_a_healthy_body_has_lost_nothing(tilt: float) -> None:
    found = body_heights(body(26, 25, 27, tilt), GRID)
    assert found is not None
    assert found.posterior_mm == pytest.approx(26.6, abs=1.3)
    assert lost_share(found, []) < 0.12


@pytest.mark.parametrize(("front", "middle", "back"), [(15, 21, 27), (26, 13, 27)])
def test_a_wedge_and_a_biconcave_body_have_lost_height(front: float, middle: float, back: float) -> None:
    found = body_heights(body(front, middle, back), GRID)
    assert found is not None
    assert lost_share(found, []) > HeightLoss().limit


def test_a_crushed_body_is_told_by_its_neighbours() -> None:
    crushed, whole = body_heights(body(16, 16, 17), GRID), BodyHeights(26, 25, 27)
    assert crushed is not None
    assert lost_share(crushed, []) < HeightLoss().limit < lost_share(crushed, [whole, whole])


def test_a_crumb_has_no_heights() -> None:
    crumb = np.zeros(GRID.shape, bool)
    crumb[20:30, 20:25, 20:25] = True
    assert body_heights(crumb, GRID) is None
