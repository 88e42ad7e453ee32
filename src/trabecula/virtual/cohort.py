"""Virtual patients, drawn and scanned, with exact truth."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import MEASURED_LEVELS, Level
from trabecula.virtual.attenuation import REFERENCE_KVP, TABLE, BoneScale, behind, yellow_shift_hu
from trabecula.virtual.canvas import Box, Canvas, part_of
from trabecula.virtual.drawn import Drawn, LevelTruth, level_truth
from trabecula.virtual.family_b.skeleton import draw_skeleton_b
from trabecula.virtual.family_b.tissue import draw_torso_b
from trabecula.virtual.fields import Field, field_between
from trabecula.virtual.scanner import Protocol, acquire, blur, finish, scan_grid
from trabecula.virtual.skeleton import draw_skeleton
from trabecula.virtual.subject import Subject
from trabecula.virtual.tissue import draw_torso, enhancement
from trabecula.virtual.trunk import bone_path_g_cm2, rod_path_mm, water_path_mm
from trabecula.volume import Float32, Grid, Volume, point


@dataclass(frozen=True)
class VirtualCt:
    """A whole CT of a virtual patient and its truth.

    ``vertebrae``, ``bodies``, ``trabecular`` and ``qct_regions`` are VerSe ids on the grid of ``volume``: vertebrae
    with their arches, their bodies, the trabecular regions of these, and the part of them that QCT reads.
    """

    subject: Subject
    protocol: Protocol
    field: Field
    volume: Volume
    vertebrae: NDArray[np.uint8]
    trabecular: NDArray[np.uint8]
    qct_regions: NDArray[np.uint8]
    bodies: NDArray[np.uint8]
    truth: dict[Level, LevelTruth]

    @property
    def bmd(self) -> dict[Level, float]:
        """QCT-equivalent BMD of each vertebra's trabecular region, mg/cm3 K2HPO4."""
        return {level: true.bmd_k2hpo4 for level, true in self.truth.items()}

    def cut_by_view(self, verse_id: int) -> bool:
        """Whether a vertebra reaches the edge of what was scanned."""
        ends = (self.vertebrae.take(end, axis) for axis in range(3) for end in (0, -1))
        return any(bool((end == verse_id).any()) for end in ends)


def is_whole(bodies: NDArray[np.uint8], verse_id: int) -> bool:
    """Whether a vertebral body is in view and reaches no edge of it."""
    mine = bodies == verse_id
    return bool(mine.any()) and not any(bool(mine.take(end, axis).any()) for axis in range(3) for end in (0, -1))


def draw(
    subject: Subject, grid: Grid, kvp: int = REFERENCE_KVP, slope: float = 1.0, with_phantom: bool = False
) -> Drawn:
    """Draws a subject on a grid as a beam shows it: 80, 100, 120 or 140 kVp, of a maker's ``slope`` of mineral."""
    beam = behind(kvp, water_path_mm(subject), slope)
    rods = behind(kvp, rod_path_mm(subject), slope) if with_phantom else None
    canvas = Canvas(grid)
    if subject.family == "b":
        draw_torso_b(canvas, subject, beam, rods)
    else:
        draw_torso(canvas, subject, np.random.default_rng([subject.seed, 2]), beam, rods)
    lift_hu = enhancement(subject, beam).marrow
    hardened = behind(kvp, water_path_mm(subject), slope, bone_path_g_cm2(subject))
    return _with_bones(
        canvas, subject, BoneScale.to(hardened, subject.yellow_marrow, yellow_shift_hu(subject.seed), lift_hu)
    )


def _with_bones(canvas: Canvas, subject: Subject, bone: BoneScale) -> Drawn:
    canvas.scale = bone
    if subject.family == "b":
        draw_skeleton_b(canvas, subject)
    else:
        draw_skeleton(canvas, subject, np.random.default_rng([subject.seed, 14]))
    volume = Volume(canvas.hu, canvas.grid.affine)
    return Drawn(subject, volume, canvas.body, canvas.whole, canvas.ribs, canvas.depth_mm, canvas.end_mm, bone)


