"""report.html: the assessment as one page for people, self-contained and printable on A4."""

import math
import struct
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trabecula.flow.document import BANDS_MG_CM3, plain, rounded_bmd
from trabecula.records import Assessment, Diagnosis, VertebraDensity

RESEARCH_ONLY = "Research use only."
NO_RULING_OUT = "This result cannot be used to rule out low BMD."
TEMPLATES = Path(__file__).parent / "templates"
BAND_STEP_MG_CM3 = 20.0
"""To which the ends of the band figure are rounded."""

CALIBRATION_WORDS = {
    "rung": "Method",
    "material": "Reference material",
    "slope_hu_cm3_mg": "Slope",
    "offset_hu": "Offset",
    "tube_voltage_kvp": "Tube voltage",
    "systematic_sd_fraction": "Systematic error, 1 SD",
    "simulated_sd_mg_cm3": "Simulated error, 1 SD",
}
CALIBRATION_UNITS = {
    "slope_hu_cm3_mg": " HU per mg/cm³",
    "offset_hu": " HU",
    "tube_voltage_kvp": " kVp",
    "simulated_sd_mg_cm3": " mg/cm³",
}


def page(assessment: Assessment, run: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The HTML text; every picture is part of it and nothing is fetched from elsewhere."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("report.html").render(
        research_only=RESEARCH_ONLY,
        no_ruling_out=NO_RULING_OUT,
        result=_result(assessment.diagnosis),
        bands=_bands(assessment.diagnosis),
        vertebrae=[_vertebra(v, assessment.diagnosis) for v in assessment.densities.vertebrae],
        reasons=assessment.reasons,
        views=[_picture(name, pictures[name]) for name in ("sagittal.png", "coronal.png")],
        axial=[_picture(name, data) for name, data in pictures.items() if name.startswith("axial-")],
        in_view=", ".join(box.level for box in assessment.spine.vertebrae),
        acquisition=_acquisition(assessment),
        calibration=_calibration(assessment.densities.calibration),
        run=_run(run, assessment),
    )


def _result(diagnosis: Diagnosis) -> dict[str, Any]:
    """The answer in words; ``number`` is None where there is no category."""
    levels = _listed([str(level) for level in diagnosis.levels_used])
    bmd, interval = diagnosis.bmd_mg_cm3, diagnosis.bmd_interval_mg_cm3
    low, high = (f"{edge:g}" for edge in BANDS_MG_CM3)
    where = {
        "osteoporosis": f"below {low} mg/cm³, in the osteoporosis band",
        "osteopenia": f"between {low} and {high} mg/cm³, in the osteopenia band",
        "normal": f"above {high} mg/cm³, in the normal band",
    }
    likely = sorted(plain(diagnosis.probabilities).items(), key=lambda item: -item[1])
    return {
        "category": diagnosis.category.capitalize(),
        "undetermined": bmd is None,
        "number": None if bmd is None else f"{rounded_bmd(bmd, 1)}",
        "interval": None if interval is None else f"{interval[0]:.0f} to {interval[1]:.0f}",
        "levels": f"Levels {'measured' if bmd is None else 'used'}: {levels or 'none'}",
        "sentence": "No category could be determined; the reasons are given below."
        if bmd is None
        else f"The mean BMD of {levels} lies {where[diagnosis.category]}.",
        "probabilities": ", ".join(f"{category} {_percent(share)}" for category, share in likely),
    }


def _bands(diagnosis: Diagnosis) -> dict[str, Any]:
    """The band figure: each band's share of the width, and where the value and its interval lie, in percent."""
    bmd, interval = diagnosis.bmd_mg_cm3, diagnosis.bmd_interval_mg_cm3
    reach = [value for value in (bmd, *(interval or ())) if value is not None]
    step = BAND_STEP_MG_CM3
    first = min(0.0, math.floor(min(reach, default=0.0) / step) * step)
    last = max(200.0, math.ceil(max(reach, default=0.0) / step) * step)
    low, high = BANDS_MG_CM3

    def share(value: float) -> float:
        return round(100 * (value - first) / (last - first), 2)

    zones = (
        ("osteoporosis", "Osteoporosis", f"below {low:g}", first, low),
        ("osteopenia", "Osteopenia", f"{low:g} to {high:g}", low, high),
        ("normal", "Normal", f"above {high:g}", high, last),
    )
    return {
        "zones": [
            {
                "key": key,
                "name": name,
                "range": text,
                "width": share(end) - share(start),
                "here": diagnosis.category == key,
            }
            for key, name, text, start, end in zones
        ],
        "ticks": [{"at": share(value), "text": f"{value:g}"} for value in (first, low, high, last)],
        "at": None if bmd is None else share(bmd),
        "from": None if interval is None else share(interval[0]),
        "width": None if interval is None else share(interval[1]) - share(interval[0]),
    }


