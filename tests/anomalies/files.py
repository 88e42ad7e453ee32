"""Anomalies of files: transfer syntaxes, damage, hostile sizes and names, zips, headers of other countries."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
    generate_uid,
)

from anomalies.register import OK, REFUSE, SAY, Make, anomaly, edited
from anomalies.scene import hu_of, nifti, renewed, save, scene


def _compressed(syntax: UID) -> Make:
    def make(folder: Path) -> Path:
        slices = scene().slices()
        for one in slices:
            one.compress(syntax, generate_instance_uid=False)
        return save(slices, folder / "ct")

    make.__doc__ = f"{syntax.name}."
    return make


for _syntax in (JPEGLSLossless, JPEG2000Lossless, RLELossless):
    anomaly(9, OK)(_compressed(_syntax))


def _encoded(name: str, syntax: UID, encode: Callable[[NDArray[np.int16]], bytes]) -> Make:
    """By another program's encoder, with headers that tell of no loss."""

    def make(folder: Path) -> Path:
        slices = scene().slices()
        for one in slices:
            hu = hu_of(one)
            one.PixelRepresentation, one.RescaleSlope, one.RescaleIntercept = 0, 1, -1024
            one.PixelData = encapsulate([encode((hu + 1024).astype(np.uint16))])
            one["PixelData"].VR, one["PixelData"].is_undefined_length = "OB", True
            one.file_meta.TransferSyntaxUID, one.LossyImageCompression = syntax, "00"
        return save(slices, folder / "ct")

    make.__doc__ = f"{name}."
    return make


anomaly(9, OK)(
    _encoded(
        "JPEG Lossless, predictor 1",
        JPEGLosslessSV1,
        lambda stored: imagecodecs.jpeg8_encode(stored, lossless=True, predictor=1, bitspersample=16),
    )
)
anomaly(9, OK)(
    _encoded("HTJ2K, lossless", HTJ2KLossless, lambda stored: imagecodecs.htj2k_encode(stored, reversible=True))
)
anomaly(10, SAY)(
    _encoded(
        "JPEG 2000 with the wavelet that rounds, under the syntax without loss",
        JPEG2000Lossless,
        lambda stored: imagecodecs.jpeg2k_encode(stored, reversible=False, level=85, codecformat="j2k"),
    )
)
anomaly(10, SAY)(
    _encoded(
        "JPEG 2000 cut short, under the syntax without loss",
        JPEG2000Lossless,
        lambda stored: imagecodecs.jpeg2k_encode(stored, reversible=True, level=78, codecformat="j2k"),
    )
)
anomaly(10, SAY)(
    _encoded(
        "JPEG-LS that may be off by 3, under the syntax without loss",
        JPEGLSLossless,
        lambda stored: imagecodecs.jpegls_encode(stored, level=3),
    )
)


def _rewritten(syntax: UID) -> Make:
    def make(folder: Path) -> Path:
        slices = scene().slices()
        for one in slices:
            list(one)  # decoded before the byte order is another one
            one.file_meta.TransferSyntaxUID = syntax
            if syntax == ExplicitVRBigEndian:
                one.PixelData = np.frombuffer(one.PixelData, "<i2").astype(">i2").tobytes()
            one.set_original_encoding(syntax.is_implicit_VR, syntax.is_little_endian)
        return save(slices, folder / "ct")

    make.__doc__ = f"{syntax.name}."
    return make


for _syntax in (DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian):
    anomaly(9, OK)(_rewritten(_syntax))


@anomaly(31, SAY)
def truncated_slice(folder: Path) -> Path:
    """One slice cut short."""
    path = save(scene().slices(), folder / "ct")
    cut = next(one for one in path.iterdir() if dcmread(one, stop_before_pixels=True).InstanceNumber == 30)
    cut.write_bytes(cut.read_bytes()[:30_000])
    return path


@anomaly(32, SAY, REFUSE)
def nested(folder: Path) -> Path:
    """A sequence nested 5,000 deep in one slice."""
    path = save(scene().slices(), folder / "ct")
    one = next(path.iterdir())
    item = b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    one.write_bytes(one.read_bytes()[:1200] + item * 5000)
    return path


@anomaly(32, SAY, REFUSE)
def impossible_length(folder: Path) -> Path:
    """An element of four thousand million bytes declared in one slice."""
    path = save(scene().slices(), folder / "ct")
    one = next(path.iterdir())
    whole = one.read_bytes()
    at = whole.index(b"\x28\x00\x02\x00US")
    one.write_bytes(whole[:at] + b"\x28\x00\x01\x00OB\x00\x00\xf0\xff\xff\xff" + whole[at:])
    return path


@anomaly(33, REFUSE)
def huge(folder: Path) -> Path:
    """Rows and columns of 60,000 declared."""

    def edit(number: int, one: FileDataset) -> None:
        one.Rows = one.Columns = 60_000

    return edited(folder, edit)