def true_levels(subject: Subject, wanted: tuple[Level, ...] = MEASURED_LEVELS) -> dict[Level, LevelTruth]:
    """What is true of each vertebra, whatever scan is made of it: drawn whole, in marrow, at 1 mm.

    Bone only: without the screws and the cement that the scans show.
    """
    subject = without_implants(subject)
    names = {vertebra.name for vertebra in subject.spine}
    levels = [level for level in wanted if level in names]
    canvas = Canvas(_bones_grid(subject, levels))
    # Where bone ends there is nothing that DXA would weigh.
    canvas.hu[:] = TABLE[REFERENCE_KVP].marrow_hu(subject.yellow_marrow, yellow_shift_hu(subject.seed))
    drawn = _with_bones(canvas, subject, BoneScale())
    return {level: level_truth(drawn, level) for level in levels}


def without_implants(subject: Subject) -> Subject:
    """The person without screws and cement."""
    bare = (replace(v, findings=replace(v.findings, screws=False, cement_mm=0.0)) for v in subject.spine)
    return replace(subject, spine=tuple(bare))


def _bones_grid(subject: Subject, levels: list[Level], spacing_mm: float = 1.0) -> Grid:
    """A grid round whole vertebrae, spinous processes included, transverse processes not."""
    world = []
    for v in map(subject.vertebra, levels):
        wide, deep, high = max(v.width_mm) / 2 + 5, max(v.depth_mm) / 2 + 5, v.height_mm / 2 + 5
        box = [
            [x, y, z] for x in (-wide, wide) for y in (-deep - v.spinous_mm - 5, deep) for z in (-high - 18, high + 14)
        ]
        world.append(np.array(box) @ v.axes + v.centre_lps_mm)
    low, high_mm = np.concatenate(world).min(axis=0), np.concatenate(world).max(axis=0)
    x, y, z = (int(n) for n in np.ceil((high_mm - low) / spacing_mm))
    return Grid.axial(point((low + high_mm) / 2), (z, y, x), (spacing_mm,) * 3)


def spine_grid(
    subject: Subject, top: Level | str, bottom: Level | str, spacing_mm: float, margin_mm: float = 25.0
) -> Grid:
    """A narrow grid along the spine between two of a person's vertebrae: all that segmentation needs to see."""
    chosen = subject.spine[subject.spine.index(subject.by_name[top]) : subject.spine.index(subject.by_name[bottom]) + 1]
    centres = np.array([v.centre_lps_mm for v in chosen])
    low, high = centres.min(0) - margin_mm, centres.max(0) + margin_mm
    size = np.array([124.0, 176.0, high[2] - low[2]])
    size[:2] += np.maximum(high[:2] - low[:2] - 2 * margin_mm - 40, 0)  # a long spine is bent
    middle = (low + high) / 2 + [0, 12, 0]
    shape = tuple(int(np.ceil(s / spacing_mm)) for s in size[::-1])
    return Grid.axial((middle[0], middle[1], middle[2]), (shape[0], shape[1], shape[2]), (spacing_mm,) * 3)


def torso_grid(subject: Subject, z_range_mm: tuple[float, float], spacing_mm: float, width_mm: float = 420.0) -> Grid:
    """A grid over the whole torso between two heights, as a scanner's field of view covers it."""
    return field_between(subject, z_range_mm, width_mm).grid(spacing_mm)


def scan(drawn: Drawn, protocol: Protocol, seed: int) -> Volume:
    """One CT of a drawn patient; another seed gives another scan of the same person."""
    return acquire(drawn.volume, protocol, np.random.default_rng([drawn.subject.seed, seed, 3]))


def scan_patient(
    subject: Subject,
    protocol: Protocol,
    top: Level,
    bottom: Level,
    seed: int = 0,
    truth: dict[Level, LevelTruth] | None = None,
) -> VirtualCt:
    """A CT from above ``top`` to below ``bottom``; else as ``scan_field``."""
    rng = np.random.default_rng([subject.seed, seed, 6])
    high = subject.vertebra(top).centre_lps_mm[2] + rng.uniform(20, 45)
    low = subject.vertebra(bottom).centre_lps_mm[2] - rng.uniform(20, 45)
    return scan_field(subject, protocol, field_between(subject, (low, high)), seed, truth)


