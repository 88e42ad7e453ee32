"""Stored numbers to Hounsfield units: each instance's own sign, bits, slope, padding and compression."""

import struct

import numpy as np
import pytest
from pydicom import Dataset, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from trabecula.errors import Refusal
from trabecula.flow.read import read


@pytest.fixture
def truth(ct):
    return np.stack([ct.pixels(one) for one in ct.make()]).astype(np.float32) - 1024


def test_sign_bits_and_slope_may_differ_from_slice_to_slice(ct, truth):
    slices = ct.make()
    for one in slices[::3]:  # signed
        one.PixelData = (ct.pixels(one).astype(np.int16) - 1024).tobytes()
        one.PixelRepresentation, one.RescaleIntercept = 1, 0
    for one in slices[1::3]:  # half as many steps
        one.PixelData = (ct.pixels(one) * 2).tobytes()
        one.RescaleSlope = 0.5
    for one in slices[2::6]:  # 13 bits, with an old overlay above them
        one.PixelData = (ct.pixels(one) | 0x8000).tobytes()
        one.BitsStored, one.HighBit = 13, 12
    scan = read(ct.save(slices))
    np.testing.assert_array_equal(scan.volume.hu, truth)


def test_signed_pixels_of_twelve_bits_carry_their_sign(ct, truth):
    slices = ct.make()
    for one in slices:
        one.PixelData = ((ct.pixels(one).astype(np.int16) - 1024) & 0x0FFF).tobytes()
        one.PixelRepresentation, one.RescaleIntercept, one.BitsStored, one.HighBit = 1, 0, 12, 11
    np.testing.assert_array_equal(read(ct.save(slices)).volume.hu, truth)


@pytest.mark.parametrize("declared", [-2000, 63536, None], ids=["signed", "as unsigned", "undeclared"])
def test_padding_is_air(ct, truth, declared):
    slices = ct.make()
    outside = truth[0] <= -1000
    for one in slices:
        stored = ct.pixels(one).astype(np.int16) - 1024
        stored[outside] = -2000
        one.PixelData, one.PixelRepresentation, one.RescaleIntercept = stored.tobytes(), 1, 0
        if declared is not None:
            one.add_new("PixelPaddingValue", "US" if declared > 0 else "SS", declared)
    hu = read(ct.save(slices)).volume.hu
    assert hu.min() == -1000
    np.testing.assert_array_equal(hu[:, ~outside], truth[:, ~outside])


def test_padding_far_above_tissue_is_air(ct):
    slices = ct.make(PixelPaddingValue=60000, PixelPaddingRangeLimit=61000)
    for one in slices:
        stored = ct.pixels(one)
        stored[:5], stored[5:8] = 60000, 60500
        one.PixelData = stored.tobytes()
    hu = read(ct.save(slices)).volume.hu
    assert (hu[:, :8] == -1000).all() and hu.max() == 900


def test_padding_declared_within_tissue_is_not_believed(ct, truth):
    np.testing.assert_array_equal(read(ct.save(ct.make(PixelPaddingValue=1064))).volume.hu, truth)


def test_padding_does_not_bleed_into_tissue_when_slices_are_set_square(ct):
    tilt = np.radians(15)
    slices = ct.make(column=(0, np.cos(tilt), np.sin(tilt)), step=(0, 0, 2.5))
    for one in slices:
        stored = ct.pixels(one).astype(np.int32) - 1024
        stored[stored == -1000] = -3024
        one.PixelData, one.PixelRepresentation, one.RescaleIntercept = stored.astype(np.int16).tobytes(), 1, 0
    assert read(ct.save(slices)).volume.hu.min() == -1000


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.name)
@pytest.mark.parametrize("signed", [False, True])
def test_compressed_slices(ct, truth, syntax, signed):
    slices = ct.make()
    for one in slices:
        if signed:
            one.PixelData = (ct.pixels(one).astype(np.int16) - 1024).tobytes()
            one.PixelRepresentation, one.RescaleIntercept = 1, 0
        one.compress(syntax)
    scan = read(ct.save(slices))
    np.testing.assert_array_equal(scan.volume.hu, truth)
    assert scan.reasons == ()


def jpeg_lossless(stored):
    """A JPEG lossless codestream (process 14, predictor 1), which none of the installed libraries writes."""
    rows, columns = stored.shape
    values = stored.astype(np.int64)
    predicted = np.empty_like(values)
    predicted[:, 1:], predicted[1:, 0], predicted[0, 0] = values[:, :-1], values[:-1, 0], 2**15
    bits = []
    for difference in ((values - predicted + 2**15) % 2**16 - 2**15).ravel().tolist():
        size = abs(difference).bit_length()
        bits.append(f"{size:05b}")  # 17 codes of five bits
        if 0 < size < 16:
            bits.append(f"{difference if difference > 0 else difference + 2**size - 1:0{size}b}")
    coded = "".join(bits)
    coded += "1" * (-len(coded) % 8)
    data = int(coded, 2).to_bytes(len(coded) // 8, "big").replace(b"\xff", b"\xff\x00")
    frame = b"\xff\xc3" + struct.pack(">HBHHB3B", 11, 16, rows, columns, 1, 1, 0x11, 0)
    table = b"\xff\xc4" + struct.pack(">HB16B", 36, 0, *(17 if n == 4 else 0 for n in range(16))) + bytes(range(17))
    scan = b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, 1, 0, 0)
    return b"\xff\xd8" + frame + table + scan + data + b"\xff\xd9"


