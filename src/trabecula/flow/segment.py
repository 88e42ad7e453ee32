"""Segment in one crop: the trabecular bone of each vertebra wanted. A Scan and its Spine go in, Regions come out.

As in Niu 2023, a 3-D AnatomyNet looks at one crop around the vertebrae. It knows bone, not names: those come from the
localiser's boxes, since its receptive field cannot count vertebrae.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.flow.region import CRUMB_MM3, describe, filled, to_scan, without_halves
from trabecula.inference import network
from trabecula.records import Regions, Scan, Spine, reason
from trabecula.volume import Float32, Grid, Volume


@dataclass(frozen=True)
class CropSettings:
    """How the crop is cut and windowed. Lengths and shapes are (z, y, x)."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    window_hu: tuple[float, float]  # level, width
    centre: str = "spine"  # or "paper": the fixed columns 180-330 and rows 200-420 of a 512 x 512 image
    precision: str = "f32"


def segment(scan: Scan, spine: Spine, weights: str, levels: tuple[Level, ...], crop: CropSettings) -> Regions:
    """The trabecular regions of ``levels``, as many as were localised, on the scan's own grid."""
    labels = np.zeros(scan.volume.shape, np.uint8)
    found = [box for box in spine.vertebrae if box.level in levels]
    if not found:
        seen = tuple(box.level for box in spine.vertebrae)
        return Regions(labels, (), (reason("levels-not-in-view", first=levels[0], last=levels[-1], seen=seen),))
    grid = _crop_grid(scan.volume, spine, found[0].z_range[1], found[-1].z_range[0], crop)
    level_hu, width_hu = crop.window_hu
    image = np.clip((scan.volume.sample(grid) - (level_hu - width_hu / 2)) / width_hu, 0, 1)
    shape = (1, 1, *crop.shape)
    (scores,) = network(weights, shape, crop.precision)(image.reshape(shape))
    trabecular = _trabecular_probability(scores[0])
    owner = _owners(trabecular > 0.5, scan.volume, grid, spine)
    vertebrae = []
    for box in found:
        mine = filled(owner == spine.vertebrae.index(box) + 1)
        trabecular[mine] = np.maximum(trabecular[mine], 0.75)  # a filled hole is wholly inside
        part, region = to_scan(np.where(mine, trabecular, 0.0).astype(np.float32), grid, scan.volume)
        labels[part][region] = box.level.verse_id
        vertebrae.append(describe(box.level, box.confidence, scan.volume, part, region, mine, grid))
    return Regions(labels, without_halves([v for v in vertebrae if v.volume_mm3 > 0]), ())


def _crop_grid(volume: Volume, spine: Spine, top: float, bottom: float, crop: CropSettings) -> Grid:
    """The crop along the scan's own axes, in the middle of the wanted vertebrae."""
    boxes = [b for b in spine.vertebrae if b.z_range[0] < top and b.z_range[1] > bottom]
    middle = np.array([(top + bottom) / 2, spine.body_y, np.mean([b.centre_zx[1] for b in boxes])])
    if crop.centre == "paper":
        middle[1:] = (200 + 420) / 2, (180 + 330) / 2
    scale = np.asarray(crop.spacing_mm) / np.asarray(volume.spacing_mm)
    step = np.eye(4)
    step[:3, :3] = np.diag(scale)
    step[:3, 3] = middle - scale * (np.asarray(crop.shape) - 1) / 2
    return Grid(crop.shape, volume.affine @ step)


def _trabecular_probability(scores: Float32) -> Float32:
    """Softmax of (background, cortex, trabecular) scores (3, z, y, x): how trabecular each voxel is."""
    exponent = np.exp(scores - scores.max(axis=0))
    return np.asarray(exponent[2] / exponent.sum(axis=0))


def _owners(mask: NDArray[np.bool_], volume: Volume, grid: Grid, spine: Spine) -> NDArray[np.uint8]:
    """To which vertebra each trabecular voxel belongs: 1 + its index among the boxes, 0 to none.

    A connected piece belongs to the box nearest to its middle; one that spans two vertebrae is divided slice by slice.
    Crumbs, pieces under a fifth of their vertebra's largest, and lesser pieces outside its box are dropped.
    """
    index = np.linalg.inv(volume.affine) @ grid.affine  # of the scan, from the crop; both share their axes
    boxes = np.array([(*b.z_range, *b.x_range) for b in spine.vertebrae])
    middle_z, height = boxes[:, :2].mean(axis=1), boxes[:, 1] - boxes[:, 0]
    middle_x, width = boxes[:, 2:].mean(axis=1), boxes[:, 3] - boxes[:, 2]
    pieces, count = ndimage.label(mask)
    voxels = np.nonzero(pieces)
    piece = pieces[voxels] - 1
    z, x = index[0, 0] * voxels[0] + index[0, 3], index[2, 2] * voxels[2] + index[2, 3]
    size = np.maximum(np.bincount(piece, minlength=count), 1)
    z_of_piece, x_of_piece = (np.bincount(piece, v, count) / size for v in (z, x))
    apart_z, apart_x = (z_of_piece[:, None] - middle_z) / height, (x_of_piece[:, None] - middle_x) / (2 * width)
    nearest = np.hypot(apart_z, apart_x).argmin(axis=1)
    extent = np.zeros(count)
    np.maximum.at(extent, piece, np.abs(z - z_of_piece[piece]))
    spanning = 2 * extent > 1.35 * height[nearest]
    who = np.where(spanning[piece], np.abs(z[:, None] - middle_z).argmin(axis=1), nearest[piece])

    owner = np.zeros(mask.shape, np.uint8)
    parts, part, sizes = np.unique(piece * len(boxes) + who, return_inverse=True, return_counts=True)
    whose = parts % len(boxes)
    largest = np.zeros(len(boxes))
    np.maximum.at(largest, whose, sizes)
    apart = np.abs(np.bincount(part, z) / sizes - middle_z[whose]) / height[whose]
    kept = (
        (sizes * np.prod(grid.spacing_mm) > CRUMB_MM3)
        & (sizes >= 0.2 * largest[whose])
        & (apart < np.where(sizes == largest[whose], 0.75, 0.5))
    )
    chosen = kept[part]
    owner[tuple(axis[chosen] for axis in voxels)] = who[chosen] + 1
    return owner
