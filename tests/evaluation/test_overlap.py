import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trabecula.evaluation.overlap import dice, surface_distance

masks = arrays(bool, (4, 5, 6), elements=st.booleans())


def block(start: int, stop: int) -> np.ndarray:
    mask = np.zeros((12, 12, 12), bool)
    mask[start:stop, 2:8, 2:8] = True
    return mask


def test_dice_by_hand() -> None:
    assert dice(np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)) == pytest.approx(4 / 6)
    assert dice(block(2, 8), block(2, 8)) == 1
    assert dice(block(0, 3), block(5, 8)) == 0
    assert np.isnan(dice(np.zeros(3, bool), np.zeros(3, bool)))


@given(masks, masks)
def test_dice_is_symmetric_and_within_bounds(a: np.ndarray, b: np.ndarray) -> None:
    if a.any() or b.any():
        assert 0 <= dice(a, b) <= 1
        assert dice(a, b) == dice(b, a)
        assert (dice(a, b) == 1) == np.array_equal(a, b)


def test_surface_distance_uses_the_spacing_of_each_axis() -> None:
    a, b = np.zeros((8, 8, 8), bool), np.zeros((8, 8, 8), bool)
    a[1, 2, 3], b[4, 2, 3] = True, True  # three voxels apart along z
    assert surface_distance(a, b, (2.0, 1.0, 0.5)).mean_mm == pytest.approx(6)
    assert surface_distance(a, b, (2.0, 1.0, 0.5)).p95_mm == pytest.approx(6)
    assert surface_distance(a, b.transpose(2, 1, 0), (2.0, 1.0, 0.5)).mean_mm == pytest.approx(
        np.hypot(2 * 2.0, 1 * 0.5)
    )


def test_a_block_moved_by_one_slice() -> None:
    """Of 6x6x6 voxels, 152 lie on the surface; moving by 3 mm puts the leading 16 inner face voxels 3 mm away."""
    distance = surface_distance(block(2, 8), block(3, 9), (3.0, 10.0, 10.0))
    assert distance.p95_mm == pytest.approx(3)
    assert 0 < distance.mean_mm < 3
    assert surface_distance(block(2, 8), block(2, 8), (3.0, 1.0, 1.0)).mean_mm == 0


@given(masks, masks)
def test_surface_distance_is_symmetric_and_zero_only_when_equal(a: np.ndarray, b: np.ndarray) -> None:
    there, back = surface_distance(a, b, (2.0, 1.0, 1.0)), surface_distance(b, a, (2.0, 1.0, 1.0))
    if not (a.any() and b.any()):
        assert np.isnan(there.mean_mm)
        return
    assert there.mean_mm == pytest.approx(back.mean_mm)
    assert there.p95_mm == pytest.approx(back.p95_mm)
    if np.array_equal(a, b):
        assert there.mean_mm == 0


def test_masks_of_different_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        dice(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(ValueError, match="different shapes"):
        surface_distance(np.ones((2, 2), bool), np.ones((2, 3), bool), (1.0, 1.0))
