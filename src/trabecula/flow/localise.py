"""Localise: which vertebrae are in view, and where. A Scan goes in, a Spine comes out.

As in Niu 2023, Faster R-CNN looks at the coronal maximum intensity projection. It scores every level for every box;
the names are then given to the whole chain at once, because neighbours vouch for one another.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import LEVELS, Level
from trabecula.errors import Refusal
from trabecula.inference import network
from trabecula.records import Reason, Scan, Spine, VertebraBox
from trabecula.volume import PADDING_HU, Float32, Float64, Volume

PIXEL_MM = 1.5
"""Of the projection that the detector sees."""

WINDOW_HU = 900.0
"""The projection's white; its black is water."""

CANVAS = (448, 352)
"""Rows and columns of the detector's input: 672 x 528 mm. Longer scans are seen in overlapping windows."""

FOREIGN = 0.02
"""The score of a level that the detector did not name: small, not zero, so that one odd box cannot veto a chain."""

INDIFFERENT = 0.05
"""The score at which it does not matter whether a box belongs to the chain."""

EVIDENCE = 1.2
"""What the scores of a chain must sum to: one box alone, however sure, is no spine."""

LONGEST_SKIP = 3
"""The chain may pass over two vertebrae that the detector missed."""

PITCH_MM: dict[Level, float] = dict(
    zip(LEVELS, (24.0, 25.0, 26.5, 28.0, 31.0, 34.0, 36.0, 37.0, 37.0, 33.0, 33.0), strict=True)
)
"""From a vertebra's middle to the next one's below: body and disc, mean of both sexes."""


@dataclass(frozen=True)
class Candidate:
    """A box (voxels of the scan) and the detector's score for each of LEVELS."""

    z_range: tuple[float, float]
    x_range: tuple[float, float]
    scores: Float64

    @property
    def z(self) -> float:
        return sum(self.z_range) / 2

    @property
    def x(self) -> float:
        return sum(self.x_range) / 2

    @property
    def total(self) -> float:
        return float(min(1.0, self.scores.sum()))


def localise(scan: Scan, weights: str, minimum_score: float = 0.15, certain: float = 0.8) -> Spine:
    """The chain of vertebrae from T8 to the sacrum as far as it is in view.

    ``minimum_score``: what a box needs, over all levels, to count as a vertebra. ``certain``: how probable the best
    naming of the chain must be; below it the result carries ``level-uncertain``.

    Raises:
        Refusal: ``no-vertebrae-found``.
    """
    volume = scan.volume
    pooled, factors = _pool(volume)
    body = _body_mask(pooled)
    projection = np.where(body, pooled, PADDING_HU).max(axis=1)  # (z, x)
    candidates = [c for c in _detect(projection, volume, factors, weights) if c.total >= minimum_score]
    chain = best_chain(candidates, volume.spacing_mm)
    if len(chain) < 2 or sum(c.total for c, _ in chain) < EVIDENCE:
        raise Refusal(
            "no-vertebrae-found",
            "No two neighbouring vertebrae between T8 and the sacrum were found. Trabecula needs a CT of the chest or "
            "abdomen that shows the lower thoracic or lumbar spine.",
        )
    probability = naming_probability(chain)
    vertebrae = _boxes(chain, probability)
    reasons: tuple[Reason, ...] = ()
    if probability < certain:
        reasons = (
            Reason(
                "level-uncertain",
                f"The names of the levels are uncertain (probability {probability:.0%}): too little of the ribs or the "
                "sacrum is in view, or the numbering is unusual. Check them on the coronal picture.",
            ),
        )
    return Spine(vertebrae, _body_row(pooled, vertebrae, factors), reasons)


