"""One virtual patient with beads beside the body, as DICOM slices to spoil: where a reader puts the beads tells how it
placed the scan, and the HU of soft tissue tell how it scaled it.
"""

import copy
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.virtual.cohort import scan_patient
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.virtual.subject import sample_subject
from trabecula.volume import Volume

PROTOCOL = Protocol(pixel_mm=1.5, thickness_mm=3.0, increment_mm=3.0, noise_hu=8.0)
BEAD_HU, BEAD_RADIUS_MM, BEAD_SEARCH_MM = 1500.0, 5.0, 14.0
LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Scene:
    """``volume`` is (z, y, x) HU; ``beads`` are LPS mm, no two of them mirror images; ``tissue`` are voxels inside
    muscle and organs."""

    volume: Volume
    beads: NDArray[np.float64]
    tissue: NDArray[np.intp]

    def slices(self) -> list[FileDataset]:
        """The scan as a scanner writes it, foot to head, with its pixels in memory."""
        return [copy.deepcopy(one) for one in _slices()]


@cache
def scene() -> Scene:
    """The scene; made once in a process."""
    made = scan_patient(sample_subject(4), PROTOCOL, Level.T12, Level.L3, 4).volume
    hu, (z, y, x) = np.rint(np.clip(made.hu, -1000, None)), made.shape
    index = np.array([(0.2, 0.08, 0.1), (0.5, 0.08, 0.9), (0.8, 0.93, 0.12), (0.35, 0.94, 0.9), (0.65, 0.1, 0.3)]) * (
        z,
        y,
        x,
    )
    beads = made.to_lps(np.rint(index))
    places = made.to_lps(np.stack(np.indices(made.shape), -1))
    for bead in beads:
        hu[np.linalg.norm(places - bead, axis=-1) < BEAD_RADIUS_MM] = BEAD_HU
    soft = np.argwhere((hu > 20) & (hu < 90))
    tissue = soft[np.random.default_rng(1).choice(len(soft), 4000, replace=False)]
    return Scene(Volume(hu.astype(np.float32), made.affine), beads, tissue)


@cache
def _slices() -> tuple[FileDataset, ...]:
    with tempfile.TemporaryDirectory() as folder:
        header = StudyHeader(sex="F", age_years=70, slice_thickness_mm=3.0)
        write_dicom(scene().volume, Path(folder) / "ct", seed=4, header=header)
        found = [pydicom.dcmread(path) for path in (Path(folder) / "ct").iterdir()]
    return tuple(sorted(found, key=lambda one: float(one.ImagePositionPatient[2])))


# -- writing


def save(slices: Sequence[FileDataset], folder: Path) -> Path:
    """Writes instances under names that say nothing of their place."""
    folder.mkdir(exist_ok=True)
    start = sum(1 for _ in folder.iterdir())
    for number, one in enumerate(slices, start=start):
        with disable_value_validation():
            one.save_as(folder / f"{number * 7919 % 1009:04d}-{number}.dcm", enforce_file_format=True)
    return folder


def renewed(slices: Sequence[FileDataset]) -> list[FileDataset]:
    """Copies that are instances of their own."""
    made = [copy.deepcopy(one) for one in slices]
    for one in made:
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return made


def hu_of(one: FileDataset) -> NDArray[np.float32]:
    return one.pixel_array.astype(np.float32) * float(one.RescaleSlope) + float(one.RescaleIntercept)


def set_hu(one: FileDataset, hu: NDArray[Any]) -> None:
    stored = np.rint((hu - float(one.RescaleIntercept)) / float(one.RescaleSlope))
    one.Rows, one.Columns = hu.shape
    one.PixelData = np.clip(stored, -32768, 32767).astype("<i2").tobytes()


