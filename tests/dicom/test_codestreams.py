"""What codestreams say of their size, of damage and of loss."""

import struct
from contextlib import suppress

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from trabecula.dicom.codestreams import coded_with_loss, codestream_size, damaged_jpeg_2000
from trabecula.errors import Refusal
from trabecula.flow.read import read

PICTURE = np.random.default_rng(3).normal(1000, 40, (96, 128)).astype(np.uint16)


def test_codestreams_tell_their_size(ct):
    one = ct.make(count=1, shape=(40, 56))[0]
    one.compress(JPEGLSLossless)
    assert codestream_size(one.PixelData[one.PixelData.find(b"\xff\xd8") :]) == (40, 56, 1)
    assert codestream_size(b"\xff\xd8 no marker") is None


def test_jpeg_2000_with_bytes_that_no_encoder_writes_is_damaged(ct):
    slices = ct.make(count=12)
    for one in slices:
        one.compress(JPEG2000Lossless, generate_instance_uid=False)
    (codestream,) = generate_frames(slices[5].PixelData, number_of_frames=1)
    assert not damaged_jpeg_2000(codestream)
    half = len(codestream) // 2
    spoilt = codestream[:half] + b"\xff\xff\xff\xff" + codestream[half + 4 :]
    assert damaged_jpeg_2000(spoilt)
    slices[5].PixelData = encapsulate([spoilt])
    assert "slices-interpolated" in {reason.code for reason in read(ct.save(slices)).reasons}


def jpeg_2000(reversible: bool) -> bytes:
    return imagecodecs.jpeg2k_encode(PICTURE, reversible=reversible, level=0, codecformat="j2k")


def test_a_wavelet_that_rounds_is_told():
    assert not coded_with_loss(jpeg_2000(reversible=True))
    assert coded_with_loss(jpeg_2000(reversible=False))


@pytest.mark.parametrize("empty_parts", [0, 1, 5])
def test_a_tile_may_have_a_wavelet_of_its_own(empty_parts):
    sound = jpeg_2000(reversible=True)
    at = sound.index(b"\xff\x90\x00\x0a")
    coding = sound[sound.index(b"\xff\x52") :][:14]
    (length,) = struct.unpack_from(">I", sound, at + 6)
    empty = sound[at : at + 6] + struct.pack(">I", 14) + sound[at + 10 : at + 12] + b"\xff\x93"
    start = sound[:at] + empty_parts * empty + sound[at : at + 6] + struct.pack(">I", length + 14)
    for wavelet in (0, 1):
        own = coding[:13] + bytes([wavelet])
        assert coded_with_loss(start + sound[at + 10 : at + 12] + own + sound[at + 12 :]) is (wavelet == 0)


def test_low_bits_cut_off_are_told():
    sound = imagecodecs.jpeg8_encode(PICTURE, lossless=True, predictor=1, bitspersample=16)
    at = sound.index(b"\xff\xda") + 4 + 1 + 2 + 2
    assert not coded_with_loss(sound)
    assert coded_with_loss(sound[:at] + b"\2" + sound[at + 1 :])


@pytest.mark.parametrize("whole", [jpeg_2000(reversible=True), imagecodecs.jpegls_encode(PICTURE)], ids=["2000", "LS"])
def test_a_codestream_that_ends_early_is_looked_at_without_harm(whole):
    for length in range(0, 400, 7):
        with suppress(ValueError, IndexError, struct.error):
            assert not coded_with_loss(whole[:length])


@pytest.mark.parametrize("number", [1, 12])
def test_a_transfer_syntax_that_is_none_is_a_sentence(ct, number):
    """Of one slice, which is left out, and of all."""
    slices = ct.make(count=12)
    folder = ct.save(slices)
    for path in sorted(folder.iterdir())[5 if number == 1 else 0 :][:number]:
        raw = path.read_bytes()
        assert b"1.2.840.10008.1.2.1" in raw
        path.write_bytes(raw.replace(b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.9"))
    if number == 1:
        assert read(folder).reasons
    else:
        with pytest.raises(Refusal):
            read(folder)