@anomaly(34, OK)
def zipped(folder: Path) -> Path:
    """A zip whose names climb out of the folder."""
    path = save(scene().slices(), folder / "ct")
    with zipfile.ZipFile(folder / "ct.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for one in path.iterdir():
            archive.write(one, f"../../{one.name}")
    return folder / "ct.zip"


@anomaly(34, SAY)
def zip_with_a_document(folder: Path) -> Path:
    """A zip of a NIfTI and an office document, which is itself a zip."""
    document = folder / "letter.docx"
    with zipfile.ZipFile(document, "w") as archive:
        archive.writestr("word/document.xml", "<made-up/>")
    with zipfile.ZipFile(folder / "ct.zip", "w") as archive:
        archive.write(nifti(folder / "ct.nii.gz", lambda hu: hu.astype(np.int16)), "ct.nii.gz")
        archive.write(document, "letter.docx")
    return folder / "ct.zip"


@anomaly(35, OK)
def uids_that_climb(folder: Path) -> Path:
    """UIDs that are paths."""

    def edit(number: int, one: FileDataset) -> None:
        one.StudyInstanceUID = "../../../tmp/study"

    return edited(folder, edit)


@anomaly(35, SAY)
def directory_that_climbs(folder: Path) -> Path:
    """A DICOMDIR that refers to a slice outside of the folder."""
    slices = scene().slices()
    outside = save(slices[-1:], folder / "elsewhere")
    path = save(slices[:-1], folder / "ct")
    index = Dataset()
    index.file_meta = FileMetaDataset()
    index.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    index.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    index.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    record = Dataset()
    with disable_value_validation():
        record.DirectoryRecordType = "IMAGE"
        record.ReferencedFileID = ["..", "elsewhere", next(outside.iterdir()).name]
        index.DirectoryRecordSequence = [record]
        index.save_as(path / "DICOMDIR", enforce_file_format=True)
    return path


@anomaly(36, OK)
def names_with_markup(folder: Path) -> Path:
    """Names and descriptions of markup in a wrong character set."""

    def edit(number: int, one: FileDataset) -> None:
        one.SpecificCharacterSet = "ISO_IR 6666"
        one.PatientName = "<script>alert(1)</script>^M\u00fcller"
        one.SeriesDescription = "a\\b;<b>"

    return edited(folder, edit)


@anomaly(36, SAY)
def decimal_commas(folder: Path) -> Path:
    """Decimal commas in the pixel spacing."""
    path = save(scene().slices(), folder / "ct")
    for one in path.iterdir():
        raw = one.read_bytes()
        spacing = "\\".join(str(v) for v in dcmread(one, stop_before_pixels=True).PixelSpacing).encode()
        assert spacing in raw
        one.write_bytes(raw.replace(spacing, spacing.replace(b".", b","), 1))
    return path


@anomaly(36, OK, SAY)
def series_uid_for_each_slice(folder: Path) -> Path:
    """Another series UID in each slice, as some anonymisers write."""

    def edit(number: int, one: FileDataset) -> None:
        one.SeriesInstanceUID = generate_uid()

    return edited(folder, edit)


@anomaly(37, SAY)
def burned_in(folder: Path) -> Path:
    """Text burned into the images, as their header says."""

    def edit(number: int, one: FileDataset) -> None:
        one.BurnedInAnnotation = "YES"

    return edited(folder, edit)


@anomaly(6, REFUSE)
def two_people(folder: Path) -> Path:
    """Two people in one folder."""
    others = renewed(scene().slices())
    study, series = generate_uid(), generate_uid()
    for one in others:
        one.PatientID, one.PatientName = "another", "Roe^Jane"
        one.StudyInstanceUID, one.SeriesInstanceUID = study, series
    return save([*scene().slices(), *others], folder / "ct")


@anomaly(31, SAY)
def moved_pixels(folder: Path) -> Path:
    """Two bytes more in the midst of one slice's pixels."""
    path = save(scene().slices(), folder / "ct")
    spoilt = next(one for one in path.iterdir() if dcmread(one, stop_before_pixels=True).InstanceNumber == 30)
    raw = spoilt.read_bytes()
    half = len(raw) // 2
    spoilt.write_bytes(raw[:half] + b"\x11\x22" + raw[half:])
    return path


@anomaly(31, SAY)
def damaged_codestream(folder: Path) -> Path:
    """One slice, compressed as JPEG-LS, in which a byte is another one."""
    slices = scene().slices()
    for one in slices:
        one.compress(JPEGLSLossless, generate_instance_uid=False)
    (codestream,) = generate_frames(slices[29].PixelData, number_of_frames=1)
    third = len(codestream) // 3
    slices[29].PixelData = encapsulate(
        [codestream[:third] + bytes([codestream[third] ^ 0x24]) + codestream[third + 1 :]]
    )
    return save(slices, folder / "ct")
