"""Which vertebra a piece of trabecular bone belongs to, where it lands in the scan, and why it may be withheld."""

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.flow.region import METAL_HU, SMALLEST_MM3, _touches_end, describe, to_scan, without_halves
from trabecula.flow.segment import CropSettings, _crop_grid, _owners, _trabecular_probability, segment
from trabecula.records import Acquisition, Scan, Spine, VertebraBox, VertebraRegion
from trabecula.volume import Grid, Orientation, Volume

CROP = CropSettings(shape=(104, 112, 80), spacing_mm=(1.5, 1.5, 1.5), window_hu=(0.0, 400.0))
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
    return _crop_grid(volume, spine, spine.vertebrae[0].z_range[1], spine.vertebrae[-1].z_range[0], CROP)


def ellipsoid(grid: Grid, centre_mm: tuple[float, float, float], half_mm: tuple[float, ...] = BODY_MM) -> np.ndarray:
    """How full each voxel is of an ellipsoid; ``centre_mm`` is (z, y, x) from the scan's first voxel."""
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    x, y, z = np.moveaxis(index @ grid.affine[:3, :3].T + grid.affine[:3, 3] - [-75.0, -90.0, 1000.0], -1, 0)
    reach = np.sqrt(sum(((p - c) / h) ** 2 for p, c, h in zip((z, y, x), centre_mm, half_mm, strict=True)))
    return np.clip(0.5 - (reach - 1) * min(half_mm) / 1.5, 0, 1).astype(np.float32)


def body(grid: Grid, level: Level) -> np.ndarray:
    return ellipsoid(grid, (MIDDLE_Z_MM[level], ROW_MM, COLUMN_MM)) > 0.5


def test_the_crop_lies_around_the_wanted_vertebrae(volume: Volume, spine: Spine, grid: Grid) -> None:
    assert grid.shape == CROP.shape
    np.testing.assert_allclose(grid.spacing_mm, CROP.spacing_mm)
    middle = Volume(np.zeros(grid.shape, np.float32), grid.affine).to_lps((np.array(grid.shape) - 1) / 2)
    np.testing.assert_allclose(middle, (COLUMN_MM - 75, ROW_MM - 90, (150 + 80) / 2 + 1000), atol=1e-6)


def test_the_papers_crop_lies_at_its_fixed_rows_and_columns(volume: Volume, spine: Spine) -> None:
    paper = CropSettings(CROP.shape, CROP.spacing_mm, CROP.window_hu, centre="paper")
    grid = _crop_grid(volume, spine, 60.0, 30.0, paper)
    middle = Volume(np.zeros(grid.shape, np.float32), grid.affine).to_lps((np.array(grid.shape) - 1) / 2)
    np.testing.assert_allclose(volume.to_index(middle), (45, 310, 255), atol=1e-6)


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


@pytest.mark.parametrize("centre_mm", [(116.0, ROW_MM, COLUMN_MM), (80.3, ROW_MM + 20.4, COLUMN_MM - 11.7)])
def test_a_ball_lands_in_the_scan_where_it_is_and_as_large(
    volume: Volume, grid: Grid, centre_mm: tuple[float, float, float]
) -> None:
    part, region = to_scan(ellipsoid(grid, centre_mm, (14.0, 14.0, 14.0)), grid, volume)
    size_mm3 = region.sum() * volume.voxel_volume_mm3
    assert size_mm3 == pytest.approx(4 / 3 * np.pi * 14**3, rel=0.05)
    index = np.argwhere(region).mean(axis=0) + [p.start for p in part]
    z, y, x = centre_mm
    np.testing.assert_allclose(volume.to_lps(index), (x - 75, y - 90, z + 1000), atol=0.4)


def test_what_lies_beyond_the_scan_is_cut_off(volume: Volume, grid: Grid) -> None:
    shift = np.eye(4)
    shift[0, 3] = 40
    below = Volume(volume.hu[40:], volume.affine @ shift)  # its first slice cuts the region in its middle, at 100 mm
    part, region = to_scan(ellipsoid(grid, (100.0, ROW_MM, COLUMN_MM)), grid, below)
    assert region.any()
    assert below.hu[part].shape == region.shape
    size_mm3 = region.sum() * below.voxel_volume_mm3
    half_slice_mm3 = np.pi * BODY_MM[1] * BODY_MM[2] * SCAN_SPACING_MM[0] / 2
    assert size_mm3 == pytest.approx(2 / 3 * np.pi * np.prod(BODY_MM) + half_slice_mm3, rel=0.05)


def test_an_empty_crop_gives_an_empty_region(volume: Volume, grid: Grid) -> None:
    part, region = to_scan(np.zeros(grid.shape, np.float32), grid, volume)
    assert region.size == 0
    assert volume.hu[part].size == 0


