"""Segment one by one: the trabecular bone of every vertebra. A Scan and its Spine go in, Regions come out.

A small U-Net looks at a patch around each body's middle and outlines that one body, so a region cannot leak into its
neighbour and any number of vertebrae costs as much each. Names come from the localiser.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.flow.region import CRUMB_MM3, describe, filled, to_scan, without_halves
from trabecula.flow.shape import MODERATE_LOSS, Heights, heights, loss
from trabecula.inference import network
from trabecula.records import Reason, Regions, Scan, Spine, VertebraRegion, reason
from trabecula.volume import Float32, Float64, Grid, Volume

OFF_CENTRE_MM = 4.0
"""A body whose middle lies further than this from its patch's is looked at again, in the middle."""

SHARED_FRACTION = 0.25
"""Two regions that share more than this of the smaller are one vertebra, found twice."""


@dataclass(frozen=True)
class PatchSettings:
    """What the network sees of one vertebra. Shape and spacing are (z, y, x), the window is level and width in HU."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    window_hu: tuple[float, float]
    precision: str = "f32"


def outline(scan: Scan, spine: Spine, weights: str, levels: tuple[Level, ...], patch: PatchSettings) -> Regions:
    """The trabecular regions of ``levels``, and of unnamed vertebrae, as many as were localised, on the scan's grid."""
    volume = scan.volume
    labels = np.zeros(volume.shape, np.uint8)
    wanted = [box for box in spine.vertebrae if box.level in levels or not box.level.is_named]
    vertebrae: list[VertebraRegion] = []
    tall: list[Heights | None] = []
    for box in wanted:
        grid, body, trabecular = _look(volume, spine.middle(box), weights, patch)
        mine = filled(_main((trabecular > 0.5) & body, grid))
        trabecular[mine] = np.maximum(trabecular[mine], 0.75)  # a filled hole is wholly inside
        part, region = to_scan(np.where(mine, trabecular, 0.0).astype(np.float32), grid, volume)
        taken = labels[part] > 0
        shared = (region & taken).sum() > SHARED_FRACTION * region.sum()
        region &= ~taken
        labels[part][region] = box.level.verse_id
        found = describe(box.level, box.confidence, volume, part, region, mine, grid)
        if shared and region.any():
            found = replace(found, reasons=(*found.reasons, reason("regions-overlap", level=box.level)))
        vertebrae.append(found)
        tall.append(heights(body, grid))
    reasons: tuple[Reason, ...] = ()
    if not wanted:
        seen = tuple(box.level for box in spine.vertebrae)
        reasons = (reason("levels-not-in-view", first=levels[0], last=levels[-1], seen=seen),)
    checked = without_halves([v for v in _without_fractured(vertebrae, tall) if v.volume_mm3 > 0])
    return Regions(labels, checked, reasons)


def _without_fractured(vertebrae: list[VertebraRegion], tall: list[Heights | None]) -> list[VertebraRegion]:
    """Withholds whole vertebrae that have lost a quarter of their height: crushed bone is denser, not stronger."""
    checked = []
    for index, (vertebra, own) in enumerate(zip(vertebrae, tall, strict=True)):
        beside = [
            other
            for v, other in zip(vertebrae, tall, strict=True)
            if other is not None and v is not vertebra and not v.reasons and abs(vertebrae.index(v) - index) < 3
        ]
        if own is not None and not vertebra.reasons and (lost := loss(own, beside)) > MODERATE_LOSS:
            doubt = reason("height-loss", level=vertebra.level, lost=lost)
            vertebra = replace(vertebra, reasons=(doubt,))
        checked.append(vertebra)
    return checked


def _look(
    volume: Volume, middle: Float64, weights: str, patch: PatchSettings
) -> tuple[Grid, NDArray[np.bool_], Float32]:
    """The patch's grid, the mask of the body in its middle and how trabecular each voxel is."""
    shape = (1, 1, *patch.shape)
    level_hu, width_hu = patch.window_hu
    for last in (False, True):
        grid = _patch_grid(volume, middle, patch)
        image = np.clip((volume.sample(grid) - (level_hu - width_hu / 2)) / width_hu, 0, 1)
        (scores,) = network(weights, shape, patch.precision)(image.reshape(shape))
        exponent = np.exp(scores[0] - scores[0].max(axis=0))
        probability = exponent / exponent.sum(axis=0)
        body = _main(probability[0] < 0.5, grid)
        if last or not body.any():
            break
        off = np.argwhere(body).mean(axis=0) - (np.asarray(patch.shape) - 1) / 2
        if np.linalg.norm(off * patch.spacing_mm) < OFF_CENTRE_MM:
            break
        middle = middle + off * patch.spacing_mm / np.asarray(volume.spacing_mm)
    return grid, body, np.asarray(probability[2])


def _patch_grid(volume: Volume, middle: Float64, patch: PatchSettings) -> Grid:
    """The patch along the scan's own axes."""
    scale = np.asarray(patch.spacing_mm) / np.asarray(volume.spacing_mm)
    step = np.eye(4)
    step[:3, :3] = np.diag(scale)
    step[:3, 3] = middle - scale * (np.asarray(patch.shape) - 1) / 2
    return Grid(patch.shape, volume.affine @ step)


def _main(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """The pieces of a mask that matter: no crumbs, none below a fifth of the largest."""
    pieces, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept = (sizes * np.prod(grid.spacing_mm) > CRUMB_MM3) & (sizes >= 0.2 * sizes.max())
    return np.asarray(kept[pieces])
