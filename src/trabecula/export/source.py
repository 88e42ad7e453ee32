"""The instances a scan was read from. The scan itself holds no identifiers, so their headers are read again here.

They are one file for each slice, or one enhanced multi-frame file that holds them all.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.uid import generate_uid
from pydicom.valuerep import DSfloat

from trabecula.dicom.files import MALFORMED, open_dataset
from trabecula.dicom.pixels import hounsfield
from trabecula.dicom.planes import LeftOut, Plane, planes_of
from trabecula.dicom.series import Series, group
from trabecula.errors import Refusal, refusal
from trabecula.formats.budget import Budget, OverBudget
from trabecula.formats.damage import muted
from trabecula.records import Scan

NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
FRAME = "FrameOfReferenceUID"
SAME_PLACE_MM = 0.1
"""Headers round positions; slices whose place is further off are others."""

UIDS_DIFFER = "series-uids-differ"
"""The reason of reading that says: each slice names a series of its own."""

MENDED = ("slices-missing", "slices-interpolated", "spacing-uneven", "gantry-tilt", "slices-realigned")
"""Reasons of reading that say: the grid that was screened is not that of the images."""


def source_instances(files: Sequence[Path], scan: Scan) -> tuple[Dataset, ...]:
    """The headers of the slices that ``scan`` was read from, in the order of its grid as given, without pixels.

    ``files`` are all that were given.
    Of an enhanced CT it is the header of the one instance, its frames in their own order, as ``of_frames`` leaves it.

    Raises:
        Refusal: the input has no DICOM headers, or its slices are not those of the grid that was screened.
    """
    if scan.acquisition.source != "dicom":
        raise refusal("no-dicom-headers")
    if scan.acquisition.series_instance_uid is None:
        raise _incomplete({"SeriesInstanceUID"})
    mended = [reason.code for reason in scan.reasons if reason.code in MENDED]
    if mended:
        raise refusal("dicom-grid-mended", codes=tuple(mended))
    with Budget(len(files)) as budget, muted("pydicom"):
        for series in _series(files, scan, budget):
            if _same_place(series, scan) and _same_pixels(series, scan):
                return _complete(_headers_of(series))
    raise refusal("dicom-source-unclear")


def series_headers(files: Sequence[Path], scan: Scan) -> tuple[Dataset, ...]:
    """The headers of every instance of the scan's series that says which it is, in no order."""
    with Budget(len(files)) as budget, muted("pydicom"):
        if _has_many_uids(scan):
            at_place = [one for one in _series(files, scan, budget) if _same_place(one, scan)]
            found = [headers(plane.dataset) for plane in at_place[0].planes] if at_place else []
        else:
            found = [headers(dataset) for dataset in _instances(files, scan, budget)]
    return tuple(one for one in found if all(one.get(name) for name in (*NEEDED, "Modality")))


def first_header(files: Sequence[Path], scan: Scan) -> tuple[Dataset, ...]:
    """The header of one instance of the scan's series; none where it is no DICOM or does not say which series it is."""
    if scan.acquisition.source != "dicom" or scan.acquisition.series_instance_uid is None:
        return ()
    with Budget(len(files)) as budget, muted("pydicom"):
        return tuple(headers(dataset) for dataset in islice(_instances(files, scan, budget), 1))


def headers(dataset: Dataset) -> Dataset:
    """Every public header as a dataset of its own, texts decoded; the pixels stay behind."""
    kept = Dataset()
    for tag in dataset.keys():  # noqa: SIM118 - iterating a dataset would read the pixels
        if tag.group < 0x5000 and not tag.is_private:
            with suppress(*MALFORMED):  # a header that cannot be decoded is not handed on
                kept.add(dataset[tag])
    kept.add(DataElement("SpecificCharacterSet", "CS", "ISO_IR 192"))
    return kept


def _headers_of(series: Series) -> tuple[Dataset, ...]:
    first = series.planes[0].dataset
    if "PerFrameFunctionalGroupsSequence" in first:
        return (of_frames(headers(first), sorted(series.planes, key=lambda plane: plane.frame), series.step_mm),)
    return tuple(headers(plane.dataset) for plane in series.planes)


