"""The result as a FHIR Bundle, R4 or R5, that says the same as the SR: identifiers are the SR's tracking UIDs.

A Bundle of type collection: DiagnosticReport, an Observation for the category and one for each vertebra, Device,
and, where the input had DICOM headers, Patient and ImagingStudy. It is made as R4; ``_as_r5`` holds every difference.
"""

import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.valuerep import PersonName

from trabecula import __version__
from trabecula.anatomy import Level
from trabecula.export import codes as ours
from trabecula.messages import DEFAULT_LANGUAGE
from trabecula.quantity import Category, Measurement, rounded
from trabecula.records import Assessment, Basis, Reason, VertebraReading
from trabecula.report.verdict import Verdict
from trabecula.report.words import RESEARCH_ONLY

Json = dict[str, Any]

UCUM = "http://unitsofmeasure.org"
SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": UCUM,
    "LN": "http://loinc.org",
    ours.SCHEME: f"urn:oid:{ours.SCHEME_UID}",
}
DICOM_UID = "urn:dicom:uid"
IMAGING_STUDY_CODE = Code("18748-4", "LN", "Diagnostic imaging study")
MEAN_HU = Code("112031", "DCM", "Attenuation Coefficient")
VOLUME = Code("118565006", "SCT", "Volume")
STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")
RELEASES = ("R4", "R5")
R5_BUNDLE = "http://hl7.org/fhir/StructureDefinition/Bundle|5.0.0"
GENDERS = {"F": "female", "M": "male", "O": "other"}


def fhir_bundle(
    assessment: Assessment,
    instances: Sequence[Dataset],
    tracking: Mapping[Level | None, str],
    made: Sequence[Dataset] = (),
    deidentified: bool = False,
    release: str = "R4",
    language: str = DEFAULT_LANGUAGE,
) -> Json:
    """The Bundle of a ``release`` of FHIR; its sentences are in ``language``, its codes' names English.

    ``instances`` are the headers of the CT (none without DICOM), ``made`` the DICOM objects of ours.
    """
    words = Verdict(assessment, language)
    links = {name: f"urn:uuid:{uuid.uuid4()}" for name in ("Patient", "ImagingStudy", "Device", "DiagnosticReport")}
    about: Json = {"status": "preliminary", "category": [_concept_of(_category())], "device": _link(links["Device"])}
    resources: list[tuple[str, Json]] = [(links["Device"], _device())]
    if instances:
        resources.append((links["Patient"], _patient(instances[0])))
        resources.append((links["ImagingStudy"], _study(instances, made, links["Patient"])))
        about |= {"subject": _link(links["Patient"]), "derivedFrom": [_link(links["ImagingStudy"])]}
        day = _day(instances[0].get("AcquisitionDate") or instances[0].get("StudyDate"))
        about |= {"effectiveDateTime": day} if day else {}
    vertebrae = [
        (f"urn:uuid:{uuid.uuid4()}", _vertebra(one, words, about, tracking)) for one in assessment.readings.vertebrae
    ]
    category_link = f"urn:uuid:{uuid.uuid4()}"
    category = _category_observation(words, about, tracking, [link for link, _ in vertebrae])
    results = [category_link, *(link for link, _ in vertebrae)]
    report = _report(words, about, results, links["ImagingStudy"] if instances else None)
    entries = [(links["DiagnosticReport"], report), (category_link, category), *vertebrae, *resources]
    meta: Json = {}
    if deidentified:
        system = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
        meta["security"] = [{"system": system, "code": "ANONYED", "display": "anonymized"}]
    if release == "R5":
        meta["profile"] = [R5_BUNDLE]
        entries = [(link, _as_r5(resource)) for link, resource in entries]
    return {
        "resourceType": "Bundle",
        **({"meta": meta} if meta else {}),
        "language": words.say("html-language"),
        "type": "collection",
        "entry": [{"fullUrl": link, "resource": resource} for link, resource in entries],
    }


def _as_r5(resource: Json) -> Json:
    """A resource of R4 as R5 writes it (hl7.org/fhir/R5: the pages' lists of changes since R4)."""
    made = dict(resource)
    if made["resourceType"] == "DiagnosticReport" and "imagingStudy" in made:
        made["study"] = made.pop("imagingStudy")
    if made["resourceType"] == "Device":
        made["name"] = [{"value": one["name"], "type": "registered-name"} for one in made.pop("deviceName")]
    if made["resourceType"] == "ImagingStudy":
        made["series"] = [one | {"modality": _concept_of(one["modality"])} for one in made["series"]]
    return made