@pytest.mark.parametrize("signed", [False, True])
def test_jpeg_lossless_slices(ct, truth, signed):
    slices = ct.make()
    for one in slices:
        stored = ct.pixels(one)
        if signed:
            stored = (stored.astype(np.int16) - 1024).view(np.uint16)
            one.PixelRepresentation, one.RescaleIntercept = 1, 0
        one.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        one.PixelData = encapsulate([jpeg_lossless(stored)])
        one["PixelData"].VR, one["PixelData"].is_undefined_length = "OB", True
    np.testing.assert_array_equal(read(ct.save(slices)).volume.hu, truth)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_damaged_bytes_end_in_a_refusal_or_a_scan(ct, tmp_path, syntax):
    whole = ct.enhanced(ct.make(count=12, shape=(40, 40)))
    if syntax.is_encapsulated:
        whole.compress(syntax)
    path = tmp_path / "damaged.dcm"
    whole.save_as(path, enforce_file_format=True)
    sound, chance = path.read_bytes(), np.random.default_rng(5)
    outcomes = set()
    for _ in range(40):
        damaged = bytearray(sound)
        for at in chance.integers(132, len(sound), size=chance.choice([1, 5, 30])):
            damaged[at] = chance.integers(256)
        path.write_bytes(damaged[: len(sound) - chance.choice([0, 0, 1000])])
        try:
            read(path)
            outcomes.add("read")
        except Refusal as refusal:
            outcomes.add(refusal.code)
    assert "file-unreadable" in outcomes or "slices-missing" in outcomes


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian], ids=lambda uid: uid.name)
def test_uncompressed_and_deflated_slices(ct, truth, syntax):
    slices = ct.make()
    for one in slices:
        one.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(read(ct.save(slices)).volume.hu, truth)


def test_big_endian_slices(ct, truth):
    folder = ct.folder
    for number, one in enumerate(ct.make()):
        one.PixelData = ct.pixels(one).byteswap().tobytes()
        one.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        dcmwrite(folder / str(number), one, implicit_vr=False, little_endian=False, force_encoding=True)
    np.testing.assert_array_equal(read(folder).volume.hu, truth)


def test_a_file_without_preamble_is_read(ct, truth):
    folder = ct.save(ct.make())
    for path in folder.iterdir():
        whole = path.read_bytes()
        path.write_bytes(whole[132:])
    np.testing.assert_array_equal(read(folder).volume.hu, truth)


def test_a_codestream_of_another_size_counts_as_damaged(ct):
    slices = ct.make(count=12)
    for one in slices:
        one.compress(JPEG2000Lossless)
        at = one.PixelData.find(b"\xff\x4f\xff\x51")
        forged = bytearray(one.PixelData)
        struct.pack_into(">2I", forged, at + 8, 60_000, 60_000)
        one.PixelData = bytes(forged)
    with pytest.raises(Refusal) as caught:
        read(ct.save(slices))
    assert caught.value.code == "file-unreadable"


def test_deeply_nested_sequences_end_in_a_refusal(ct, tmp_path):
    one = ct.make(count=1)[0]
    path = tmp_path / "nested"
    one.save_as(path, enforce_file_format=True)
    nested = b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    path.write_bytes(path.read_bytes()[:-8] + nested)
    with pytest.raises(Refusal):
        read(path)


def test_impossible_lengths_end_in_a_refusal(ct, tmp_path):
    one = ct.make(count=1)[0]
    path = tmp_path / "long"
    one.save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    at = whole.find(b"\x28\x00\x02\x00US")
    path.write_bytes(whole[:at] + b"\x28\x00\x01\x00OB\x00\x00\xf0\xff\xff\xff" + whole[at:])
    with pytest.raises(Refusal):
        read(path)


@pytest.mark.parametrize(("rows", "frames"), [(60_000, 1), (48, 10_000_000)])
def test_huge_declared_sizes_are_refused_before_allocation(ct, rows, frames):
    slices = ct.make(count=5, Rows=rows, NumberOfFrames=frames)
    with pytest.raises(Refusal) as caught:
        read(ct.save(slices))
    assert caught.value.code == "file-unreadable"


def test_a_large_enough_lie_about_rows_is_refused(ct):
    with pytest.raises(Refusal) as caught:
        read(ct.save(ct.make(Rows=8000, Columns=8000)))
    assert caught.value.code == "too-large"


def test_missing_rescale_is_judged_by_air_and_tissue(ct):
    slices = ct.make()
    for one in slices:
        one.PixelData = (ct.pixels(one).astype(np.int16) - 1024).tobytes()
        one.PixelRepresentation = 1
        del one.RescaleSlope, one.RescaleIntercept
    assert "rescale-missing" in {reason.code for reason in read(ct.save(slices)).reasons}


def test_a_wrong_rescale_is_refused(ct):
    slices = ct.make(RescaleIntercept=0)
    with pytest.raises(Refusal) as caught:
        read(ct.save(slices))
    assert caught.value.code == "not-hounsfield-units"


def test_a_lookup_table_is_refused(ct):
    slices = ct.make(ModalityLUTSequence=[Dataset()])
    with pytest.raises(Refusal) as caught:
        read(ct.save(slices))
    assert caught.value.code == "not-hounsfield-units"
