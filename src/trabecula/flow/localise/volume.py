"""Localise in the volume: a small U-Net sees the whole torso at 3 mm.

The lowest ribs and the sacrum, which say how to count, are in view at once with every body that is to be named.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import LEVELS
from trabecula.flow.localise.naming import PITCH_MM, Candidate, combine_scores, localisers_disagree, name_spine
from trabecula.flow.localise.projection import ProjectionLocaliser
from trabecula.flow.localise.torso import look, torso_view
from trabecula.records import Scan, Spine
from trabecula.view import Classes
from trabecula.volume import Float32, Float64
from trabecula.weights import Weights, weights_named

APART_MM = 13.0
"""Two bodies' middles are further apart than this, crushed ones too."""

HALF_WIDTH_MM = 24.0
"""Half a lumbar body; boxes are for pictures, the regions say how wide a body is."""


@dataclass(frozen=True)
class VolumeLocaliser:
    """The chain of vertebrae from T8 to L5 as far as it is in view, each with its middle in three dimensions.

    ``witness``: a second opinion on the names. ``minimum_score``: how sure the network must be that a place is a
    body's middle. ``certain``: see ``name_spine``.
    """

    weights: str
    witness: ProjectionLocaliser | None = None
    minimum_score: float = 0.3
    certain: float = 0.8
    precision: str = "f32"

    def __call__(self, scan: Scan) -> Spine:
        """The spine of a scan.

        Raises:
            Refusal: ``no-vertebrae-found``.
        """
        volume, weights = scan.volume, weights_named(self.weights)
        grid, image = torso_view(volume, weights.view)
        near, names = look_names(image, weights, self.precision)
        from_half = np.linalg.inv(volume.affine) @ grid.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
        candidates = [
            _candidate(middle, score, named, from_half, volume.spacing_mm)
            for middle, score, named in bodies(near, names, self.minimum_score, 2 * weights.view.spacing_mm[0])
        ]
        seen = [] if self.witness is None else self.witness.candidates(scan)
        most = 0.5 if localisers_disagree(candidates, seen) else 1.0
        combined = combine_scores(candidates, seen)
        vertebrae, reasons = name_spine(combined, volume.spacing_mm, self.certain, most=most)
        rows = [box.y for box in vertebrae if box.y is not None]
        return Spine(vertebrae, float(np.median(rows)), reasons)


def look_names(image: Float32, weights: Weights, precision: str) -> tuple[Float32, Float32]:
    """How near each place is to a body's middle (0 to 1), and the names' probabilities (names, ...), half as fine."""
    scores = look(image, weights, precision)
    assert isinstance(weights.head, Classes)
    return 1 / (1 + np.exp(-scores[0])), weights.head.probabilities(scores[1:])


def bodies(
    near: Float32, names: Float32, minimum_score: float, voxel_mm: float
) -> list[tuple[Float64, float, Float64]]:
    """The peaks of ``near`` that lie apart, best first: place (z, y, x), score, probability of each name."""
    peaks = np.argwhere((near > minimum_score) & (near == ndimage.maximum_filter(near, 3)))
    peaks = peaks[np.argsort(-near[tuple(peaks.T)])]
    found: list[tuple[Float64, float, Float64]] = []
    for peak in peaks:
        part = tuple(slice(max(0, p - 1), p + 2) for p in peak)
        weight = near[part]
        middle = np.array([np.average(axis, weights=weight) for axis in np.indices(weight.shape)])
        middle += [p.start for p in part]
        if all(np.linalg.norm(middle - other) * voxel_mm > APART_MM for other, _, _ in found):
            named = (names[(slice(None), *part)] * weight).sum(axis=(1, 2, 3)) / weight.sum()
            found.append((middle, float(near[tuple(peak)]), np.asarray(named, np.float64)))
    return found


def _candidate(
    middle: Float64,
    score: float,
    named: Float64,
    from_half: NDArray[np.float64],
    spacing_mm: tuple[float, float, float],
) -> Candidate:
    z, y, x = from_half[:3, :3] @ middle + from_half[:3, 3]
    half_z = 0.4 * PITCH_MM[LEVELS[int(named[1:].argmax())]] / spacing_mm[0]
    half_x = HALF_WIDTH_MM / spacing_mm[2]
    return Candidate(
        (z - half_z, z + half_z), (x - half_x, x + half_x), named[1:] * score, float(named[0] * score), float(y)
    )
