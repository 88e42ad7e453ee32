"""Bytes that came in or went in the midst of pixels, the length made right elsewhere: slices there are left out."""

from pathlib import Path

import numpy as np
import pytest

from anomalies.scene import hu_of, nifti, save, scene, set_hu
from trabecula.errors import Refusal
from trabecula.flow.read import read
from trabecula.formats.tears import torn
from trabecula.formats.tissues import thin
from trabecula.records import Scan
from trabecula.volume import Float32, Float64


def sample() -> Float32:
    volume = scene().volume
    return thin(volume.hu, volume.spacing_mm[1:])


def places(slices: Float32) -> Float64:
    return np.arange(len(slices)) * 3.0


def moved(values: Float32, start: int, stop: int, by: int) -> Float32:
    """The values from ``start`` on lie ``by`` further along, up to ``stop``."""
    flat = values.ravel().copy()
    flat[start + by : stop + by] = values.ravel()[start:stop]
    return flat.reshape(values.shape)


def codes(scan: Scan) -> set[str]:
    return {one.code for one in scan.reasons}


def test_nothing_is_torn_in_a_scan_as_it_is() -> None:
    assert not torn(sample(), places(sample())).any()


def test_nothing_is_torn_where_a_body_leans() -> None:
    leaning = np.stack([np.roll(one, number, axis=1) for number, one in enumerate(sample())])
    assert not torn(leaning, places(leaning)).any()


def test_nothing_is_torn_where_a_body_lies_elsewhere_beyond_a_gap() -> None:
    slices = sample()
    slices[25:] = np.roll(slices[25:], 3, axis=2)
    assert torn(slices, places(slices)).any()
    assert not torn(slices, places(slices) + 12.0 * (np.arange(len(slices)) >= 25)).any()


@pytest.mark.parametrize("by", [1, 2, 4, 32])
def test_all_that_follows_moved(by: int) -> None:
    slices = sample()
    at = int(20.4 * slices[0].size)
    found = np.flatnonzero(torn(moved(slices, at, slices.size - by, by), places(slices)))
    assert found.size and set(found) <= {20, 21}


@pytest.mark.parametrize("by", [1, 2, 4, 32])
def test_the_rows_of_one_slice_moved(by: int) -> None:
    slices = sample()
    start, stop = (int(share * slices[0].size) for share in (20.3, 20.7))
    found = np.flatnonzero(torn(moved(slices, start, stop, by), places(slices)))
    assert 20 in found and set(found) <= {20, 21}


def test_a_raw_volume_with_bytes_in_its_midst_is_not_measured_there(tmp_path: Path) -> None:
    path = nifti(tmp_path / "ct.nii")
    whole, raw = read(path), bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2] = bytes(8)
    path.write_bytes(raw[:-8])
    scan = read(path)
    assert codes(scan) - codes(whole) == {"slices-unlike"}
    middle = scan.volume.shape[0] / 2
    assert scan.gaps and all(abs(gap.start - middle) < 4 and abs(gap.stop - middle) < 4 for gap in scan.gaps)


def test_a_dicom_slice_with_rows_moved_is_left_out(tmp_path: Path) -> None:
    slices = scene().slices()
    hu = hu_of(slices[20])
    set_hu(slices[20], moved(hu, hu.size // 3, 2 * hu.size // 3, 4))
    assert {"slices-unlike", "slices-interpolated"} & codes(read(save(slices, tmp_path / "ct")))


def test_most_slices_torn_are_refused_in_a_sentence(tmp_path: Path) -> None:
    slices = scene().slices()
    for one in slices[::3]:
        hu = hu_of(one)
        set_hu(one, moved(hu, hu.size // 3, 2 * hu.size // 3, 8))
    with pytest.raises(Refusal) as caught:
        read(save(slices, tmp_path / "ct"))
    assert caught.value.code == "file-unreadable"