def _pool(volume: Volume) -> tuple[Float32, tuple[int, int, int]]:
    """Means over whole voxels to about 2 mm: a maximum over single noisy voxels would see noise, not bone."""
    z, y, x = (max(1, round(2.0 / s)) for s in volume.spacing_mm)
    nz, ny, nx = (n // f for n, f in zip(volume.shape, (z, y, x), strict=True))
    total = np.zeros((nz, ny, nx), np.float32)
    for dz, dy, dx in np.ndindex(z, y, x):
        total += volume.hu[dz : nz * z : z, dy : ny * y : y, dx : nx * x : x]
    return total / np.float32(z * y * x), (z, y, x)


def _body_mask(pooled: Float32) -> NDArray[np.bool_]:
    """The patient without the table: the largest piece of tissue, on half of the pooled resolution."""
    tissue = ndimage.binary_opening(pooled[:, ::2, ::2] > -300, np.ones((1, 3, 3)))
    pieces, count = ndimage.label(tissue)
    if count == 0:
        return np.zeros(pooled.shape, bool)
    largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    grown = ndimage.binary_dilation(largest, np.ones((1, 3, 3)))
    return np.asarray(grown.repeat(2, axis=1).repeat(2, axis=2)[:, : pooled.shape[1], : pooled.shape[2]])


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


def best_chain(candidates: list[Candidate], spacing_mm: tuple[float, float, float]) -> list[tuple[Candidate, int]]:
    """The candidates that form the most credible spine, cranial first, each with its index into LEVELS.

    A dynamic programme over (candidate, level): a link to the next level costs what its length differs from the
    anatomical pitch and what it leans sideways; levels may be skipped at a price.
    """
    ordered = sorted(candidates, key=lambda c: -c.z)
    scores = np.array([np.log((c.scores + FOREIGN) / INDIFFERENT) for c in ordered]).reshape(-1, len(LEVELS))
    best, came_from = scores.copy(), np.full(scores.shape, -1, int)
    for lower, c in enumerate(ordered):
        for upper in range(lower):
            drop_mm = (ordered[upper].z - c.z) * spacing_mm[0]
            lean_mm = (ordered[upper].x - c.x) * spacing_mm[2]
            if not 12 < drop_mm < 130:
                continue
            for step in range(1, LONGEST_SKIP + 1):
                value = best[upper, : len(LEVELS) - step] - _link_cost(drop_mm, lean_mm, step) + scores[lower, step:]
                better = value > best[lower, step:]
                best[lower, step:][better] = value[better]
                came_from[lower, step:][better] = upper * len(LEVELS) + np.flatnonzero(better)
    if not ordered or best.max() <= 0:
        return []
    chain, state = [], int(best.argmax())
    while state >= 0:
        index, level = divmod(state, len(LEVELS))
        chain.append((ordered[index], level))
        state = int(came_from[index, level])
    return chain[::-1]


def _link_cost(drop_mm: float, lean_mm: float, step: int) -> Float64:
    """What it costs to go down ``step`` levels over this distance, for each level but the last ``step``."""
    pitch = np.array([PITCH_MM[level] for level in LEVELS])
    expected = sum(pitch[k : len(LEVELS) - step + k] for k in range(step))
    return np.asarray(
        0.5 * ((drop_mm - expected) / (0.15 * expected)) ** 2 + 0.5 * (lean_mm / (8.0 * step)) ** 2 + 3.0 * (step - 1)
    )


def naming_probability(chain: list[tuple[Candidate, int]]) -> float:
    """How probable the chain's names are against the same chain named one or two levels higher or lower.

    The boxes look at the same two landmarks, ribs and sacrum, so together they weigh as two independent votes.
    """
    evidence = []
    for shift in (-2, -1, 0, 1, 2):
        levels = [level + shift for _, level in chain]
        inside = [c.scores[k] if 0 <= k < len(LEVELS) else 0.0 for (c, _), k in zip(chain, levels, strict=True)]
        evidence.append(2 * float(np.log(np.array(inside) + FOREIGN).mean()))
    odds = np.exp(np.array(evidence) - max(evidence))
    return float(odds[2] / odds.sum())


def _boxes(chain: list[tuple[Candidate, int]], probability: float) -> tuple[VertebraBox, ...]:
    """The chain as boxes; one missed vertebra is placed midway between its neighbours, with half their confidence."""
    boxes = []
    for (upper, level), following in zip(chain, [*chain[1:], None], strict=True):
        boxes.append(VertebraBox(LEVELS[level], round(upper.total * probability, 3), upper.z_range, upper.x_range))
        if following is not None and following[1] == level + 2:
            lower = following[0]
            confidence = round(0.5 * min(upper.total, lower.total) * probability, 3)
            z_range, x_range = _between(upper.z_range, lower.z_range), _between(upper.x_range, lower.x_range)
            boxes.append(VertebraBox(LEVELS[level + 1], confidence, z_range, x_range))
    return tuple(boxes)


def _between(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


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
