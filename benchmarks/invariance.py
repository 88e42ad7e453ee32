"""By how much the densities of one virtual patient differ when the same CT is given otherwise; prints a table.

    .venv/bin/python benchmarks/invariance.py

Air is put around the picture, slices are stored in another order, tilted, and made thicker or further apart, all out of
one simulated CT and through the reader. A vertebra's density is compared with that of the CT as it was. Simulated.

    .venv/bin/python benchmarks/invariance.py --orientations

The same CT lying in each of 48 ways, in every lossless syntax and every way to write values by turns. Where the volume
that is read is the same voxel by voxel, so are densities; where the regions lie on the grid as given is compared too.
The whole product of ways, syntaxes and values, of a smaller scene, is ``pytest -m exhaustive tests/dicom``.
"""

import argparse
import copy
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from anomalies.bodies import NEVER  # noqa: E402
from anomalies.scene import renewed, save, set_hu  # noqa: E402
from dicom.test_syntaxes import COMBINED, FORMS, write  # noqa: E402
from trabecula.anatomy import Level  # noqa: E402
from trabecula.flow.read import read  # noqa: E402
from trabecula.formats.given import on_given_grid  # noqa: E402
from trabecula.line import screen  # noqa: E402
from trabecula.recipes.house import HOUSE  # noqa: E402
from trabecula.records import Assessment  # noqa: E402
from trabecula.virtual.cohort import scan_patient  # noqa: E402
from trabecula.virtual.scanner import Protocol  # noqa: E402
from trabecula.virtual.study import StudyHeader, write_dicom  # noqa: E402
from trabecula.virtual.subject import sample_subject  # noqa: E402
from trabecula.volume import PADDING_HU, Float64, Volume  # noqa: E402

AIR = (((1, 0), (1, 0)), ((0, 0), (7, 0)), ((30, 3), (0, 20)), ((0, 81), (81, 0)))
"""Rows before and behind, columns before and behind."""

TILTS_DEGREES = (6, 12, 20)
Variant = tuple[str, list[FileDataset]]


