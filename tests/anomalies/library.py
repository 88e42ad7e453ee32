"""What archives hold, made out of one virtual patient: an anomaly for each way in which inputs go wrong.

Each names the row of the table in docs/results/bad-inputs.md that it belongs to, and what is right to do with it.
"""

import gzip
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from scipy import ndimage

from anomalies.scene import LPS_RAS, hu_of, nifti, reformatted, renewed, save, scene, set_hu


class Right(StrEnum):
    """What may be done with an input. ``SAY`` is a result that is right where it is given, with a reason."""

    OK = "OK"
    SAY = "FIX or LIMIT"
    REFUSE = "REFUSE"


@dataclass(frozen=True)
class Anomaly:
    """``make`` writes the input into an empty folder and returns its path."""

    row: int
    name: str
    right: frozenset[Right]
    make: Callable[[Path], Path]


ANOMALIES: list[Anomaly] = []
Make = Callable[[Path], Path]


def anomaly(row: int, *right: Right) -> Callable[[Make], Make]:
    """Enters a maker into the library; its docstring is what it is called."""

    def enter(make: Make) -> Make:
        ANOMALIES.append(Anomaly(row, (make.__doc__ or "").strip().rstrip("."), frozenset(right), make))
        return make

    return enter


OK, SAY, REFUSE = Right.OK, Right.SAY, Right.REFUSE


def edited(folder: Path, edit: Callable[[int, FileDataset], None]) -> Path:
    """The series, each slice edited by its number from the feet."""
    slices = scene().slices()
    with warnings.catch_warnings(), disable_value_validation():  # some edits are what the standard forbids
        warnings.simplefilter("ignore")
        for number, one in enumerate(slices):
            edit(number, one)
        return save(slices, folder / "ct")


@anomaly(1, SAY)
def localizer(folder: Path) -> Path:
    """A localizer in the series."""
    one = reformatted((1, 0, 0), (0, 0, -1))[90]
    one.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return save([*scene().slices(), one], folder / "ct")


@anomaly(1, SAY)
def mixed_orientations(folder: Path) -> Path:
    """Axial slices and coronal ones in one series."""
    return save([*scene().slices(), *renewed(reformatted((1, 0, 0), (0, 0, -1))[80:100])], folder / "ct")


@anomaly(2, SAY)
def one_slice_missing(folder: Path) -> Path:
    """One slice missing."""
    slices = scene().slices()
    del slices[25]
    return save(slices, folder / "ct")


@anomaly(2, SAY, REFUSE)
def five_slices_missing(folder: Path) -> Path:
    """Five neighbouring slices missing."""
    slices = scene().slices()
    del slices[20:25]
    return save(slices, folder / "ct")


@anomaly(3, SAY)
def two_spacings(folder: Path) -> Path:
    """Every other slice missing in the upper half."""
    return save([one for i, one in enumerate(scene().slices()) if i < 24 or i % 2 == 0], folder / "ct")


@anomaly(4, SAY)
def gantry_tilt(folder: Path) -> Path:
    """Gantry tilted by 12 degrees."""
    volume, (c, s) = scene().volume, (np.cos(np.radians(12)), np.sin(np.radians(12)))
    slices, (count, rows, columns) = scene().slices(), volume.shape
    step_mm, row_mm, column_mm = volume.spacing_mm
    origin = volume.to_lps(np.zeros(3))
    lift = rows * row_mm * s / 2  # the middle row stays at its height
    for k, one in enumerate(slices):
        position = origin + [0, rows * row_mm * (1 - c) / 2, k * step_mm - lift]
        r, x = np.meshgrid(np.arange(rows) * row_mm, np.arange(columns) * column_mm, indexing="ij")
        places = position + r[..., None] * [0, c, s] + x[..., None] * [1, 0, 0]
        at = np.moveaxis(volume.to_index(places), -1, 0)
        set_hu(one, ndimage.map_coordinates(volume.hu, at, order=1, mode="nearest"))
        one.ImageOrientationPatient = [1, 0, 0, 0, round(c, 8), round(s, 8)]
        one.ImagePositionPatient = [round(float(p), 4) for p in position]
        one.GantryDetectorTilt = 12
    assert count == len(slices)
    return save(slices, folder / "ct")


@anomaly(5, OK, SAY)
def copies(folder: Path) -> Path:
    """Every slice twice, the same pixels."""
    return save([*scene().slices(), *renewed(scene().slices())], folder / "ct")


