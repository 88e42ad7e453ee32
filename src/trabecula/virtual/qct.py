"""A virtual QCT examination: what a reader with a calibration phantom finds on a virtual CT.

Rods and vertebral regions are averaged on the noisy scan. Where no phantom was scanned with the patient, the line is
that of a perfect phantom scan on the same machine, as asynchronous QCT has it.
"""

from dataclasses import dataclass

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.attenuation import REFERENCE_KVP, TABLE, BoneScale, behind, yellow_shift_hu
from trabecula.virtual.cohort import VirtualCt
from trabecula.virtual.phantom import RODS, CalibrationLine, calibrate, rod_paths
from trabecula.virtual.subject import Subject
from trabecula.virtual.trunk import bone_path_g_cm2, rod_path_mm, water_path_mm
from trabecula.volume import Point

ROD_REGION_MM = 6.0
"""Radius of the region read in a rod of 9 mm: what the blurred edge leaves."""


@dataclass(frozen=True)
class QctReading:
    """A calibration line, the rods it comes from, and BMD by level in mg/cm3 of both materials."""

    phantom: str  # "in the scan" or "ideal"
    line: CalibrationLine
    rod_hu: tuple[float, ...]
    bmd_k2hpo4: dict[Level, float]
    bmd_hydroxyapatite: dict[Level, float]


def read_qct(ct: VirtualCt) -> QctReading:
    """Reads every vertebra whose QCT region is in view."""
    beam = behind(ct.protocol.kvp, rod_path_mm(ct.subject), ct.protocol.slope)
    rod_hu = _measured_rods(ct) if ct.protocol.phantom else None
    phantom = "in the scan" if rod_hu else "ideal"
    ideal = CalibrationLine(beam.slope_k2hpo4, ct.protocol.offset_hu)
    rod_hu = rod_hu or [ideal.rod_hu(rod) for rod in RODS]
    line = calibrate(rod_hu)
    hu = {
        level: float(ct.volume.hu[mask].mean(dtype=float))
        for level in ct.truth
        if (mask := ct.qct_regions == level.verse_id).any()
    }
    k2hpo4 = {level: line.bmd_mg_cm3(value) for level, value in hu.items()}
    # A phantom of hydroxyapatite in water reads the same HU on another scale.
    ratio = beam.slope_k2hpo4 / beam.slope_ha_water
    hydroxyapatite = {level: value * ratio for level, value in k2hpo4.items()}
    return QctReading(phantom, line, tuple(rod_hu), k2hpo4, hydroxyapatite)


def as_qct_reads(subject: Subject, bmd_k2hpo4: float) -> float:
    """What QCT at 120 kVp makes of a density (mg/cm3 K2HPO4) with a phantom under this very patient's back.

    Bone hardens the beam on its way to spongy bone, which the rods do not see: dense bone reads lower than its mineral.
    The bands of spinal QCT were drawn on such readings.
    """
    hardened = behind(REFERENCE_KVP, water_path_mm(subject), 1.0, bone_path_g_cm2(subject))
    bone = BoneScale.to(hardened, subject.yellow_marrow, yellow_shift_hu(subject.seed))
    hu = bone.offset_hu + bone.slope * bmd_k2hpo4 * TABLE[REFERENCE_KVP].slope_k2hpo4
    return hu / behind(REFERENCE_KVP, rod_path_mm(subject)).slope_k2hpo4


def _measured_rods(ct: VirtualCt) -> list[float] | None:
    """Mean HU of each rod along its part in view, or None where one is not in view."""
    means = [_along(ct, path) for path in rod_paths(ct.subject)]
    seen = [mean for mean in means if mean is not None]
    return seen if len(seen) == len(means) else None


def _along(ct: VirtualCt, path: tuple[Point, Point]) -> float | None:
    """The mean over a cylinder in the middle of a rod, which runs along the long axis."""
    (x, y, low), (_, _, high) = path
    ends = ct.volume.to_index(np.array([[x, y, low + 3], [x, y, high - 3]]))
    first, last = int(np.ceil(ends[0, 0])), int(np.floor(ends[1, 0]))
    first, last = max(first, 0), min(last, ct.volume.shape[0] - 1)
    reach = ROD_REGION_MM / ct.volume.spacing_mm[1]
    row, column = ends[0, 1:]
    _, rows, columns = ct.volume.shape
    if first > last or not (reach < row < rows - 1 - reach and reach < column < columns - 1 - reach):
        return None
    y_index, x_index = np.ogrid[:rows, :columns]
    inside = (y_index - row) ** 2 + (x_index - column) ** 2 <= reach**2
    return float(ct.volume.hu[first : last + 1][:, inside].mean(dtype=float))
