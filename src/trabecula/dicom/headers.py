"""What a CT's headers say of how it was made, and the doubts that follow from it."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydicom import Dataset

from trabecula.dicom.decimals import decimal
from trabecula.dicom.parts import has_items
from trabecula.records import Acquisition, Reason, reason

REFERENCE_KVP = 120.0
THICK_SLICE_MM = 5.0
DAY_S = 86_400.0
LIKELY_DELAY_S = (8.0, 1800.0)
"""Before, nothing has reached the aorta; a start that was written when the injector was armed lies far back."""
DAYS = ("AcquisitionDate", "SeriesDate", "StudyDate")
"""When a scan was made, the most exact first."""


@dataclass(frozen=True)
class Phase:
    """What may differ between images of one series that lie at one place."""

    acquisition: str
    image_type: tuple[str, ...]
    kernel: tuple[str, ...]
    kvp: float | None
    thickness_mm: float | None
    contrast_agent: str | None
    taken_at: float | None  # seconds of the day


def text(value: Any) -> str | None:
    """A header's value as one short printable line, or None when it is empty."""
    if value is None:
        return None
    parts = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    line = " ".join(str(part) for part in parts)
    return "".join(c for c in line if c.isprintable()).strip()[:64] or None


def written(dataset: Dataset, keyword: str) -> str:
    """A header as its bytes stand, without padding; quick, and enough to tell whether two are the same."""
    item = dataset.get_item(keyword)
    value = None if item is None else item.value
    return value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else text(value) or ""


def words(value: Any) -> tuple[str, ...]:
    """A multi-valued code string as its words, in capitals."""
    return tuple((text(value) or "").upper().split())


def phase_of(dataset: Dataset, facts: Dataset) -> Phase:
    """``facts`` are the instance itself or the flattened functional groups of one of its frames."""

    def either(keyword: str) -> Any:
        return facts.get(keyword) or dataset.get(keyword)

    def first(keyword: str) -> float | None:
        found = decimal(facts, keyword)
        return decimal(dataset, keyword) if found is None else found

    agent = text(either("ContrastBolusAgent"))
    if agent is None and (
        has_items(facts, "ContrastBolusUsageSequence") or has_items(dataset, "ContrastBolusAgentSequence")
    ):
        agent = "recorded"
    return Phase(
        acquisition=text(facts.get("FrameAcquisitionNumber") or dataset.get("AcquisitionNumber")) or "",
        image_type=words(either("ImageType")),
        kernel=tuple(part for part in (text(v) for v in _several(either("ConvolutionKernel"))) if part),
        kvp=first("KVP"),
        thickness_mm=first("SliceThickness"),
        contrast_agent=None if (agent or "").upper() in ("", "NONE", "NO") else agent,
        taken_at=_seconds(dataset.get("ContentTime") or dataset.get("AcquisitionTime")),
    )


def is_sharp(manufacturer: str | None, kernel: tuple[str, ...]) -> bool:
    """Whether a reconstruction kernel is one for bone or lung, by the names its vendor uses."""
    maker = (manufacturer or "").upper()
    for name in (part.upper() for part in kernel):
        if "SIEMENS" in maker:
            # body and head kernels are numbered by sharpness: B30f smooth ... B70f, Br64, Bl57 sharp
            found = re.match(r"[A-Z]{1,2}(\d{2})", name)
            if found and int(found.group(1)) >= 55:
                return True
        elif "GE" in maker.split() or maker.startswith("GE"):
            if any(word in name for word in ("BONE", "LUNG", "EDGE", "ULTRA")):
                return True
        elif "PHILIPS" in maker:
            if re.fullmatch(r"D|E|F|L|Y[A-E]|UD|SHARP.*|LUNG.*|BONE.*", name):
                return True
        elif "TOSHIBA" in maker or "CANON" in maker:
            found = re.match(r"FC(\d{2})", name)
            if found and (30 <= int(found.group(1)) <= 39 or int(found.group(1)) >= 50):
                return True
        elif re.search(r"BONE|LUNG|SHARP|EDGE", name):
            return True
    return False