@anomaly(5, SAY, REFUSE)
def other_pixels_at_one_place(folder: Path) -> Path:
    """Other pixels at the same places, nothing in the headers to tell them apart."""
    others = renewed(scene().slices())
    for one in others:
        hu = hu_of(one)
        set_hu(one, hu + 60 * ((hu > -100) & (hu < 1000)))
    return save([*scene().slices(), *others], folder / "ct")


@anomaly(6, SAY)
def two_acquisitions(folder: Path) -> Path:
    """Two acquisitions in one series, the second half a slice higher and brighter."""
    others = renewed(scene().slices())
    for one in others:
        hu = hu_of(one)
        set_hu(one, hu + 60 * ((hu > -100) & (hu < 1000)))
        one.AcquisitionNumber, one.ContentTime, one.KVP = 2, "121500", 80
        x, y, z = map(float, one.ImagePositionPatient)
        one.ImagePositionPatient = [x, y, round(z + 1.5, 4)]
    return save([*scene().slices(), *others], folder / "ct")


@anomaly(7, SAY)
def other_things(folder: Path) -> Path:
    """A structured report and a text file in the folder."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, BasicTextSRStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    report = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    report.SOPClassUID, report.SOPInstanceUID, report.Modality = (
        BasicTextSRStorage,
        meta.MediaStorageSOPInstanceUID,
        "SR",
    )
    save([*scene().slices(), report], folder / "ct")
    (folder / "ct" / "readme.txt").write_text("made up")
    return folder / "ct"


@anomaly(8, OK)
def enhanced(folder: Path) -> Path:
    """An enhanced multi-frame CT, its frames in reverse."""
    slices = scene().slices()[::-1]
    whole = slices[0]
    frames = []
    for one in slices:
        frame, place, scale = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = one.ImagePositionPatient
        scale.RescaleIntercept, scale.RescaleSlope, scale.RescaleType = one.RescaleIntercept, one.RescaleSlope, "HU"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [place], [scale]
        frames.append(frame)
    shared, turn, measures = Dataset(), Dataset(), Dataset()
    turn.ImageOrientationPatient = whole.ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = whole.PixelSpacing, whole.SliceThickness
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [turn], [measures]
    pixels = b"".join(one.PixelData for one in slices)
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleIntercept",
        "RescaleSlope",
    ):
        delattr(whole, keyword)
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2.1")
    whole.SharedFunctionalGroupsSequence, whole.PerFrameFunctionalGroupsSequence = [shared], frames
    whole.NumberOfFrames, whole.PixelData = len(frames), pixels
    return save([whole], folder / "ct")


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


@anomaly(10, SAY)
def lossy(folder: Path) -> Path:
    """Said to have been compressed with loss."""

    def edit(number: int, one: FileDataset) -> None:
        one.LossyImageCompression, one.LossyImageCompressionRatio = "01", 20

    return edited(folder, edit)


@anomaly(11, SAY, REFUSE)
def no_rescale(folder: Path) -> Path:
    """Slope and intercept missing, values raised by 1024."""

    def edit(number: int, one: FileDataset) -> None:
        del one.RescaleSlope, one.RescaleIntercept

    return edited(folder, edit)


@anomaly(11, SAY, REFUSE)
def one_slice_without_intercept(folder: Path) -> Path:
    """Intercept 0 in one slice."""

    def edit(number: int, one: FileDataset) -> None:
        if number == 24:
            one.RescaleIntercept = 0

    return edited(folder, edit)


@anomaly(11, OK)
def a_slope_for_each_slice(folder: Path) -> Path:
    """A slope of its own in each slice, as PET-CT writes it."""

    def edit(number: int, one: FileDataset) -> None:
        hu, slope = hu_of(one), 1 + 0.01 * number
        one.RescaleSlope = f"{slope:.2f}"
        one.PixelRepresentation = 0
        stored = np.rint((hu + 1024) / slope)
        one.PixelData = stored.astype("<u2").tobytes()

    return edited(folder, edit)


@anomaly(12, OK)
def signed_and_unsigned(folder: Path) -> Path:
    """Signed and unsigned slices by turns."""

    def edit(number: int, one: FileDataset) -> None:
        if number % 2:
            hu = hu_of(one)
            one.PixelRepresentation, one.RescaleIntercept = 1, 0
            one.PixelData = np.rint(hu).astype("<i2").tobytes()

    return edited(folder, edit)


@anomaly(13, OK)
def padded(folder: Path) -> Path:
    """Padding of -2000 outside a circle."""

    def edit(number: int, one: FileDataset) -> None:
        hu = hu_of(one)
        rows, columns = np.indices(hu.shape)
        outside = np.hypot((rows - hu.shape[0] / 2) / hu.shape[0], (columns - hu.shape[1] / 2) / hu.shape[1]) > 0.63
        one.PixelRepresentation, one.RescaleIntercept = 1, 0
        one.PixelData = np.where(outside, -2000, np.rint(hu)).astype("<i2").tobytes()
        one.add_new("PixelPaddingValue", "SS", -2000)

    return edited(folder, edit)


@anomaly(15, REFUSE)
def zero_to_one(folder: Path) -> Path:
    """NIfTI with intensities from 0 to 1."""
    return nifti(folder / "ct.nii.gz", lambda hu: np.clip((hu + 1000) / 2000, 0, 1).astype(np.float32))


@anomaly(15, REFUSE)
def zero_to_255(folder: Path) -> Path:
    """NIfTI with intensities from 0 to 255."""
    return nifti(folder / "ct.nii.gz", lambda hu: np.clip((hu + 1000) / 2000 * 255, 0, 255).astype(np.uint8))


@anomaly(16, OK)
def pixels_not_square(folder: Path) -> Path:
    """Every other column left out: pixels twice as wide as high."""

    def edit(number: int, one: FileDataset) -> None:
        set_hu(one, hu_of(one)[:, ::2])
        one.PixelSpacing = [float(one.PixelSpacing[0]), 2 * float(one.PixelSpacing[1])]

    return edited(folder, edit)


def _turned(name: str, row: tuple[int, ...], column: tuple[int, ...]) -> Make:
    def make(folder: Path) -> Path:
        return save(reformatted(row, column), folder / "ct")

    make.__doc__ = f"{name}."
    return make


for _name, _row, _column in (
    ("Rows and columns negated, as of a patient who lies prone", (-1, 0, 0), (0, -1, 0)),
    ("Columns negated", (1, 0, 0), (0, -1, 0)),
    ("Rows run to the back, as of a patient on the side", (0, 1, 0), (-1, 0, 0)),
):
    anomaly(17, OK)(_turned(_name, _row, _column))
for _name, _row, _column in (("Sagittal slices", (0, 1, 0), (0, 0, -1)), ("Coronal slices", (1, 0, 0), (0, 0, -1))):
    anomaly(18, OK, SAY)(_turned(_name, _row, _column))


@anomaly(19, SAY)
def thick(folder: Path) -> Path:
    """Slices of 6 mm."""
    slices = scene().slices()[::2]
    for one in slices:
        one.SliceThickness = 6
    return save(slices, folder / "ct")


@anomaly(20, SAY)
def sharp(folder: Path) -> Path:
    """A sharp kernel."""

    def edit(number: int, one: FileDataset) -> None:
        one.ConvolutionKernel = "B70f"

    return edited(folder, edit)


@anomaly(21, SAY)
def low_voltage(folder: Path) -> Path:
    """A tube voltage of 80 kVp."""

    def edit(number: int, one: FileDataset) -> None:
        one.KVP = 80

    return edited(folder, edit)


@anomaly(22, SAY)
def contrast(folder: Path) -> Path:
    """Contrast medium recorded."""

    def edit(number: int, one: FileDataset) -> None:
        one.ContrastBolusAgent = "Iodine"

    return edited(folder, edit)


@anomaly(23, REFUSE)
def monoenergetic(folder: Path) -> Path:
    """Monoenergetic images of 40 keV."""

    def edit(number: int, one: FileDataset) -> None:
        one.ImageType = ["DERIVED", "SECONDARY", "AXIAL", "MONO_40"]
        one.SeriesDescription = "Monoenergetic Plus 40 keV"

    return edited(folder, edit)


def _nifti_header(folder: Path, edit: Callable[[bytearray], None]) -> Path:
    path = nifti(folder / "ct.nii", lambda hu: hu.astype(np.int16))
    raw = bytearray(path.read_bytes())
    edit(raw)
    path.write_bytes(raw)
    return path


def _floats(*values: float) -> bytes:
    return np.asarray(values, "<f4").tobytes()


@anomaly(29, REFUSE)
def sheared(folder: Path) -> Path:
    """NIfTI whose affine is sheared."""

    def edit(raw: bytearray) -> None:
        raw[280:284] = _floats(-1.5)
        raw[288:292] = _floats(1.2)

    return _nifti_header(folder, edit)


@anomaly(29, REFUSE)
def zero_affine(folder: Path) -> Path:
    """NIfTI whose affine is zero."""
    return _nifti_header(folder, lambda raw: raw.__setitem__(slice(280, 328), bytes(48)))


@anomaly(29, REFUSE)
def four_dimensions(folder: Path) -> Path:
    """NIfTI of two volumes."""
    return nifti(folder / "ct.nii.gz", lambda hu: np.stack([hu, hu + 40], -1).astype(np.int16))


@anomaly(29, REFUSE)
def not_a_number(folder: Path) -> Path:
    """NIfTI with NaN outside the body."""
    return nifti(folder / "ct.nii.gz", lambda hu: np.where(hu < -900, np.nan, hu).astype(np.float32))


@anomaly(29, OK)
def offset_of_zero(folder: Path) -> Path:
    """NIfTI with vox_offset 0."""
    return _nifti_header(folder, lambda raw: raw.__setitem__(slice(108, 112), _floats(0)))


@anomaly(29, REFUSE)
def wrong_checksum(folder: Path) -> Path:
    """NIfTI, gzip, with a wrong checksum."""
    path = nifti(folder / "ct.nii.gz", lambda hu: hu.astype(np.int16))
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 0x55
    path.write_bytes(raw)
    return path


@anomaly(29, SAY)
def forms_disagree(folder: Path) -> Path:
    """NIfTI with a qform that is upside down beside a right sform."""
    import nibabel as nib

    volume = scene().volume
    affine = LPS_RAS @ volume.affine[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(volume.hu.transpose(2, 1, 0).astype(np.int16), affine)
    image.set_qform(affine @ np.diag([1, -1, -1, 1]), 1)
    image.set_sform(affine, 1)
    nib.save(image, folder / "ct.nii.gz")
    return folder / "ct.nii.gz"


@anomaly(29, OK)
def plain_named_gz(folder: Path) -> Path:
    """NIfTI, plain, named .nii.gz."""
    path = nifti(folder / "ct.nii.gz", lambda hu: hu.astype(np.int16))
    path.write_bytes(gzip.decompress(path.read_bytes()))
    return path


@anomaly(29, SAY)
def nifti_in_metres(folder: Path) -> Path:
    """NIfTI in metres."""

    def edit(raw: bytearray) -> None:
        raw[123] = 1
        affine = np.frombuffer(bytes(raw[280:328]), "<f4") / 1000
        raw[280:328] = affine.astype("<f4").tobytes()
        raw[80:92] = (np.frombuffer(bytes(raw[80:92]), "<f4") / 1000).astype("<f4").tobytes()
        raw[252:254] = bytes(2)  # no qform

    return _nifti_header(folder, edit)


@anomaly(31, SAY)
def truncated_slice(folder: Path) -> Path:
    """One slice cut short."""
    path = save(scene().slices(), folder / "ct")
    cut = next(one for one in path.iterdir() if dcmread(one, stop_before_pixels=True).InstanceNumber == 30)
    cut.write_bytes(cut.read_bytes()[:30_000])
    return path


@anomaly(31, REFUSE)
def truncated_nifti(folder: Path) -> Path:
    """NIfTI cut short."""
    path = nifti(folder / "ct.nii.gz", lambda hu: hu.astype(np.int16))
    path.write_bytes(path.read_bytes()[:-200_000])
    return path


@anomaly(32, SAY, REFUSE)
def nested(folder: Path) -> Path:
    """A sequence nested 5,000 deep in one slice."""
    path = save(scene().slices(), folder / "ct")
    one = next(path.iterdir())
    item = b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    one.write_bytes(one.read_bytes()[:1200] + item * 5000)
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


def values(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[int, FileDataset], None]:
    """An edit of the HU of every slice."""
    return lambda number, one: set_hu(one, change(hu_of(one)))


@anomaly(11, SAY, REFUSE)
def intercept_off(folder: Path) -> Path:
    """Intercept off by 100."""
    return edited(folder, values(lambda hu: hu + 100))


@anomaly(15, SAY, REFUSE)
def scaled(folder: Path) -> Path:
    """NIfTI with values scaled by 0.8."""
    return nifti(folder / "ct.nii.gz", lambda hu: np.rint(hu * 0.8).astype(np.int16))
