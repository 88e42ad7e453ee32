"""Slices without their intercept or their end: left out, the rest is read."""

import pytest
from pydicom import dcmread

from dicom.said import codes, refused
from trabecula.errors import Refusal
from trabecula.flow.read import read


def test_a_slice_without_its_intercept_is_left_out(ct):
    slices = ct.make()
    slices[20].RescaleIntercept = 0
    scan = read(ct.save(slices))
    assert {"slices-off-level", "slices-interpolated"} <= codes(scan)
    assert scan.volume.shape[0] == 40 and scan.volume.hu.max() == 900


def test_slices_of_which_every_other_has_no_intercept_are_refused(ct):
    slices = ct.make()
    for one in slices[::2]:
        one.RescaleIntercept = 0
    with pytest.raises(Refusal, match=r"of 40 slices hold values that differ .* 1024 HU") as caught:
        read(ct.save(slices))
    assert caught.value.code == "not-hounsfield-units"


def cut_short(folder, number):
    """Cut the pixels of the slice with this instance number."""
    path = next(path for path in folder.iterdir() if dcmread(path, stop_before_pixels=True).InstanceNumber == number)
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(("number", "gaps"), [(1, 0), (20, 1), (40, 0)])
def test_a_truncated_slice_is_as_good_as_missing(ct, number, gaps):
    folder = ct.save(ct.make(step=(0, 0, 3)))
    cut_short(folder, number)
    scan = read(folder)
    assert "slices-missing" in codes(scan) and len(scan.gaps) == gaps


@pytest.mark.parametrize(
    ("number", "count", "code"), [(1, 59, "slices-missing"), (20, 60, "slices-interpolated")], ids=["end", "middle"]
)
def test_a_truncated_thin_slice_is_bridged_and_disclosed(ct, number, count, code):
    folder = ct.save(ct.make(count=60, step=(0, 0, 1.25)))
    cut_short(folder, number)
    scan = read(folder)
    assert scan.volume.shape[0] == count and code in codes(scan) and scan.gaps == ()
    whole = scan.volume.to_index((20, 15, 10)).round().astype(int)
    assert scan.volume.hu[tuple(whole)] == 300


def test_a_series_of_truncated_slices_is_refused(ct):
    folder = ct.save(ct.make(count=5))
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-1000])
    assert refused(folder) == "file-unreadable"