def _vertebra(vertebra: VertebraDensity, diagnosis: Diagnosis) -> dict[str, Any]:
    """One row of the table, and what is to be said of it below."""
    bmd, interval = vertebra.bmd_mg_cm3, vertebra.bmd_interval_mg_cm3
    used = diagnosis.bmd_mg_cm3 is not None and vertebra.level in diagnosis.levels_used
    return {
        "level": str(vertebra.level),
        "measurable": vertebra.measurable,
        "standing": "used" if used else "not used" if vertebra.measurable else "withheld",
        "bmd": None if bmd is None else f"{rounded_bmd(bmd, 1)}",
        "interval": "-" if interval is None else f"{interval[0]:.0f} to {interval[1]:.0f}",
        "mean_hu": _number(vertebra.mean_hu, 0),
        "sd_hu": _number(vertebra.sd_hu, 0),
        "volume_cm3": _number(vertebra.volume_mm3 / 1000, 1),
        "reasons": vertebra.reasons,
    }


def _acquisition(assessment: Assessment) -> list[tuple[str, str]]:
    """What the headers say, and the grid. A silent header is said to be silent."""
    said = assessment.scan.acquisition
    depth, rows, columns = assessment.scan.volume.shape
    step, row, column = assessment.scan.volume.spacing_mm
    scanner = " ".join(part for part in (said.manufacturer, said.model) if part)
    patient = ", ".join(
        part
        for part in (
            {"F": "female", "M": "male", "O": "other"}.get(said.patient_sex or ""),
            None if said.patient_age_years is None else f"{said.patient_age_years:.0f} years",
        )
        if part
    )
    return [
        ("Given as", {"dicom": "DICOM", "nifti": "NIfTI", "nrrd": "NRRD"}.get(said.source, said.source)),
        ("Patient", patient or "not recorded"),
        ("Scanner", scanner or "not recorded"),
        ("Tube voltage", _with_unit(said.tube_voltage_kvp, "kVp")),
        ("Kernel", said.kernel or "not recorded"),
        ("Slice thickness", _with_unit(said.slice_thickness_mm, "mm")),
        ("Voxels", f"{columns} x {rows} x {depth}"),
        ("Voxel size", f"{column:.2f} x {row:.2f} x {step:.2f} mm"),
        ("Contrast medium", said.contrast_agent or "not recorded"),
        ("Series", said.series_description or "not recorded"),
    ]


def _calibration(calibration: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (CALIBRATION_WORDS.get(key, key.replace("_", " ").capitalize()), _calibration_value(key, value))
        for key, value in plain(calibration).items()
    ]


def _calibration_value(key: str, value: Any) -> str:
    if value is None:
        return "not recorded"
    if key.endswith("_fraction") and isinstance(value, int | float):
        return _percent(value)
    return _words(value) + CALIBRATION_UNITS.get(key, "")


def _run(run: Mapping[str, Any], assessment: Assessment) -> list[tuple[str, str]]:
    """The run record in short; assessment.json holds the whole of it."""
    seconds = [float(taken) for taken in run.get("seconds", {}).values()]
    weights = run.get("weights_sha256", {})
    facts = [
        ("Program", f"Trabecula {run.get('version', 'of unknown version')}"),
        ("Recipe", " · ".join(str(part) for part in (assessment.recipe, run.get("source")) if part)),
        ("Weights, sha256", ", ".join(f"{name} {str(digest)[:8]}" for name, digest in weights.items()) or "none"),
        ("Run on", ", ".join(str(part) for part in (run.get("device"), _python(run)) if part) or "not recorded"),
        ("Took", f"{sum(seconds):.1f} s before this report"),
        ("Written", str(run["written_utc"]).replace("T", " ").replace("+00:00", " UTC")),
    ]
    series = assessment.scan.acquisition.series_instance_uid
    return [*facts, ("Series UID", series)] if series else facts


def _python(run: Mapping[str, Any]) -> str | None:
    return f"Python {run['python']}" if "python" in run else None


def _words(value: Any) -> str:
    """A plain value in a line of text."""
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_words(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _percent(share: float) -> str:
    return "under 1%" if share < 0.005 else f"{100 * share:.0f}%"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _with_unit(value: float | None, unit: str) -> str:
    return "not recorded" if value is None else f"{value:g} {unit}"


def _picture(name: str, png: bytes) -> dict[str, Any]:
    """A picture as a data URI, with its size from the PNG's own header and what it shows in words."""
    width, height = struct.unpack(">II", png[16:24])
    plane, _, level = name.removesuffix(".png").partition("-")
    return {
        "uri": f"data:image/png;base64,{b64encode(png).decode('ascii')}",
        "width": width,
        "height": height,
        "shows": f"{plane.capitalize()} view {f'through {level}' if level else 'along the spine'}, regions outlined",
    }
