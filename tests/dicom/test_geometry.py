"""Whatever way the slices lie, every voxel must end up with the HU of its own place in the patient."""

import numpy as np
import pytest

from trabecula.errors import Refusal
from trabecula.flow.read import read
from trabecula.formats.given import on_given_grid
from trabecula.records import Scan

TURN = np.radians(12)
LIES = {
    "supine": ((1, 0, 0), (0, 1, 0)),
    "prone": ((-1, 0, 0), (0, -1, 0)),
    "decubitus": ((0, 1, 0), (-1, 0, 0)),
    "mirrored": ((-1, 0, 0), (0, 1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "oblique": ((1, 0, 0), (0, np.cos(TURN), np.sin(TURN))),
}


def codes(scan: Scan) -> set[str]:
    return {reason.code for reason in scan.reasons}


def wrong_voxels(scan: Scan, ct, margin: int = 0, tolerance_hu: float = 0.5) -> float:
    """The share of voxels whose HU is not that of the scene at their place."""
    inner = tuple(slice(margin, n - margin) for n in scan.volume.shape)
    index = np.stack(np.meshgrid(*map(np.arange, scan.volume.shape), indexing="ij"), -1)[inner]
    truth = ct.scene_hu(scan.volume.to_lps(index))
    return float((np.abs(scan.volume.hu[inner] - truth) > tolerance_hu).mean())


@pytest.mark.parametrize("lie", LIES)
def test_every_lie_gives_the_same_patient(ct, lie):
    row, column = LIES[lie]
    scan = read(ct.save(ct.make(shape=(48, 60), spacing=(2.5, 2.0), row=row, column=column)))
    assert wrong_voxels(scan, ct) < 1e-4  # rounding of positions at an edge
    columns = scan.volume.affine[:3, :3]
    assert columns[2, 0] > 0 and columns[1, 1] > 0 and columns[0, 2] > 0
    assert codes(scan) == set()


def test_the_given_grid_is_slices_along_the_normal_then_rows_then_columns(ct):
    slices = ct.make(row=(-1, 0, 0), column=(0, 1, 0), shape=(40, 48))  # the normal points to the feet
    scan = read(ct.save(slices))
    given, affine_ras = on_given_grid(scan.volume.hu, scan.volume, scan.orientation)
    stored = np.stack([ct.pixels(one) for one in slices]).astype(np.float32) - 1024
    np.testing.assert_array_equal(given, stored)
    first = np.asarray([float(v) for v in slices[0].ImagePositionPatient])
    np.testing.assert_allclose(affine_ras[:3, 3], first * (-1, -1, 1), atol=1e-6)


def test_a_tilted_gantry_is_set_square_from_geometry(ct):
    tilt = np.radians(15)
    row, column = np.asarray((1, 0, 0)), np.asarray((0, np.cos(tilt), np.sin(tilt)))

    def slope_hu(lps_mm):  # linear within the body, so that linear interpolation must keep it
        x, y, z = np.moveaxis(lps_mm, -1, 0)
        return np.where(np.hypot(x / 50, y / 42) < 1, 0.5 * x + 0.8 * y + 0.3 * z, -1000)

    slices = ct.make(row=row, column=column, step=(0, 0, 2.5), scene=slope_hu, GantryDetectorTilt=0)  # the tag lies
    scan = read(ct.save(slices))
    assert "gantry-tilt" in codes(scan)
    assert "15.0" in next(reason.message for reason in scan.reasons if reason.code == "gantry-tilt")
    np.testing.assert_allclose(scan.volume.spacing_mm, (2.5 * np.cos(tilt), 2.5, 2.5), atol=1e-4)
    place = scan.volume.to_lps(np.argwhere(scan.volume.hu > -2000))
    inside = np.hypot(place[:, 0] / 50, place[:, 1] / 42) < 0.9
    assert np.abs(scan.volume.hu.ravel() - slope_hu(place))[inside].max() <= 1
    assert inside.mean() > 0.2


def test_slices_that_wander_are_shifted_into_place(ct):
    slices = ct.make()
    for number, one in enumerate(slices):
        shift = 2 * (number % 2)  # whole pixels, so that nothing is blended
        one.PixelData = np.roll(ct.pixels(one), -shift, axis=1).tobytes()
        x, y, z = (float(v) for v in one.ImagePositionPatient)
        one.ImagePositionPatient = [x + 2.5 * shift, y, z]
    scan = read(ct.save(slices))
    assert "slices-realigned" in codes(scan)
    assert wrong_voxels(scan, ct) < 1e-4


def test_mildly_uneven_slices_are_interpolated_from_where_they_are(ct):
    slices = ct.make()
    for number, one in enumerate(slices):
        *_, z = (float(v) for v in one.ImagePositionPatient)
        place = z + 0.5 * (number % 2)
        again = ct.make(count=1, scene=lambda lps, place=place: ct.scene_hu(np.add(lps, (0, 0, place))))[0]
        one.PixelData, one.ImagePositionPatient = again.PixelData, [*one.ImagePositionPatient[:2], f"{place:.3f}"]
    scan = read(ct.save(slices))
    assert "spacing-uneven" in codes(scan)
    assert wrong_voxels(scan, ct) < 0.02
    assert scan.volume.hu[tuple(np.rint(scan.volume.to_index((27, 15, -18))).astype(int))] == pytest.approx(900, abs=1)


def test_missing_slices_leave_a_gap_that_is_told_and_marked(ct):
    slices = ct.make(count=80)
    scan = read(ct.save(slices[:40] + slices[45:]))
    assert "5 of 80 slices" in next(r.message for r in scan.reasons if r.code == "slices-missing")
    assert scan.volume.shape[0] == 80
    assert [(gap.axis, round(gap.start, 3), round(gap.stop, 3)) for gap in scan.gaps] == [(0, 39, 45)]
    seen = np.ones(80, bool)
    seen[40:45] = False
    index = np.argwhere(np.broadcast_to(seen[:, None, None], scan.volume.shape))
    off = np.abs(scan.volume.hu[seen].ravel() - ct.scene_hu(scan.volume.to_lps(index))) > 0.5
    assert off.mean() < 1e-4  # what was seen is as it was


def test_a_gap_is_marked_where_it_lies_whatever_way_the_slices_run(ct):
    slices = ct.make(count=60, row=(-1, 0, 0))  # the normal points to the feet
    (gap,) = read(ct.save(slices[:10] + slices[14:])).gaps
    assert (gap.axis, round(gap.start, 3), round(gap.stop, 3)) == (0, 59 - 14, 59 - 9)
    whole = slice(0, 48)
    assert gap.touches((slice(40, 46), whole, whole)) and not gap.touches((slice(39, 45), whole, whole))


def test_a_gap_wider_than_a_vertebra_leaves_the_longer_part(ct):
    slices = ct.make(count=80)
    scan = read(ct.save(slices[:50] + slices[57:]))
    assert scan.volume.shape[0] == 50 and "slices-missing" in codes(scan)


def test_scattered_missing_thin_slices_are_bridged(ct):
    scan = read(ct.save(one for i, one in enumerate(ct.make(count=80)) if i not in (10, 20, 33, 47, 60)))
    assert "5 of 80" in next(r.message for r in scan.reasons if r.code == "slices-interpolated")
    assert scan.volume.shape[0] == 80 and scan.gaps == ()


def test_two_spacings_are_read_by_positions_and_named(ct):
    slices = ct.make(count=60)
    scan = read(ct.save(one for i, one in enumerate(slices) if i < 30 or i % 2 == 0))
    assert "2.5 mm apart in one part of the scan and 5 mm" in next(
        r.message for r in scan.reasons if r.code == "spacing-uneven"
    )
    assert scan.volume.shape[0] == 59 and scan.gaps == ()
    assert (np.abs(scan.volume.hu[:30] - read_whole(ct, slices).volume.hu[:30]) < 0.5).all()


def read_whole(ct, slices):
    for path in ct.folder.iterdir():
        path.unlink()
    return read(ct.save(slices))


def test_one_missing_thin_slice_is_bridged_and_disclosed(ct):
    slices = ct.make(count=60, step=(0, 0, 1.25))
    scan = read(ct.save(slices[:30] + slices[31:]))
    assert "slices-interpolated" in codes(scan)
    assert scan.volume.shape[0] == 60
    assert wrong_voxels(scan, ct) < 0.005


def test_one_missing_thick_slice_is_a_gap(ct):
    slices = ct.make(count=60, step=(0, 0, 3))
    scan = read(ct.save(slices[:30] + slices[31:]))
    assert "slices-missing" in codes(scan) and len(scan.gaps) == 1


def test_a_slice_between_the_places_of_the_others_is_left_aside(ct):
    slices = ct.make()
    x, y, z = (float(v) for v in slices[19].ImagePositionPatient)
    slices[20].ImagePositionPatient = [x, y, z + 1]
    scan = read(ct.save(slices))
    assert {"series-chosen", "slices-interpolated"} <= codes(scan)
    assert wrong_voxels(scan, ct) < 0.01


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_slices_are_refused(ct, count):
    with pytest.raises(Refusal) as caught:
        read(ct.save(ct.make(count=count)))
    assert caught.value.code == "too-few-slices"


def test_slices_too_far_apart_are_refused(ct):
    with pytest.raises(Refusal) as caught:
        read(ct.save(ct.make(count=10, step=(0, 0, 12))))
    assert caught.value.code == "slices-far-apart"


def test_doubts_about_the_grid_are_noted(ct):
    assert codes(read(ct.save(ct.make(count=8)))) == {"short-coverage"}


def test_wide_steps_are_noted(ct):
    assert codes(read(ct.save(ct.make(count=14, step=(0, 0, 7))))) == {"wide-slice-steps", "slices-not-contiguous"}


def test_an_enhanced_multi_frame_ct_is_read_like_its_slices(ct, tmp_path):
    path = tmp_path / "enhanced.dcm"
    ct.enhanced(ct.make(count=30)).save_as(path, enforce_file_format=True)
    scan = read(path)
    assert wrong_voxels(scan, ct) < 1e-4
    assert scan.acquisition.kernel == "B30f" and scan.acquisition.tube_voltage_kvp == 120
