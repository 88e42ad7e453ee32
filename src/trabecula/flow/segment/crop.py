"""Segment in one crop around the vertebrae: Niu 2023 by a 3-D AnatomyNet, Fang 2021 by a U-Net plane after plane.

It knows bone, not names: those come from the localiser's boxes, since its receptive field cannot count vertebrae.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.flow.segment.heights import body_heights
from trabecula.flow.segment.region import CRUMB_MM3, described, fill_holes, to_scan
from trabecula.inference import network
from trabecula.records import Regions, Scan, Spine, VertebraBox, VertebraRegion, reason
from trabecula.view import Classes
from trabecula.volume import Float32, Float64, Grid, Volume
from trabecula.weights import weights_named

SHELL_MM = 4.5
"""Cortex and end plates reach this far beyond the trabecular region; a disc away lies the next body."""

FIXED_ROWS, FIXED_COLUMNS, SLICES_BEYOND = (200, 420), (180, 330), 5
"""The rows, columns and slices beyond the vertebrae that Niu 2023 crops to, in 512 x 512 images; all else is 0."""


@dataclass(frozen=True)
class CropSegmenter:
    """The trabecular regions of ``levels``, as many as were localised.

    ``crop``: about the spine, or Niu 2023's: fixed rows and columns, five slices beyond the vertebrae, and zero where
    the network's input reaches further.
    """

    weights: str
    levels: tuple[Level, ...]
    crop: Literal["spine", "paper"] = "spine"
    precision: str = "f32"

    def __call__(self, scan: Scan, spine: Spine) -> Regions:
        """The regions on the scan's grid."""
        volume, weights = scan.volume, weights_named(self.weights)
        view, head = weights.view, weights.head
        assert isinstance(head, Classes)
        labels = np.zeros(volume.shape, np.uint8)
        found = [box for box in spine.vertebrae if box.level in self.levels]
        if not found:
            seen = tuple(box.level for box in spine.vertebrae)
            missing = reason("levels-not-in-view", first=self.levels[0], last=self.levels[-1], seen=seen)
            return Regions(labels, (), (missing,))
        middle = self._middle(spine, found)
        grid, image = view.grid(volume, middle), view.cut(volume, middle)
        if self.crop == "paper":
            image = image * _in_papers_crop(grid, volume, found)
        image = view.as_input(image)
        (scores,) = network(self.weights, image.shape, self.precision)(image)
        probability = head.probabilities(view.from_output(scores))
        trabecular = probability[head.names.index("trabecular")]
        bone = probability[head.names.index("background")] < 0.5
        owner = _owners(trabecular > 0.5, volume, grid, spine)
        vertebrae: list[VertebraRegion] = []
        for box in found:
            mine = fill_holes(owner == spine.vertebrae.index(box) + 1)
            part, region = to_scan(trabecular, mine, grid, volume)
            labels[part][region] = box.level.verse_id
            body = _with_shell(mine, bone, grid)
            one = described(box, volume, part, region, body_heights(body, grid))
            vertebrae += [] if one is None else [one]
        return Regions(labels, tuple(vertebrae))

    def _middle(self, spine: Spine, found: list[VertebraBox]) -> Float64:
        """The crop's middle (z, y, x) in voxels of the scan: that of the wanted vertebrae."""
        top, bottom = found[0].z_range[1], found[-1].z_range[0]
        boxes = [b for b in spine.vertebrae if b.z_range[0] < top and b.z_range[1] > bottom]
        middle = np.array([(top + bottom) / 2, spine.body_y, np.mean([b.centre_zx[1] for b in boxes])])
        if self.crop == "paper":
            middle[1:] = np.mean(FIXED_ROWS), np.mean(FIXED_COLUMNS)
        return middle


def _in_papers_crop(grid: Grid, volume: Volume, found: list[VertebraBox]) -> Float32:
    """One at the points of a grid that lie in Niu 2023's crop of a scan, else zero."""
    index = np.linalg.inv(volume.affine) @ grid.affine  # of the scan; both share their axes
    slices = (found[-1].z_range[0] - SLICES_BEYOND, found[0].z_range[1] + SLICES_BEYOND)
    z, y, x = (
        (low <= at) & (at <= high)
        for (low, high), at in zip(
            (slices, FIXED_ROWS, FIXED_COLUMNS),
            (index[axis, axis] * np.arange(grid.shape[axis]) + index[axis, 3] for axis in range(3)),
            strict=True,
        )
    )
    return np.asarray(z[:, None, None] & y[:, None] & x, np.float32)


def _with_shell(trabecular: NDArray[np.bool_], bone: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """A trabecular region with the cortex and end plates that lie against it."""
    steps = max(1, round(SHELL_MM / max(grid.spacing_mm)))
    return np.asarray(ndimage.binary_dilation(trabecular, iterations=steps, mask=bone | trabecular))


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
