"""NRRD: an array (i, j, k) with space directions; attached (.nrrd) or detached (.nhdr) data."""

import zlib
from pathlib import Path
from typing import Any

import nrrd
import numpy as np

from trabecula.errors import refusal
from trabecula.formats.damage import MALFORMED
from trabecula.formats.given import volume_from_given
from trabecula.formats.grid import mask_outside, require_bearable, require_finite, require_sound_affine
from trabecula.records import Acquisition, Scan
from trabecula.volume import Float64

SUFFIXES = (".nrrd", ".nhdr")
MAGIC = b"NRRD000"
CHUNK_BYTES = 2**20

# signs that bring each of the format's spaces to LPS
SPACES: dict[str, tuple[int, int, int]] = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}


def read_nrrd(path: Path) -> Scan:
    """A .nrrd or .nhdr file as a scan, its values as they stand; the caller judges whether they are HU.

    Raises:
        Refusal: damaged, not three-dimensional, without a space, or with an unsound affine or values.
    """
    try:
        with path.open("rb") as file:
            header: dict[str, Any] = nrrd.read_header(file)
            affine_lps = _checked(header, path)
            _require_no_bomb(header, path, file.tell())
            values = nrrd.read_data(header, file, str(path))
    except (*MALFORMED, nrrd.NRRDError) as error:
        raise refusal("file-unreadable.nrrd") from error
    values = values.astype(np.float32)
    require_finite(values)
    volume, orientation = volume_from_given(values, affine_lps)
    mask_outside(volume.hu)
    return Scan(volume, orientation, Acquisition(source="nrrd"))


def _checked(header: dict[str, Any], path: Path) -> Float64:
    """The affine to LPS, once the header has passed."""
    if int(header["dimension"]) != 3:
        raise refusal("not-three-dimensional", number=int(header["dimension"]))
    sizes = tuple(int(n) for n in header["sizes"])
    require_bearable(sizes)
    if header["type"] == "block" or header["encoding"] not in ("raw", "gzip", "gz"):
        raise refusal("file-unreadable.encoding")
    data_file = header.get("data file", header.get("datafile"))
    if data_file is not None and (Path(str(data_file)).name != str(data_file) or "%" in str(data_file)):
        raise refusal("file-outside")
    signs = SPACES.get(str(header.get("space", "")).lower())
    directions, origin = header.get("space directions"), header.get("space origin")
    if signs is None or directions is None or origin is None:
        raise refusal("orientation-missing.nrrd")
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions, dtype=np.float64).T  # the header lists one row for each array axis
    affine[:3, 3] = np.asarray(origin, dtype=np.float64)
    affine = np.diag([*map(float, signs), 1.0]) @ affine
    require_sound_affine(affine)
    return np.asarray(affine)


def _require_no_bomb(header: dict[str, Any], path: Path, data_at: int) -> None:
    """Unpack gzip data once without keeping it: the reader would unpack whatever comes before it looks at sizes."""
    if header["encoding"] == "raw":
        return
    expected = int(np.prod(header["sizes"], dtype=np.int64)) * 8  # the widest number is 8 bytes
    data_file = header.get("data file", header.get("datafile"))
    source = path if data_file is None else path.parent / str(data_file)
    inflater, total = zlib.decompressobj(zlib.MAX_WBITS | 16), 0
    with source.open("rb") as file:
        file.seek(data_at if data_file is None else 0)
        while chunk := file.read(CHUNK_BYTES):
            while chunk:
                total += len(inflater.decompress(chunk, CHUNK_BYTES))
                chunk = inflater.unconsumed_tail
                if total > expected:
                    raise refusal("too-large.unpacked")
