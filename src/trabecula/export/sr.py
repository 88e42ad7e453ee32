"""The result as a Comprehensive 3D SR after TID 1500: a group of measurements for each vertebra, one for the spine."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import highdicom as hd
from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from trabecula import __version__
from trabecula.anatomy import Level
from trabecula.export import codes as ours
from trabecula.export.regions import segmented_levels, site_identifier, tracking_identifier
from trabecula.export.series import MANUFACTURER, MODEL, SERIAL_NUMBER, TRANSFER_SYNTAX, NewSeries, finished, nameless
from trabecula.messages import joined
from trabecula.quantity import Category, Measurement, rounded
from trabecula.records import Assessment, Basis, Reason, VertebraReading
from trabecula.report.page import NO_RULING_OUT, RESEARCH_ONLY

SERIES = NewSeries(9002, "bone density")
SPINE_IDENTIFIER = "Trabecula category"
MAX_PARAMETER = 64

Group = sr.MeasurementsAndQualitativeEvaluations | sr.VolumetricROIMeasurementsAndQualitativeEvaluations


def structured_report(
    assessment: Assessment,
    instances: Sequence[Dataset],
    regions: hd.seg.Segmentation | None,
    tracking: Mapping[Level | None, str],
) -> sr.Comprehensive3DSR:
    """The report, preliminary and unverified. ``tracking`` has a UID for each level, and for None that of the spine."""
    levels = segmented_levels(assessment)
    groups: list[Group] = [_spine(assessment, tracking[None])]
    for vertebra in assessment.readings.vertebrae:
        segment = None
        if regions is not None and vertebra.level in levels:
            segment = _segment(regions, levels.index(vertebra.level) + 1)
        groups.append(_vertebra(vertebra, assessment, segment, tracking[vertebra.level]))
    content = sr.MeasurementReport(
        observation_context=_observer(),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    made = sr.Comprehensive3DSR(
        evidence=[nameless(one) for one in (*instances, *([] if regions is None else [regions]))],
        content=content,
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=TRANSFER_SYNTAX,
        **SERIES.arguments(),
    )
    finished(made, instances[0])
    return made


def _segment(regions: hd.seg.Segmentation, number: int) -> sr.ReferencedSegment:
    """A segment and the images below it; of an enhanced CT every frame, of which highdicom would name the first."""
    frames: dict[tuple[str, str], list[int]] = {}
    shared = regions.SharedFunctionalGroupsSequence[0]
    for group in regions.PerFrameFunctionalGroupsSequence:
        named = group if "SegmentIdentificationSequence" in group else shared  # shared where there is one segment
        if named.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            for image in group.DerivationImageSequence[0].SourceImageSequence:
                below = frames.setdefault((image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID), [])
                if "ReferencedFrameNumber" in image:
                    below.append(int(image.ReferencedFrameNumber))
    return sr.ReferencedSegment(
        sop_class_uid=regions.SOPClassUID,
        sop_instance_uid=regions.SOPInstanceUID,
        segment_number=number,
        source_images=[
            sr.SourceImageForSegmentation(kind, uid, referenced_frame_numbers=sorted(below) or None)
            for (kind, uid), below in frames.items()
        ],
    )


def _observer() -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID(), name="Trabecula", manufacturer_name=MANUFACTURER, model_name=MODEL, serial_number=SERIAL_NUMBER
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(codes.DCM.Device, device),
    )


def _algorithm(assessment: Assessment) -> sr.AlgorithmIdentification:
    calibration = assessment.calibration
    facts: dict[str, object] = {
        "recipe": assessment.recipe,
        "basis": assessment.diagnosis.basis,
        "rung": calibration.rung,
    }
    if assessment.quantity == calibration.quantity:
        facts["material"] = calibration.quantity.material
    parameters = [f"{name}: {value}"[:MAX_PARAMETER] for name, value in facts.items()]
    return sr.AlgorithmIdentification(name="Trabecula", version=__version__, parameters=parameters)


def _vertebra(
    vertebra: VertebraReading, assessment: Assessment, segment: sr.ReferencedSegment | None, uid: str
) -> Group:
    """One vertebra: what was measured, or why its density is withheld; one without a region has no ``segment``."""
    measurements = []
    if vertebra.volume_mm3 > 0:
        cm3 = round(vertebra.volume_mm3 / 1000, 3)
        measurements.append(sr.Measurement(name=codes.SCT.Volume, value=cm3, unit=ours.CM3))
    for value, derivation in ((vertebra.mean_hu, codes.SCT.Mean), (vertebra.sd_hu, codes.SCT.StandardDeviation)):
        if math.isfinite(value):
            name = codes.DCM.AttenuationCoefficient
            hu = round(float(value), 2)
            measurements.append(sr.Measurement(name=name, value=hu, unit=ours.HOUNSFIELD, derivation=derivation))
    if vertebra.density is not None:
        measurements.append(_density(vertebra.density))
    measurements += _probabilities(vertebra.probabilities or {})
    because = ours.WITHHELD_BECAUSE if vertebra.withheld else ours.DOUBTED_BECAUSE
    yes_or_no = codes.SCT.Yes if assessment.diagnosis.decided_by(vertebra.level) else codes.SCT.No
    level = vertebra.level
    identifier = tracking_identifier(level) if vertebra.volume_mm3 > 0 else site_identifier(level)
    facts: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(uid=uid, identifier=identifier),
        "finding_type": codes.SCT.BoneTissue,
        "algorithm_id": _algorithm(assessment),
        "finding_sites": [sr.FindingSite(ours.vertebra_code(vertebra.level))],
        "measurements": measurements,
        "qualitative_evaluations": [
            sr.QualitativeEvaluation(ours.DECIDES_CATEGORY, yes_or_no),
            *_coded(because, vertebra.reasons),
        ],
    }
    made: Group
    if segment is None:
        made = sr.MeasurementsAndQualitativeEvaluations(**facts)
    else:
        made = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **facts)
    _comment(made[0], [reason.message for reason in vertebra.reasons])
    return made


def _spine(assessment: Assessment, uid: str) -> sr.MeasurementsAndQualitativeEvaluations:
    """The category, what it rests on, and the doubts that concern the whole of it."""
    diagnosis = assessment.diagnosis
    made = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier=SPINE_IDENTIFIER),
        finding_type=ours.BMD_CATEGORY,
        algorithm_id=_algorithm(assessment),
        finding_sites=[sr.FindingSite(ours.LUMBAR_SPINE)],
        measurements=[
            *([] if diagnosis.density is None else [_density(diagnosis.density)]),
            *(_probabilities(diagnosis.probabilities) if diagnosis.basis is Basis.CLASSIFIER else []),
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(ours.BMD_CATEGORY, ours.CATEGORIES[diagnosis.category]),
            *_coded(ours.DOUBTED_BECAUSE, assessment.reasons),
        ],
    )
    told = f"{RESEARCH_ONLY} {NO_RULING_OUT} Levels used: {joined(diagnosis.levels_used)}."
    _comment(made[0], [told, *(reason.message for reason in assessment.reasons)])
    return made


def _density(density: Measurement) -> sr.Measurement:
    """The density, and how far its interval reaches to either side."""
    name, unit = ours.quantity_code(density.quantity), ours.unit_code(density.quantity)
    value, (low, high) = (
        rounded(density.quantity, float(density.value), ours.decimals(density.quantity)),
        density.interval,
    )
    made = sr.Measurement(name=name, value=value, unit=unit, derivation=codes.SCT.Mean)
    for beyond, reach in ((ours.UPPER_UNCERTAINTY, high - value), (ours.LOWER_UNCERTAINTY, value - low)):
        made[0].ContentSequence.append(
            sr.NumContentItem(
                name=beyond,
                value=round(max(float(reach), 0.0), ours.decimals(density.quantity)),
                unit=unit,
                relationship_type=sr.RelationshipTypeValues.HAS_PROPERTIES,
            )
        )
    return made


def _probabilities(shares: Mapping[Category, float]) -> list[sr.Measurement]:
    """What a classifier says of each category."""
    return [
        sr.Measurement(name=ours.PROBABILITIES[category], value=round(float(share), 4), unit=ours.RATIO)
        for category, share in shares.items()
    ]


def _coded(name: Code, reasons: Sequence[Reason]) -> list[sr.QualitativeEvaluation]:
    """One evaluation for each different reason code."""
    return [sr.QualitativeEvaluation(name, ours.reason_code(code)) for code in dict.fromkeys(r.code for r in reasons)]


def _comment(group: Dataset, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        group.ContentSequence.append(
            sr.TextContentItem(codes.DCM.Comment, sentence, sr.RelationshipTypeValues.CONTAINS)
        )
