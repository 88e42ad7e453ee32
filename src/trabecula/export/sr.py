"""The result as a Comprehensive 3D SR after TID 1500: groups of measurements for each vertebra, one for the spine.

A vertebra has two groups under one tracking UID: where its density is read on an image (TID 1410), which viewers draw,
list and jump to, and its region in the SEG (TID 1411). OHIF 3.13 stops at a group without coordinates, so that the
spine's has a mark too.
"""

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
from trabecula.export.marks import Mark
from trabecula.export.places import middle, places
from trabecula.export.regions import place_identifier, segmented_levels, tracking_identifier
from trabecula.export.series import MANUFACTURER, MODEL, SERIAL_NUMBER, TRANSFER_SYNTAX, NewSeries, finished, nameless
from trabecula.messages import DEFAULT_LANGUAGE
from trabecula.quantity import Category, Measurement, rounded
from trabecula.records import Assessment, Basis, Reason, VertebraReading
from trabecula.report.verdict import Verdict

SERIES = NewSeries(9002, "bone density")
SPINE_IDENTIFIER = "Trabecula category"
MAX_PARAMETER = 64

Group = (
    sr.MeasurementsAndQualitativeEvaluations
    | sr.PlanarROIMeasurementsAndQualitativeEvaluations
    | sr.VolumetricROIMeasurementsAndQualitativeEvaluations
)


def structured_report(
    assessment: Assessment,
    instances: Sequence[Dataset],
    regions: hd.seg.Segmentation | None,
    tracking: Mapping[Level | None, str],
    language: str = DEFAULT_LANGUAGE,
) -> sr.Comprehensive3DSR:
    """The report, preliminary and unverified. ``tracking`` has a UID for each level, and for None that of the spine.

    Comments are sentences in ``language``; the names of codes are English.
    """
    words = Verdict(assessment, language)
    levels = segmented_levels(assessment)
    marks = {level: Mark(place, instances) for level, place in places(assessment).items()}
    groups: list[Group] = [_spine(words, tracking[None], instances)]
    for vertebra in assessment.readings.vertebrae:
        segment = None
        if regions is not None and vertebra.level in levels:
            segment = _segment(regions, levels.index(vertebra.level) + 1)
        groups += _vertebra(vertebra, words, marks[vertebra.level], segment, tracking[vertebra.level])
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
    vertebra: VertebraReading, words: Verdict, mark: Mark, segment: sr.ReferencedSegment | None, uid: str
) -> list[Group]:
    """One vertebra: what was measured, or why its density is withheld, where it is read and in its whole region."""
    level = vertebra.level
    because = ours.WITHHELD_BECAUSE if vertebra.withheld else ours.DOUBTED_BECAUSE
    yes_or_no = codes.SCT.Yes if words.assessment.diagnosis.decided_by(level) else codes.SCT.No
    facts: dict[str, Any] = {
        "finding_type": codes.SCT.BoneTissue,
        "algorithm_id": _algorithm(words.assessment),
        "finding_sites": [sr.FindingSite(ours.vertebra_code(level))],
    }
    evaluated = [sr.QualitativeEvaluation(ours.DECIDES_CATEGORY, yes_or_no), *_coded(because, vertebra.reasons)]
    told = [reason.told(words.language) for reason in vertebra.reasons]
    read_hu = vertebra.mean_hu if vertebra.read_hu is None else vertebra.read_hu
    place = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier=place_identifier(level, mark.place.is_outline)),
        referenced_region=mark.region(),
        measurements=[*mark.area(), *_attenuation(read_hu), *_densities(vertebra)],
        qualitative_evaluations=evaluated if segment is None else None,
        **facts,
    )
    _infer(place, mark)
    _comment(place[0], [_label(vertebra, words, read_hu), *(told if segment is None else [])])
    if segment is None:
        return [place]
    whole = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier=tracking_identifier(level)),
        referenced_segment=segment,
        measurements=[
            sr.Measurement(name=codes.SCT.Volume, value=round(vertebra.volume_mm3 / 1000, 3), unit=ours.CM3),
            *_attenuation(vertebra.mean_hu, vertebra.sd_hu),
            *_densities(vertebra),
        ],
        qualitative_evaluations=evaluated,
        **facts,
    )
    _comment(whole[0], told)
    return [place, whole]