def _report(words: Verdict, about: Json, results: list[str], study: str | None) -> Json:
    diagnosis = words.assessment.diagnosis
    said = [words.say("sentence", words=words.headline()), *words.fractures(), words.crossing(), words.check_first()]
    carried: Json = {key: about[key] for key in ("status", "category", "subject", "effectiveDateTime") if key in about}
    return {
        "resourceType": "DiagnosticReport",
        **carried,
        "code": _concept(IMAGING_STUDY_CODE),
        "result": [_link(link) for link in results],
        **({"imagingStudy": [_link(study)]} if study else {}),
        "conclusion": words.sentences([*said, words.use()]),
        "conclusionCode": [_concept(ours.CATEGORIES[diagnosis.category])],
    }


def _category_observation(
    words: Verdict, about: Json, tracking: Mapping[Level | None, str], members: list[str]
) -> Json:
    assessment, reasons = words.assessment, words.told.reasons
    diagnosis, density = assessment.diagnosis, assessment.diagnosis.density
    components = _interval(density)
    if density is not None:
        mean = {"code": _concept(ours.quantity_code(density.quantity)), "valueQuantity": _density(density)}
        components.insert(0, mean)
    elif not diagnosis.determined:
        absent = _absent([reason.told(words.language) for reason in words.told.reasons])
        if assessment.quantity is not None:
            code = _concept(ours.quantity_code(assessment.quantity))
            components.append({"code": code, "dataAbsentReason": absent})
    if diagnosis.basis is Basis.CLASSIFIER:
        components += _probabilities(diagnosis.probabilities)
    made: Json = {
        "resourceType": "Observation",
        **about,
        "identifier": [_identifier(tracking[None])],
        "code": _concept(ours.BMD_CATEGORY),
        "bodySite": _concept(ours.LUMBAR_SPINE),
        "valueCodeableConcept": _concept(ours.CATEGORIES[diagnosis.category]),
        **({"component": components} if components else {}),
        "note": [{"text": words.use()}, *_notes(words, reasons)],
    }
    return made | ({"hasMember": [_link(member) for member in members]} if members else {})


def _vertebra(vertebra: VertebraReading, words: Verdict, about: Json, tracking: Mapping[Level | None, str]) -> Json:
    """One vertebra: its density where the recipe has a quantity, else the category that a classifier finds."""
    level, density, quantity = vertebra.level, vertebra.density, words.assessment.quantity
    made: Json = {
        "resourceType": "Observation",
        **about,
        **({"identifier": [_identifier(tracking[level])]} if level in tracking else {}),
        "code": _concept(ours.BMD_CATEGORY if quantity is None else ours.quantity_code(quantity)),
        "bodySite": _concept(ours.vertebra_code(level)),
    }
    if density is not None:
        made["valueQuantity"] = _density(density)
    elif quantity is None and vertebra.likeliest is not None:
        made["valueCodeableConcept"] = _concept(ours.CATEGORIES[vertebra.likeliest])
    else:
        made["dataAbsentReason"] = _absent([reason.told(words.language) for reason in vertebra.reasons])
    components = [*_interval(density), *_probabilities(vertebra.probabilities or {})]
    for code, hu in ((MEAN_HU, vertebra.mean_hu), (STANDARD_DEVIATION, vertebra.sd_hu)):
        if math.isfinite(hu):
            seen = _quantity(round(float(hu), 2), ours.HOUNSFIELD)
            components.append({"code": _concept(code), "valueQuantity": seen})
    if vertebra.volume_mm3 > 0:
        cm3 = _quantity(round(vertebra.volume_mm3 / 1000, 3), ours.CM3)
        components.append({"code": _concept(VOLUME), "valueQuantity": cm3})
    notes = _notes(words, vertebra.reasons)
    return made | ({"component": components} if components else {}) | ({"note": notes} if notes else {})


def _notes(words: Verdict, reasons: Sequence[Reason]) -> list[Json]:
    return [{"text": words.with_code(reason)} for reason in reasons]


def _probabilities(shares: Mapping[Category, float]) -> list[Json]:
    """What a classifier says of each category."""
    return [
        {
            "code": _concept(ours.PROBABILITIES[category]),
            "valueQuantity": _quantity(round(float(share), 4), ours.RATIO),
        }
        for category, share in shares.items()
    ]