def of_frames(header: Dataset, planes: Sequence[Plane], step_mm: float) -> Dataset:
    """The header of an enhanced CT with nothing in its functional groups but where each of its frames lies.

    What is the same in all frames is shared, as highdicom wants it, wherever the scanner wrote it down.
    """
    first = planes[0]
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [decimal(length) for length in first.spacing_mm]
    measures.SliceThickness = decimal(first.phase.thickness_mm or step_mm)
    orientation.ImageOrientationPatient = [decimal(c) for c in (*first.row_direction, *first.column_direction)]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    header.SharedFunctionalGroupsSequence, header.PerFrameFunctionalGroupsSequence = [shared], []
    for plane in planes:
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = [decimal(c) for c in plane.position_mm]
        frame.PlanePositionSequence = [place]
        header.PerFrameFunctionalGroupsSequence.append(frame)
    return header


def decimal(value: float) -> DSfloat:
    """A number as a decimal string of DICOM, 16 characters at most."""
    return DSfloat(float(value), auto_format=True)


def _complete(instances: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
    """Raises a refusal where an instance does not say which it is.

    Slices that name no frame of reference, or each another, as anonymisers write, are given one of their own: their
    places agree with one another all the same, and what is made of them belongs to none of the frames they name.
    """
    wanting = {name for one in instances for name in NEEDED if not one.get(name)}
    if wanting:
        raise _incomplete(wanting)
    frames = {one.get(FRAME) for one in instances}
    if len(frames) > 1 or not all(frames):
        own = generate_uid()
        for one in instances:
            one.FrameOfReferenceUID = own
    return instances


def _incomplete(wanting: set[str]) -> Refusal:
    return refusal("dicom-headers-incomplete", wanting=tuple(sorted(wanting)))


def _series(files: Sequence[Path], scan: Scan, budget: Budget) -> list[Series]:
    """What the planes of the scan's series UID make up, or all planes where each has its own."""
    planes: list[Plane] = []
    for dataset in _instances(files, scan, budget):
        try:
            found = planes_of(dataset)
        except MALFORMED:
            continue
        if not isinstance(found, LeftOut):
            planes += found
    return [series for series in group(planes)[0] if _one_by_one(series)]


def _one_by_one(series: Series) -> bool:
    """Whether its planes are whole instances, or every frame of a single one: only these can be referred to."""
    first = series.planes[0].dataset
    if "PerFrameFunctionalGroupsSequence" not in first:
        return all("PerFrameFunctionalGroupsSequence" not in plane.dataset for plane in series.planes)
    whole = len(series.planes) == int(first.get("NumberOfFrames") or 1)
    return whole and all(plane.dataset is first for plane in series.planes)


def _has_many_uids(scan: Scan) -> bool:
    return any(one.code == UIDS_DIFFER for one in scan.reasons)


def _instances(files: Sequence[Path], scan: Scan, budget: Budget) -> Iterator[Dataset]:
    many = _has_many_uids(scan)  # then all are looked at: place and pixels tell which are the scan's
    for path in files:
        try:
            dataset = open_dataset(path, budget)
            if dataset is None:
                continue
            if many or dataset.get("SeriesInstanceUID") == scan.acquisition.series_instance_uid:
                yield dataset
        except OverBudget:
            raise
        except (Refusal, *MALFORMED):
            continue


def _same_place(series: Series, scan: Scan) -> bool:
    affine = scan.orientation.undo_affine(scan.volume.affine, scan.volume.shape)
    count, rows, columns = scan.orientation.undo(scan.volume.hu).shape
    first = series.planes[0]
    if (len(series.planes), first.rows, first.columns) != (count, rows, columns):
        return False
    places = affine[:3, 3] + np.arange(count)[:, None] * affine[:3, 0]
    off = np.linalg.norm([plane.position_mm for plane in series.planes] - places, axis=1)
    return bool(off.max() < max(SAME_PLACE_MM, 0.05 * series.step_mm))


def _same_pixels(series: Series, scan: Scan) -> bool:
    """Whether the middle slice is the one screened: phases of one series lie at the same places."""
    middle = len(series.planes) // 2
    try:
        shown = hounsfield(series.planes[middle])
    except Refusal:
        return False
    return bool(np.array_equal(shown, scan.orientation.undo(scan.volume.hu)[middle]))
