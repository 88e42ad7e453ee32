"""Pictures that lie beside the scanner's bore, as those do that a program mirrored by their headers alone."""

import pytest

from dicom.conftest import Builder
from dicom.said import codes
from trabecula.flow.read import read

WIDE = {"shape": (48, 48), "spacing": (8.0, 8.0)}


def wide(lps_mm):
    """The scene at three times its size."""
    return Builder.scene_hu(lps_mm / 3)


def mirrored(slices, keep_place):
    """Rows run the other way; the first voxel stays where it was, or moves to the other side as it must."""
    for one in slices:
        x, y, z = map(float, one.ImagePositionPatient)
        one.ImageOrientationPatient = [-1, 0, 0, *map(float, one.ImageOrientationPatient[3:])]
        one.ImagePositionPatient = [x if keep_place else -x, y, z]
    return slices


@pytest.mark.parametrize("row", [(1, 0, 0), (-1, 0, 0)])
def test_a_picture_in_the_bore_is_not_doubted(ct, row):
    assert "sides-doubtful" not in codes(read(ct.save(ct.make(row=row, scene=wide, **WIDE))))


def test_a_picture_mirrored_by_its_headers_alone_is_doubted(ct):
    assert "sides-doubtful" in codes(read(ct.save(mirrored(ct.make(scene=wide, **WIDE), keep_place=True))))


def test_a_picture_whose_rows_and_place_agree_is_not_doubted(ct):
    assert "sides-doubtful" not in codes(read(ct.save(mirrored(ct.make(scene=wide, **WIDE), keep_place=False))))


def test_a_small_picture_beside_the_middle_is_not_doubted(ct):
    slices = ct.make()
    for one in slices:
        x, y, z = map(float, one.ImagePositionPatient)
        one.ImagePositionPatient = [x + 200, y, z]
    assert "sides-doubtful" not in codes(read(ct.save(slices)))
