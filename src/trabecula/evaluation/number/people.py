"""One unseen virtual person, scanned as in practice and screened: what was read beside what QCT would read.

The truth is QCT's reading at 120 kVp with a phantom under the same back and no contrast medium, free of noise
(``virtual.qct.as_qct_reads``). Every line that the scan allows is kept, so that rungs are compared on the same people.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import MEASURED_LEVELS, Level
from trabecula.flow.calibrate.certificate import Certificate
from trabecula.flow.calibrate.certificate import Rod as CertifiedRod
from trabecula.flow.calibrate.ladder import LadderCalibration
from trabecula.line import screen
from trabecula.recipes import recipe_named
from trabecula.records import Acquisition, Calibration, Diagnosis, Readings, Scan
from trabecula.virtual.attenuation import behind
from trabecula.virtual.cohort import VirtualCt, scan_patient, true_levels
from trabecula.virtual.families import sample_person
from trabecula.virtual.findings import LEARNT, POPULATION, Rates
from trabecula.virtual.phantom import RODS
from trabecula.virtual.qct import as_qct_reads
from trabecula.virtual.rescan import Rescan, scan_again
from trabecula.virtual.scanner import KERNELS, Protocol, kernel_of, sample_protocol
from trabecula.virtual.subject import Subject
from trabecula.virtual.trunk import rod_path_mm
from trabecula.volume import Orientation

Json = dict[str, Any]

FIELDS = ((Level.T11, Level.L3), (Level.T12, Level.L4), (Level.T10, Level.L3))
SEEN = tuple(level for level in MEASURED_LEVELS if level is not Level.L5)
UNIFORM_MG_CM3 = (30.0, 220.0)
DIAGNOSED = (Level.L1, Level.L2)
PHANTOM = Certificate("virtual", "", tuple(CertifiedRod(rod.k2hpo4_mg_cm3, rod.water_mg_cm3) for rod in RODS))

AGAIN = (Rescan.SAME, Rescan.VOLTAGE, Rescan.SAME, Rescan.CONTRAST, Rescan.SAME, Rescan.KERNEL)
"""What is changed in those who are scanned once more, in turn."""


def examine(number: int, seed: int, family: str, twice_of: int = 4) -> Json:
    """One person's row; every second density is uniform, so that both bands and the normal range are met.

    The others are drawn by age and sex alone, as a screened population's are; one of ``twice_of`` is scanned twice.
    """
    person, protocol = sample(number, seed, family)
    field = FIELDS[number % len(FIELDS)]
    ct = scan_patient(person, protocol, *field, truth=true_levels(person, SEEN))
    mineral = {level: true.bmd_qct_region_k2hpo4 for level, true in ct.truth.items()}
    row = about(number, seed, person) | true_of(person, mineral) | {"scan": _read(ct)}
    if number % twice_of == 0:
        what = AGAIN[number // twice_of % len(AGAIN)]
        row |= {"again": str(what), "second": _read(scan_again(ct, what))}
    return row


def sample(number: int, seed: int, family: str, rates: Rates = LEARNT) -> tuple[Subject, Protocol]:
    """A person and how it is scanned: slices of 1.25 mm and more, for speed."""
    rng = np.random.default_rng([seed + number, 6])
    wished = float(rng.uniform(*UNIFORM_MG_CM3)) if number % 2 else None
    person = sample_person(seed + number, wished, rates, family)
    # Rods lie under every back, so that the lines with and without them are compared on the same scans.
    drawn = replace(sample_protocol(rng), flips=(False,) * 3, phantom=True)
    coarse = {name: max(getattr(drawn, name), 1.25) for name in ("thickness_mm", "increment_mm")}
    return person, replace(drawn, pixel_mm=max(drawn.pixel_mm, 0.75), **coarse)


def densities(people: int, seed: int = 923_000, least_age_years: float = 50.0) -> NDArray[np.float64]:
    """What QCT would read of L1 and L2 in people from 50 on, as they are drawn by age and sex: nobody is scanned."""
    found: list[float] = []
    while len(found) < people:
        person = sample_person(seed, rates=POPULATION)
        seed += 1
        if person.age_years >= least_age_years:
            read = [as_qct_reads(person, person.vertebra(one).bmd_k2hpo4) for one in DIAGNOSED]
            found.append(float(np.mean(read)))
    return np.array(found)


def about(number: int, seed: int, person: Subject) -> Json:
    """Who a row is of."""
    return {
        "person": f"{person.family}-{seed + number}",
        "family": person.family,
        "number": number,
        "uniform": bool(number % 2),
        "sex": person.sex,
        "age_years": round(person.age_years, 1),
        "half_width_mm": round(person.half_width_mm, 1),
        "half_depth_mm": round(person.half_depth_mm, 1),
        "fat_mm": round(person.fat_mm, 1),
        "fractured": [v.name for v in person.spine if v.findings.fracture_anterior or v.findings.fracture_middle],
    }


def true_of(person: Subject, mineral: dict[Level, float]) -> Json:
    """What QCT would read of every level, and of L1 and L2 together; ``mineral`` is that of QCT's regions."""
    qct = {level: as_qct_reads(person, bmd) for level, bmd in mineral.items()}
    return {
        "true": float(np.mean([qct[level] for level in DIAGNOSED])),
        "true_mineral": float(np.mean([mineral[level] for level in DIAGNOSED])),
        "true_levels": {level.value: value for level, value in qct.items()},
        "mineral_levels": {level.value: value for level, value in mineral.items()},
    }