def main() -> int:
    """Print each variant's largest difference as it is found, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=4, help="Which virtual patient.")
    parser.add_argument("--only", nargs="*", default=[], help="Words of the names of the variants to try.")
    parser.add_argument("--step", type=float, default=1.5, help="From slice to slice of the CT as it is, mm.")
    parser.add_argument("--orientations", action="store_true", help="The 48 ways to lie, in place of the others.")
    options = parser.parse_args()
    protocol = Protocol(pixel_mm=0.9, thickness_mm=options.step, increment_mm=options.step, noise_hu=8.0)
    subject = sample_subject(options.seed, 120.0, NEVER)
    volume = scan_patient(subject, protocol, Level.T12, Level.L3, options.seed).volume
    volume = Volume(np.rint(np.clip(volume.hu, -1000, None)).astype(np.float32), volume.affine)
    if options.orientations:
        return orientations(volume)
    lines, base = [], None
    for name, slices in variants(volume):
        if base is not None and options.only and not any(word in name for word in options.only):
            continue
        found = screened(slices)
        base = base or found
        off = differences(found, base)
        shown = ", ".join(f"{level} {value:+.2f}" for level, value in off.items())
        lines.append(f"| {name} | {max(map(abs, off.values()), default=0):.2f} | {shown} |")
        print(lines[-1], [str(one.level) for one in found.readings.vertebrae], flush=True)
    print("\n| what differs | at most, mg/cm3 | by vertebra |\n| --- | ---: | --- |\n" + "\n".join(lines[1:]))
    return 0


def orientations(volume: Volume) -> int:
    """Print by how much densities and places of regions differ at most; exit status 1 where it is too much."""
    header = written(volume)[0]
    base: Assessment | None = None
    off_mg_cm3 = off_voxels = 0.0
    same = 0
    for number, (lie, form, rescale) in enumerate(COMBINED):
        with tempfile.TemporaryDirectory() as folder:
            write(Written(Path(folder)), lying(volume, header, *lie), *FORMS[form], rescale)
            scan = read(Path(folder))
        if base is None:
            base = screen(scan, HOUSE)
        as_read = scan.volume
        equal = np.array_equal(as_read.hu, base.scan.volume.hu) and np.allclose(
            as_read.affine, base.scan.volume.affine, atol=1e-3
        )
        same += equal
        found = base if equal else screen(scan, HOUSE)
        off_mg_cm3 = max([off_mg_cm3, *map(abs, differences(found, base).values())])
        off_voxels = max(off_voxels, regions_apart(replace(found, scan=scan), base))
        print(
            f"{number + 1}: {lie}, {form}, {rescale.__name__}: {'the same volume' if equal else 'another'}", flush=True
        )
    print(
        f"{same} of {len(COMBINED)} the same volume; densities differ by {off_mg_cm3:.3f} mg/cm3, regions by "
        f"{off_voxels:.3f} voxels at most"
    )
    return int(off_mg_cm3 > 0.1 or off_voxels > 0.5)


@dataclass(frozen=True)
class Written:
    """A folder, and the stored numbers of a slice, as ``write`` asks for them."""

    folder: Path

    def pixels(self, one: FileDataset) -> NDArray[np.uint16]:
        return np.frombuffer(one.PixelData, np.uint16).reshape(one.Rows, one.Columns)


def lying(
    volume: Volume, header: FileDataset, row: NDArray[np.float64], column: NDArray[np.float64], order: int
) -> list[FileDataset]:
    """The CT as slices whose rows and columns run along these axes of the patient, stored in this order."""
    along = [np.cross(row, column), column, row]
    axes = [int(np.abs(volume.affine[:3, :3].T @ one).argmax()) for one in along]
    flips = [bool(volume.affine[:3, a] @ one < 0) for a, one in zip(axes, along, strict=True)]
    hu = np.flip(volume.hu.transpose(axes), [i for i, flip in enumerate(flips) if flip])
    corner = np.zeros(3)
    for a, flip in zip(axes, flips, strict=True):
        corner[a] = volume.shape[a] - 1 if flip else 0
    step, between_rows, between_columns = (volume.spacing_mm[a] for a in axes)
    made = renewed([header] * len(hu))
    for number, (one, values) in enumerate(zip(made, hu, strict=True)):
        one.Rows, one.Columns = values.shape
        one.PixelData = np.clip(values + 1024, 0, 4095).astype(np.uint16).tobytes()
        one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 15, 0
        one.RescaleSlope, one.RescaleIntercept, one.InstanceNumber = 1, -1024, number + 1
        one.PixelSpacing, one.SliceThickness = [between_rows, between_columns], step
        one.ImageOrientationPatient = [*map(float, row), *map(float, column)]
        place = volume.to_lps(corner) + number * step * along[0]
        one.ImagePositionPatient = [round(float(c), 4) for c in place]
    return made[::order]


def regions_apart(found: Assessment, base: Assessment) -> float:
    """How far a region's middle lies from where it lay, written on the grid as given; in its smallest voxels."""
    middles = [middles_of_regions(one) for one in (found, base)]
    apart = [np.linalg.norm(middles[0][label] - middles[1][label]) for label in middles[1]]
    return float(max(apart)) / min(base.scan.volume.spacing_mm)


def middles_of_regions(found: Assessment) -> dict[int, NDArray[np.float64]]:
    """LPS mm of each label's middle, by the labels and the affine that ``regions.nii.gz`` holds."""
    assert found.regions is not None
    labels, affine_ras = on_given_grid(found.regions.labels, found.scan.volume, found.scan.orientation)
    return {
        int(label): np.diag([-1, -1, 1]) @ (affine_ras @ [*np.argwhere(labels == label).mean(axis=0), 1])[:3]
        for label in np.unique(labels[labels > 0])
    }