def acquisition_of(dataset: Dataset, phase: Phase) -> Acquisition:
    """The part of the headers that a result may carry: no name or number of the patient, and no day but the scan's."""
    sex = text(dataset.get("PatientSex"))
    return Acquisition(
        source="dicom",
        manufacturer=text(dataset.get("Manufacturer")),
        model=text(dataset.get("ManufacturerModelName")),
        tube_voltage_kvp=phase.kvp,
        kernel=" ".join(phase.kernel) or None,
        slice_thickness_mm=phase.thickness_mm,
        filter_material=text(dataset.get("FilterMaterial")) or text(dataset.get("FilterType")),
        station=text(dataset.get("StationName")),
        contrast_agent=phase.contrast_agent,
        contrast_delay_s=_contrast_delay_s(dataset),
        series_description=text(dataset.get("SeriesDescription")),
        study_instance_uid=_uid(dataset.get("StudyInstanceUID")),
        series_instance_uid=_uid(dataset.get("SeriesInstanceUID")),
        patient_sex=sex if sex in ("F", "M", "O") else None,
        patient_age_years=_years(text(dataset.get("PatientAge"))),
        scanned_on=next(filter(None, (day(dataset.get(name)) for name in DAYS)), None),
    )


def day(value: Any) -> str | None:
    """A DICOM date as YYYY-MM-DD; None for one that is none."""
    digits = str(value or "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).isoformat() if len(digits) == 8 else None
    except ValueError:
        return None


def acquisition_reasons(acquisition: Acquisition, kernel: tuple[str, ...]) -> list[Reason]:
    """The doubts that follow from the headers alone."""
    reasons = []
    thickness, kvp = acquisition.slice_thickness_mm, acquisition.tube_voltage_kvp
    if thickness is not None and thickness >= THICK_SLICE_MM:
        reasons.append(reason("thick-slices.slices", thickness_mm=thickness, limit_mm=THICK_SLICE_MM))
    if is_sharp(acquisition.manufacturer, kernel):
        reasons.append(reason("sharp-kernel", kernel=" ".join(kernel)))
    if kvp is None:
        reasons.append(reason("tube-voltage-unknown"))
    elif kvp != REFERENCE_KVP:
        reasons.append(reason("tube-voltage", voltage_kvp=kvp))
    if acquisition.contrast_agent is not None:
        reasons.append(reason("contrast-agent-recorded"))
    return reasons


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if hasattr(value, "append") else [value]


def _uid(value: Any) -> str | None:
    """A UID that is one: digits and dots, so that it can never name a path."""
    uid = str(value or "")
    return uid if re.fullmatch(r"[0-9]+(\.[0-9]+)*", uid) and len(uid) <= 64 else None


def _years(age: str | None) -> float | None:
    found = re.fullmatch(r"(\d{1,3})([YMWD])", age or "")
    if not found:
        return None
    return round(int(found.group(1)) / {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}[found.group(2)], 2)


def _contrast_delay_s(dataset: Dataset) -> float | None:
    """Seconds from the start of the injection to the image; None where it is not told or cannot be."""
    start, taken = _seconds(dataset.get("ContrastBolusStartTime")), _seconds(dataset.get("AcquisitionTime"))
    if start is None or taken is None:
        return None
    delay = (taken - start) % DAY_S
    return delay if LIKELY_DELAY_S[0] <= delay <= LIKELY_DELAY_S[1] else None


def _seconds(time: Any) -> float | None:
    found = re.match(r"(\d{2})(\d{2})(\d{2}(?:\.\d+)?)", str(time or ""))
    return None if not found else int(found.group(1)) * 3600 + int(found.group(2)) * 60 + float(found.group(3))
