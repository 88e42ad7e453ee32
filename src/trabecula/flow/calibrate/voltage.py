"""The lowest rung of the ladder: the line computed for the tube voltage, its filter and the patient's size."""

import re
from math import hypot

from trabecula.flow.calibrate.beam import REFERENCE_KVP, Beam
from trabecula.flow.calibrate.size import HARDENING_SHARE, HARDENING_SHARE_SD
from trabecula.messages import Phrase
from trabecula.quantity import Interval
from trabecula.records import Acquisition, Rung

MAKERS_SD_FRACTION = 0.045
"""Between makers' scanners: 4.9% in routine CT (s41747-024-00483-9), part of it the patient's position."""

PATH_EXPONENT = 0.19
"""Mineral shows less by this power of the water path."""

SLOPE_SD_FRACTION = hypot(MAKERS_SD_FRACTION, PATH_EXPONENT * HARDENING_SHARE_SD / HARDENING_SHARE)

SIZE_UNKNOWN_SD_FRACTION = 0.03
"""What a body cut off by the view adds: its water path may lie 60 mm either way."""

UNKNOWN_SD_FRACTION = 0.06
OFFSET_SD_HU = 4.0
"""Water may read this far from 0 in a well-kept scanner (acceptance tests allow 4 to 5 HU)."""

POSSIBLE_KVP = (80.0, 140.0)
"""What a scan whose voltage is not known may have been made at."""

OLDER_TIN_MM, TIN_MM = 0.4, 0.6
_TIN = re.compile(r"(?<![a-z])sn ?[0-9]{2,3}|\btin\b", re.IGNORECASE)


def tin_filter_mm(acquisition: Acquisition) -> float:
    """Thickness of the tin in the beam by the headers, mm: 0 where none is named."""
    named = (acquisition.filter_material, acquisition.series_description)
    if not any(_TIN.search(text or "") for text in named):
        return 0.0
    return OLDER_TIN_MM if "definition" in (acquisition.model or "").lower() else TIN_MM


def beam_of(acquisition: Acquisition, path_mm: float) -> Beam | None:
    """The beam that the headers tell of; None where they do not, or nothing is computed for it."""
    if acquisition.tube_voltage_kvp is None:
        return None
    try:
        return Beam(acquisition.tube_voltage_kvp, path_mm, tin_filter_mm(acquisition))
    except ValueError:
        return None


def voltage_rung(beam: Beam | None, path_mm: float, size_known: bool) -> Rung:
    """The computed line; that of 120 kVp where the beam is not known."""
    sd = SLOPE_SD_FRACTION if size_known else (SLOPE_SD_FRACTION**2 + SIZE_UNKNOWN_SD_FRACTION**2) ** 0.5
    if beam is None:
        slope = Beam(REFERENCE_KVP, path_mm).slope_k2hpo4
        return Rung(Phrase("rung-assumed"), slope, 0.0, UNKNOWN_SD_FRACTION, OFFSET_SD_HU)
    return Rung(Phrase("rung-default"), beam.slope_k2hpo4, beam.marrow_shift_hu, sd, OFFSET_SD_HU)


def possible_slopes(path_mm: float) -> Interval:
    """The slopes of the voltages that an unknown one may be, steepest first."""
    low, high = (Beam(kvp, path_mm).slope_k2hpo4 for kvp in POSSIBLE_KVP)
    return low, high


def to_reference_voltage(kvp: float | None, path_mm: float = 200.0) -> float:
    """What bone's HU must be multiplied by to look as at 120 kVp, the voltage that networks are trained at.

    Raises:
        ValueError: a voltage outside 70 to 150 kVp.
    """
    if kvp is None:
        return 1.0
    return Beam(REFERENCE_KVP, path_mm).slope_k2hpo4 / Beam(kvp, path_mm).slope_k2hpo4
