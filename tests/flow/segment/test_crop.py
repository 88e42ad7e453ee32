"""Where the crop lies, and which vertebra a piece of trabecular bone in it belongs to."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.flow.segment.crop import CropSegmenter, _in_papers_crop, _owners
from trabecula.records import Acquisition, Scan, Spine, VertebraBox
from trabecula.view import View
from trabecula.volume import Grid, Orientation, Volume

VIEW = View((104, 112, 80), (1.5, 1.5, 1.5), (0.0, 400.0))
SEGMENT = CropSegmenter("niu2023-segmenter", (Level.T12, Level.L1, Level.L2))
SCAN_SPACING_MM = (2.5, 0.8, 0.7)
BODY_MM = (10.0, 12.0, 16.0)
"""Half axes (z, y, x) of a trabecular region."""
MIDDLE_Z_MM = {Level.T12: 150.0, Level.L1: 116.0, Level.L2: 80.0}
ROW_MM, COLUMN_MM = 90.0, 75.0


@pytest.fixture(scope="module")
def volume() -> Volume:
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = SCAN_SPACING_MM
    affine[:, 3] = (-75.0, -90.0, 1000.0, 1.0)
    return Volume(np.full((92, 225, 215), 30, np.float32), affine)


@pytest.fixture(scope="module")
def spine() -> Spine:
    def box(level: Level, z_mm: float) -> VertebraBox:
        z, x = z_mm / SCAN_SPACING_MM[0], COLUMN_MM / SCAN_SPACING_MM[2]
        return VertebraBox(level, 0.9, (z - 5.6, z + 5.6), (x - 32, x + 32))

    return Spine(tuple(box(level, z) for level, z in MIDDLE_Z_MM.items()), ROW_MM / SCAN_SPACING_MM[1])


@pytest.fixture(scope="module")
def grid(volume: Volume, spine: Spine) -> Grid:
    return VIEW.grid(volume, SEGMENT._middle(spine, list(spine.vertebrae)))


def ellipsoid(grid: Grid, centre_mm: tuple[float, float, float], half_mm: tuple[float, ...] = BODY_MM) -> np.ndarray:
    """How full each voxel is of an ellipsoid; ``centre_mm`` is (z, y, x) from the scan's first voxel."""
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    x, y, z = np.moveaxis(index @ grid.affine[:3, :3].T + grid.affine[:3, 3] - [-75.0, -90.0, 1000.0], -1, 0)
    reach = np.sqrt(sum(((p - c) / h) ** 2 for p, c, h in zip((z, y, x), centre_mm, half_mm, strict=True)))
    return np.clip(0.5 - (reach - 1) * min(half_mm) / 1.5, 0, 1).astype(np.float32)


def body(grid: Grid, level: Level) -> np.ndarray:
    return ellipsoid(grid, (MIDDLE_Z_MM[level], ROW_MM, COLUMN_MM)) > 0.5


def test_the_crop_lies_around_the_wanted_vertebrae(grid: Grid) -> None:
    middle = Volume(np.zeros(grid.shape, np.float32), grid.affine).to_lps((np.array(grid.shape) - 1) / 2)
    np.testing.assert_allclose(middle, (COLUMN_MM - 75, ROW_MM - 90, (150 + 80) / 2 + 1000), atol=1e-6)


def test_the_papers_crop_lies_at_its_fixed_rows_and_columns(spine: Spine) -> None:
    paper, (upper, *_, lower) = replace(SEGMENT, crop="paper"), spine.vertebrae
    middle = (upper.z_range[1] + lower.z_range[0]) / 2
    np.testing.assert_allclose(paper._middle(spine, list(spine.vertebrae)), (middle, 310, 255))