def _read(ct: VirtualCt) -> Json:
    """One scan: how it was made, what the default recipe said, and every other line over the same regions."""
    protocol = ct.protocol
    header = Acquisition("virtual", tube_voltage_kvp=float(protocol.kvp), slice_thickness_mm=protocol.thickness_mm)
    scan = Scan(ct.volume, Orientation(), header)
    found = screen(scan, recipe_named("house"))
    lines = {
        "computed": found.calibration,
        "phantom": LadderCalibration(PHANTOM)(scan, found.spine, found.regions),
    }
    return {
        **made(protocol, ct.subject, lines),
        **answer(found.diagnosis),
        "reasons": [one.code for one in found.reasons],
        "levels": levels(found.readings, ct.subject),
    }


def answer(diagnosis: Diagnosis) -> Json:
    """What was said of L1 and L2 together."""
    density = diagnosis.density
    return {
        "mean": None if density is None else [density.value, *density.interval],
        "used": [level.value for level in diagnosis.levels_used],
        "probabilities": {str(key): share for key, share in diagnosis.probabilities.items()},
        "candidates": [str(one) for one in diagnosis.candidates],
    }


def made(protocol: Protocol, person: Subject, lines: dict[str, Calibration]) -> Json:
    """How a scan was made, what its scanner's own line is, and the lines that were found for it."""
    own = behind(protocol.kvp, rod_path_mm(person), protocol.slope)
    return {
        "phase": person.phase,
        "lines": {name: _line(line) for name, line in lines.items()},
        "kvp": protocol.kvp,
        "thickness_mm": protocol.thickness_mm,
        "kernel": KERNELS[kernel_of(protocol)],
        "noise_hu": round(protocol.noise_hu, 1),
        "view_mm": protocol.field_of_view_mm,
        "maker_slope": protocol.slope,
        "own_slope": own.slope_k2hpo4,
        "own_offset_hu": protocol.offset_hu,
        "own_path_mm": rod_path_mm(person),
    }


def _line(line: Calibration) -> Json:
    """A calibration as plain values: all that a density and its interval follow from."""
    return {
        "rung": line.rung.key,
        "slope": line.slope_hu_cm3_mg,
        "offset_hu": line.offset_hu,
        "slope_sd_fraction": line.systematic_sd_fraction,
        "offset_sd_hu": line.offset_sd_hu,
        "rise": line.contrast_rise,
        "rise_sd": line.contrast_rise_sd,
        "slope_range": line.slope_range,
        "facts": dict(line.facts),
        "rungs": [[r.name.key, r.slope_hu_cm3_mg, r.offset_hu, r.slope_sd_fraction] for r in line.rungs],
    }


def levels(readings: Readings, person: Subject) -> list[Json]:
    """Every vertebra that was read: its name, the one that lies there, and what it reads."""
    rows = []
    for one in readings.vertebrae:
        body = min(person.spine, key=lambda v: float(np.linalg.norm(np.array(v.centre_lps_mm) - one.centroid_lps_mm)))
        rows.append(
            {
                "level": one.level.value,
                "is": body.name,
                "withheld": one.withheld,
                "reasons": [reason.code for reason in one.reasons],
                "read_hu": one.read_hu,
                "whole_hu": one.mean_hu,
                "density": None if one.density is None else [one.density.value, *one.density.interval],
                "own_sd": None if one.density is None else one.density.own_sd,
                "opinions": {name: of.value for name, of in one.opinions.items()},
            }
        )
    return rows
