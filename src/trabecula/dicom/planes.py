"""One image plane: where it lies in the patient, how its numbers become HU, and what tells it from its siblings."""

import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from pydicom import Dataset
from pydicom.uid import UID

from trabecula.dicom.decimals import decimal, decimals, has_decimal_comma
from trabecula.dicom.derived import why_not_hounsfield
from trabecula.dicom.headers import Phase, phase_of, text, words, written
from trabecula.dicom.studies import Study, study_of
from trabecula.volume import Float64

MAX_SIDE = 8192
"""Rows or columns; scanners make 512 to 2048."""

MAX_FRAMES = 20_000
MEASURES = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept")
SERIES_LABEL = ("SeriesNumber", "SeriesDescription", "ProtocolName", "Manufacturer")
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


class LeftOut(StrEnum):
    """Why a file gives no plane; the message files say it under ``left-out-...``."""

    UNREADABLE = "damaged"
    LOCALIZER = "localizer"
    NOT_CT = "not-ct"
    NOT_DICOM = "not-dicom"
    NOT_HOUNSFIELD = "not-hounsfield"
    NOT_IMAGE = "not-image"
    NO_GEOMETRY = "no-geometry"
    OTHER_STUDY = "other-study"


@dataclass(frozen=True, eq=False)
class Plane:
    """A frame of a DICOM instance. Vectors are LPS; directions have length 1.

    ``row_direction`` runs along a row (columns grow), ``column_direction`` down a column (rows grow);
    ``spacing_mm`` is (between rows, between columns) as in PixelSpacing.
    """

    dataset: Dataset
    frame: int  # from 0
    rows: int
    columns: int
    position_mm: Float64  # centre of the first voxel
    row_direction: Float64
    column_direction: Float64
    spacing_mm: tuple[float, float]
    slope: float
    intercept: float
    rescale_declared: bool
    decimal_comma: bool
    study: Study
    series_uid: str
    series_label: tuple[str, ...]  # what slices of one series share beside its UID
    phase: Phase

    @property
    def normal(self) -> Float64:
        return np.cross(self.row_direction, self.column_direction)


def planes_of(dataset: Dataset) -> list[Plane] | LeftOut:
    """The planes of an instance, one a frame, or why there are none.

    Raises:
        KeyError, ValueError and the rest of ``files.MALFORMED``: the headers are malformed.
    """
    sop_class = str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    if "Rows" not in dataset or "Columns" not in dataset:
        return LeftOut.UNREADABLE if sop_class.startswith(CT_IMAGE) else LeftOut.NOT_IMAGE  # cut short in its headers
    if dataset.get("Modality") != "CT":
        return LeftOut.NOT_CT
    if "LOCALIZER" in words(dataset.get("ImageType")):
        return LeftOut.LOCALIZER
    if sop_class.startswith(SECONDARY_CAPTURE) or dataset.get("SamplesPerPixel", 1) != 1:
        return LeftOut.NOT_HOUNSFIELD
    rows, columns, frames = int(dataset.Rows), int(dataset.Columns), int(dataset.get("NumberOfFrames") or 1)
    if not (0 < rows <= MAX_SIDE and 0 < columns <= MAX_SIDE and 0 < frames <= MAX_FRAMES):
        return LeftOut.UNREADABLE
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if per_frame is None:
        return _one(dataset, dataset, 0) if frames == 1 else LeftOut.NO_GEOMETRY
    if len(per_frame) != frames:
        return LeftOut.UNREADABLE
    planes: list[Plane] = []
    left_out = LeftOut.NO_GEOMETRY
    for index in range(frames):
        one = _one(dataset, _flattened(dataset, index), index)
        if isinstance(one, LeftOut):
            left_out = one
        else:
            planes += one
    return planes or left_out


def other_modality(dataset: Dataset) -> str:
    """The modality of an instance that is not CT, fit to be printed."""
    modality = str(dataset.get("Modality", ""))
    return modality if re.fullmatch(r"[A-Z]{2,8}", modality) else "unknown"


def _flattened(dataset: Dataset, index: int) -> Dataset:
    """The functional groups of a frame, the shared ones below its own, as one flat dataset of a plain CT image."""
    flat = Dataset()
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    for groups in (shared[0], dataset.PerFrameFunctionalGroupsSequence[index]):
        for element in groups:
            if element.VR == "SQ" and len(element.value) == 1:
                flat.update(element.value[0])
    if "FrameType" in flat:
        flat.ImageType = flat.FrameType
    return flat


def _one(dataset: Dataset, facts: Dataset, frame: int) -> list[Plane] | LeftOut:
    """The plane that ``facts`` describe: the instance itself, or a frame's functional groups."""
    kind = facts.get("ImageType") or dataset.get("ImageType")
    if "LOCALIZER" in words(kind):
        return LeftOut.LOCALIZER
    if why_not_hounsfield(kind, dataset.get("SeriesDescription"), facts.get("RescaleType")):
        return LeftOut.NOT_HOUNSFIELD
    position = _numbers(facts, "ImagePositionPatient", 3)
    cosines = _numbers(facts, "ImageOrientationPatient", 6)
    spacing = _numbers(facts, "PixelSpacing", 2)
    if position is None or cosines is None or spacing is None or spacing.min() <= 0:
        return LeftOut.NO_GEOMETRY
    row, column = cosines[:3], cosines[3:]
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), float(abs(row @ column))) > 0.01:
        return LeftOut.NO_GEOMETRY
    row = row / lengths[0]
    column = column - (column @ row) * row  # cosines are rounded decimals; square them
    slope, intercept = decimal(facts, "RescaleSlope"), decimal(facts, "RescaleIntercept")
    if slope == 0 or "ModalityLUTSequence" in dataset:
        return LeftOut.NOT_HOUNSFIELD
    plane = Plane(
        dataset=dataset,
        frame=frame,
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        position_mm=position,
        row_direction=row,
        column_direction=column / np.linalg.norm(column),
        spacing_mm=(float(spacing[0]), float(spacing[1])),
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
        rescale_declared=slope is not None and intercept is not None,
        decimal_comma=has_decimal_comma(facts, MEASURES),
        study=study_of(dataset),
        series_uid=text(dataset.get("SeriesInstanceUID")) or "",
        series_label=tuple(written(dataset, keyword) for keyword in SERIES_LABEL),
        phase=phase_of(dataset, facts),
    )
    return [plane]


def _numbers(facts: Dataset, keyword: str, count: int) -> Float64 | None:
    numbers = np.asarray(decimals(facts, keyword), dtype=np.float64)
    return numbers if numbers.shape == (count,) and np.abs(numbers).max() < 1e5 else None


def transfer_syntax(plane: Plane) -> UID:
    """How the plane's pixels are written; bare datasets are implicit little endian by the standard's default."""
    return UID(str(plane.dataset.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2")))
