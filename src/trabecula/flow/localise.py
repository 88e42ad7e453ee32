"""Localise: which vertebrae are in view, and where. A Scan goes in, a Spine comes out.

As in Niu 2023, Faster R-CNN looks at the coronal maximum intensity projection. It scores every level for every box;
the names are then given to the whole chain at once, because neighbours vouch for one another.
"""

from dataclasses import dataclass
from itertools import pairwise

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

FOREIGN = 0.03
"""The score of a level that the detector did not name: small, not zero, so that one odd box cannot veto a chain."""

PITCH_MM: dict[Level, float] = {
    **dict(zip(LEVELS, (25.0, 26.0, 27.5, 29.5, 33.0, 36.0, 38.0, 39.0, 39.0, 35.0, 35.0), strict=True))
}
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


def localise(scan: Scan, weights: str, minimum_score: float = 0.3, certain: float = 0.8) -> Spine:
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
    chain = _chain(candidates, volume.spacing_mm)
    if not chain:
        raise Refusal(
            "no-vertebrae-found",
            "No vertebra between T8 and the sacrum was found. Trabecula needs a CT of the chest or abdomen "
            "that shows the lower thoracic or lumbar spine.",
        )
    vertebrae, probability = name_chain(chain, volume.spacing_mm[0])
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
    blocks = volume.hu[: nz * z, : ny * y, : nx * x].reshape(nz, z, ny, y, nx, x)
    return blocks.mean(axis=(1, 3, 5), dtype=np.float32), (z, y, x)


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
        found.append(np.column_stack([boxes + [left, top, left, top], labels, scores]))
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


def _chain(candidates: list[Candidate], spacing_mm: tuple[float, float, float]) -> list[Candidate]:
    """The candidates that form one spine, cranial first: from the surest, up and down, each near the last.

    A link may skip one vertebra (75 mm) and may lean by 20 mm sideways.
    """
    if not candidates:
        return []
    chain = [max(candidates, key=lambda c: c.total)]
    for direction in (1, -1):
        while True:
            end = chain[0] if direction == 1 else chain[-1]
            ahead = [
                c
                for c in candidates
                if 14 < direction * (c.z - end.z) * spacing_mm[0] < 75 and abs(c.x - end.x) * spacing_mm[2] < 20
            ]
            if not ahead:
                break
            nearest = min(ahead, key=lambda c: abs(c.z - end.z) - 10 / spacing_mm[0] * c.total)
            chain.insert(0 if direction == 1 else len(chain), nearest)
    return chain


def name_chain(chain: list[Candidate], z_spacing_mm: float) -> tuple[tuple[VertebraBox, ...], float]:
    """Names the chain by the start that explains all its boxes best; returns it and how probable that start is.

    A gap of about twice the pitch holds a vertebra that the detector missed: it is named and placed between its
    neighbours, with half of their confidence.
    """
    starts, evidence = [], []
    for start in range(len(LEVELS)):
        places = _places(chain, start, z_spacing_mm)
        inside = [0 <= p < len(LEVELS) for p in places]
        starts.append(places)
        evidence.append(
            sum(
                np.log(c.scores[p] + FOREIGN) if ok else np.log(FOREIGN / 2)
                for c, p, ok in zip(chain, places, inside, strict=True)
            )
        )
    odds = np.exp(np.array(evidence) - max(evidence))
    odds /= odds.sum()
    best = int(np.argmax(odds))
    named = [(p, c) for p, c in zip(starts[best], chain, strict=True) if p < len(LEVELS)]
    boxes = []
    for index, (place, candidate) in enumerate(named):
        boxes.append(
            VertebraBox(
                LEVELS[place], round(candidate.total * float(odds[best]), 3), candidate.z_range, candidate.x_range
            )
        )
        if index + 1 < len(named) and named[index + 1][0] == place + 2:
            below = named[index + 1][1]
            boxes.append(
                VertebraBox(
                    LEVELS[place + 1],
                    round(0.5 * min(candidate.total, below.total) * float(odds[best]), 3),
                    _between(candidate.z_range, below.z_range),
                    _between(candidate.x_range, below.x_range),
                )
            )
    return tuple(boxes), float(odds[best])


def _between(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def _places(chain: list[Candidate], start: int, z_spacing_mm: float) -> list[int]:
    """The index into LEVELS of each box if the first one is ``LEVELS[start]``."""
    places = [start]
    for upper, lower in pairwise(chain):
        pitch = PITCH_MM[LEVELS[min(places[-1], len(LEVELS) - 1)]]
        places.append(places[-1] + max(1, round((upper.z - lower.z) * z_spacing_mm / pitch - 0.15)))
    return places


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
