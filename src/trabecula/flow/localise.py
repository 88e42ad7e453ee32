"""Localise in the projection: which vertebrae are in view, and where. A Scan goes in, a Spine comes out.

As in Niu 2023, Faster R-CNN looks at the coronal maximum intensity projection. It scores every level for every box;
the names are then given to the whole chain at once, because neighbours vouch for one another.
"""

import numpy as np
from scipy import ndimage

from trabecula.anatomy import LEVELS
from trabecula.flow.body import body_mask, pool
from trabecula.flow.naming import Candidate, name_spine
from trabecula.inference import network
from trabecula.records import Scan, Spine, VertebraBox
from trabecula.volume import PADDING_HU, Float32, Float64, Volume

PIXEL_MM = 1.5
"""Of the projection that the detector sees."""

WINDOW_HU = 900.0
"""The projection's white; its black is water."""

CANVAS = (448, 352)
"""Rows and columns of the detector's input: 672 x 528 mm. Longer scans are seen in overlapping windows."""


def localise(scan: Scan, weights: str, minimum_score: float = 0.15, certain: float = 0.8) -> Spine:
    """The chain of vertebrae from T8 to the sacrum as far as it is in view.

    ``minimum_score``: what a box needs, over all levels, to count as a vertebra. ``certain``: see ``name_spine``.

    Raises:
        Refusal: ``no-vertebrae-found``.
    """
    pooled, factors = pool(scan.volume)
    found = _candidates(scan.volume, pooled, factors, weights, minimum_score)
    vertebrae, reasons = name_spine(found, scan.volume.spacing_mm, certain)
    return Spine(vertebrae, _body_row(pooled, vertebrae, factors), reasons)


def projected(scan: Scan, weights: str, minimum_score: float = 0.15) -> list[Candidate]:
    """The vertebrae that the projection shows, each with the scores of its names: a second opinion for ``find``."""
    pooled, factors = pool(scan.volume)
    return _candidates(scan.volume, pooled, factors, weights, minimum_score)


def _candidates(
    volume: Volume, pooled: Float32, factors: tuple[int, int, int], weights: str, minimum_score: float
) -> list[Candidate]:
    projection = np.where(body_mask(pooled), pooled, PADDING_HU).max(axis=1)  # (z, x)
    return [c for c in _detect(projection, volume, factors, weights) if c.total >= minimum_score]


def _detect(projection: Float32, volume: Volume, factors: tuple[int, int, int], weights: str) -> list[Candidate]:
    """The detector's boxes over the whole projection, the levels' scores of one place gathered."""
    fine = (volume.spacing_mm[0] * factors[0] / PIXEL_MM, volume.spacing_mm[2] * factors[2] / PIXEL_MM)
    image = ndimage.zoom(projection, fine, order=1)
    image = np.clip(image / WINDOW_HU, 0, 1).astype(np.float32)[::-1]  # cranial on top
    found = []
    for top in _window_tops(image.shape[0]):
        left = max(0, (image.shape[1] - CANVAS[1]) // 2)
        part = image[top : top + CANVAS[0], left : left + CANVAS[1]]
        canvas = np.zeros((1, *CANVAS), np.float32)
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


def _window_tops(rows: int) -> list[int]:
    """Where windows of the canvas's height start: half overlapping, from the caudal end up."""
    if rows <= CANVAS[0]:
        return [0]
    return sorted({max(0, top) for top in range(rows - CANVAS[0], -CANVAS[0] // 2, -CANVAS[0] // 2)})


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
