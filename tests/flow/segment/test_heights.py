"""Heights of bodies whose shape is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trabecula.anatomy import Level
from trabecula.flow.exclude.height import worst_loss
from trabecula.flow.segment.heights import body_heights
from trabecula.records import BodyHeights
from trabecula.volume import Grid

GRID = Grid.axial((0.0, 0.0, 0.0), (56, 56, 64), (1.25, 1.25, 1.25))


def body(front_mm: float, middle_mm: float, back_mm: float, tilt: float = 0.0) -> NDArray[np.bool_]:
    """A body of 44 x 34 mm whose height runs from front (low y) over the middle to the back."""
    z, y, x = (np.indices(GRID.shape) - np.array(GRID.shape).reshape(3, 1, 1, 1) / 2) * 1.25
    height = np.interp(y, [-17, 0, 17], [front_mm, middle_mm, back_mm])
    return np.asarray((np.abs(z - tilt * y) < height / 2) & ((x / 22) ** 2 + (y / 17) ** 2 < 1))


NEIGHBOURS = {Level.L2: BodyHeights(27.0, 26.0, 28.0), Level.T12: BodyHeights(22.5, 22.0, 24.5)}


def grade(found: BodyHeights | None) -> int:
    """Genant's grade of an L1 between sound neighbours."""
    assert found is not None
    loss = worst_loss(Level.L1, found, NEIGHBOURS)
    assert loss is not None
    return loss.grade


@pytest.mark.parametrize("tilt", [-0.35, 0.0, 0.35])
def test_a_healthy_body_has_lost_nothing_however_it_leans(tilt: float) -> None:
    found = body_heights(body(25, 24, 27, tilt), GRID)
    assert found is not None
    upright = np.cos(np.arctan(tilt))  # what is sheared is lower at right angles to its end plates
    assert found.posterior_mm == pytest.approx(26.3 * upright, abs=1.5)
    assert found.anterior_mm == pytest.approx(24.7 * upright, abs=1.5)
    assert grade(found) == 0


@pytest.mark.parametrize(
    ("front", "middle", "back", "expected"), [(18, 22, 27, 2), (10, 18, 27, 3), (25, 13, 27, 3), (17, 17, 18, 2)]
)
def test_wedge_biconcave_and_crush_are_graded(front: float, middle: float, back: float, expected: int) -> None:
    assert grade(body_heights(body(front, middle, back), GRID)) == expected


def test_a_bridge_of_bone_in_front_is_no_height() -> None:
    sound = body(25, 24, 27)
    z, y, x = (np.indices(GRID.shape) - np.array(GRID.shape).reshape(3, 1, 1, 1) / 2) * 1.25
    bridged = sound | ((np.abs(z) < 22) & (np.abs(y + 18.5) < 2.5) & (np.abs(x) < 9))
    found, plain = body_heights(bridged, GRID), body_heights(sound, GRID)
    assert found is not None and plain is not None
    assert found.posterior_mm == pytest.approx(plain.posterior_mm, abs=1.3)
    assert grade(found) == 0


def test_a_crumb_has_no_heights() -> None:
    crumb = np.zeros(GRID.shape, bool)
    crumb[20:30, 20:25, 20:25] = True
    assert body_heights(crumb, GRID) is None
