"""Vertebrae measured on drawn label images as a reader measures real ones, against published means by level.

End plates are planes fitted to the label; every length is taken in the frame that they span. The numbers from which a
vertebra was drawn are never looked at.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.virtual.drawn import Drawn
from trabecula.volume import Float64, Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEANS_MM = {
    # end-plate width upper/lower, depth upper/lower, posterior height, canal width/depth, disc below
    Level.T10: (32.5, 35.5, 29.0, 30.5, 21.5, 18.0, 15.7, 5.4),
    Level.T11: (35.5, 39.5, 30.0, 32.0, 22.5, 19.5, 16.2, 5.8),
    Level.T12: (39.5, 42.5, 32.5, 33.5, 24.5, 22.0, 17.5, 6.8),
    Level.L1: (43.0, 45.5, 34.0, 35.0, 27.0, 23.2, 17.5, 7.8),
    Level.L2: (45.0, 47.5, 34.5, 35.5, 28.0, 23.5, 17.0, 9.0),
    Level.L3: (47.0, 50.0, 35.5, 36.0, 28.5, 24.2, 16.6, 10.2),
    Level.L4: (49.5, 52.0, 36.5, 36.0, 28.0, 25.5, 17.0, 11.2),
    Level.L5: (52.0, 52.0, 36.5, 34.5, 26.5, 28.0, 15.9, 11.5),
}
"""Men (Panjabi's series and CT anchors); women's are ``FEMALE`` of them."""

WEDGE_DEG = {
    Level.T10: (3.8, 2.6),
    Level.T11: (5.4, 4.6),
    Level.T12: (4.9, 3.5),
    Level.L1: (4.1, 2.6),
    Level.L2: (2.6, 0.7),
    Level.L3: (1.3, -1.1),
    Level.L4: (-0.7, -3.1),
    Level.L5: (-4.6, -7.8),
}
"""Men, women; positive: the front is shorter (PMC2899959)."""

FEMALE = 0.91
LORDOSIS_T12_S1_DEG = (36.8, 13.2)
LORDOSIS_L4_S1_DEG = (29.8, 8.0)
"""Lying down: mean and SD."""

SPREAD = 0.08
"""Dimensions have to vary by at least this share of their mean."""

BONE_HU = 150.0


@dataclass(frozen=True)
class EndPlate:
    """A plane through the rim of an end plate: a point and the normal that points up, LPS mm."""

    middle: Float64
    up: Float64


@dataclass(frozen=True)
class BodyDimensions:
    """One vertebral body as measured, mm and degrees."""

    width_upper: float
    width_lower: float
    depth_upper: float
    depth_lower: float
    height_posterior: float
    height_middle: float
    height_anterior: float
    waist_width: float  # share of the width that is missing at mid height
    wedge_deg: float
    canal_width: float
    canal_depth: float
    upper: EndPlate
    lower: EndPlate


@dataclass(frozen=True)
class SpineDimensions:
    """One drawn spine as measured."""

    sex: str
    bodies: dict[Level, BodyDimensions]
    discs_mm: dict[Level, float]
    lordosis_t12_s1_deg: float
    lordosis_l4_s1_deg: float


def measure_spine(drawn: Drawn) -> SpineDimensions:
    """All bodies T10 to L5 and the sacrum's end plate of a drawn spine."""
    voxel = float(drawn.volume.voxel_volume_mm3 ** (1 / 3))
    levels = [*MEANS_MM, Level.S1]
    points = {level: _points(drawn.volume, drawn.body == level.verse_id) for level in levels}
    middles = [points[level].mean(axis=0) for level in levels]
    bodies = {}
    for i, level in enumerate(MEANS_MM):
        upright = middles[max(i - 1, 0)] - middles[i + 1]
        bodies[level] = measure_body(drawn.volume, drawn.body == level.verse_id, upright / np.linalg.norm(upright))
    top = np.array([0.0, -0.6, 0.8])  # the sacrum is too tilted for the way to L5 to tell
    sacrum = _plate(points[Level.S1], top, voxel)
    plates = [*((bodies[level].upper, bodies[level].lower) for level in MEANS_MM), (sacrum, sacrum)]
    discs = {level: _gap(above[1], below[0]) for level, (above, below) in zip(MEANS_MM, pairwise(plates), strict=True)}
    return SpineDimensions(
        drawn.subject.sex,
        bodies,
        discs,
        _sagittal_deg(bodies[Level.T12].upper.up) - _sagittal_deg(sacrum.up),
        _sagittal_deg(bodies[Level.L4].upper.up) - _sagittal_deg(sacrum.up),
    )


def measure_body(volume: Volume, mask: NDArray[np.bool_], upright: Float64) -> BodyDimensions:
    """One labelled body of an image whose voxels are cubes of about 1 mm.

    ``upright`` (LPS) is roughly along the spine, as between the middles of the neighbours.

    Raises:
        ValueError: the mask is empty.
    """
    points = _points(volume, mask)
    if not len(points):
        raise ValueError("There is no body to measure.")
    voxel = float(volume.voxel_volume_mm3 ** (1 / 3))
    upper, below = _plate(points, upright, voxel), _plate(points, -upright, voxel)
    lower = EndPlate(below.middle, -below.up)
    up = upper.up + lower.up
    up /= np.linalg.norm(up)
    front, left = _front_left(up)
    centre = (upper.middle + lower.middle) / 2
    x, y, z = ((points - centre) @ axis for axis in (left, front, up))
    half = float((upper.middle - lower.middle) @ up) / 2
    midline = np.abs(x) < 3
    y0, y1 = y[midline].min(), y[midline].max()

    def extent(values: Float64, where: NDArray[np.bool_]) -> float:
        return float(np.ptp(values[where])) + voxel

    def height(share: float) -> float:
        return extent(z, midline & (np.abs(y - (y0 + share * (y1 - y0))) < 1.5))

    def widest(values: Float64, where: NDArray[np.bool_], sign: int) -> float:
        """The largest extent of any slab of 1.5 mm near an end plate."""
        starts = half - np.arange(1.0, 6.0)
        return max(extent(values, where & (np.abs(sign * z - s) < 0.75)) for s in starts.tolist())

    everywhere = np.ones(len(x), bool)
    widths = widest(x, everywhere, 1), widest(x, everywhere, -1)
    canal_width, canal_depth = _canal(
        volume, centre + up * 0.32 * half + front * y0, centre - up * 0.25 * half + front * y0, left, front
    )
    return BodyDimensions(
        width_upper=widths[0],
        width_lower=widths[1],
        depth_upper=widest(y, midline, 1),
        depth_lower=widest(y, midline, -1),
        height_posterior=height(0.07),
        height_middle=height(0.5),
        height_anterior=height(0.93),
        waist_width=1 - extent(x, np.abs(z) < 1.5) / (sum(widths) / 2),
        wedge_deg=_sagittal_deg(lower.up) - _sagittal_deg(upper.up),
        canal_width=canal_width,
        canal_depth=canal_depth,
        upper=upper,
        lower=lower,
    )


def _points(volume: Volume, mask: NDArray[np.bool_]) -> Float64:
    return volume.to_lps(np.argwhere(mask))


def _front_left(up: Float64) -> tuple[Float64, Float64]:
    """Directions in the plane of a body; a turn about its long axis of a few degrees changes nothing here."""
    left = np.array([1.0, 0, 0]) - up * up[0]
    left /= np.linalg.norm(left)
    return np.cross(left, up), left


def _plate(points: Float64, up: Float64, voxel_mm: float) -> EndPlate:
    """The plane through the tops of the columns of voxels between the middle of a body and its rim."""
    centre = points.mean(axis=0)
    for _ in range(4):
        front, left = _front_left(up)
        x, y, z = ((points - centre) @ axis for axis in (left, front, up))
        column = np.rint(x / 1.5) * 1000 + np.rint(y / 1.5)
        _, which = np.unique(column, return_inverse=True)
        tops = np.full(which.max() + 1, -np.inf)
        np.maximum.at(tops, which.ravel(), z)
        number = np.bincount(which.ravel())
        cx, cy = (np.bincount(which.ravel(), v) / number for v in (x, y))
        away = np.hypot(cx / np.percentile(np.abs(cx), 99), cy / np.percentile(np.abs(cy), 99))
        # The dish lies inside .75 of the radius, the rounded rim outside .9; lips and pits are left out by the median.
        ring = (away > 0.7) & (away < 0.88) & (tops > 0)
        ring &= np.abs(tops - np.median(tops[ring])) < 8
        a, b, c = np.linalg.lstsq(np.stack([cx, cy, np.ones_like(cx)], 1)[ring], tops[ring], rcond=None)[0]
        normal = up - a * left - b * front
        middle = centre + (c + voxel_mm / 2) * up
        up = normal / np.linalg.norm(normal)
    return EndPlate(middle, up)


def _sagittal_deg(up: Float64) -> float:
    """Lean of an end plate in the sagittal plane, posterior positive."""
    return float(np.degrees(np.arctan2(up[1], up[2])))


def _gap(above: EndPlate, below: EndPlate) -> float:
    """Mean distance of two facing end plates, along the direction between their normals."""
    up = above.up + below.up
    return float((above.middle - below.middle) @ (up / np.linalg.norm(up)))


def _canal(
    volume: Volume, at_pedicles: Float64, at_lamina: Float64, left: Float64, front: Float64
) -> tuple[float, float]:
    """Width between the pedicles and depth from the body to the lamina, to where HU pass ``BONE_HU``."""
    way = np.arange(0, 30, 0.25)

    def free(start: Float64, direction: Float64) -> float:
        index = volume.to_index(start + way[:, None] * direction)
        bone = ndimage.map_coordinates(volume.hu, index.T, order=1, mode="nearest") > BONE_HU
        return float(way[np.argmax(bone)]) if bone.any() else float("nan")

    widths = [
        free(at_pedicles - front * back, left) + free(at_pedicles - front * back, -left) for back in (4.0, 6.0, 8.0)
    ]
    middle = at_lamina - front * 7.0
    depth = free(middle, -front) + free(middle, front)
    return max(widths), depth


@dataclass(frozen=True)
class Compared:
    """A dimension over many spines: means by sex in mm, published ones, the spread as a share of the mean."""

    level: Level
    name: str
    mean: dict[str, float]
    published: dict[str, float]
    spread: float

    @property
    def ratio(self) -> float:
        """Measured over published, both sexes taken together."""
        return float(np.mean([self.mean[sex] / self.published[sex] for sex in self.mean]))


_NAMES = ("width_upper", "width_lower", "depth_upper", "depth_lower", "height_posterior", "canal_width", "canal_depth")


def compare(spines: Iterable[SpineDimensions]) -> list[Compared]:
    """Every dimension of every level of the published table."""
    spines = list(spines)
    rows = []
    for level, means in MEANS_MM.items():
        for name, published in zip((*_NAMES, "disc_below"), means, strict=True):
            values = {
                sex: np.array(
                    [
                        s.discs_mm[level] if name == "disc_below" else getattr(s.bodies[level], name)
                        for s in spines
                        if s.sex == sex
                    ]
                )
                for sex in "FM"
            }
            every = np.concatenate(list(values.values()))
            rows.append(
                Compared(
                    level,
                    name,
                    {sex: float(np.nanmean(v)) for sex, v in values.items()},
                    {"F": FEMALE * published, "M": published},
                    float(np.nanstd(every, ddof=1) / np.nanmean(every)),
                )
            )
    return rows


def figure(rows: list[Compared]) -> "Figure":
    """Measured over published by level, a line a dimension."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7, 3.6), layout="constrained")
    axes = drawn.subplots()
    axes.axhspan(0.95, 1.05, color="#1f6f8b", alpha=0.12, linewidth=0)
    for name in dict.fromkeys(row.name for row in rows):
        mine = [row for row in rows if row.name == name]
        levels, ratios = [row.level.value for row in mine], [row.ratio for row in mine]
        axes.plot(levels, ratios, marker="o", ms=3, label=name.replace("_", " "))
    axes.set_ylabel("measured over published mean")
    axes.set_title("Drawn vertebrae, measured on their labels", fontsize=10)
    axes.legend(frameon=False, fontsize=7, ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    return drawn