def described(volume: Volume, grid: Grid, half_mm: tuple[float, ...] = BODY_MM) -> VertebraRegion:
    probability = ellipsoid(grid, (116.0, ROW_MM, COLUMN_MM), half_mm)
    part, region = to_scan(probability, grid, volume)
    return describe(Level.L1, 0.9, volume, part, region, probability > 0.5, grid)


def test_a_sound_vertebra_is_described_without_reasons(volume: Volume, grid: Grid) -> None:
    found = described(volume, grid)
    assert found.reasons == ()
    assert found.volume_mm3 == pytest.approx(4 / 3 * np.pi * np.prod(BODY_MM), rel=0.06)
    np.testing.assert_allclose(found.centroid_lps_mm, (0, 0, 1116), atol=0.5)


def test_a_small_region_is_withheld(volume: Volume, grid: Grid) -> None:
    found = described(volume, grid, half_mm=(7.0, 8.0, 9.0))
    assert found.volume_mm3 < SMALLEST_MM3
    assert [reason.code for reason in found.reasons] == ["region-too-small"]
    assert f"{found.volume_mm3 / 1000:.1f} cm3" in found.reasons[0].message


@pytest.mark.parametrize(("offset_mm", "withheld"), [((0, 0, 0), True), ((0, 0, 16.5), True), ((0, 30, 0), False)])
def test_metal_in_or_at_the_region_withholds_it(
    volume: Volume, grid: Grid, offset_mm: tuple[float, float, float], withheld: bool
) -> None:
    hu = volume.hu.copy()
    at = np.rint((np.array([116.0, ROW_MM, COLUMN_MM]) + offset_mm) / SCAN_SPACING_MM).astype(int)
    hu[tuple(at)] = METAL_HU + 500
    found = described(Volume(hu, volume.affine), grid)
    assert [reason.code for reason in found.reasons] == (["metal"] if withheld else [])


@pytest.mark.parametrize(
    ("first_mm", "last_mm", "cut"),
    [(0, 225, False), (100, 225, False), (107.5, 225, True), (0, 125, True), (0, 132.5, False)],
)
def test_a_vertebra_at_the_end_of_the_scan_is_cut(
    volume: Volume, grid: Grid, first_mm: float, last_mm: float, cut: bool
) -> None:
    first, last = round(first_mm / SCAN_SPACING_MM[0]), round(last_mm / SCAN_SPACING_MM[0])
    shift = np.eye(4)
    shift[0, 3] = first
    part = Volume(volume.hu[first : last + 1], volume.affine @ shift)
    assert _touches_end(part, grid, body(grid, Level.L1)) is cut
    codes = [reason.code for reason in described(part, grid).reasons]
    assert ("cut-by-view" in codes) is cut


def test_the_third_score_is_that_of_trabecular_bone() -> None:
    scores = np.zeros((3, 1, 1, 2), np.float32)
    scores[:, 0, 0, 0] = np.log([0.1, 0.2, 0.7])
    scores[:, 0, 0, 1] = (1000.0, 0.0, 0.0)
    np.testing.assert_allclose(_trabecular_probability(scores)[0, 0], [0.7, 0.0], atol=1e-6)


def test_levels_that_are_not_in_view_are_named_with_what_is(volume: Volume, spine: Spine) -> None:
    scan = Scan(volume, Orientation(), Acquisition("nifti"))
    regions = segment(scan, spine, "niu2023-segmenter", (Level.L4, Level.L5), CROP)
    assert regions.vertebrae == ()
    assert not regions.labels.any()
    assert [reason.code for reason in regions.reasons] == ["levels-not-in-view"]
    assert "None of L4 to L5 is in view" in regions.reasons[0].message
    assert "T12, L1, L2" in regions.reasons[0].message


def test_a_region_of_less_than_half_its_neighbour_is_withheld() -> None:
    def region(level: Level, volume_mm3: float) -> VertebraRegion:
        return VertebraRegion(level, 0.9, (0.0, 0.0, 0.0), volume_mm3)

    t12, l1, l2 = region(Level.T12, 9000.0), region(Level.L1, 11000.0), region(Level.L2, 13000.0)
    whole = without_halves([t12, l1, l2])
    assert [v.reasons for v in whole] == [(), (), ()]
    long = [region(Level.T11, 8400.0), t12, l1, l2, region(Level.L3, 14000.0), region(Level.L4, 18000.0)]
    assert [v.reasons for v in without_halves(long)] == [()] * 6
    torn = without_halves([t12, l1, region(Level.L2, 5000.0)])
    assert [[r.code for r in v.reasons] for v in torn] == [[], [], ["region-incomplete"]]
