"""Scans that lie over one another, and stations that lie beside one another, under one series UID."""

import pytest

from dicom.said import codes, message, refused
from trabecula.flow.read import read


@pytest.mark.parametrize("apart_mm", [0, 0.05, 0.3], ids=["same place", "a hair apart", "shifted"])
def test_copies_of_slices_are_dropped(ct, apart_mm):
    slices = ct.make()
    again = ct.make()
    for one, copy in zip(slices, again, strict=True):
        copy.SeriesInstanceUID = one.SeriesInstanceUID
        x, y, z = (float(v) for v in copy.ImagePositionPatient)
        copy.ImagePositionPatient = [x, y, z + apart_mm]
    scan = read(ct.save([*slices, *again[::2]]))
    assert scan.volume.shape[0] == 40 and codes(scan) == set()


def two_phases(ct, second):
    """Two acquisitions under one series UID; the second, ``second`` HU denser, ends lower to be told apart."""
    first = ct.make()
    later = ct.make(scene=lambda lps: ct.scene_hu(lps) + second * (ct.scene_hu(lps) > 0))
    for one in later:
        one.SeriesInstanceUID = first[0].SeriesInstanceUID
        one.ContentTime = one.ContentTime.replace("12", "13", 1)
    return first, later


def test_phases_are_split_by_acquisition(ct):
    first, later = two_phases(ct, 60)
    for one in later:
        one.AcquisitionNumber, one.ContrastBolusAgent = 2, "Iohexol"
    scan = read(ct.save([*first, *later]))
    assert scan.volume.hu.max() == 900
    assert "no contrast medium" in message(scan, "series-chosen")


def test_phases_are_split_by_time_where_nothing_else_tells(ct):
    first, later = two_phases(ct, 60)
    scan = read(ct.save([*later, *first]))
    assert scan.volume.shape[0] == 40 and scan.volume.hu.max() == 900
    assert "series-chosen" in codes(scan)


def test_different_images_at_one_place_without_any_mark_are_refused(ct):
    first, later = two_phases(ct, 60)
    for one in (*first, *later):
        del one.ContentTime
    assert refused(ct.save([*first, *later])) == "positions-repeated"


def test_interleaved_acquisitions_are_not_mixed(ct):
    first, later = two_phases(ct, 60)
    for one in later:
        x, y, z = (float(v) for v in one.ImagePositionPatient)
        one.ImagePositionPatient, one.AcquisitionNumber = [x, y, z + 1.25], 2
    scan = read(ct.save([*first, *later]))
    assert scan.volume.shape[0] == 40 and scan.volume.spacing_mm[0] == pytest.approx(2.5)


def half_a_slice_off(ct, **headers):
    first, later = two_phases(ct, 60)
    for one in later:
        x, y, z = (float(v) for v in one.ImagePositionPatient)
        one.ImagePositionPatient = [x, y, z + 1.25]
        for keyword, value in headers.items():
            setattr(one, keyword, value)
    return [*first, *later]


@pytest.mark.parametrize(
    "headers",
    [{"KVP": 80}, {"ConvolutionKernel": "B70f"}, {"ContrastBolusAgent": "Iohexol"}, {"SliceThickness": 5}],
    ids=str,
)
def test_phases_half_a_slice_off_are_told_apart_by_their_headers(ct, headers):
    scan = read(ct.save(half_a_slice_off(ct, **headers)))
    assert scan.volume.shape[0] == 40 and scan.volume.hu.max() == 900
    assert scan.volume.spacing_mm[0] == pytest.approx(2.5)


def test_phases_half_a_slice_off_are_told_apart_by_their_pixels(ct):
    slices = half_a_slice_off(ct)
    for one in slices:
        del one.ContentTime
    scan = read(ct.save(slices))
    assert scan.volume.hu.max() == 900 and scan.volume.spacing_mm[0] == pytest.approx(2.5)
    assert {"scans-interleaved", "series-chosen"} <= codes(scan)


def test_stations_of_another_phase_are_not_measured(ct):
    first, later = two_phases(ct, 60)
    for one in later:
        one.AcquisitionNumber = 2
    scan = read(ct.save([*first[:24], *later[24:]]))
    (gap,) = scan.gaps
    assert (gap.start, gap.stop) == (23, 39) and "slices-off-level" in codes(scan)


def test_stations_of_one_scan_are_one(ct):
    slices = ct.make()
    for one in slices[24:]:
        one.AcquisitionNumber = 2
    scan = read(ct.save(slices))
    assert scan.volume.shape[0] == 40 and scan.gaps == () and codes(scan) == set()
