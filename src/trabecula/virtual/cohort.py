"""Virtual patients, drawn and scanned, with exact truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import LEVELS, MEASURED_LEVELS, Level
from trabecula.virtual.attenuation import REFERENCE_KVP, BoneScale, behind, qct_bmd, yellow_shift_hu
from trabecula.virtual.canvas import Box, Canvas
from trabecula.virtual.scanner import MARGIN_BY_THICKNESS, Protocol, acquire, blur, finish, scan_grid
from trabecula.virtual.skeleton import draw_skeleton
from trabecula.virtual.subject import Subject
from trabecula.virtual.tissue import draw_torso, enhancement, water_path_mm
from trabecula.volume import Float32, Grid, Volume

TRABECULAR_MARGIN_MM = 2.5
"""How far inside the outer surface the trabecular region begins: what readers keep from a cortex, 2 to 2.5 mm."""


@dataclass(frozen=True)
class Drawn:
    """A patient before the scanner: noise-free HU and the distances that truth is cut from, on one fine grid.

    ``bone`` leads from bone's HU at 120 kVp behind 20 cm of water to those of ``volume``.
    """

    subject: Subject
    volume: Volume
    body: NDArray[np.uint8]
    whole: NDArray[np.uint8]
    depth_mm: Float32
    end_mm: Float32
    bone: BoneScale

    def trabecular(self, thickness_mm: float = 1.0) -> NDArray[np.uint8]:
        """VerSe ids of the trabecular regions; thicker slices keep further from the end plates they blur."""
        end_margin = TRABECULAR_MARGIN_MM + MARGIN_BY_THICKNESS * max(0.0, thickness_mm - 2.0)
        inside = (self.depth_mm > TRABECULAR_MARGIN_MM) & (self.end_mm > end_margin)
        return np.where(inside, self.body, 0).astype(np.uint8)

    def bmd(self) -> dict[Level, float]:
        """QCT-equivalent BMD of each trabecular region, mg/cm3 K2HPO4: noise-free HU brought to 120 kVp.

        The patient's size cancels, as it does with a phantom in the same scan, and no contrast medium counts.
        """
        regions = self.trabecular()
        return {
            level: qct_bmd(self.bone.hu_at_120(float(self.volume.hu[mask].mean(dtype=float))))
            for level in MEASURED_LEVELS
            if (mask := regions == level.verse_id).any()
        }


def draw(subject: Subject, grid: Grid, kvp: int = REFERENCE_KVP) -> Drawn:
    """Draws a subject on a grid as a beam of this tube voltage shows it: 80, 100, 120 or 140 kVp."""
    beam = behind(kvp, water_path_mm(subject))
    canvas = Canvas(grid)
    rng = np.random.default_rng([subject.seed, 2])
    draw_torso(canvas, subject, rng, beam)
    marrow_hu = enhancement(subject, beam).marrow
    canvas.scale = BoneScale.to(beam, subject.yellow_marrow, yellow_shift_hu(subject.seed), marrow_hu)
    draw_skeleton(canvas, subject, np.random.default_rng([subject.seed, 14]))
    volume = Volume(canvas.hu, grid.affine)
    return Drawn(subject, volume, canvas.body, canvas.whole, canvas.depth_mm, canvas.end_mm, canvas.scale)


def true_bmd(subject: Subject) -> dict[Level, float]:
    """QCT-equivalent BMD of each whole vertebra, mg/cm3 K2HPO4, whatever scan is made of it."""
    bmd: dict[Level, float] = {}
    names = {vertebra.name for vertebra in subject.spine}
    for level in MEASURED_LEVELS:
        if level in names:
            bmd |= {level: draw(subject, vertebra_grid(subject, level)).bmd()[level]}
    return bmd


def vertebra_grid(subject: Subject, level: Level) -> Grid:
    """A grid of 1 mm round the body of one vertebra."""
    shape = subject.vertebra(level)
    reach = np.array([max(shape.width_mm) / 2, max(shape.depth_mm) / 2, shape.height_mm / 2]) + 3
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * reach @ shape.axes
    size = np.ceil(np.ptp(corners, axis=0)).astype(int)
    return Grid.axial(shape.centre_lps_mm, (int(size[2]), int(size[1]), int(size[0])), (1.0, 1.0, 1.0))


def spine_grid(subject: Subject, top: Level, bottom: Level, spacing_mm: float, margin_mm: float = 25.0) -> Grid:
    """A narrow grid along the spine between two levels: all that segmentation needs to see."""
    centres = np.array(
        [subject.vertebra(level).centre_lps_mm for level in LEVELS[LEVELS.index(top) : LEVELS.index(bottom) + 1]]
    )
    low, high = centres.min(0) - margin_mm, centres.max(0) + margin_mm
    size = np.array([124.0, 176.0, high[2] - low[2]])
    middle = (low + high) / 2 + [0, 12, 0]
    shape = tuple(int(np.ceil(s / spacing_mm)) for s in size[::-1])
    return Grid.axial((middle[0], middle[1], middle[2]), (shape[0], shape[1], shape[2]), (spacing_mm,) * 3)


def torso_grid(subject: Subject, z_range_mm: tuple[float, float], spacing_mm: float, width_mm: float = 420.0) -> Grid:
    """A grid over the whole torso between two heights, as a scanner's field of view covers it."""
    depth = min(width_mm, 2 * subject.half_depth_mm + 110)
    centre_y = -0.36 * (subject.half_depth_mm - subject.fat_mm) + 10
    size = (z_range_mm[1] - z_range_mm[0], depth, width_mm)
    shape = tuple(int(np.ceil(s / spacing_mm)) for s in size)
    return Grid.axial((0.0, centre_y, sum(z_range_mm) / 2), (shape[0], shape[1], shape[2]), (spacing_mm,) * 3)