def test_the_papers_crop_is_zero_beyond_its_rows_columns_and_five_slices(spine: Spine) -> None:
    """On the paper's own grid: 512 x 512 pixels of 0.7 mm, slices of 1.25 mm."""
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]], affine[3, 3] = (1.25, 0.7, 0.7), 1.0
    volume = Volume(np.broadcast_to(np.float32(0), (200, 512, 512)), affine)
    upper, lower = (replace(spine.vertebrae[0], z_range=ends) for ends in ((120.0, 140.0), (60.0, 84.0)))
    grid = VIEW.grid(volume, replace(SEGMENT, crop="paper")._middle(spine, [upper, lower]))
    inside = np.argwhere(_in_papers_crop(grid, volume, [upper, lower]))
    steps = np.asarray(VIEW.spacing_mm) / (1.25, 0.7, 0.7)
    first, last = (
        (grid.affine[[2, 1, 0], [0, 1, 2]] * ends + grid.affine[[2, 1, 0], 3]) / (1.25, 0.7, 0.7)
        for ends in (inside.min(axis=0), inside.max(axis=0))
    )
    for axis, (low, high) in enumerate(((55, 145), (200, 420), (180, 330))):
        # As far as the paper's bounds, or the end of the network's input, which on this grid shows a little less.
        reach = steps[axis] * (VIEW.shape[axis] - 1) / 2
        low, high = max(low, (low + high) / 2 - reach), min(high, (low + high) / 2 + reach)
        assert low - 1e-6 <= first[axis] < low + steps[axis]
        assert high - steps[axis] < last[axis] <= high + 1e-6
    assert len(inside) == np.prod(np.ptp(inside, axis=0) + 1)  # one box


def test_each_vertebra_owns_its_own_bone(volume: Volume, spine: Spine, grid: Grid) -> None:
    owner = _owners(body(grid, Level.L1) | body(grid, Level.L2), volume, grid, spine)
    np.testing.assert_array_equal(owner == 2, body(grid, Level.L1))
    np.testing.assert_array_equal(owner == 3, body(grid, Level.L2))
    assert not (owner == 1).any()


def test_two_vertebrae_grown_together_are_divided_between_them(volume: Volume, spine: Spine, grid: Grid) -> None:
    bridge = ellipsoid(grid, (98.0, ROW_MM - 8, COLUMN_MM), (14.0, 3.0, 3.0)) > 0.5
    both = body(grid, Level.L1) | body(grid, Level.L2)
    owner = _owners(both | bridge, volume, grid, spine)
    assert (owner[body(grid, Level.L1)] == 2).all()
    assert (owner[body(grid, Level.L2)] == 3).all()


def test_a_tall_vertebra_is_not_divided(volume: Volume, spine: Spine, grid: Grid) -> None:
    tall = ellipsoid(grid, (116.0, ROW_MM, COLUMN_MM), (15.0, 12.0, 16.0)) > 0.5
    np.testing.assert_array_equal(_owners(tall, volume, grid, spine) == 2, tall)


def test_crumbs_and_bone_far_from_every_vertebra_are_dropped(volume: Volume, spine: Spine, grid: Grid) -> None:
    crumb = ellipsoid(grid, (116.0, ROW_MM + 30, COLUMN_MM), (3.0, 3.0, 3.0)) > 0.5
    lump = ellipsoid(grid, (116.0, ROW_MM + 30, COLUMN_MM), (6.0, 6.0, 6.0)) > 0.5  # 0.9 cm3, under a fifth
    hip = ellipsoid(grid, (44.0, ROW_MM, COLUMN_MM + 20)) > 0.5  # a vertebra's size, a vertebra below L2
    for extra in (crumb, lump, hip):
        owner = _owners(body(grid, Level.L1) | extra, volume, grid, spine)
        np.testing.assert_array_equal(owner > 0, body(grid, Level.L1))


def test_no_bone_has_no_owner(volume: Volume, spine: Spine, grid: Grid) -> None:
    assert not _owners(np.zeros(grid.shape, bool), volume, grid, spine).any()


def test_levels_that_are_not_in_view_are_named_with_what_is(volume: Volume, spine: Spine) -> None:
    scan = Scan(volume, Orientation(), Acquisition("nifti"))
    regions = replace(SEGMENT, levels=(Level.L4, Level.L5))(scan, spine)
    assert regions.vertebrae == ()
    assert not regions.labels.any()
    assert [reason.code for reason in regions.reasons] == ["levels-not-in-view"]
    assert "None of L4 to L5 is in view" in regions.reasons[0].message
    assert "T12, L1, L2" in regions.reasons[0].message
