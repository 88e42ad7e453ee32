"""A virtual CT written down as a scanner would: a classic CT Image Storage series, one file a slice.

Every file says that it is simulated. The same volume, seed and header give the same bytes: no clock is read.
"""

import secrets
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from trabecula.causes import cause_of
from trabecula.errors import wrong_usage
from trabecula.virtual.machines import MACHINES, Machine
from trabecula.virtual.scanner import Protocol, kernel_of
from trabecula.virtual.subject import Subject
from trabecula.volume import Volume

RESCALE_INTERCEPT_HU = -1024
_UID_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:trabecula:virtual")
_STUDY_DATE = "20250101"  # fixed: a virtual patient has no calendar, and files must not differ from day to day


@dataclass(frozen=True)
class StudyHeader:
    """What the files say of the patient and of how the scan was made."""

    sex: str  # "F" or "M"
    age_years: float
    slice_thickness_mm: float
    machine: Machine = MACHINES["siemens"]
    kernel: str = "B40f"
    tube_voltage_kvp: float = 120.0
    tube_current_ma: float = 200.0
    patient_position: str = "HFS"  # or FFS: head or feet first, supine
    body_part: str = "ABDOMEN"
    contrast_agent: str | None = None
    series_description: str = "Simulated abdomen"
    study: int = 0  # a patient's second study is 1
    series: int = 2
    cranial_first: bool = False  # the order in which the slices are numbered


def header_of(subject: Subject, protocol: Protocol, machine: Machine | None = None) -> StudyHeader:
    """The header that fits a virtual person and the way the scan was made; without a machine the seed chooses one."""
    machine = machine or list(MACHINES.values())[subject.seed % len(MACHINES)]
    kernel = machine.kernels[kernel_of(protocol)]
    return StudyHeader(
        sex=subject.sex,
        age_years=subject.age_years,
        slice_thickness_mm=protocol.thickness_mm,
        machine=machine,
        kernel=kernel,
        tube_voltage_kvp=float(protocol.kvp),
        contrast_agent=None if subject.phase == "none" else "Iodine",
        series_description=f"Simulated {protocol.thickness_mm:g} mm {kernel}",
        cranial_first=protocol.flips[0],
    )


def write_dicom(volume: Volume, folder: Path, *, seed: int, header: StudyHeader) -> None:
    """Write ``volume`` as a DICOM series into ``folder``, absent or empty before, which appears whole or not at all.

    HU are rounded to integers and held as int16 with a rescale intercept of -1024. ``seed`` names the patient, with
    ``header.study`` the study; header and grid name the series.

    Raises:
        WrongUsage: ``folder`` holds something already, or cannot be written.
        ValueError: rows and columns of the volume are not at right angles, which DICOM cannot say.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise wrong_usage("output-not-empty", path=str(folder))
    common = _common(volume, seed, header)
    partial = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        partial.mkdir(parents=True)
        for index in range(volume.shape[0]):
            number = volume.shape[0] - index if header.cranial_first else index + 1
            slice_ = _slice(volume, index, number, common)
            slice_.save_as(partial / f"{slice_.SOPInstanceUID}.dcm", enforce_file_format=True)
        partial.replace(folder)
    except OSError as error:
        root = _root(error)
        raise wrong_usage("output-unwritable", path=str(folder), cause=cause_of(root)) from root
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _root(error: OSError) -> OSError:
    """The system's own error: pydicom raises another of its kind, without number and words, from it."""
    earlier = error.__cause__ or error.__context__
    return _root(earlier) if error.errno is None and isinstance(earlier, OSError) else error


def _uid(*parts: object) -> str:
    """A UID under 2.25 that depends on ``parts`` alone (PS3.5 B.2: the decimal value of a UUID)."""
    return f"2.25.{uuid.uuid5(_UID_NAMESPACE, '/'.join(map(str, parts))).int}"


def _number(value: float) -> DSfloat:
    """A decimal string of at most 16 characters, as the value representation DS demands."""
    return DSfloat(float(value), auto_format=True)