def scan(drawn: Drawn, protocol: Protocol, seed: int) -> Volume:
    """One CT of a drawn patient; another seed gives another scan of the same person."""
    return acquire(drawn.volume, protocol, np.random.default_rng([drawn.subject.seed, seed, 3]))


@dataclass(frozen=True)
class VirtualCt:
    """A whole CT of a virtual patient and its truth: trabecular regions on its grid (VerSe ids), BMD by level."""

    subject: Subject
    protocol: Protocol
    volume: Volume
    trabecular: NDArray[np.uint8]
    bmd: dict[Level, float]


def scan_patient(subject: Subject, protocol: Protocol, top: Level, bottom: Level, seed: int = 0) -> VirtualCt:
    """A CT from above ``top`` to below ``bottom``: the torso drawn at 2 mm and, within it, the spine at 1 mm.

    The density does not depend on protocol, view or ``seed``, which makes another scan of the same person.
    """
    rng = np.random.default_rng([subject.seed, seed, 5])
    high = subject.vertebra(top).centre_lps_mm[2] + rng.uniform(20, 45)
    low = subject.vertebra(bottom).centre_lps_mm[2] - rng.uniform(20, 45)
    torso = draw(subject, torso_grid(subject, (low, high), 2.0), protocol.kvp)
    spine = draw(subject, _clip_grid(spine_grid(subject, top, bottom, 1.0), low, high), protocol.kvp)
    grid = scan_grid(torso.volume, protocol, rng)
    hu = blur(torso.volume, protocol, grid)
    part, inner = _subgrid(grid, spine.volume)
    fine = blur(spine.volume, protocol, inner, outside_hu=np.nan)
    hu[part] = np.where(np.isnan(fine), hu[part], fine)
    truth = np.zeros(grid.shape, np.uint8)
    index = np.linalg.inv(spine.volume.affine) @ inner.affine
    truth[part] = ndimage.affine_transform(
        spine.trabecular(protocol.thickness_mm), index[:3, :3], index[:3, 3], inner.shape, order=0, mode="constant"
    )
    return VirtualCt(subject, protocol, finish(hu, protocol, grid, rng), truth, true_bmd(subject))


def _clip_grid(grid: Grid, low_mm: float, high_mm: float) -> Grid:
    """The slices of a grid between two heights."""
    z = grid.affine[2, 3] + np.arange(grid.shape[0]) * grid.spacing_mm[0]
    inside = np.flatnonzero((z >= low_mm) & (z <= high_mm))
    return _part_of(
        grid, (slice(int(inside[0]), int(inside[-1]) + 1), slice(0, grid.shape[1]), slice(0, grid.shape[2]))
    )


def _subgrid(grid: Grid, volume: Volume) -> tuple[Box, Grid]:
    """The part of a grid that a volume's box touches."""
    corners = np.array(
        [[z, y, x] for z in (0, volume.shape[0]) for y in (0, volume.shape[1]) for x in (0, volume.shape[2])]
    )
    index = Volume(np.empty((0, 0, 0), np.float32), grid.affine).to_index(volume.to_lps(corners))
    low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, grid.shape)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return (z, y, x), _part_of(grid, (z, y, x))


def _part_of(grid: Grid, part: Box) -> Grid:
    shift = np.eye(4)
    shift[:3, 3] = [p.start for p in part]
    z, y, x = (p.stop - p.start for p in part)
    return Grid((z, y, x), grid.affine @ shift)