def _value(density: Measurement) -> float:
    return rounded(density.quantity, float(density.value), ours.decimals(density.quantity))


def _density(density: Measurement) -> Json:
    return _quantity(_value(density), ours.unit_code(density.quantity))


def _interval(density: Measurement | None) -> list[Json]:
    if density is None:
        return []
    digits, unit = ours.decimals(density.quantity), ours.unit_code(density.quantity)
    low, high = (_quantity(round(float(end), digits), unit) for end in density.interval)
    return [{"code": _concept(ours.interval_code(density.quantity)), "valueRange": {"low": low, "high": high}}]


def _device() -> Json:
    return {
        "resourceType": "Device",
        "deviceName": [{"name": "Trabecula", "type": "manufacturer-name"}],
        "version": [{"value": __version__}],
        "note": [{"text": RESEARCH_ONLY}],
    }


def _patient(header: Dataset) -> Json:
    patient: Json = {"resourceType": "Patient", "gender": GENDERS.get(str(header.get("PatientSex") or ""), "unknown")}
    number, name = str(header.get("PatientID") or ""), header.get("PatientName")
    if number:
        patient["identifier"] = [{"value": number}]
    names = [_name(group) for group in str(name or "").split("=") if group.strip("^ ")]
    if names:
        patient["name"] = names
    born = _day(header.get("PatientBirthDate"))
    return patient | ({"birthDate": born} if born else {})


def _name(group: str) -> Json:
    """One way of writing a DICOM name (alphabetic, ideographic or phonetic)."""
    parts = PersonName(group)
    made: Json = {"text": " ".join(part for part in group.split("^") if part)}
    if parts.family_name:
        made["family"] = str(parts.family_name)
    given = [str(part) for part in (parts.given_name, parts.middle_name) if part]
    return made | ({"given": given} if given else {})


def _study(instances: Sequence[Dataset], made: Sequence[Dataset], patient: str) -> Json:
    """The study with the series that was read and those that were made."""
    first = instances[0]
    day = _day(first.get("StudyDate"))
    study: Json = {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": DICOM_UID, "value": f"urn:oid:{first.StudyInstanceUID}"}],
        "status": "available",
        "subject": _link(patient),
        "series": [_series(group) for group in (*_by_series(instances), *([one] for one in made))],
    }
    return study | ({"started": day} if day else {})


def _by_series(instances: Sequence[Dataset]) -> list[list[Dataset]]:
    """One group as a rule; some anonymisers give every slice a series of its own."""
    groups: dict[str, list[Dataset]] = {}
    for one in instances:
        groups.setdefault(str(one.SeriesInstanceUID), []).append(one)
    return list(groups.values())


def _series(instances: Sequence[Dataset]) -> Json:
    first = instances[0]
    modality = str(first.Modality)
    return {
        "uid": str(first.SeriesInstanceUID),
        "modality": {"system": SYSTEMS["DCM"], "code": modality},
        "numberOfInstances": len(instances),
        "instance": [
            {
                "uid": str(one.SOPInstanceUID),
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{one.SOPClassUID}"},
            }
            for one in instances
        ],
    }


def _category() -> Json:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {"system": system, "code": "imaging", "display": "Imaging"}


def _absent(because: list[str]) -> Json:
    system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    coding = {"system": system, "code": "not-performed", "display": "Not Performed"}
    return {"coding": [coding], "text": " ".join(because) or "Withheld."}


def _concept(code: Code) -> Json:
    coding = {"system": SYSTEMS[code.scheme_designator], "code": code.value, "display": code.meaning}
    return {"coding": [coding], "text": code.meaning}


def _concept_of(coding: Json) -> Json:
    return {"coding": [coding]}


def _quantity(value: float, unit: Code) -> Json:
    return {"value": value, "unit": unit.meaning, "system": UCUM, "code": unit.value}


def _identifier(uid: str) -> Json:
    return {"system": DICOM_UID, "value": f"urn:oid:{uid}"}


def _link(to: str) -> Json:
    return {"reference": to}


def _day(date: Any) -> str | None:
    """A DICOM date as FHIR writes it; None for one that is none."""
    digits = str(date or "")
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if len(digits) == 8 and digits.isdigit() else None
