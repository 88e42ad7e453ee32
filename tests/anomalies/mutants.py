"""Inputs changed at random: bytes anywhere, bytes of headers, whole header fields set to what they may not be."""

import gzip
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from anomalies.scene import LPS_RAS, save
from trabecula.anatomy import Level
from trabecula.virtual.cohort import scan_patient
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.virtual.subject import sample_subject
from trabecula.volume import Volume

PROTOCOL = Protocol(pixel_mm=2.4, thickness_mm=4.0, increment_mm=4.0, noise_hu=8.0)
SYNTAXES: dict[str, UID | None] = {
    "DICOM": None,
    "DICOM, deflated": DeflatedExplicitVRLittleEndian,
    "DICOM, RLE": RLELossless,
    "DICOM, JPEG-LS": JPEGLSLossless,
    "DICOM, JPEG 2000": JPEG2000Lossless,
}
KINDS = (*SYNTAXES, "zip", "NIfTI", "NIfTI, gzip", "NIfTI-2", "NRRD", "NRRD, gzip")
TELLING = (
    b"\0",
    b"\xff",
    b"\x7f\xff",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x80",
    b"SQ",
    b"\xfe\xff\x00\xe0",
    b"nan",
    b"-",
)
"""What breaks readers more often than chance: lengths, signs, delimiters."""

HEADER_BYTES = 2048
FIELDS: dict[str, tuple[Any, ...]] = {
    "ImagePositionPatient": (None, [0, 0, 0], [1e9, 0, 0], ["nan", "0", "0"], ["1", "2"]),
    "ImageOrientationPatient": (None, [0] * 6, [1, 0, 0, 1, 0, 0], [-1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]),
    "PixelSpacing": (None, [0, 0], [-1, 1], [100, 100], ["x", "y"]),
    "RescaleIntercept": (None, 0, 1e9, "nan", -2048, 100),
    "RescaleSlope": (None, 0, -1, 2, "inf", 0.5),
    "PixelRepresentation": (None, 1, 0, 7),
    "BitsAllocated": (None, 8, 32, 12, 0),
    "BitsStored": (None, 8, 12, 0, 99),
    "HighBit": (None, 0, 7, 31),
    "Rows": (None, 0, 1, 65535),
    "Columns": (None, 0, 1, 65535),
    "NumberOfFrames": (0, 2, 10**9, -1),
    "SamplesPerPixel": (0, 3, 255),
    "PixelPaddingValue": (0, 1024, 1060),
    "KVP": (None, 0, 80, "x"),
    "SliceThickness": (None, 0, 50, "x"),
    "Modality": (None, "MR", ""),
    "ImageType": (None, "LOCALIZER", ["DERIVED", "SECONDARY", "MIP"]),
    "SeriesInstanceUID": (None, "1.2.3", "../../x"),
    "StudyInstanceUID": (None, "1.2.3", "x" * 64),
    "PatientID": (None, "another"),
    "AcquisitionNumber": (None, 2, "x"),
    "ContentTime": (None, "999999", "x"),
    "ConvolutionKernel": (None, "BONE", ["a", "b"]),
}
"""What a program may have written into a header in place of what stood there; None leaves the field out."""


@dataclass(frozen=True)
class Mutant:
    """An input in a folder of its own; ``changes`` say what was done to it."""

    path: Path
    kind: str
    changes: list[str]


def virtual_volume() -> Volume:
    """The patient that every input holds: T12 to L2 in coarse voxels, so that thousands can be read."""
    made = scan_patient(sample_subject(4), PROTOCOL, Level.T12, Level.L2, 4).volume
    return Volume(np.rint(np.clip(made.hu, -1000, None)).astype(np.float32), made.affine)