def _common(volume: Volume, seed: int, header: StudyHeader) -> Dataset:
    """The attributes that every slice shares."""
    series = (seed, header, volume.shape, volume.affine.tolist())
    dataset = Dataset()
    _describe_study(dataset, seed, header)
    _describe_scan(dataset, header)
    dataset.SeriesInstanceUID = _uid("series", *series)
    rows, columns = _directions(volume.affine)
    _, row_mm, column_mm = volume.spacing_mm
    dataset.ImageOrientationPatient = [_number(value) for value in (*columns, *rows)]
    dataset.PixelSpacing = [_number(row_mm), _number(column_mm)]
    dataset.ReconstructionDiameter = _number(column_mm * volume.shape[2])
    dataset.Rows, dataset.Columns = volume.shape[1:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    dataset.RescaleIntercept = RESCALE_INTERCEPT_HU
    dataset.RescaleSlope = 1
    dataset.RescaleType = "HU"
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    return dataset


def _describe_study(dataset: Dataset, seed: int, header: StudyHeader) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = CTImageStorage
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = _STUDY_DATE
    hour = f"{12 + header.study}0000"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = hour
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "Simulated CT"
    dataset.PatientName = "Virtual^Patient"
    dataset.PatientID = f"VIRTUAL-{seed}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = header.sex
    dataset.PatientAge = f"{round(header.age_years):03d}Y"
    dataset.StudyInstanceUID = _uid("study", seed, header.study)
    dataset.FrameOfReferenceUID = _uid("frame of reference", seed, header.study)
    dataset.PositionReferenceIndicator = ""
    dataset.StudyID = f"{seed}.{header.study}" if header.study else str(seed)
    dataset.ImageComments = "Simulated; not a patient"


def _describe_scan(dataset: Dataset, header: StudyHeader) -> None:
    machine = header.machine
    dataset.ImageType = list(machine.image_type)
    dataset.Modality = "CT"
    dataset.Manufacturer = machine.manufacturer
    dataset.ManufacturerModelName = machine.model
    dataset.SoftwareVersions = machine.software
    if machine.station:
        dataset.StationName = machine.station
    dataset.SeriesDescription = header.series_description
    dataset.SeriesNumber = header.series
    dataset.AcquisitionNumber = 1
    if header.contrast_agent is not None:
        dataset.ContrastBolusAgent = header.contrast_agent
    dataset.BodyPartExamined = header.body_part
    dataset.ScanOptions = machine.scan_options
    dataset.SliceThickness = _number(header.slice_thickness_mm)
    dataset.KVP = _number(header.tube_voltage_kvp)
    dataset.DataCollectionDiameter = 500
    dataset.GantryDetectorTilt = 0
    dataset.ExposureTime = 500
    dataset.XRayTubeCurrent = round(header.tube_current_ma)
    dataset.FilterType = machine.filter_type
    dataset.ConvolutionKernel = header.kernel
    dataset.PatientPosition = header.patient_position


def _directions(affine: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors in LPS along which rows (array axis 1) and columns (axis 2) are counted."""
    rows, columns = (affine[:3, axis] / np.linalg.norm(affine[:3, axis]) for axis in (1, 2))
    if abs(rows @ columns) > 1e-4:  # the tolerance that readers of DICOM commonly hold orientations to
        raise ValueError(f"Rows and columns are not at right angles (cosine {rows @ columns:.5f})")
    return rows, columns


def _slice(volume: Volume, index: int, number: int, common: Dataset) -> Dataset:
    """One slice with its place, number and pixels."""
    dataset = Dataset()
    dataset.update(common)
    position = volume.to_lps(np.array([index, 0, 0]))
    dataset.SOPInstanceUID = _uid("instance", common.SeriesInstanceUID, index)
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = [_number(value) for value in position]
    dataset.SliceLocation = _number(position[2])
    stored = np.rint(volume.hu[index]) - RESCALE_INTERCEPT_HU
    limits = np.iinfo(np.int16)
    dataset.PixelData = np.clip(stored, limits.min, limits.max).astype("<i2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset
