"""What a path holds, told by its content; its name only where the content does not tell."""

import stat
import zipfile
import zlib
from enum import StrEnum
from pathlib import Path

from trabecula.errors import WrongUsage, wrong_usage
from trabecula.formats import nifti
from trabecula.formats.nrrd_header import MAGIC as NRRD_MAGIC
from trabecula.formats.stream import GZIP_MAGIC

HEAD_BYTES = 352
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


class Kind(StrEnum):
    """How a path is read."""

    FOLDER = "folder"
    DICOM = "dicom"
    NIFTI = "nifti"
    NRRD = "nrrd"
    ZIP = "zip"
    UNKNOWN = "unknown"


def kind_of(path: Path) -> Kind:
    """The kind of an ordinary file or folder.

    Raises:
        WrongUsage: there is neither at ``path``, or it may not be read. A pipe or a device would never end.
    """
    require_ordinary(path)
    if path.is_dir():
        return Kind.FOLDER
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except PermissionError as error:
        raise _forbidden(path) from error
    if head[128:132] == b"DICM":
        return Kind.DICOM
    if head.startswith(NRRD_MAGIC):
        return Kind.NRRD
    name = path.name.lower()
    if nifti.begins_as_nifti(_unpacked(head)) or name.endswith(nifti.SUFFIXES):
        return Kind.NIFTI
    if zipfile.is_zipfile(path):
        return Kind.ZIP
    if name.endswith(DICOM_SUFFIXES):
        return Kind.DICOM
    pair = name.endswith(".img") and path.with_suffix(".hdr").is_file()
    return Kind.NIFTI if pair else Kind.UNKNOWN


def require_ordinary(path: Path) -> None:
    """Refuse what is neither file nor folder before anything is opened.

    Raises:
        WrongUsage: nothing is there, or a pipe, a socket, a device, or a link that leads nowhere.
    """
    try:
        mode = path.stat().st_mode
    except PermissionError as error:
        raise _forbidden(path) from error
    except (OSError, ValueError) as error:
        raise wrong_usage("input-missing", path=_shown(path)) from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise wrong_usage("input-no-file", path=_shown(path))


def _forbidden(path: Path) -> WrongUsage:
    return wrong_usage("input-unreadable", path=_shown(path))


def _shown(path: Path) -> str:
    return str(path)[:200]


def _unpacked(head: bytes) -> bytes:
    if not head.startswith(GZIP_MAGIC):
        return head
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""
