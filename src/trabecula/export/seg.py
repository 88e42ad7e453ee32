"""The regions as a DICOM Segmentation: one binary segment for each vertebra, on the grid of the CT as given."""

from collections.abc import Mapping, Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset
from pydicom.sr.codedict import codes

from trabecula import __version__
from trabecula.anatomy import Level
from trabecula.export.codes import vertebra_code
from trabecula.export.regions import segmented_levels, slice_of_each_frame, tracking_identifier
from trabecula.export.series import MANUFACTURER, TRANSFER_SYNTAX, NewSeries, finished, nameless
from trabecula.records import Assessment

SERIES = NewSeries(9001, "trabecular regions")


def segmentation(
    assessment: Assessment, instances: Sequence[Dataset], tracking: Mapping[Level | None, str]
) -> hd.seg.Segmentation:
    """The object. ``instances`` are the slices in the order of the grid as given, or the one enhanced CT that holds
    them in any order; ``tracking`` has a UID for each level.
    """
    levels = segmented_levels(assessment)
    given: NDArray[np.uint8] = assessment.scan.orientation.undo(assessment.labels)
    numbered = np.zeros(given.shape, np.uint8)
    for number, level in enumerate(levels, start=1):
        numbered[given == level.verse_id] = number
    if "PerFrameFunctionalGroupsSequence" in instances[0]:
        numbered = numbered[slice_of_each_frame(instances[0])]
    sources = [nameless(instance) for instance in instances]
    for source in sources:
        # highdicom takes one series only; ``_name_by_series`` puts back what each slice says of itself
        for name in ("StudyInstanceUID", "SeriesInstanceUID"):
            source[name] = DataElement(name, "UI", instances[0][name].value)  # elements are shared with ``instances``
        if not source.get("SliceThickness"):  # a frame of regions is as thick as the step to the next
            source.SliceThickness = round(
                assessment.scan.volume.spacing_mm[assessment.scan.orientation.axes.index(0)], 4
            )
    made = hd.seg.Segmentation(
        source_images=sources,
        pixel_array=numbered,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(number, level, tracking[level]) for number, level in enumerate(levels, start=1)],
        content_label="TRABECULAR",
        content_description="Trabecular regions; research use only, unverified",
        transfer_syntax_uid=TRANSFER_SYNTAX,
        **SERIES.arguments(),
    )
    if len({(one.StudyInstanceUID, one.SeriesInstanceUID) for one in instances}) > 1:
        _name_by_series(made, instances)
    finished(made, instances[0])
    return made


def _name_by_series(made: hd.seg.Segmentation, instances: Sequence[Dataset]) -> None:
    """Lists the images under the series, and the studies, that each of them names (PS3.3 C.12.2)."""
    places = {one.SOPInstanceUID: (one.StudyInstanceUID, one.SeriesInstanceUID) for one in instances}
    studies: dict[str, dict[str, list[Dataset]]] = {}
    for listed in made.ReferencedSeriesSequence:
        for image in listed.ReferencedInstanceSequence:
            study, series = places[image.ReferencedSOPInstanceUID]
            studies.setdefault(study, {}).setdefault(series, []).append(image)
    mine = studies.pop(made.StudyInstanceUID, {})
    made.ReferencedSeriesSequence = _listed(mine)
    if studies:
        others = []
        for study, series in studies.items():
            other = Dataset()
            other.StudyInstanceUID, other.ReferencedSeriesSequence = study, _listed(series)
            others.append(other)
        made.StudiesContainingOtherReferencedInstancesSequence = others


def _listed(series: Mapping[str, list[Dataset]]) -> list[Dataset]:
    items = []
    for uid, images in series.items():
        item = Dataset()
        item.SeriesInstanceUID, item.ReferencedInstanceSequence = uid, images
        items.append(item)
    return items


def _segment(number: int, level: Level, uid: str) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=f"{level} trabecular bone",
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.BoneTissue,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="Trabecula", family=codes.cid7162.ArtificialIntelligence, version=__version__, source=MANUFACTURER
        ),
        tracking_uid=uid,
        tracking_id=tracking_identifier(level),
        anatomic_regions=[vertebra_code(level)],
    )
