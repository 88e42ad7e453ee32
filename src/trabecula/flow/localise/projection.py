"""Localise in the projection: Faster R-CNN looks at the coronal maximum intensity projection, as in Niu 2023.

It scores every level for every box; the names are then given to the whole chain at once, because neighbours vouch for
one another.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from trabecula.anatomy import LEVELS
from trabecula.flow.localise.naming import Candidate, name_spine
from trabecula.flow.localise.torso import body_mask, pool
from trabecula.inference import network
from trabecula.records import Scan, Spine, VertebraBox
from trabecula.view import View
from trabecula.volume import PADDING_HU, Float32, Float64, Volume
from trabecula.weights import weights_named


@dataclass(frozen=True)
class ProjectionLocaliser:
    """The chain of vertebrae from T8 to the sacrum as far as it is in view.

    ``minimum_score``: what a box needs, over all levels, to count as a vertebra. ``certain``: see ``name_spine``.
    """

    weights: str
    minimum_score: float = 0.15
    certain: float = 0.8

    def __call__(self, scan: Scan) -> Spine:
        """The spine of a scan.

        Raises:
            Refusal: ``no-vertebrae-found``.
        """
        pooled, factors = pool(scan.volume)
        found = self._candidates(scan.volume, pooled, factors)
        vertebrae, reasons = name_spine(found, scan.volume.spacing_mm, self.certain)
        return Spine(vertebrae, _body_row(pooled, vertebrae, factors), reasons)

    def candidates(self, scan: Scan) -> list[Candidate]:
        """The vertebrae that the projection shows, each with the scores of its names: a second opinion."""
        return self._candidates(scan.volume, *pool(scan.volume))

    def _candidates(self, volume: Volume, pooled: Float32, factors: tuple[int, int, int]) -> list[Candidate]:
        projection = np.where(body_mask(pooled), pooled, PADDING_HU).max(axis=1)  # (z, x)
        found = _detect(projection, volume, factors, self.weights)
        return [one for one in found if one.total >= self.minimum_score]


def _detect(projection: Float32, volume: Volume, factors: tuple[int, int, int], weights: str) -> list[Candidate]:
    """The detector's boxes over the whole projection, the levels' scores of one place gathered."""
    view = weights_named(weights).view
    canvas_rows, _, canvas_columns = view.shape
    fine = tuple(volume.spacing_mm[axis] * factors[axis] / view.spacing_mm[axis] for axis in (0, 2))
    image = view.window(ndimage.zoom(projection, fine, order=1))[::-1]  # cranial on top
    found = []
    for top in _window_tops(image.shape[0], view):
        left = max(0, (image.shape[1] - canvas_columns) // 2)
        part = image[top : top + canvas_rows, left : left + canvas_columns]
        canvas = np.zeros((1, canvas_rows, canvas_columns), np.float32)
        canvas[0, : part.shape[0], : part.shape[1]] = part
        boxes, labels, scores = network(weights, canvas.shape)(canvas)
        within = (boxes[:, 1] + boxes[:, 3]) / 2 < part.shape[0]  # below lies the canvas's padding
        found.append(np.column_stack([boxes + [left, top, left, top], labels, scores])[within])
    # A zoomed image's ends coincide with the old ones: position i becomes i * (old - 1) / (new - 1).
    back_z = (projection.shape[0] - 1) / max(image.shape[0] - 1, 1) * factors[0]
    back_x = (projection.shape[1] - 1) / max(image.shape[1] - 1, 1) * factors[2]
    return [
        Candidate(
            ((image.shape[0] - box[3]) * back_z, (image.shape[0] - box[1]) * back_z),
            (box[0] * back_x, box[2] * back_x),
            scores,
        )
        for box, scores in gather(np.concatenate(found))
    ]


def _window_tops(rows: int, view: View) -> list[int]:
    """Where windows of the view's height start: half overlapping, from the caudal end up."""
    height = view.shape[0]
    if rows <= height:
        return [0]
    return sorted({max(0, top) for top in range(rows - height, -height // 2, -height // 2)})


def gather(found: Float64) -> list[tuple[Float64, Float64]]:
    """Rows of x0, y0, x1, y1, label, score to boxes with a score for each level.

    The detector gives a box several times, once for every level it deems possible; those whose middles lie within
    half a height of a better one are the same vertebra.
    """
    groups: list[tuple[Float64, Float64]] = []
    for row in found[np.argsort(-found[:, 5])]:
        middle, height = (row[1] + row[3]) / 2, row[3] - row[1]
        for box, scores in groups:
            near = abs((box[1] + box[3]) / 2 - middle) < 0.5 * min(height, box[3] - box[1])
            if near and min(box[2], row[2]) - max(box[0], row[0]) > 0.4 * (row[2] - row[0]):
                level = int(row[4]) - 1
                scores[level] = max(scores[level], row[5])
                break
        else:
            scores = np.zeros(len(LEVELS))
            scores[int(row[4]) - 1] = row[5]
            groups.append((row[:4], scores))
    return groups


def _body_row(pooled: Float32, vertebrae: tuple[VertebraBox, ...], factors: tuple[int, int, int]) -> float:
    """The row of the vertebral bodies: bone within the boxes' columns, and bodies lie before its middle."""
    rows = []
    for box in vertebrae:
        z0, z1 = (int(v / factors[0]) for v in box.z_range)
        x0, x1 = (int(v / factors[2]) for v in box.x_range)
        bone = (pooled[max(z0, 0) : z1 + 1, :, max(x0, 0) : x1 + 1] > 150).sum(axis=(0, 2))
        if bone.sum():
            rows.append(float(np.searchsorted(np.cumsum(bone), bone.sum() * 0.45)))
    return float(np.median(rows) + 0.5) * factors[1] if rows else pooled.shape[1] * factors[1] / 2