def base_inputs(folder: Path) -> dict[str, Path]:
    """Each kind of input, unchanged; DICOM as folders."""
    volume = virtual_volume()
    folder.mkdir(parents=True)
    write_dicom(volume, folder / "plain", seed=4, header=StudyHeader(sex="F", age_years=70, slice_thickness_mm=4.0))
    made: dict[str, Path] = {}
    for kind, syntax in SYNTAXES.items():
        slices = [dcmread(path) for path in sorted((folder / "plain").iterdir())]
        for one in slices:
            if syntax == DeflatedExplicitVRLittleEndian:
                one.file_meta.TransferSyntaxUID = syntax
            elif syntax is not None:
                one.compress(syntax, generate_instance_uid=False)
        made[kind] = save(slices, folder / kind)
    made["zip"] = folder / "ct.zip"
    with zipfile.ZipFile(made["zip"], "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(made["DICOM"].iterdir()):
            archive.write(path, path.name)
    for kind, name, image in (
        ("NIfTI", "ct.nii", nib.Nifti1Image),
        ("NIfTI, gzip", "ct.nii.gz", nib.Nifti1Image),
        ("NIfTI-2", "two.nii", nib.Nifti2Image),
    ):
        made[kind] = folder / name
        affine = LPS_RAS @ volume.affine[:, [2, 1, 0, 3]]
        nib.save(image(volume.hu.transpose(2, 1, 0).astype(np.int16), affine), made[kind])
    for kind, name, encoding in (("NRRD", "ct.nrrd", "raw"), ("NRRD, gzip", "gz.nrrd", "gzip")):
        made[kind] = folder / name
        made[kind].write_bytes(nrrd(volume, encoding))
    return made


def nrrd(volume: Volume, encoding: str) -> bytes:
    """The volume as an attached NRRD."""
    x, y, z = volume.affine[:3, 2], volume.affine[:3, 1], volume.affine[:3, 0]
    head = [
        "NRRD0005",
        "type: short",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: " + " ".join(map(str, volume.shape[::-1])),
        "space directions: " + " ".join(f"({','.join(map(str, along))})" for along in (x, y, z)),
        f"space origin: ({','.join(map(str, volume.affine[:3, 3]))})",
        "endian: little",
        f"encoding: {encoding}",
        "",
        "",
    ]
    data = volume.hu.astype("<i2").tobytes()
    return "\n".join(head).encode() + (data if encoding == "raw" else gzip.compress(data, 1))


def mutant(base: Path, kind: str, rng: np.random.Generator, folder: Path) -> Mutant:
    """A copy of an input in ``folder``, changed in one to four ways: one of its files, or sometimes all alike."""
    shutil.rmtree(folder, ignore_errors=True)
    if not base.is_dir():
        folder.mkdir()
        raw, changes = changed_bytes(base.read_bytes(), rng)
        (folder / base.name).write_bytes(raw)
        return Mutant(folder / base.name, kind, changes)
    shutil.copytree(base, folder)
    files = sorted(folder.iterdir())
    chosen = files if rng.random() < 0.1 else [files[int(rng.integers(len(files)))]]
    changes, state = [], rng.bit_generator.state
    by_field = rng.random() < 0.5
    state = rng.bit_generator.state
    for path in chosen:
        rng.bit_generator.state = state  # the same change in each
        changes = changed_fields(path, rng) if by_field else changed_file(path, rng)
    return Mutant(folder, kind, [f"{len(chosen)} of {len(files)} files", *changes])


def changed_file(path: Path, rng: np.random.Generator) -> list[str]:
    raw, changes = changed_bytes(path.read_bytes(), rng)
    path.write_bytes(raw)
    return changes


def changed_bytes(raw: bytes, rng: np.random.Generator) -> tuple[bytes, list[str]]:
    """Bytes overwritten, inserted, removed, repeated, turned over by a bit, or cut off; half of it in the headers."""
    changes = []
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.random() * (min(len(raw), HEADER_BYTES) if rng.random() < 0.5 else len(raw)))
        piece = TELLING[int(rng.integers(len(TELLING)))] if rng.random() < 0.5 else rng.bytes(int(rng.integers(1, 9)))
        name, change = CHANGES[int(rng.integers(len(CHANGES)))]
        raw = change(raw, at, piece)
        changes.append(f"{name} {piece.hex()} at {at}")
    return raw, changes


def _flip(raw: bytes, at: int, piece: bytes) -> bytes:
    return raw if at >= len(raw) else raw[:at] + bytes([raw[at] ^ (1 << (piece[0] % 8))]) + raw[at + 1 :]


CHANGES: tuple[tuple[str, Callable[[bytes, int, bytes], bytes]], ...] = (
    ("overwrite", lambda raw, at, piece: raw[:at] + piece + raw[at + len(piece) :]),
    ("overwrite", lambda raw, at, piece: raw[:at] + piece + raw[at + len(piece) :]),
    ("flip", _flip),
    ("flip", _flip),
    ("insert", lambda raw, at, piece: raw[:at] + piece + raw[at:]),
    ("remove", lambda raw, at, piece: raw[:at] + raw[at + len(piece) :]),
    ("repeat", lambda raw, at, piece: raw[: at + 64] + raw[at:]),
    ("cut", lambda raw, at, piece: raw[:at]),
)


def changed_fields(path: Path, rng: np.random.Generator) -> list[str]:
    """Header fields set to other values."""
    dataset: Dataset = dcmread(path)
    changes = []
    with disable_value_validation():
        for _ in range(int(rng.integers(1, 4))):
            keyword = list(FIELDS)[int(rng.integers(len(FIELDS)))]
            value = FIELDS[keyword][int(rng.integers(len(FIELDS[keyword])))]
            before = dataset.get(keyword)
            try:
                if value is None:
                    dataset.pop(keyword, None)
                else:
                    setattr(dataset, keyword, value)
                dataset.save_as(path)
            except Exception:  # what pydicom cannot write is no input
                if before is None:
                    dataset.pop(keyword, None)
                else:
                    setattr(dataset, keyword, before)
                continue
            changes.append(f"{keyword} = {value}")
    return changes
