"""What becomes of a region on the network's grid: its holes filled, brought to the scan, described."""

import numpy as np
import pytest
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.flow.segment.region import described, fill_holes, to_scan
from trabecula.records import BodyHeights, Effect, VertebraBox, reason
from trabecula.volume import Float32, Grid, Volume

SCAN_SPACING_MM = (2.5, 0.8, 0.7)
MIDDLE_LPS_MM = (3.0, -8.0, 1110.0)
GRID = Grid.axial(MIDDLE_LPS_MM, (72, 64, 64), (1.5, 1.5, 1.5))
BOX = VertebraBox(Level.L1, 0.9, (40.0, 52.0), (80.0, 130.0))


@pytest.fixture(scope="module")
def volume() -> Volume:
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = SCAN_SPACING_MM
    affine[:, 3] = (-75.0, -90.0, 1000.0, 1.0)
    return Volume(np.full((92, 225, 215), 30, np.float32), affine)


def ball(centre_lps_mm: tuple[float, float, float] = MIDDLE_LPS_MM, radius_mm: float = 14.0) -> Float32:
    """How full each voxel of GRID is of a ball."""
    index = np.moveaxis(np.indices(GRID.shape), 0, -1)
    lps = index @ GRID.affine[:3, :3].T + GRID.affine[:3, 3]
    reach_mm = np.linalg.norm(lps - centre_lps_mm, axis=-1)
    return np.asarray(np.clip(0.5 - (reach_mm - radius_mm) / 1.5, 0, 1), np.float32)


@pytest.mark.parametrize("centre_lps_mm", [MIDDLE_LPS_MM, (13.3, -20.4, 1098.7)])
def test_a_ball_lands_in_the_scan_where_it_is_and_as_large(
    volume: Volume, centre_lps_mm: tuple[float, float, float]
) -> None:
    full = ball(centre_lps_mm)
    part, region = to_scan(full, full > 0.5, GRID, volume)
    found = described(BOX, volume, part, region, None)
    assert found is not None
    assert found.volume_mm3 == pytest.approx(4 / 3 * np.pi * 14**3, rel=0.05)
    np.testing.assert_allclose(found.centroid_lps_mm, centre_lps_mm, atol=0.4)


def test_what_lies_beyond_the_scan_is_cut_off(volume: Volume) -> None:
    shift = np.eye(4)
    shift[0, 3] = 44
    above = Volume(volume.hu[44:], volume.affine @ shift)  # its first slice cuts the ball in its middle, at 1110 mm
    full = ball()
    part, region = to_scan(full, full > 0.5, GRID, above)
    assert above.hu[part].shape == region.shape
    half_slice_mm3 = np.pi * 14**2 * SCAN_SPACING_MM[0] / 2
    size_mm3 = region.sum() * above.voxel_volume_mm3
    assert size_mm3 == pytest.approx(2 / 3 * np.pi * 14**3 + half_slice_mm3, rel=0.05)


def test_an_empty_crop_gives_an_empty_region_and_none_is_described(volume: Volume) -> None:
    nothing = np.zeros(GRID.shape, np.float32)
    part, region = to_scan(nothing, nothing > 0.5, GRID, volume)
    assert region.size == 0
    assert volume.hu[part].size == 0
    assert described(BOX, volume, part, region, None) is None


def test_only_the_region_itself_is_brought_and_its_filled_holes_wholly(volume: Volume) -> None:
    whole, hole = ball() > 0.5, ball(radius_mm=3.0) > 0
    beside = ball((3.0, -8.0, 1145.0), 8.0)
    torn = np.where(hole, 0, np.maximum(ball(), beside)).astype(np.float32)
    part, region = to_scan(torn, whole, GRID, volume)
    mended = to_scan(ball(), whole, GRID, volume)
    assert part == mended[0]
    np.testing.assert_array_equal(region, mended[1])


def test_holes_clefts_and_tunnels_are_filled() -> None:
    body = ball() > 0.5
    hole, cleft = ball(radius_mm=5.0) > 0.5, body.copy()
    cleft[:, 30:32] = False  # two voxels wide, right through
    tunnel = body.copy()
    tunnel[:, 28:36, 28:36] = False
    core = ndimage.binary_erosion(body, iterations=2)  # where a cleft reaches the surface, a notch is left
    for torn in (body & ~hole, cleft, tunnel):
        assert not (core & ~fill_holes(torn)).any()
    assert (fill_holes(body) & ~body).sum() < 0.01 * body.sum()


def test_a_region_at_the_edge_of_the_crop_keeps_its_edge() -> None:
    half = ball((3.0, -8.0, 1057.5)) > 0.5  # its middle lies on the first slice
    assert half[0].any()
    np.testing.assert_array_equal(fill_holes(half)[0], half[0])


def test_what_is_filled_does_not_depend_on_how_much_lies_around_it() -> None:
    torn = ball() > 0.5
    torn[:, 30:32] = False
    torn[10:12] = False
    torn[2, 2, 2] = True
    wide = np.pad(torn, 9)
    np.testing.assert_array_equal(fill_holes(wide)[9:-9, 9:-9, 9:-9], fill_holes(torn))
    assert fill_holes(wide).sum() == fill_holes(torn).sum()
    assert not fill_holes(np.zeros((4, 5, 6), bool)).any()


def test_a_region_is_described_by_what_the_segmenter_found(volume: Volume) -> None:
    full, heights = ball(), BodyHeights(26.0, 25.0, 27.0)
    overlap = (reason("regions-overlap", Effect.WITHHOLD, level=Level.L1),)
    found = described(BOX, volume, *to_scan(full, full > 0.5, GRID, volume), heights, overlap)
    assert found is not None
    assert (found.level, found.confidence) == (Level.L1, 0.9)
    assert (found.heights, found.reasons) == (heights, overlap)
