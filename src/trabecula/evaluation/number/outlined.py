"""As ``people``, in a tenth of the time: L1 and L2 alone are drawn finely, and outlined by the truth.

What is left out is what the networks add: names, outlines and what is withheld. Contrast medium, size and tissues are
read from a coarse drawing of the trunk, the density from a scan of the two bodies with its noise, kernel and slices.
People have no fractures, metal or lesions.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.evaluation.number.people import (
    DIAGNOSED,
    PHANTOM,
    Json,
    about,
    answer,
    levels,
    made,
    sample,
    true_of,
)
from trabecula.flow.calibrate.ladder import LadderCalibration
from trabecula.flow.diagnose.bands import BandDiagnosis
from trabecula.flow.measure.region import RegionDensity
from trabecula.records import Acquisition, Regions, Scan, Spine, VertebraRegion
from trabecula.virtual.cohort import draw
from trabecula.virtual.drawn import Drawn
from trabecula.virtual.fields import field_between
from trabecula.virtual.findings import LEARNT
from trabecula.virtual.scanner import Protocol, acquire, finish, scan_grid
from trabecula.virtual.subject import Subject
from trabecula.volume import Grid, Orientation, Volume, point

TRUNK_MM = 3.0
TRUNK_NOISE_SHARE = 0.5
"""Of a voxel's noise, what is left in one of 3 mm."""

AROUND_MM = 9.0
"""Of tissue round the bodies: more than thick slices and the scan's place within a voxel need."""

RATES = replace(LEARNT, fractures=0, rare=0)


def examine_outlined(number: int, seed: int, family: str) -> Json:
    """One person's row, with true outlines of L1 and L2."""
    person, protocol = sample(number, seed, family, RATES)
    rng = np.random.default_rng([seed + number, 8])
    drawn = draw(person, _about_bodies(person), protocol.kvp, protocol.slope)
    scan, regions = _bodies(drawn, replace(protocol, field_of_view_mm=None, metal_star_hu=0.0), rng)
    trunk = replace(scan, volume=_trunk(person, protocol, rng))
    nowhere = Spine((), 0.0)
    lines = {
        "computed": LadderCalibration()(trunk, nowhere, regions),
        "phantom": LadderCalibration(PHANTOM)(trunk, nowhere, regions),
    }
    readings = RegionDensity()(scan, nowhere, regions, lines["computed"])
    said = {**made(protocol, person, lines), **answer(BandDiagnosis()(readings)), "levels": levels(readings, person)}
    where = drawn.qct_regions()
    mineral = {level: drawn.bmd_of(where == level.verse_id) for level in DIAGNOSED}
    return about(number, seed, person) | true_of(person, mineral) | {"scan": said}


def _trunk(person: Subject, protocol: Protocol, rng: np.random.Generator) -> Volume:
    """T11 to L3 with all that lies round them."""
    high, low = (person.vertebra(level).centre_lps_mm[2] for level in (Level.T11, Level.L3))
    grid = field_between(person, (low - 30, high + 30)).grid(TRUNK_MM)
    drawn = draw(person, grid, protocol.kvp, protocol.slope, with_phantom=True)
    coarse = replace(
        protocol,
        slope=1.0,  # that of the maker is in the materials already
        thickness_mm=TRUNK_MM,
        increment_mm=TRUNK_MM,
        pixel_mm=TRUNK_MM,
        noise_hu=TRUNK_NOISE_SHARE * protocol.noise_hu,
    )
    return finish(drawn.volume.hu, coarse, grid, rng)


def _about_bodies(person: Subject) -> Grid:
    """Voxels of 1 mm round the bodies of L1 and L2."""
    bodies = [person.vertebra(level) for level in DIAGNOSED]
    reach = [np.array([max(v.width_mm), max(v.depth_mm), v.height_mm]) / 2 + AROUND_MM for v in bodies]
    ends = [np.array(v.centre_lps_mm) + side * mm for v, mm in zip(bodies, reach, strict=True) for side in (-1, 1)]
    low, high = np.min(ends, axis=0), np.max(ends, axis=0)
    x, y, z = (int(n) for n in np.ceil(high - low))
    return Grid.axial(point((low + high) / 2), (z, y, x), (1.0, 1.0, 1.0))


def _bodies(drawn: Drawn, protocol: Protocol, rng: np.random.Generator) -> tuple[Scan, Regions]:
    """A scan of L1 and L2, and where their trabecular bone lies in it."""
    grid = scan_grid(drawn.volume, protocol, rng)
    # The maker's slope is in the materials already.
    volume = acquire(drawn.volume, replace(protocol, slope=1.0), rng, grid)
    labels = _resampled(drawn, protocol.thickness_mm, grid)
    header = Acquisition("virtual", tube_voltage_kvp=float(protocol.kvp), slice_thickness_mm=protocol.thickness_mm)
    found = []
    for level in DIAGNOSED:
        where = np.argwhere(labels == level.verse_id)
        middle = point(volume.to_lps(where.mean(axis=0)))
        found.append(VertebraRegion(level, 1.0, middle, len(where) * volume.voxel_volume_mm3))
    return Scan(volume, Orientation(), header), Regions(labels, tuple(found))


def _resampled(drawn: Drawn, thickness_mm: float, grid: Grid) -> NDArray[np.uint8]:
    index = np.linalg.inv(drawn.volume.affine) @ grid.affine
    labels = drawn.trabecular(thickness_mm)
    return np.asarray(ndimage.affine_transform(labels, index[:3, :3], index[:3, 3], grid.shape, order=0))
