"""A small CT with a known truth at every place, as DICOM instances that a test may spoil before they are written."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

COUNT, SIDE, STEP_MM = 40, 48, 2.5
STUDY = generate_uid()


def scene_hu(lps_mm: NDArray[Any]) -> NDArray[Any]:
    """A body of fat and soft tissue in air, with a bone off every axis and a denser one that tells left from right."""
    x, y, z = np.moveaxis(np.asarray(lps_mm, float), -1, 0)
    radius = np.hypot(x / 50, y / 42)
    hu = np.where(radius < 1, -100.0, -1000.0)
    hu = np.where(radius < 0.85, 40.0, hu)
    hu = np.where(np.linalg.norm([x - 20, y - 15, z - 10], axis=0) < 15, 300.0, hu)
    return np.where(np.linalg.norm([x - 27, y - 15, z + 18], axis=0) < 10, 900.0, hu)


def make(
    count: int = COUNT,
    shape: tuple[int, int] = (SIDE, SIDE),
    spacing: tuple[float, float] = (2.5, 2.5),
    row: Iterable[float] = (1, 0, 0),
    column: Iterable[float] = (0, 1, 0),
    step: Iterable[float] | None = None,
    scene: Callable[[NDArray[Any]], NDArray[Any]] = scene_hu,
    **headers: Any,
) -> list[FileDataset]:
    """Slices around the origin: ``row`` and ``column`` as in ImageOrientationPatient, ``step`` from slice to slice."""
    row, column = np.asarray(row, float), np.asarray(column, float)
    step = np.cross(row, column) * STEP_MM if step is None else np.asarray(step, float)
    rows, columns = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    plane = rows[..., None] * column * spacing[0] + columns[..., None] * row * spacing[1]
    series = generate_uid()
    made = []
    for number in range(count):
        middle = step * (number - (count - 1) / 2)
        dataset = _instance(np.rint(scene(plane + middle) + 1024).astype(np.uint16), number, series, STUDY)
        dataset.ImagePositionPatient = [f"{v:.6f}" for v in plane[0, 0] + middle]
        dataset.ImageOrientationPatient = [f"{v:.8f}" for v in (*row, *column)]
        dataset.PixelSpacing = list(spacing)
        with disable_value_validation():  # tests write what a standard forbids
            for keyword, value in headers.items():
                setattr(dataset, keyword, value)
        made.append(dataset)
    return made


def _instance(stored: NDArray[np.uint16], number: int, series: str, study: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = series, study
    dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Manufacturer, dataset.ConvolutionKernel, dataset.KVP = "SIEMENS", "B30f", 120
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.AcquisitionNumber = 3, number + 1, 1
    dataset.ContentTime, dataset.SliceThickness = f"1200{number % 60:02d}.{number:03d}", 2.5
    dataset.PatientName, dataset.PatientID, dataset.PatientAge = "Doe^Jane", "ID-4711", "069Y"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1024, "HU"
    dataset.PixelData = stored.tobytes()
    return dataset


def enhanced(slices: list[FileDataset]) -> FileDataset:
    """The same slices as one enhanced multi-frame CT, in reverse order."""
    whole = _instance(np.zeros((1, 1), np.uint16), 0, generate_uid(), STUDY)
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType", "KVP", "ConvolutionKernel", "SliceThickness"):
        delattr(whole, keyword)
    whole.Rows, whole.Columns, whole.NumberOfFrames = slices[0].Rows, slices[0].Columns, len(slices)
    whole.PixelData = b"".join(one.PixelData for one in reversed(slices))
    shared = Dataset()
    shared.PlaneOrientationSequence = [_only(slices[0], "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_only(slices[0], "PixelSpacing", "SliceThickness")]
    shared.CTReconstructionSequence = [_only(slices[0], "ConvolutionKernel")]
    shared.CTXRayDetailsSequence = [_only(slices[0], "KVP")]
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = []
    for one in reversed(slices):
        frame = Dataset()
        frame.PlanePositionSequence = [_only(one, "ImagePositionPatient")]
        frame.PixelValueTransformationSequence = [_only(one, "RescaleSlope", "RescaleIntercept", "RescaleType")]
        whole.PerFrameFunctionalGroupsSequence.append(frame)
    return whole


def _only(dataset: Dataset, *keywords: str) -> Dataset:
    part = Dataset()
    for keyword in keywords:
        setattr(part, keyword, dataset[keyword].value)
    return part


class Builder:
    """What tests use of this file."""

    scene_hu = staticmethod(scene_hu)
    make = staticmethod(make)
    enhanced = staticmethod(enhanced)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def save(self, datasets: Iterable[FileDataset]) -> Path:
        """Write instances in an order that says nothing of their place."""
        for number, dataset in enumerate(datasets, start=sum(1 for _ in self.folder.iterdir())):
            with disable_value_validation():
                dataset.save_as(self.folder / f"{number * 7919 % 1009:04d}-{number}", enforce_file_format=True)
        return self.folder

    def pixels(self, dataset: FileDataset) -> NDArray[np.uint16]:
        return np.frombuffer(dataset.PixelData, np.uint16).reshape(dataset.Rows, dataset.Columns).copy()


@pytest.fixture
def ct(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "ct")