def scan_field(
    subject: Subject,
    protocol: Protocol,
    field: Field,
    seed: int = 0,
    truth: dict[Level, LevelTruth] | None = None,
) -> VirtualCt:
    """A CT of a field of view: the torso drawn at 2 mm and, within it, the spine at 1 mm.

    The truth depends on neither protocol, field nor ``seed``, which makes another scan of the same person; ``truth``
    hands on that of an earlier one.
    """
    rng = np.random.default_rng([subject.seed, seed, 5])
    beam = (protocol.kvp, protocol.slope, protocol.phantom)
    torso = draw(subject, field.grid(2.0), *beam)
    seen = [v.name for v in subject.spine if field.low_mm - 20 < v.centre_lps_mm[2] < field.high_mm + 20]
    along = spine_grid(subject, seen[0], seen[-1], 1.0)
    spine = draw(subject, _clip_grid(along, field.low_mm, field.high_mm), *beam)
    grid = scan_grid(torso.volume, protocol, rng)
    hu = blur(torso.volume, protocol, grid)
    part, inner = _subgrid(grid, spine.volume)
    fine = blur(spine.volume, protocol, inner, outside_hu=np.nan)
    hu[part] = np.where(np.isnan(fine), hu[part], fine)
    whole, trabecular, regions, bodies = (np.zeros(grid.shape, np.uint8) for _ in range(4))
    whole[part], trabecular[part], regions[part], bodies[part] = _labels(spine, protocol.thickness_mm, inner)
    # The maker's slope is in the materials already.
    volume = finish(hu, replace(protocol, slope=1.0), grid, rng)
    if field.masked:
        volume.hu[~within_skin(volume.hu)] = MASKED_HU
    truth = true_levels(subject) if truth is None else truth
    return VirtualCt(subject, protocol, field, volume, whole, trabecular, regions, bodies, truth)


MASKED_HU = -1024.0
"""What stands outside a body that was masked."""


def within_skin(hu: Float32) -> NDArray[np.bool_]:
    """The largest piece of tissue with everything it encloses in each slice."""
    pieces, number = ndimage.label(hu > -500)
    sizes = np.bincount(pieces.ravel(), minlength=number + 1)
    sizes[0] = 0
    body = pieces == int(sizes.argmax())
    return np.stack([ndimage.binary_fill_holes(plane) for plane in body])


def _labels(spine: Drawn, thickness_mm: float, grid: Grid) -> tuple[NDArray[np.uint8], ...]:
    """Vertebrae, trabecular and QCT regions, bodies on another grid, in one resampling: all lie within the first."""
    index = np.linalg.inv(spine.volume.affine) @ grid.affine
    code = spine.whole.astype(np.uint16)
    code += (spine.trabecular(thickness_mm) > 0).astype(np.uint16) << 8
    code += (spine.qct_regions() > 0).astype(np.uint16) << 9
    code += (spine.body > 0).astype(np.uint16) << 10
    code = ndimage.affine_transform(code, index[:3, :3], index[:3, 3], grid.shape, order=0, mode="constant")
    whole = (code & 255).astype(np.uint8)
    return whole, *(whole * (code >> bit & 1).astype(np.uint8) for bit in (8, 9, 10))


def _clip_grid(grid: Grid, low_mm: float, high_mm: float) -> Grid:
    """The slices of a grid between two heights."""
    z = grid.affine[2, 3] + np.arange(grid.shape[0]) * grid.spacing_mm[0]
    inside = np.flatnonzero((z >= low_mm) & (z <= high_mm))
    return part_of(grid, (slice(int(inside[0]), int(inside[-1]) + 1), slice(0, grid.shape[1]), slice(0, grid.shape[2])))


def _subgrid(grid: Grid, volume: Volume) -> tuple[Box, Grid]:
    """The part of a grid that a volume's box touches."""
    corners = np.array(
        [[z, y, x] for z in (0, volume.shape[0]) for y in (0, volume.shape[1]) for x in (0, volume.shape[2])]
    )
    index = Volume(np.empty((0, 0, 0), np.float32), grid.affine).to_index(volume.to_lps(corners))
    low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, grid.shape)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return (z, y, x), part_of(grid, (z, y, x))
