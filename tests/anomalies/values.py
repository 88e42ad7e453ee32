"""Anomalies of value: rescale, sign, padding, kernels, voltages, contrast, derived images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage

from anomalies.register import OK, REFUSE, SAY, Make, anomaly, edited
from anomalies.scene import hu_of, set_hu


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


def _derived(name: str, image_type: list[str], description: str) -> Make:
    def make(folder: Path) -> Path:
        def edit(number: int, one: FileDataset) -> None:
            one.ImageType, one.SeriesDescription = image_type, description

        return edited(folder, edit)

    make.__doc__ = f"{name}."
    return make


for _name, _type, _description in (
    ("A map of iodine", ["DERIVED", "PRIMARY", "AXIAL", "MAT_SPECIFIC"], "Iodine map"),
    ("Virtual images without contrast medium", ["DERIVED", "SECONDARY", "AXIAL", "VNC"], "Virtual Non Contrast"),
    ("Calcium suppressed", ["DERIVED", "SECONDARY", "AXIAL"], "Calcium Suppressed 60"),
    ("Maximum intensity projections", ["DERIVED", "SECONDARY", "AXIAL", "MIP"], "Thick MIP"),
):
    anomaly(23, REFUSE)(_derived(_name, _type, _description))


@anomaly(23, REFUSE)
def captured(folder: Path) -> Path:
    """Secondary captures of every slice."""

    def edit(number: int, one: FileDataset) -> None:
        one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage

    return edited(folder, edit)


@anomaly(30, REFUSE)
def another_modality(folder: Path) -> Path:
    """A folder of magnetic resonance."""

    def edit(number: int, one: FileDataset) -> None:
        one.Modality = "MR"
        one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = MRImageStorage

    return edited(folder, edit)


def values(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[int, FileDataset], None]:
    """An edit of the HU of every slice."""
    return lambda number, one: set_hu(one, change(hu_of(one)))


@anomaly(11, SAY, REFUSE)
def intercept_off(folder: Path) -> Path:
    """Intercept off by 100."""
    return edited(folder, values(lambda hu: hu + 100))
