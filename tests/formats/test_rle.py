"""Run-length encoding against pydicom's encoder, and runs that would never end."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom.pixels.encoders import RLELosslessEncoder

from trabecula.formats.rle import decode_frame, unpack_bits


@given(arrays.arrays(np.int16, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(-3, 300)))
def test_what_pydicom_encodes_comes_back(pixels: np.ndarray) -> None:
    frame = RLELosslessEncoder.encode(
        pixels,
        encoding_plugin="pydicom",
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples_per_pixel=1,
        number_of_frames=1,
        bits_allocated=16,
        bits_stored=16,
        pixel_representation=1,
        photometric_interpretation="MONOCHROME2",
    )
    np.testing.assert_array_equal(decode_frame(frame, pixels.size, np.dtype("<i2")).reshape(pixels.shape), pixels)


def test_no_more_is_written_than_asked_for() -> None:
    assert unpack_bits(b"\x81\x07" * 1_000_000, 1000) == b"\x07" * 1000


@pytest.mark.parametrize("packed", [b"", b"\x81", b"\x05abc", b"\x80" * 50])
def test_runs_cut_short(packed: bytes) -> None:
    with pytest.raises(ValueError, match="cut short"):
        unpack_bits(packed, 10)


@given(st.binary(max_size=300))
def test_any_bytes_give_numbers_or_an_error(frame: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert decode_frame(frame, 16, np.dtype("<u2")).shape == (16,)
