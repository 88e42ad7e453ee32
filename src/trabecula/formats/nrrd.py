"""NRRD: an array (i, j, k) with space directions; attached (.nrrd) or detached (.nhdr) data."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from trabecula.errors import Refusal, refusal
from trabecula.formats.budget import Budget
from trabecula.formats.damage import MALFORMED
from trabecula.formats.given import room_for
from trabecula.formats.grid import require_finite, require_sound_affine, spatial_shape
from trabecula.formats.nrrd_header import TYPES, Header, header_of
from trabecula.formats.stream import Stream, fill, too_long
from trabecula.formats.units import mm_per_unit
from trabecula.records import Acquisition, Reason, Scan
from trabecula.volume import Float64

SUFFIXES = (".nrrd", ".nhdr")
BYTE_ORDERS: dict[str, Literal["<", ">"]] = {"little": "<", "big": ">"}
MAX_HEADER_BYTES = 2**20
MAX_LINE_SKIP = 10_000

# signs that bring each of the format's spaces to LPS; each has a sibling with time as a fourth axis
SPACES: dict[str, tuple[int, int, int]] = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
MM_PER_UNIT = {
    **dict.fromkeys(("", "none", "mm", "millimeter", "millimeters", "millimetre"), 1.0),
    **dict.fromkeys(("m", "meter", "meters", "metre"), 1000.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre"), 10.0),
    **dict.fromkeys(("um", "\u00b5m", "\u03bcm", "micron", "microns", "micrometer", "micrometers"), 0.001),
    **dict.fromkeys(("in", "inch", "inches"), 25.4),
}


def read_nrrd(path: Path, budget: Budget | None = None) -> Scan:
    """A .nrrd or .nhdr file as a scan, its values as they stand; the caller judges whether they are HU.

    Raises:
        Refusal: damaged, not three-dimensional, without a space, or with an unsound affine or values.
    """
    budget = budget or Budget()
    try:
        with path.open("rb") as file:
            head = file.read(MAX_HEADER_BYTES)
        header, data_at = header_of(head)
        with np.errstate(all="ignore"):  # headers of 1e300 are judged, not computed with
            affine_lps, spatial, reasons = _place(header)
        volume, orientation, given = room_for(spatial_shape(header.sizes, spatial), affine_lps)
        budget.expect_volume(volume.hu.nbytes)
        with _data(path, header, data_at, budget) as (stream, dtype):
            fill(given, stream, dtype)
            trailing = stream.finish()
    except MALFORMED as error:
        raise _damaged() from error
    require_finite(volume.hu)
    return Scan(volume, orientation, Acquisition(source="nrrd"), (*reasons, *too_long(trailing)))


def _place(header: Header) -> tuple[Float64, tuple[int, ...], tuple[Reason, ...]]:
    """The affine to LPS mm, the three axes of the array that it is of, and what must be said of it."""
    signs = SPACES.get(header.text("space").lower().removesuffix("-time").removesuffix("t"))
    directions, origin = header.vectors("space directions"), header.vectors("space origin")
    if signs is None or not directions or len(origin) != 1 or origin[0] is None:
        raise refusal("orientation-missing.nrrd")
    if len(directions) != len(header.sizes):
        raise ValueError("space directions")
    # an axis without a direction in the patient is one of time, or of nothing
    spatial = tuple(axis for axis, along in enumerate(directions) if along is not None and any(along[:3]))
    if len(spatial) != 3:
        if sum(size > 1 for size in header.sizes) == 3:
            raise refusal("affine-singular")
        raise refusal("not-three-dimensional", number=len(header.sizes))
    affine = np.eye(4)
    affine[:3, :3] = np.transpose([directions[axis][:3] for axis in spatial])  # type: ignore[index]
    affine[:3, 3] = origin[0][:3]
    scale, reasons = mm_per_unit(_unit(header), affine)
    affine = np.diag([*(scale * sign for sign in signs), 1.0]) @ affine
    require_sound_affine(affine)
    return np.asarray(affine), spatial, tuple(reasons)


def _unit(header: Header) -> float:
    """Millimetres in the unit of the space.

    Raises:
        Refusal: nobody knows it, or it differs from axis to axis.
    """
    named = {name.strip().lower() for name in re.findall(r'"([^"]*)"', header.text("space units"))} or {""}
    scales = {MM_PER_UNIT.get(name) for name in named}
    scale = scales.pop()
    if scales or scale is None:
        raise refusal("unit-unknown", unit=" ".join(sorted(named))[:32])
    return scale


@contextmanager
def _data(path: Path, header: Header, data_at: int, budget: Budget) -> Iterator[tuple[Stream, np.dtype[Any]]]:
    """Where the numbers begin, and what they are."""
    encoding, dtype = header.text("encoding").lower(), TYPES.get(header.text("type").lower())
    if dtype is None or encoding not in ("raw", "gzip", "gz"):
        raise refusal("file-unreadable.encoding")
    if dtype.itemsize > 1:
        dtype = dtype.newbyteorder(BYTE_ORDERS[header.text("endian").lower()])
    byte_skip, line_skip = int(header.text("byte skip") or 0), int(header.text("line skip") or 0)
    if not (0 <= line_skip <= MAX_LINE_SKIP and (byte_skip >= 0 or (byte_skip == -1 and encoding == "raw"))):
        raise refusal("file-unreadable.encoding")
    source = _beside(path, header)
    with source.open("rb") as file:
        file.seek(data_at if source == path else 0)
        for _ in range(line_skip):
            file.readline(MAX_HEADER_BYTES)
        if byte_skip == -1:
            file.seek(-dtype.itemsize * int(np.prod(header.sizes, dtype=np.int64)), os.SEEK_END)
        stream = Stream(file, budget, compressed=encoding != "raw")
        stream.skip(max(byte_skip, 0))
        yield stream, dtype


def _beside(path: Path, header: Header) -> Path:
    """The file that holds the numbers: the NRRD itself, or the one that its header names."""
    named = header.text("data file")
    if not named:
        return path
    if Path(named).name != named or "%" in named or named.upper().startswith("LIST"):
        raise refusal("file-outside")
    source = path.parent / named
    if source.exists() and not source.is_file():
        raise refusal("file-outside")
    return source


def _damaged() -> Refusal:
    return refusal("file-unreadable.nrrd")
