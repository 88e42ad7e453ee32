"""Stage 1: whatever a CT was given as, as a scan in Hounsfield units on a known grid, or a refusal."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from trabecula.dicom.reader import read_dicom
from trabecula.errors import Refusal, refusal
from trabecula.formats import nifti, nrrd
from trabecula.formats.archive import nested
from trabecula.formats.opened import Opened, opened, told_as_missing
from trabecula.messages import Phrase
from trabecula.records import Reason, Scan, reason
from trabecula.volume import Volume

FileProgress = Callable[[int, int], None]

SHORT_COVERAGE_MM = 30.0
WIDE_STEP_MM = 6.0
THICK_STEP_MM = 5.0
MAX_OBLIQUITY_DEGREES = 20.0

AIR_HU, FAT_HU, SOFT_TISSUE_HU, BONE_HU = (-1100.0, -850.0), (-150.0, -40.0), (-150.0, 150.0), 250.0
MIN_AIR_SHARE, MIN_FAT_SHARE, MIN_BONE_SHARE, MIN_SOFT_TISSUE_SHARE = 0.002, 0.02, 0.002, 0.3
MAX_SATURATED_SHARE = 0.01


def read(path: Path, progress: FileProgress = lambda done, total: None) -> Scan:
    """A CT from a DICOM folder or file, a zip of a folder, a NIfTI or an NRRD. ``progress`` counts files.

    Raises:
        WrongUsage: there is no file or folder at ``path``, it may not be read, or the temporary disk is full.
        Refusal: it is no CT, or none that can be read without guessing.
    """
    with opened(path) as given:
        return read_opened(given, progress)


def read_opened(given: Opened, progress: FileProgress = lambda done, total: None) -> Scan:
    """As ``read``, from what is open already."""
    try:
        with told_as_missing(given.path):
            scan = _read(given, progress)
    except MemoryError as error:
        raise refusal("too-large.machine") from error
    require_hounsfield(scan.volume)
    return replace(scan, reasons=(*scan.reasons, *_reasons(scan)))


def _read(given: Opened, progress: FileProgress) -> Scan:
    if given.kind == "dicom":
        try:
            return read_dicom(given.files, progress, given.budget)
        except Refusal as error:
            raise (refusal("archive-nested") if error.code == "no-dicom" and nested(given.files) else error) from None
    image = given.files[0]
    read_image = nifti.read_nifti if given.kind == "nifti" else nrrd.read_nrrd
    scan = read_image(image, given.budget)
    progress(1, 1)
    if not given.left_out:
        return scan
    others = Phrase("left-out-other", {"number": given.left_out})
    return replace(scan, reasons=(*scan.reasons, reason("files-left-out", kinds=(others,))))


def require_hounsfield(volume: Volume) -> None:
    """Refuse values that cannot be Hounsfield units: without air near -1000 (or fat, in a close crop) and soft tissue.

    Raises:
        Refusal: the intensities are on another scale, or cut off to a display window.
    """
    step = max(1, round((volume.hu.size / 4e6) ** (1 / 3)))
    hu = volume.hu[::step, ::step, ::step]
    low, high = float(hu.min()), float(hu.max())
    air = _share(hu, *AIR_HU)
    inside = hu[hu > -400]
    soft_tissue = _share(inside, *SOFT_TISSUE_HU) if inside.size else 0.0
    # a crop of the spine alone may hold no air; fat and dense bone together still fix both ends of the scale
    cropped = _share(hu, *FAT_HU) > MIN_FAT_SHARE and float((hu > BONE_HU).mean()) > MIN_BONE_SHARE
    if (air < MIN_AIR_SHARE and not cropped) or soft_tissue < MIN_SOFT_TISSUE_SHARE:
        raise refusal("not-hounsfield-units.range", low=low, high=high)
    if float((hu == high).mean()) > MAX_SATURATED_SHARE or (air < MIN_AIR_SHARE and _share(hu, low, low) > 0.01):
        raise refusal("intensities-clipped", low=low, high=high)


def _share(hu: np.ndarray[tuple[int, ...], np.dtype[np.float32]], low: float, high: float) -> float:
    return float(((hu >= low) & (hu <= high)).mean())


def _reasons(scan: Scan) -> list[Reason]:
    """The doubts that follow from the grid, or from the want of headers."""
    reasons: list[Reason] = []
    volume, coarsest = scan.volume, max(scan.volume.spacing_mm)
    coverage = volume.shape[0] * volume.spacing_mm[0]
    if min(volume.shape) < 3:
        raise refusal("too-few-slices.voxels", shape=str(volume.shape))
    if coverage < SHORT_COVERAGE_MM:
        reasons.append(reason("short-coverage", length_mm=coverage))
    if coarsest > WIDE_STEP_MM:
        reasons.append(reason("wide-slice-steps", step_mm=coarsest, limit_mm=WIDE_STEP_MM))
    elif coarsest >= THICK_STEP_MM - 0.05 and not any(known.code == "thick-slices" for known in scan.reasons):
        reasons.append(reason("thick-slices.voxels", length_mm=coarsest))
    obliquity = _obliquity_degrees(volume)
    if obliquity > MAX_OBLIQUITY_DEGREES:
        reasons.append(reason("oblique", degrees=obliquity))
    if scan.acquisition.source != "dicom":
        kind = scan.acquisition.source.upper().replace("NIFTI", "NIfTI")
        reasons.append(reason("acquisition-unknown", kind=kind))
    return reasons


def _obliquity_degrees(volume: Volume) -> float:
    """The largest angle between an axis of the array and the patient's axis that it stands for."""
    columns = volume.affine[:3, :3] / np.asarray(volume.spacing_mm)
    cosines = np.abs(columns[[2, 1, 0], [0, 1, 2]])
    return float(np.degrees(np.arccos(np.clip(cosines.min(), -1, 1))))
