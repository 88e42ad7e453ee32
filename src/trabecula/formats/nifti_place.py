"""Where a NIfTI lies in the patient: its two forms, which of them holds, and whether they agree."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.quaternions import fillpositive, quat2mat

from trabecula.errors import refusal
from trabecula.formats.units import mm_per_unit
from trabecula.records import Effect, Reason, reason
from trabecula.volume import Float64

SCANNER_CODES, TEMPLATE_CODES = (1, 2), (3, 4, 5)
"""NIFTI_XFORM_SCANNER_ANAT and ALIGNED_ANAT are the patient's own millimetres; TALAIRACH, MNI_152 and TEMPLATE_OTHER
those of another head, to which the patient's may have been stretched."""

MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}  # NIFTI_UNITS_METER, _MM, _MICRON
SAME_PLACE_MM = 1.0
SAME_LENGTH_SHARE = 0.01
MIN_COSINE_OF_TURN = 0.7
"""Forms that differ in where the head or the back is by more than 45 degrees tell of two different patients' poses."""


@dataclass(frozen=True)
class Place:
    """The affine from an index (i, j, k) to RAS mm, and what must be said of it."""

    affine_ras: Float64
    reasons: tuple[Reason, ...]


def place_of(header: Any) -> Place:
    """By the standard's rule: the sform where its code is set, else the qform.

    The exception is a sform in the space of a template beside a qform in that of the scanner: only the latter's
    millimetres are the patient's.

    Raises:
        Refusal: neither code is set.
    """
    forms = {}
    if int(header["sform_code"]) > 0:
        forms["sform"] = _sform(header)
    if int(header["qform_code"]) > 0:
        forms["qform"] = _qform(header)
    if not forms:
        raise refusal("orientation-missing.nifti")
    used = next(iter(forms))
    if int(header["sform_code"]) in TEMPLATE_CODES and int(header["qform_code"]) in SCANNER_CODES:
        used = "qform"
    scale, reasons = mm_per_unit(MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0), forms[used])
    reasons += _disagreement(header, forms, used, scale)
    return Place(np.diag([scale, scale, scale, 1.0]) @ forms[used], tuple(reasons))


def _sform(header: Any) -> Float64:
    affine = np.eye(4)
    affine[:3] = [header["srow_x"], header["srow_y"], header["srow_z"]]
    return affine


def _qform(header: Any) -> Float64:
    """Method 2 of the standard: a quaternion, the voxel sizes, and a sign for the third axis (0 counts as +1)."""
    turn = quat2mat(
        fillpositive([float(header[name]) for name in ("quatern_b", "quatern_c", "quatern_d")], w2_thresh=-1e-5)
    )
    sizes = np.abs(np.asarray(header["pixdim"][1:4], float))
    sizes[2] *= -1 if float(header["pixdim"][0]) < 0 else 1
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(sizes)
    affine[:3, 3] = [float(header[name]) for name in ("qoffset_x", "qoffset_y", "qoffset_z")]
    return affine


def _disagreement(header: Any, forms: dict[str, Float64], used: str, scale: float) -> list[Reason]:
    """How far apart the forms place a corner of the grid; and whether the voxel sizes are those of the form used."""
    reasons = []
    if len(forms) == 2:
        ends = [(0, max(int(n) - 1, 0)) for n in header["dim"][1:4]]
        corners = np.array([(i, j, k, 1) for i in ends[0] for j in ends[1] for k in ends[2]], float).T
        apart_mm = scale * float(np.linalg.norm(((forms["sform"] - forms["qform"]) @ corners)[:3], axis=0).max())
        if not apart_mm <= SAME_PLACE_MM:
            other = "qform" if used == "sform" else "sform"
            shown = apart_mm if math.isfinite(apart_mm) else 0.0
            if _turned(forms["sform"], forms["qform"]):
                return [
                    reason(
                        "orientation-forms-disagree.turned", Effect.WITHHOLD, used=used, other=other, length_mm=shown
                    )
                ]
            return [reason("orientation-forms-disagree", used=used, other=other, length_mm=shown)]
    sizes, lengths = np.abs(np.asarray(header["pixdim"][1:4], float)), np.linalg.norm(forms[used][:3, :3], axis=0)
    unset = np.isin(sizes, (0.0, 1.0)).all()
    if not unset and not (np.abs(sizes - lengths) <= SAME_LENGTH_SHARE * lengths).all():
        told = " x ".join(f"{n:.3g}" for n in sizes * scale), " x ".join(f"{n:.3g}" for n in lengths * scale)
        reasons.append(reason("voxel-sizes-disagree", sizes=told[0], used=used, lengths=told[1]))
    return reasons


def _turned(one: Float64, other: Float64) -> bool:
    """Whether head and feet, or front and back, lie elsewhere by one form than by the other: no name would be sure."""
    axes = [form[:3, :3] / np.linalg.norm(form[:3, :3], axis=0) for form in (one, other)]
    turn = axes[0] @ np.linalg.pinv(axes[1])
    return not bool(turn[1, 1] >= MIN_COSINE_OF_TURN and turn[2, 2] >= MIN_COSINE_OF_TURN)
