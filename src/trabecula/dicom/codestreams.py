"""What a JPEG, JPEG-LS or JPEG 2000 codestream says of itself, whatever the DICOM header around it says."""

import struct
from collections.abc import Iterator

import numpy as np

START_OF_JPEG = b"\xff\xd8"
START_OF_JPEG_2000 = b"\xff\x4f\xff\x51"  # SOC, SIZ; perhaps inside a JP2 box
BOX_BYTES = 4096
START_OF_DATA = b"\xff\x93"
MARKERS_AMONG_DATA = (0x90, 0x91, 0x92, 0x93, 0xD9)  # SOT, SOP, EPH, SOD, EOC
SOT, SOD, COD, COC = 0x90, 0x93, 0x52, 0x53  # JPEG 2000
SOS, FRAME_OF_JPEG_LS = 0xDA, 0xF7
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
LOSSLESS_FRAMES = {0xC3, 0xC7, 0xCB, 0xCF}
REVERSIBLE = 1
"""The wavelet of whole numbers, 5/3; any other rounds."""


def codestream_size(codestream: bytes) -> tuple[int, int, int] | None:
    """(rows, columns, components) that a codestream itself declares; None without any.

    A decoder allocates what the codestream says, not what the DICOM header says.
    """
    start = codestream.find(START_OF_JPEG_2000, 0, BOX_BYTES)
    if start >= 0:
        right, bottom, left, top = struct.unpack_from(">4I", codestream, start + 8)
        (components,) = struct.unpack_from(">H", codestream, start + 40)
        return bottom - top, right - left, components
    for marker, body in _jpeg_segments(codestream):
        if marker == FRAME_OF_JPEG_LS or marker in FRAMES:
            rows, columns, components = struct.unpack_from(">2HB", body, 1)
            return rows, columns, components
    return None


def damaged_jpeg_2000(codestream: bytes) -> bool:
    """Whether among the data of a JPEG 2000 codestream stands what no encoder writes there: 0xFF and then more than
    0x8F (ISO/IEC 15444-1, B.10.1 and C.2.5). A decoder makes a picture of it all the same."""
    if not codestream.startswith(START_OF_JPEG_2000):
        return False
    data = np.frombuffer(codestream, np.uint8)[max(codestream.find(START_OF_DATA), 0) :]
    after = data[1:][data[:-1] == 0xFF]
    return bool((~np.isin(after[after > 0x8F], MARKERS_AMONG_DATA)).any())


def coded_with_loss(codestream: bytes) -> bool:
    """Whether what is coded cannot be undone: JPEG other than its lossless process, JPEG-LS that may be off by NEAR,
    a wavelet that rounds, low bits that were cut off (ISO/IEC 10918-1 B.2, 14495-1 C.2.3, 15444-1 A.6).

    A JPEG 2000 codestream of the reversible wavelet may still have been cut short: that stands in no marker.
    """
    start = codestream.find(START_OF_JPEG_2000, 0, BOX_BYTES)
    if start >= 0:
        segments = _jpeg_2000_segments(codestream, start)
        wavelets = {COD: 9, COC: 6}  # where the wavelet stands, of an image of one component
        return any(body[wavelets[marker]] != REVERSIBLE for marker, body in segments if marker in wavelets)
    frame = None
    for marker, body in _jpeg_segments(codestream):
        if marker in FRAMES - LOSSLESS_FRAMES:
            return True
        if marker == FRAME_OF_JPEG_LS or marker in LOSSLESS_FRAMES:
            frame = marker
        elif marker == SOS:
            near_or_predictor, _, shifts = body[1 + 2 * body[0] :][:3]
            return bool(shifts & 0x0F) or (frame == FRAME_OF_JPEG_LS and near_or_predictor > 0)
    return False


def is_jpeg_2000(codestream: bytes) -> bool:
    """Whether a codestream is of JPEG 2000, of high throughput or not."""
    return codestream.find(START_OF_JPEG_2000, 0, BOX_BYTES) >= 0


def _jpeg_segments(codestream: bytes) -> Iterator[tuple[int, bytes]]:
    """The marker segments up to the data of the first scan: marker, and what follows its length."""
    at = 2 if codestream.startswith(START_OF_JPEG) else len(codestream)
    while at + 4 <= len(codestream) and codestream[at] == 0xFF:
        marker = codestream[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        (length,) = struct.unpack_from(">H", codestream, at + 2)
        yield marker, codestream[at + 4 : at + 2 + length]
        if marker == SOS:
            return
        at += 2 + length


def _jpeg_2000_segments(codestream: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """The marker segments of the main header and of those of the parts of tiles."""
    at, part, part_bytes = start + 2, start, 0
    while at + 4 <= len(codestream) and codestream[at] == 0xFF:
        marker = codestream[at + 1]
        (length,) = struct.unpack_from(">H", codestream, at + 2)
        if marker == SOD:
            if part_bytes == 0 or part + part_bytes <= at:  # the last part
                return
            at = part + part_bytes
            continue
        if marker == SOT:
            part = at
            (part_bytes,) = struct.unpack_from(">I", codestream, at + 6)
        yield marker, codestream[at + 4 : at + 2 + length]
        at += 2 + length