def reformatted(row: Sequence[float], column: Sequence[float], degrees: float = 0.0) -> list[FileDataset]:
    """The same scan cut along other axes; whole axes are swapped and reversed, nothing is interpolated.

    ``row`` and ``column`` are unit vectors along axes of the patient, as in ImageOrientationPatient.
    """
    volume = scene().volume
    along = [np.asarray(row, float), np.asarray(column, float), np.cross(row, column)]
    axis = [int(np.argmax(np.abs(volume.affine[:3, :3].T @ one))) for one in along]  # of the array (z, y, x)
    flips = [bool(volume.affine[:3, a] @ one < 0) for a, one in zip(axis, along, strict=True)]
    hu = np.flip(volume.hu, [a for a, flip in zip(axis, flips, strict=True) if flip]).transpose(
        axis[2], axis[1], axis[0]
    )
    corner = [0, 0, 0]
    for a, flip in zip(axis, flips, strict=True):
        corner[a] = volume.shape[a] - 1 if flip else 0
    first, spacing = volume.to_lps(np.array(corner)), volume.spacing_mm
    template = renewed(scene().slices()[:1] * hu.shape[0])
    for number, one in enumerate(template):
        set_hu(one, hu[number])
        one.ImageOrientationPatient = [*map(float, (*row, *column))]
        one.ImagePositionPatient = [round(float(c), 4) for c in first + number * spacing[axis[2]] * along[2]]
        one.PixelSpacing = [spacing[axis[1]], spacing[axis[0]]]
        one.SliceThickness, one.InstanceNumber = spacing[axis[2]], number + 1
    return template


def nifti(path: Path, change: Callable[[NDArray[Any]], NDArray[Any]] = lambda hu: hu) -> Path:
    """The scan as NIfTI, axes left, posterior, superior."""
    volume = scene().volume
    values = change(volume.hu.transpose(2, 1, 0))
    image = nib.Nifti1Image(values, LPS_RAS @ volume.affine[:, [2, 1, 0, 3]])
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


# -- judging


@dataclass(frozen=True)
class Errors:
    """How far off a reading of the scene is."""

    place_mm: float  # of the bead placed worst; infinite where one is not found
    hu: float  # median over soft tissue, of the 3 mm of height where it is worst

    @property
    def right(self) -> bool:
        """Within half a slice; interpolation blurs noise by some HU."""
        return self.place_mm <= 1.5 and abs(self.hu) <= 10.0


def errors_of(hu: NDArray[Any], affine_lps: NDArray[np.float64], masked: NDArray[np.bool_] | None = None) -> Errors:
    """Errors of a volume (any axis order) with its affine to LPS mm.

    Beads outside its grid are not looked for, nor is anything where the reader said that nothing can be measured.
    """
    true, read = scene(), Volume(np.asarray(hu, np.float32), np.asarray(affine_lps, float))
    if not np.isfinite(read.affine).all() or abs(np.linalg.det(read.affine)) < 1e-12:
        return Errors(np.inf, np.inf)
    worst = 0.0
    for bead in true.beads:
        at = read.to_index(bead)
        margin = BEAD_RADIUS_MM / np.asarray(read.spacing_mm)
        if ((at < margin) | (at > np.asarray(read.shape) - 1 - margin)).any():
            continue
        if masked is not None and masked[tuple(np.rint(at).astype(int))]:
            continue
        worst = max(worst, _displacement_mm(read, bead))
    places = true.volume.to_lps(true.tissue)
    index = read.to_index(places)
    seen = ((index >= 0) & (index <= np.asarray(read.shape) - 1)).all(axis=1)
    if masked is not None:
        seen[seen] &= ~masked[tuple(np.rint(index[seen]).astype(int).T)]
    found = ndimage.map_coordinates(read.hu, index[seen].T, order=1)
    seen[seen] &= found > -900  # where tilted slices do not reach there is air
    if seen.sum() < 500:
        return Errors(np.inf, np.inf)
    off = found[found > -900] - true.volume.hu[tuple(true.tissue[seen].T)]
    heights = true.tissue[seen, 0]
    by_height = [float(np.median(off[heights == z])) for z in np.unique(heights) if (heights == z).sum() > 20]
    return Errors(worst, max(by_height, key=abs))


def _displacement_mm(read: Volume, bead: NDArray[np.float64]) -> float:
    """From where a bead is to the middle of what is bright around there."""
    reach = np.ceil(BEAD_SEARCH_MM / np.asarray(read.spacing_mm)).astype(int)
    middle = np.rint(read.to_index(bead)).astype(int)
    low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach + 1, read.shape)
    part = read.hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    bright = np.argwhere(part > BEAD_HU / 3)
    if not len(bright):
        return float(np.inf)
    weight = part[tuple(bright.T)]
    return float(np.linalg.norm(read.to_lps((bright * weight[:, None]).sum(0) / weight.sum() + low) - bead))
