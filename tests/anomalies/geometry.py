"""Anomalies of place: orientations, gaps, spacings, tilts, copies, phases, other things in the folder."""

from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)
from scipy import ndimage

from anomalies.register import OK, REFUSE, SAY, Make, anomaly, edited
from anomalies.scene import hu_of, reformatted, renewed, save, scene, set_hu


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