def variants(volume: Volume) -> Iterator[Variant]:
    """The CT as it is, then given otherwise."""
    slices = written(volume)
    yield "as it is", slices
    yield "stored from head to feet", slices[::-1]
    yield "stored in no order", [slices[i] for i in np.random.default_rng(0).permutation(len(slices))]
    for rows, columns in AIR:
        shape = f"{rows[0]}+{rows[1]} rows, {columns[0]}+{columns[1]} columns"
        yield f"air: {shape} more", written(with_air(volume, rows, columns))
    for degrees in TILTS_DEGREES:
        yield f"gantry tilted by {degrees} degrees", tilted(volume, slices, degrees)
    for factor in (2, 3):
        yield f"one slice of {factor}", slices[::factor]
        yield f"slices {factor} times as thick", written(thicker(volume, factor))


def screened(slices: list[FileDataset]) -> Assessment:
    """What the default recipe finds in the slices."""
    with tempfile.TemporaryDirectory() as folder:
        return screen(read(save(slices, Path(folder) / "ct")), HOUSE)


def differences(found: Assessment, base: Assessment) -> dict[Level, float]:
    """Of each vertebra that both measured, found at the same place within half its height; mg/cm3."""
    off: dict[Level, float] = {}
    for one in base.readings.vertebrae:
        for other in found.readings.vertebrae:
            apart_mm = np.linalg.norm(np.subtract(one.centroid_lps_mm, other.centroid_lps_mm))
            if one.density and other.density and apart_mm < 12:
                off[one.level] = other.density.value - one.density.value
    return off


def written(volume: Volume) -> list[FileDataset]:
    """The volume as DICOM slices, feet first."""
    with tempfile.TemporaryDirectory() as folder:
        header = StudyHeader(sex="F", age_years=70, slice_thickness_mm=volume.spacing_mm[0])
        write_dicom(volume, Path(folder) / "ct", seed=4, header=header)
        found = [pydicom.dcmread(path) for path in (Path(folder) / "ct").iterdir()]
    return sorted(found, key=lambda one: float(one.ImagePositionPatient[2]))


def with_air(volume: Volume, rows: tuple[int, int], columns: tuple[int, int]) -> Volume:
    """The CT with rows before and behind, and columns, of air."""
    hu = np.pad(volume.hu, ((0, 0), rows, columns), constant_values=PADDING_HU)
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_lps(np.array([0, -rows[0], -columns[0]]))
    return Volume(hu, affine)


def thicker(volume: Volume, factor: int) -> Volume:
    """Means of so many slices."""
    count = volume.shape[0] // factor
    hu = volume.hu[: count * factor].reshape(count, factor, *volume.shape[1:]).mean(axis=1)
    affine: Float64 = volume.affine @ np.diag([factor, 1.0, 1.0, 1.0])
    affine[:3, 3] = volume.to_lps(np.array([(factor - 1) / 2, 0, 0]))
    return Volume(np.rint(hu).astype(np.float32), affine)


def tilted(volume: Volume, slices: list[FileDataset], degrees: float) -> list[FileDataset]:
    """Slices as a tilted gantry takes them: the table moves on along the body, each slice leans."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    _, rows, columns = volume.shape
    step_mm, row_mm, column_mm = volume.spacing_mm
    row, column = np.meshgrid(np.arange(rows) * row_mm, np.arange(columns) * column_mm, indexing="ij")
    first = volume.to_lps(np.zeros(3)) + [0, rows * row_mm * (1 - cosine) / 2, -rows * row_mm * sine / 2]
    made = copy.deepcopy(slices)
    for number, one in enumerate(made):
        position = first + [0, 0, number * step_mm]
        places: NDArray[np.float64] = position + row[..., None] * [0, cosine, sine] + column[..., None] * [1, 0, 0]
        at = np.moveaxis(volume.to_index(places), -1, 0)
        set_hu(one, ndimage.map_coordinates(volume.hu, at, order=1, mode="constant", cval=PADDING_HU))
        one.ImageOrientationPatient = [1, 0, 0, 0, round(float(cosine), 8), round(float(sine), 8)]
        one.ImagePositionPatient = [round(float(c), 4) for c in position]
    return made


if __name__ == "__main__":
    sys.exit(main())
