"""How much water the rays through a vertebra pass: a large body hardens the beam, and mineral shows less of itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.volume import Float64, Grid, Volume

ANGLES = 60
STEP_MM = 3.0
REACH_MM = 330.0

TISSUE_ABOVE_HU = -350.0
"""Between the foam of a table and fat."""

HARDENING_SHARE, HARDENING_SHARE_SD = 0.84, 0.07
"""How much of the water path hardens the beam for the rods of a QCT phantom under the back, by whose line the bands
were drawn: torsos projected through polychromatic beams (evaluation/world/hardening.py, docs/results/hardening.md).
The spread is that of bow-tie filters, whose shapes makers do not publish; from person to person it is 0.02. Bone's own
hardening belongs to QCT's reading, and is not taken off."""

USUAL_MM = 225.0
"""What hardens the beam in an adult's lumbar spine; taken where the body is cut off by the view. Adults: 155 to 300."""


@dataclass(frozen=True)
class WaterPath:
    """The mean water path through a point, over all directions in its slice, and the share of rays the view cuts."""

    mm: float
    cut_share: float

    @property
    def hardening_mm(self) -> float:
        """The water behind which a phantom's rods under the back show their mineral."""
        return HARDENING_SHARE * self.mm

    @property
    def whole(self) -> bool:
        """Whether enough of the body is in view to measure its size."""
        return self.cut_share < 0.15


def water_path(volume: Volume, middle_lps_mm: Float64) -> WaterPath:
    """The water path through a body's middle (LPS mm) in its axial slice, without the table."""
    side = round(REACH_MM / STEP_MM)
    grid = Grid.axial(
        (float(middle_lps_mm[0]), float(middle_lps_mm[1]), float(middle_lps_mm[2])),
        (3, 2 * side + 1, 2 * side + 1),
        (STEP_MM, STEP_MM, STEP_MM),
    )
    hu = volume.sample(grid).mean(axis=0)
    inside = _in_view(volume, grid)
    body = _body(hu)
    water = np.where(body, np.maximum(1 + hu / 1000, 0), 0)
    along = np.arange(0, side, 1.0)
    lengths, cut = np.zeros(ANGLES), np.zeros(ANGLES, bool)
    for k, angle in enumerate(np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)):
        at = side + np.outer([np.sin(angle), np.cos(angle)], along)
        lengths[k] = ndimage.map_coordinates(water, at, order=1).sum() * STEP_MM
        seen = ndimage.map_coordinates(inside.astype(np.float32), at, order=1) > 0.5
        last = int(np.flatnonzero(seen)[-1]) if seen.any() else 0
        # The ray ends inside the body where the view ends.
        cut[k] = bool(
            ndimage.map_coordinates(body.astype(np.float32), at[:, max(0, last - 1) : last + 1], order=1).max() > 0.5
        )
    half = ANGLES // 2
    return WaterPath(float((lengths[:half] + lengths[half:]).mean()), float(cut.mean()))


def _in_view(volume: Volume, grid: Grid) -> NDArray[np.bool_]:
    """Which points of the middle slice of a grid lie in the scan."""
    index = np.moveaxis(np.indices((1, *grid.shape[1:])), 0, -1)[0] + [1, 0, 0]
    at = volume.to_index(Volume(np.empty((0, 0, 0), np.float32), grid.affine).to_lps(index))
    return np.asarray(((at >= -0.5) & (at <= np.asarray(volume.shape) - 0.5)).all(axis=-1))


def _body(hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The body's outline with all that it holds: the piece at the middle, without table and arms."""
    tissue = ndimage.binary_opening(hu > TISSUE_ABOVE_HU, iterations=1)
    pieces, _ = ndimage.label(tissue)
    centre = hu.shape[0] // 2
    mine = pieces[centre - 3 : centre + 4, centre - 3 : centre + 4]
    names = mine[mine > 0]
    if names.size == 0:
        return np.zeros(hu.shape, bool)
    return np.asarray(ndimage.binary_fill_holes(pieces == np.bincount(names).argmax()))
