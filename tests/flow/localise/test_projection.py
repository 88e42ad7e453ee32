"""What the detector says of one place, the windows that see every row, and scans that hold no spine."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trabecula.anatomy import LEVELS, Level
from trabecula.errors import Refusal
from trabecula.flow.localise.projection import ProjectionLocaliser, _window_tops, gather
from trabecula.records import Acquisition, Scan
from trabecula.view import View
from trabecula.volume import Grid, Orientation, Volume

LOCALISE = ProjectionLocaliser("niu2023-localiser")
VIEW = View((448, 1, 352), (1.5, 1.5, 1.5), (450.0, 900.0), "coronal-projection")


def row(z: float, label: int, score: float, x: float = 100.0) -> list[float]:
    return [x - 15, z - 9, x + 15, z + 9, label, score]


def test_what_the_detector_says_of_one_place_is_gathered() -> None:
    l1, l2 = LEVELS.index(Level.L1) + 1, LEVELS.index(Level.L2) + 1
    found = gather(np.array([row(50, l1, 0.3), row(52, l2, 0.6), row(51, l2, 0.5), row(75, l2, 0.2)]))
    assert len(found) == 2
    box, scores = found[0]
    np.testing.assert_array_equal(box, row(52, 0, 0)[:4])  # the best one's place
    assert scores[l1 - 1] == pytest.approx(0.3)
    assert scores[l2 - 1] == pytest.approx(0.6)  # the larger of 0.6 and 0.5, not their sum
    assert found[1][1].sum() == pytest.approx(0.2)


def test_boxes_side_by_side_are_two_vertebrae() -> None:
    assert len(gather(np.array([row(50, 5, 0.9), row(50, 5, 0.8, x=150.0)]))) == 2
    assert gather(np.zeros((0, 6))) == []


def volume_of(hu: np.ndarray, spacing_mm: tuple[float, float, float]) -> Volume:
    return Volume(hu.astype(np.float32), Grid.axial((0, 0, 0), hu.shape, spacing_mm).affine)


@given(st.integers(1, 3000))
def test_every_row_is_seen_and_a_vertebra_at_a_windows_end_is_whole_in_the_next(rows: int) -> None:
    height = VIEW.shape[0]
    tops = _window_tops(rows, VIEW)
    assert tops[0] == 0
    assert tops[-1] == max(0, rows - height)
    assert all(0 < below - above <= height // 2 for above, below in pairwise(tops))


def test_a_head_is_refused() -> None:
    z, y, x = np.indices((70, 84, 70)) * 3.0 - np.array([105, 126, 105]).reshape(3, 1, 1, 1)
    reach = np.sqrt((z / 95) ** 2 + (y / 100) ** 2 + (x / 78) ** 2)
    hu = np.select([reach < 0.86, reach < 0.94, reach < 1], [35.0, 900.0, 30.0], -1000.0)
    hu += np.random.default_rng(0).normal(0, 5, hu.shape)
    scan = Scan(volume_of(hu, (3.0, 3.0, 3.0)), Orientation(), Acquisition("nifti"))
    with pytest.raises(Refusal) as refused:
        LOCALISE(scan)
    assert refused.value.code == "no-vertebrae-found"
    assert "lower thoracic or lumbar spine" in refused.value.message


def test_air_alone_is_refused() -> None:
    scan = Scan(volume_of(np.full((40, 60, 60), -1000.0), (3.0, 3.0, 3.0)), Orientation(), Acquisition("nifti"))
    with pytest.raises(Refusal) as refused:
        LOCALISE(scan)
    assert refused.value.code == "no-vertebrae-found"
