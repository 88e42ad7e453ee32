"""Stage 1: whatever a CT was given as, as a scan in Hounsfield units on a known grid, or a refusal."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from trabecula.dicom.contents import UNCHOSEN, Choice
from trabecula.dicom.reader import read_dicom
from trabecula.dicom.slices import judge_slices
from trabecula.errors import Refusal, refusal, wrong_usage
from trabecula.formats import nifti, nrrd
from trabecula.formats.archive import nested
from trabecula.formats.grid import mask_outside
from trabecula.formats.opened import Opened, opened, told_as_missing
from trabecula.formats.tissues import thin
from trabecula.messages import Phrase
from trabecula.records import Effect, Gap, Reason, Scan, reason
from trabecula.volume import PADDING_HU, Float32, Volume

FileProgress = Callable[[int, int], None]

SHORT_COVERAGE_MM = 30.0
WIDE_STEP_MM = 6.0
THICK_STEP_MM = 5.0
MAX_OBLIQUITY_DEGREES = 20.0

SATURATED_BELOW_HU = 800.0
"""Scanners clip far above; what ends lower was cut off by a program, and trabecular bone with it."""

MAX_CUT_SHARE, BONE_HU = 0.12, 150.0
MAX_SATURATED_SHARE = 0.01
PAINTED_SHARE = 0.5


def read(path: Path, progress: FileProgress = lambda done, total: None, choice: Choice = UNCHOSEN) -> Scan:
    """A CT from a DICOM folder or file, a zip of a folder, a NIfTI or an NRRD. ``progress`` counts files,
    ``choice`` says which of several studies and series.

    Raises:
        WrongUsage: there is no file or folder at ``path``, it may not be read, or the temporary disk is full.
        Refusal: it is no CT, or none that can be read without guessing.
    """
    with opened(path) as given:
        return read_opened(given, progress, choice)


def read_opened(given: Opened, progress: FileProgress = lambda done, total: None, choice: Choice = UNCHOSEN) -> Scan:
    """As ``read``, from what is open already."""
    try:
        with told_as_missing(given.path):
            scan = _read(given, progress, choice)
    except MemoryError as error:
        raise refusal("too-large.machine") from error
    if scan.acquisition.source != "dicom":  # DICOM was judged slice by slice
        scan = _judged(scan)
    scan = _air_for_background(scan)
    require_unclipped(scan.volume)
    return replace(scan, reasons=(*scan.reasons, *_reasons(scan)))


def _read(given: Opened, progress: FileProgress, choice: Choice) -> Scan:
    if given.kind == "dicom":
        try:
            return read_dicom(given.files, progress, given.budget, choice)
        except Refusal as error:
            raise (refusal("archive-nested") if error.code == "no-dicom" and nested(given.files) else error) from None
    if choice != UNCHOSEN:
        raise wrong_usage("nothing-to-choose")
    image = given.files[0]
    read_image = nifti.read_nifti if given.kind == "nifti" else nrrd.read_nrrd
    scan = read_image(image, given.budget)
    progress(1, 1)
    if not given.left_out:
        return scan
    others = Phrase("left-out-other", {"number": given.left_out})
    return replace(scan, reasons=(*scan.reasons, reason("files-left-out", Effect.NOTE, kinds=(others,))))


def _judged(scan: Scan) -> Scan:
    """A scan without DICOM headers, once its slices were held against the tissues that every CT shows.

    Raises:
        Refusal: its values are no Hounsfield units.
    """
    volume = scan.volume
    sample = thin(volume.hu, volume.spacing_mm[1:])
    along_mm = np.asarray(np.arange(volume.shape[0]) * volume.spacing_mm[0], np.float64)
    judged = judge_slices(sample, along_mm)
    mask_outside(volume.hu)
    gaps = [Gap(0, start / volume.spacing_mm[0], stop / volume.spacing_mm[0]) for start, stop in judged.off_mm]
    for index in np.setdiff1d(np.arange(volume.shape[0]), judged.kept):
        nearest = judged.kept[np.abs(judged.kept - index).argmin()]
        volume.hu[index] = volume.hu[nearest]
        gaps.append(Gap(0, max(0, index - 1), index + 1))
    return replace(scan, reasons=(*scan.reasons, *judged.reasons), gaps=(*scan.gaps, *gaps))


def _air_for_background(scan: Scan) -> Scan:
    """A scan around whose body a program painted one value that is no air: air put in its place, and said so."""
    hu = scan.volume.hu
    edge = np.concatenate([hu[:, 0].ravel(), hu[:, -1].ravel(), hu[:, :, 0].ravel(), hu[:, :, -1].ravel()])
    value = float(np.median(edge))
    air_seen = (edge < -900).mean() > 0.05
    if air_seen or not -900 < value < BONE_HU or (edge == value).mean() < PAINTED_SHARE:
        return scan
    # single voxels of the body may have that very value; what was painted is wider
    painted = ndimage.binary_opening(hu == value, np.ones((1, 5, 5)))
    hu[painted] = PADDING_HU
    return replace(scan, reasons=(*scan.reasons, reason("background-replaced", Effect.NOTE, value_hu=value)))


def require_unclipped(volume: Volume) -> None:
    """Refuse values that are cut off to a display window.

    Raises:
        Refusal: many voxels share the highest or the lowest value.
    """
    step = max(1, round((volume.hu.size / 4e6) ** (1 / 3)))
    hu = volume.hu[::step, ::step, ::step]
    low, high = float(hu.min()), float(hu.max())
    at_top = np.count_nonzero(hu == high)
    # each material of a drawn body has one value, the densest too: it is no sign of a window
    cut_above = high < SATURATED_BELOW_HU and not _without_noise(hu)
    if cut_above:
        cut_above = bool(at_top > max(20, MAX_CUT_SHARE * np.count_nonzero(hu > BONE_HU)))
    if cut_above or (low > -900 and float((hu == low).mean()) > MAX_SATURATED_SHARE):
        raise refusal("intensities-clipped", low=low, high=high)


def _without_noise(hu: Float32) -> bool:
    """Whether much of the soft tissue has the very same value."""
    tissue = hu[(hu > -200) & (hu < BONE_HU)]
    return bool(tissue.size and (tissue == np.median(tissue)).mean() > PAINTED_SHARE / 2)


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
