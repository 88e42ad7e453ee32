"""Small files that would become huge: refused within the budget, measured in a process of its own."""

import gzip
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from trabecula.formats.budget import MEMORY_BYTES

EMPTY_ITEM = b"\xfe\xff\x00\xe0" + bytes(4)
READ = """
import json, resource, sys, time
time.thread_time = lambda: 0.0  # no refusal may come of a slow machine: what is counted must tell
from pathlib import Path
from trabecula.errors import TrabeculaError
from trabecula.flow.read import read
import trabecula.formats.nifti, pydicom, scipy.ndimage
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.process_time()
try:
    read(Path(sys.argv[1]))
    code = "read"
except TrabeculaError as error:
    code = error.code
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([code, (peak - before) * 1024, time.process_time() - started]))
"""


def image(**headers: object) -> FileDataset:
    """A slice's headers, without pixels."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    made.Modality, made.SeriesInstanceUID = "CT", "1.2.3"
    made.Rows = made.Columns = 512
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelSpacing, made.ImageOrientationPatient = [0.8, 0.8], [1, 0, 0, 0, 1, 0]
    made.RescaleSlope, made.RescaleIntercept = 1, -1024
    for keyword, value in headers.items():
        setattr(made, keyword, value)
    return made


def deflated(folder: Path) -> Path:
    """Eight files that deflate 1000 to 1."""
    return _deflated(folder, bytes(2**20), 400)


def deflated_less(folder: Path) -> Path:
    """Eight files of some MB each, at a ratio that no single one is known by."""
    noise = np.random.default_rng(0).integers(0, 256, 2**14, np.uint8).tobytes()
    return _deflated(folder, noise + bytes(2**20 - 2**14), 60)


def _deflated(folder: Path, piece: bytes, times: int) -> Path:
    path = folder / "0.dcm"
    one = image(ImagePositionPatient=[0, 0, 0])
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    one.save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    at = 132 + 12 + int(pydicom.dcmread(path, stop_before_pixels=True).file_meta.FileMetaInformationGroupLength)
    packer = zlib.compressobj(6, wbits=-zlib.MAX_WBITS)
    packed = packer.compress(zlib.decompress(whole[at:], -zlib.MAX_WBITS))
    packed += packer.compress(b"\x09\x00\x01\x10OB\0\0" + struct.pack("<I", len(piece) * times))
    packed += b"".join(packer.compress(piece) for _ in range(times)) + packer.flush()
    for number in range(8):
        (folder / f"{number}.dcm").write_bytes(whole[:at] + packed)
    return folder


def runs(folder: Path) -> Path:
    """Eight MB of runs, each of which pydicom would decode to half a GB."""
    side = 2048
    for number in range(4):
        one = image(ImagePositionPatient=[0, 0, number], Rows=side, Columns=side)
        one.file_meta.TransferSyntaxUID = RLELossless
        segment = b"\x81\x07" * (2 * 2**20)
        frame = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2
        one.PixelData = encapsulate([frame])
        one["PixelData"].is_undefined_length = True
        one.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def elements(folder: Path) -> Path:
    """Millions of empty elements."""
    number = 4_000_000
    tags = np.zeros(number, dtype=[("group", "<u2"), ("element", "<u2"), ("vr", "S2"), ("length", "<u2")])
    tags["group"], tags["element"] = 0x0029 + 2 * (np.arange(number) >> 16), np.arange(number) & 0xFFFF
    tags["vr"] = b"LO"
    return _followed_by(folder, tags.tobytes())


def items(folder: Path) -> Path:
    """A sequence of millions of empty items."""
    return _followed_by(folder, b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff" + EMPTY_ITEM * 3_000_000)


def frames(folder: Path) -> Path:
    """Millions of empty functional groups in a sequence of known length, which is parsed when it is asked for."""
    return _followed_by(folder, _sequence(0x5200, 0x9230, EMPTY_ITEM * 3_000_000))


def frames_within(folder: Path) -> Path:
    """A functional group that holds them."""
    inner = _sequence(0x0020, 0x9113, EMPTY_ITEM * 3_000_000)
    return _followed_by(folder, _sequence(0x5200, 0x9230, EMPTY_ITEM[:4] + struct.pack("<I", len(inner)) + inner))


def deflated_elements(folder: Path) -> Path:
    """A zip of few KB in which they are."""
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(items(folder) / "0.dcm", "0.dcm")
    return folder / "a.zip"


def _sequence(group: int, element: int, value: bytes) -> bytes:
    return struct.pack("<HH2sHI", group, element, b"SQ", 0, len(value)) + value


def _followed_by(folder: Path, tail: bytes) -> Path:
    one = image(ImagePositionPatient=[0, 0, 0])
    one.save_as(folder / "0.dcm", enforce_file_format=True)
    with (folder / "0.dcm").open("ab") as file:
        file.write(tail)
    return folder


def scattered(folder: Path) -> Path:
    """Three slices of 512 x 512 that lie 20 m beside one another."""
    for number in range(3):
        one = image(ImagePositionPatient=[0, number * 10_000, number], PixelData=bytes(2 * 512 * 512))
        one["PixelData"].VR = "OW"
        one.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def zipped(folder: Path) -> Path:
    """2 MB that unpack to 2 GB."""
    with (
        zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("0", "w", force_zip64=True) as file,
    ):
        for _ in range(2000):
            file.write(bytes(2**20))
    return folder / "a.zip"


def nifti(folder: Path) -> Path:
    """A billion zeros in double precision."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float64)
    header.set_data_shape((1024, 1024, 1000))
    header.set_sform(np.diag([1.0, 1, 1, 1]), 1)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    with gzip.open(folder / "a.nii.gz", "wb", 1) as file:
        file.write(header.binaryblock + bytes(4))
        for _ in range(1000):
            file.write(bytes(2**20))
    return folder / "a.nii.gz"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bomb", "code"),
    [
        (deflated, "too-large"),
        (deflated_less, "too-large"),
        (runs, "not-hounsfield-units"),  # four slices of one value: decoded no further than their size
        (elements, "too-large"),
        (items, "too-large"),
        (frames, "too-large"),
        (frames_within, "too-large"),
        (deflated_elements, "too-large"),
        (scattered, "slices-scattered"),
        (zipped, "too-large"),
        (nifti, "too-large"),
    ],
)
def test_a_bomb_stays_within_the_budget(bomb: Callable[[Path], Path], code: str, tmp_path: Path) -> None:
    given = bomb(tmp_path)
    ran = subprocess.run([sys.executable, "-c", READ, str(given)], capture_output=True, text=True, check=True)
    found, grown_bytes, seconds = json.loads(ran.stdout)
    volume_bytes = 4 * 2048 * 2048 * 4 if bomb is runs else 0
    print(f"{found}: {grown_bytes / 2**20:.0f} MB, {seconds:.1f} s")
    assert found == code
    assert grown_bytes < MEMORY_BYTES + volume_bytes