def _attenuation(mean_hu: float, sd_hu: float = math.nan) -> list[sr.Measurement]:
    """Mean HU and their standard deviation, where there are such."""
    return [
        sr.Measurement(
            name=codes.DCM.AttenuationCoefficient,
            value=round(float(value), 2),
            unit=ours.HOUNSFIELD,
            derivation=derivation,
        )
        for value, derivation in ((mean_hu, codes.SCT.Mean), (sd_hu, codes.SCT.StandardDeviation))
        if math.isfinite(value)
    ]


def _densities(vertebra: VertebraReading) -> list[sr.Measurement]:
    """The density and what a classifier says, where there are such."""
    density = [] if vertebra.density is None else [_density(vertebra.density)]
    return [*density, *_probabilities(vertebra.probabilities or {})]


def _label(vertebra: VertebraReading, words: Verdict, read_hu: float) -> str:
    """A vertebra in one line, as viewers list it: its density or category, and HU."""
    said = []
    if vertebra.withheld:
        said.append(words.say("withheld"))
    elif vertebra.density is not None:
        low, high = vertebra.density.interval_shown
        interval = words.say("interval-bare", range=words.say("range", low=low, high=high))
        said.append(f"{vertebra.density.shown} {vertebra.density.quantity.unit} ({interval})")
    elif vertebra.likeliest is not None:
        share = words.share((vertebra.probabilities or {})[vertebra.likeliest])
        said.append(words.say("probability", category=words.say(f"word-{vertebra.likeliest}"), share=share))
    if math.isfinite(read_hu):
        said.append(f"{read_hu:.0f} HU")
    return f"{vertebra.level}: {words.several(said)}"


def _spine(words: Verdict, uid: str, instances: Sequence[Dataset]) -> Group:
    """The category, what it rests on, and the doubts that concern the whole of it."""
    assessment, diagnosis = words.assessment, words.assessment.diagnosis
    place = middle(assessment, diagnosis.levels_used)
    facts: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(uid=uid, identifier=SPINE_IDENTIFIER),
        "finding_type": ours.BMD_CATEGORY,
        "algorithm_id": _algorithm(assessment),
        "finding_sites": [sr.FindingSite(ours.LUMBAR_SPINE)],
        "measurements": [
            *([] if diagnosis.density is None else [_density(diagnosis.density)]),
            *(_probabilities(diagnosis.probabilities) if diagnosis.basis is Basis.CLASSIFIER else []),
        ],
        "qualitative_evaluations": [
            sr.QualitativeEvaluation(ours.BMD_CATEGORY, ours.CATEGORIES[diagnosis.category]),
            *_coded(ours.DOUBTED_BECAUSE, [one for one in words.told.reasons if one not in words.told.notes]),
        ],
    }
    made: Group
    if place is None:
        made = sr.MeasurementsAndQualitativeEvaluations(**facts)
    else:
        made = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_region=Mark(place, instances).region(), **facts
        )
    verdict = words.sentences([words.say("sentence", words=words.headline()), *words.fractures(), words.crossing()])
    told = [reason.told(words.language) for reason in (*words.told.doubts, *words.told.notes)]
    _comment(made[0], [words.use(), verdict, words.check_first(), *told])
    return made


def _infer(group: Group, mark: Mark) -> None:
    """Says of a group's first number, where there is one, from where it was read: OHIF looks for it there."""
    for number in [item for item in group[0].ContentSequence if item.ValueType == "NUM"][:1]:
        number.ContentSequence = [*number.get("ContentSequence", []), mark.source()]


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
