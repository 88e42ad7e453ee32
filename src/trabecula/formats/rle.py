"""DICOM's run-length encoding (PS3.5 annex G), which never writes more than the image it is of.

pydicom decodes every run before it counts: 8 MB of them become 1.1 GB. Two bytes of input make up to 128 of output.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER = struct.Struct("<16I")  # the number of segments, and where each begins


def decode_frame(frame: bytes, pixels: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The numbers of one frame of one sample, in a row; ``dtype`` is little endian.

    Raises:
        ValueError: damaged, or of another size.
    """
    count, *starts = HEADER.unpack_from(frame.ljust(HEADER.size, b"\0"))
    if count != dtype.itemsize:
        raise ValueError("segments")
    ends = [*starts[1:count], len(frame)]
    planes = np.empty((pixels, count), np.uint8)
    for segment, (start, end) in enumerate(zip(starts[:count], ends, strict=True)):  # the highest byte comes first
        if not HEADER.size <= start < end <= len(frame):
            raise ValueError("segment")
        planes[:, count - 1 - segment] = np.frombuffer(unpack_bits(frame[start:end], pixels), np.uint8)
    return planes.view(dtype)[:, 0]


def unpack_bits(packed: bytes, length: int) -> bytearray:
    """PackBits: a byte n below 128 precedes n + 1 literal bytes, one above 128 a byte to repeat 257 - n times.

    Raises:
        ValueError: there are fewer than ``length`` bytes; what follows them is not looked at.
    """
    plain, at, end = bytearray(), 0, len(packed)
    while len(plain) < length and at < end - 1:
        head = packed[at]
        if head < 128:
            plain += packed[at + 1 : at + 2 + head]
            at += head + 2
        elif head > 128:
            plain += packed[at + 1 : at + 2] * (257 - head)
            at += 2
        else:
            at += 1
    if len(plain) < length:
        raise ValueError("runs cut short")
    return plain[:length]
