"""The CT as the viewer draws it: the spine alone close up, and the whole at 3 mm or in full detail when asked for.

A browser without a graphics card draws ten million voxels in five seconds and three million in one; so a small one is
what it is given first. All of them lie compressed: as large as the upload again they would fill the disk. The whole CT
is made when somebody wants to see it, and of the last few studies alone it is kept.
"""

import gzip
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import Level
from trabecula.formats.given import RAS_FROM_LPS
from trabecula.records import Scan, Spine
from trabecula.studies.result import relabelling
from trabecula.volume import Volume

FULL, OVERVIEW, SPINE, LABELS = "ct.nii", "overview.nii", "spine.nii", "labels.nii"
PACKED = ".gz"
WHOLE_KEPT = 3
"""Of so many studies the whole CT stays unfolded."""

WHOLE_LEVEL, SMALL_LEVEL = 1, 6
"""How hard gzip tries: the whole CT is waited for, the small ones are kept."""

OVERVIEW_STEP_MM = 3.0
MARGIN_MM = 55.0
"""Of the spine's cut to the sides, front and back of the regions: the whole vertebra, the aorta, the muscles."""
MARGIN_ALONG_MM = 60.0
SPINE_VOXELS, COARSER_STEPS_MM = 8e6, (0.8, 1.0, 1.25, 1.5, 2.0, 3.0)
"""How many voxels the spine's cut may have, and to what they are averaged where a scan of thin slices has more."""

HU_LIMITS = (-1024, 3071)
NIFTI_HEADER_BYTES = 352


def write_whole(scan: Scan, folder: Path) -> None:
    """The whole CT, in full and coarse; those of studies that were looked at long ago are dropped."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(coarse(scan.volume), folder / OVERVIEW)
    _write(scan.volume, folder / FULL, level=WHOLE_LEVEL)
    for name in (FULL, OVERVIEW):
        others = sorted(
            folder.parent.parent.glob(f"*/{folder.name}/{name}{PACKED}"), key=lambda one: one.stat().st_mtime
        )
        for path in others[:-WHOLE_KEPT]:
            path.unlink(missing_ok=True)


def packed(folder: Path, name: str) -> bytes | None:
    """A file of the viewer as gzip; None where there is none. Studies of an earlier version hold it unpacked."""
    for path in (folder / (name + PACKED), folder / name):
        if path.is_file():
            content = path.read_bytes()
            return content if path.suffix == PACKED else gzip.compress(content, WHOLE_LEVEL, mtime=0)
    return None


def write_spine(scan: Scan, spine: Spine, labels: NDArray[np.uint8], folder: Path) -> None:
    """The part of the CT about the regions (or the boxes, where nothing was outlined), and the regions' labels."""
    folder.mkdir(parents=True, exist_ok=True)
    low, high = _bounds(labels) or _box_bounds(spine)
    spacing = np.asarray(scan.volume.spacing_mm)
    margin = np.array([MARGIN_ALONG_MM, MARGIN_MM, MARGIN_MM]) / spacing
    close_up = part(scan.volume, low - margin, high + margin)
    for step_mm in COARSER_STEPS_MM:
        if close_up.hu.size <= SPINE_VOXELS:
            break
        close_up = coarse(part(scan.volume, low - margin, high + margin), step_mm)
    _write(close_up, folder / SPINE)
    write_labels(scan.volume, labels, folder / LABELS)


def write_labels(volume: Volume, labels: NDArray[np.uint8], path: Path) -> None:
    """The labels, cut to where there are any."""
    low, high = _bounds(labels) or (np.zeros(3), np.ones(3))
    box, affine = _box(volume, low - 1, high + 1)
    _write(Volume(labels[box].astype(np.float32), affine), path, np.uint8)


def labels_name(drawn: int) -> str:
    """The file of the regions that version ``drawn`` outlined; of the program's own for 0."""
    return f"labels-{drawn}.nii" if drawn else LABELS


def renamed_labels(content: bytes, names: Mapping[Level, Level]) -> bytes:
    """What ``write_labels`` wrote, unpacked, its regions under other names: each voxel is one byte."""
    return content[:NIFTI_HEADER_BYTES] + content[NIFTI_HEADER_BYTES:].translate(relabelling(names).tobytes())


def coarse(volume: Volume, step_mm: float = OVERVIEW_STEP_MM) -> Volume:
    """Whole voxels averaged, to about ``step_mm`` each way; an axis that is coarser already stays as it is."""
    factors = [max(1, round(step_mm / spacing)) for spacing in volume.spacing_mm]
    factors = [min(factor, count) for factor, count in zip(factors, volume.shape, strict=True)]
    z, y, x = (count // factor for count, factor in zip(volume.shape, factors, strict=True))
    c, b, a = factors
    hu = volume.hu[: z * c, : y * b, : x * a].reshape(z, c, y, b, x, a).mean(axis=(1, 3, 5), dtype=np.float32)
    affine = volume.affine.copy()
    affine[:3, 3] += volume.affine[:3, :3] @ ((np.array(factors) - 1) / 2)
    affine[:3, :3] *= factors
    return Volume(hu, affine)


def part(volume: Volume, low: NDArray[np.float64], high: NDArray[np.float64]) -> Volume:
    """The voxels from ``low`` to ``high`` (z, y, x), as far as there are any."""
    box, affine = _box(volume, low, high)
    return Volume(volume.hu[box], affine)


def _box(
    volume: Volume, low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[tuple[slice, ...], NDArray[np.float64]]:
    first = np.clip(np.floor(low), 0, np.array(volume.shape) - 1).astype(int)
    last = np.clip(np.ceil(high), first + 1, volume.shape).astype(int)
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_lps(first)
    return tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True)), affine


def _bounds(labels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    if not labels.any():
        return None
    spans = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(labels.any(axis=others))
        spans.append((float(found[0]), float(found[-1] + 1)))
    return np.array([span[0] for span in spans]), np.array([span[1] for span in spans])


def _box_bounds(spine: Spine) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    z = [edge for box in spine.vertebrae for edge in box.z_range] or [0.0]
    x = [edge for box in spine.vertebrae for edge in box.x_range] or [0.0]
    return np.array([min(z), spine.body_y, min(x)]), np.array([max(z), spine.body_y + 1, max(x)])


def _write(
    volume: Volume, path: Path, kind: type[np.int16] | type[np.uint8] = np.int16, level: int = SMALL_LEVEL
) -> None:
    limits = HU_LIMITS if kind is np.int16 else (0, 255)
    values = np.empty(volume.shape, kind)
    for plane, hu in zip(values, volume.hu, strict=True):  # one at a time: a copy of a large CT is a gigabyte
        plane[:] = np.clip(np.rint(hu), *limits)
    affine_ras = (RAS_FROM_LPS @ volume.affine)[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(values.transpose(2, 1, 0), affine_ras)
    image.header.set_xyzt_units("mm")
    unfinished = path.with_name(f"{path.name}.part")
    with gzip.open(unfinished, "wb", compresslevel=level) as file:
        image.to_stream(file)
    unfinished.rename(path.with_name(path.name + PACKED))  # nobody sees half of it
