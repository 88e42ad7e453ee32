"""Segment one by one: a small U-Net looks at a patch around each body's middle and outlines that one body.

So a region cannot leak into its neighbour, and any number of vertebrae costs as much each. Names come from the
localiser.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.flow.segment.heights import body_heights
from trabecula.flow.segment.region import CRUMB_MM3, described, fill_holes, to_scan
from trabecula.inference import network
from trabecula.records import Effect, Reason, Regions, Scan, Spine, VertebraRegion, reason
from trabecula.view import Classes
from trabecula.volume import Float32, Float64, Grid, Volume
from trabecula.weights import Weights, weights_named

OFF_CENTRE_MM = 4.0
"""A body whose middle lies further than this from its patch's is looked at again, in the middle."""

SHARED_FRACTION = 0.25
"""Two regions that share more than this of the smaller are one vertebra, found twice."""


@dataclass(frozen=True)
class PatchSegmenter:
    """The trabecular regions of ``levels``, and of unnamed vertebrae, as many as were localised."""

    weights: str
    levels: tuple[Level, ...]
    precision: str = "f32"

    def __call__(self, scan: Scan, spine: Spine) -> Regions:
        """The regions on the scan's grid."""
        volume, weights = scan.volume, weights_named(self.weights)
        labels = np.zeros(volume.shape, np.uint8)
        wanted = [box for box in spine.vertebrae if box.level in self.levels or not box.level.is_named]
        vertebrae: list[VertebraRegion] = []
        for box in wanted:
            grid, body, trabecular = _look(volume, spine.middle(box), weights, self.precision)
            mine = fill_holes(_main((trabecular > 0.5) & body, grid))
            part, region = to_scan(trabecular, mine, grid, volume)
            taken = labels[part] > 0
            shared = (region & taken).sum() > SHARED_FRACTION * region.sum()
            region &= ~taken
            labels[part][region] = box.level.verse_id
            doubts = (reason("regions-overlap", Effect.WITHHOLD, level=box.level),) if shared else ()
            found = described(box, volume, part, region, body_heights(body, grid), doubts)
            vertebrae += [] if found is None else [found]
        reasons: tuple[Reason, ...] = ()
        if not wanted:
            seen = tuple(box.level for box in spine.vertebrae)
            reasons = (reason("levels-not-in-view", first=self.levels[0], last=self.levels[-1], seen=seen),)
        return Regions(labels, tuple(vertebrae), reasons)


def _look(volume: Volume, middle: Float64, weights: Weights, precision: str) -> tuple[Grid, NDArray[np.bool_], Float32]:
    """The patch's grid, the mask of the body in its middle and how trabecular each voxel is."""
    view, head = weights.view, weights.head
    assert isinstance(head, Classes)
    shape = (1, 1, *view.shape)
    for last in (False, True):
        image = view.cut(volume, middle)
        (scores,) = network(weights.name, shape, precision)(image.reshape(shape))
        probability = head.probabilities(scores[0])
        grid = view.grid(volume, middle)
        body = _main(probability[head.names.index("background")] < 0.5, grid)
        if last or not body.any():
            break
        off = np.argwhere(body).mean(axis=0) - (np.asarray(view.shape) - 1) / 2
        if np.linalg.norm(off * view.spacing_mm) < OFF_CENTRE_MM:
            break
        middle = middle + off * view.spacing_mm / np.asarray(volume.spacing_mm)
    return grid, body, probability[head.names.index("trabecular")]


def _main(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """The pieces of a mask that matter: no crumbs, none below a fifth of the largest."""
    pieces, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept = (sizes * np.prod(grid.spacing_mm) > CRUMB_MM3) & (sizes >= 0.2 * sizes.max())
    return np.asarray(kept[pieces])
