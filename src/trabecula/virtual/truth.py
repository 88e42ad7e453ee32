"""All that is known of a virtual patient and its scans, as plain values for ``truth.json``.

Densities are in mg/cm3, lengths in mm, places in LPS.
"""

from dataclasses import asdict
from typing import Any

from trabecula.anatomy import Level
from trabecula.virtual import GENERATOR_VERSION
from trabecula.virtual.attenuation import behind, yellow_shift_hu
from trabecula.virtual.cohort import VirtualCt, is_whole
from trabecula.virtual.counting import counting_truth
from trabecula.virtual.drawn import DXA_LEVELS, LevelTruth
from trabecula.virtual.dxa import measure_dxa
from trabecula.virtual.findings import NOTHING
from trabecula.virtual.phantom import RODS, rod_paths
from trabecula.virtual.qct import read_qct
from trabecula.virtual.rescan import Rescan
from trabecula.virtual.subject import Subject, VertebraShape
from trabecula.virtual.tissue import enhancement
from trabecula.virtual.trunk import water_path_mm
from trabecula.volume import Point

Json = dict[str, Any]


def truth(ct: VirtualCt, again: VirtualCt | None = None, what: Rescan | None = None) -> Json:
    """What is true of a person and its scan, and of a second scan of it."""
    subject = ct.subject
    measured = {level.value for level in ct.truth}
    document: Json = {
        "schema": "trabecula.truth/1",
        "generator": GENERATOR_VERSION,
        "simulated": True,
        "seed": subject.seed,
        "family": subject.family,
        "sex": subject.sex,
        "age_years": round(subject.age_years, 1),
        "yellow_marrow_fraction": round(subject.yellow_marrow, 3),
        "yellow_marrow_shift_hu": round(yellow_shift_hu(subject.seed), 1),
        "water_path_mm": round(water_path_mm(subject), 1),
        "numbering": subject.numbering.value,
        "counting": _counting(subject),
        "dxa": _dxa(subject, ct.truth),
        **_scan(ct),
        "levels": {
            level.value: _vertebra(subject.vertebra(level)) | _densities(true) | _view(ct, level.verse_id)
            for level, true in ct.truth.items()
        },
        "other_vertebrae": {
            v.name: _vertebra(v) | _view(ct, v.verse_id)
            for v in subject.spine
            if v.name not in measured and (ct.vertebrae == v.verse_id).any()
        },
        "rescan": None,
    }
    if again is not None:
        levels = {level.value: _view(again, level.verse_id) for level in again.truth}
        document["rescan"] = {"what": what, **_scan(again), "levels": levels}
    return document


def _scan(ct: VirtualCt) -> Json:
    """One scan: how it was made, the phantom in it and the virtual QCT reading."""
    reading = read_qct(ct)
    beam = behind(ct.protocol.kvp, water_path_mm(ct.subject), ct.protocol.slope)
    rods = [
        {
            "k2hpo4_mg_cm3": rod.k2hpo4_mg_cm3,
            "water_mg_cm3": rod.water_mg_cm3,
            "from_lps_mm": [round(v, 1) for v in low],
            "to_lps_mm": [round(v, 1) for v in high],
        }
        for rod, (low, high) in zip(RODS, rod_paths(ct.subject), strict=True)
    ]
    return {
        "contrast_phase": ct.subject.phase,
        "marrow_enhancement_hu": round(enhancement(ct.subject, beam).marrow, 1),
        "protocol": asdict(ct.protocol),
        "phantom_rods": rods if ct.protocol.phantom else [],
        "qct": {
            "phantom": reading.phantom,
            "slope_hu_cm3_mg": round(reading.line.slope_hu_cm3_mg, 4),
            "offset_hu": round(reading.line.offset_hu, 2),
            "rod_hu": [round(hu, 1) for hu in reading.rod_hu],
            "bmd_k2hpo4": _rounded(reading.bmd_k2hpo4),
            "bmd_hydroxyapatite": _rounded(reading.bmd_hydroxyapatite),
        },
    }


def _vertebra(v: VertebraShape) -> Json:
    nothing = asdict(NOTHING)
    findings = {name: value for name, value in asdict(v.findings).items() if value != nothing[name]}
    return {"verse_id": v.verse_id, "centre_lps_mm": _place(v.centre_lps_mm), "findings": findings}


def _densities(true: LevelTruth) -> Json:
    return {
        "bmd_k2hpo4": round(true.bmd_k2hpo4, 2),
        "bmd_qct_region_k2hpo4": round(true.bmd_qct_region_k2hpo4, 2),
        "bmd_hydroxyapatite": round(true.bmd_hydroxyapatite, 2),
        "areal_bmd_g_cm2": round(true.mineral_g / true.projected_cm2, 4),
        "trabecular_mm3": round(true.trabecular_mm3),
        "body_mm3": round(true.body_mm3),
    }


def _view(ct: VirtualCt, verse_id: int) -> Json:
    """Of a vertebra with its arch, and whether its body is whole: a spinous process may hang out of view alone."""
    return {
        "in_view": bool((ct.vertebrae == verse_id).any()),
        "cut_by_view": ct.cut_by_view(verse_id),
        "body_whole": is_whole(ct.bodies, verse_id),
    }


def _counting(subject: Subject) -> Json:
    """What vertebrae are counted by, in view or not."""
    true = counting_truth(subject)
    return {
        "first_rib": true.first_rib,
        "sacrum": true.sacrum,
        "castellvi": true.castellvi or None,
        "castellvi_right_left": list(true.castellvi_sides),
        "iliac_crests_lps_mm": [_place(crest) for crest in true.iliac_crests_lps_mm],
        "bodies": {
            body.name: {
                "verse_id": body.verse_id,
                "centre_lps_mm": _place(body.centre_lps_mm),
                "rib_right_left_mm": [round(mm, 1) for mm in body.rib_mm],
            }
            for body in true.bodies
        },
    }


def _place(lps_mm: Point) -> list[float]:
    return [round(value, 2) for value in lps_mm]


def _dxa(subject: Subject, true: dict[Level, LevelTruth]) -> Json:
    """The exact areal BMD, and what one DXA examination made of it."""
    found = measure_dxa(subject, true)
    return {
        "levels": list(DXA_LEVELS),
        "areal_bmd_g_cm2": None if found is None else round(found.exact_g_cm2, 4),
        "measured_g_cm2": None if found is None else round(found.measured_g_cm2, 4),
    }


def _rounded(by_level: dict[Level, float]) -> dict[str, float]:
    return {level.value: round(value, 2) for level, value in by_level.items()}
