"""The array a virtual patient is drawn on, and the few shapes it is drawn with.

A shape is a signed distance in mm, negative inside. A voxel of edge h that the surface crosses is filled in part:
fraction = clip(1/2 - d/h, 0, 1), which lets a 1.5 mm grid carry a cortex of 0.4 mm.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.virtual.attenuation import BoneScale
from trabecula.volume import PADDING_HU, Float32, Float64, Grid, Point

Box = tuple[slice, slice, slice]

Local = tuple[Float32, Float32, Float32]
"""Voxels in a frame of their own, in mm from its origin; a vertebra's is left, anterior and up."""

NOISE_PERIOD = 24
"""Smooth noise repeats after so many correlation lengths: 72 mm at the finest, wider than a vertebral body."""


@dataclass
class Canvas:
    """Hounsfield units and truth labels on an axial grid, (z, y, x), LPS mm."""

    grid: Grid
    scale: BoneScale = field(default_factory=BoneScale)  # of what is painted: bones are drawn in the HU of 120 kVp
    hu: Float32 = field(init=False)
    body: NDArray[np.uint8] = field(init=False)  # vertebral bodies, VerSe ids
    whole: NDArray[np.uint8] = field(init=False)  # vertebrae with arch and processes
    ribs: NDArray[np.uint8] = field(init=False)  # the VerSe id of the vertebra that each rib joins
    depth_mm: Float32 = field(init=False)  # inside a body: distance to its side wall
    end_mm: Float32 = field(init=False)  # and to its end plates

    def __post_init__(self) -> None:
        self.hu = np.full(self.grid.shape, PADDING_HU, np.float32)
        self.body = np.zeros(self.grid.shape, np.uint8)
        self.whole = np.zeros(self.grid.shape, np.uint8)
        self.ribs = np.zeros(self.grid.shape, np.uint8)
        self.depth_mm = np.zeros(self.grid.shape, np.float32)
        self.end_mm = np.zeros(self.grid.shape, np.float32)
        origin = self.grid.affine[:3, 3]
        self.spacing = np.asarray(self.grid.spacing_mm)
        self.h = float(self.spacing.mean())
        self.axes = [
            (origin[world] + np.arange(self.grid.shape[axis]) * self.spacing[axis]).astype(np.float32)
            for axis, world in ((0, 2), (1, 1), (2, 0))
        ]

    def box(self, low_lps: NDArray[np.float64], high_lps: NDArray[np.float64]) -> Box | None:
        """The part of the canvas between two corners (x, y, z), or None where they miss it."""
        slices = []
        for axis, world in ((0, 2), (1, 1), (2, 0)):
            start, stop = np.searchsorted(self.axes[axis], [low_lps[world], high_lps[world]])
            if start >= stop:
                return None
            slices.append(slice(int(start), int(stop)))
        return slices[0], slices[1], slices[2]

    @property
    def everything(self) -> Box:
        """The whole canvas as a box."""
        z, y, x = self.grid.shape
        return slice(0, z), slice(0, y), slice(0, x)

    def points(self, box: Box) -> tuple[Float32, Float32, Float32]:
        """Broadcastable x, y, z of a box's voxels."""
        z, y, x = (axis[part] for axis, part in zip(self.axes, box, strict=True))
        return x[None, None, :], y[None, :, None], z[:, None, None]

    def fraction(self, distance: Float32) -> Float32:
        """How much of each voxel lies inside a surface."""
        return np.asarray(np.clip(0.5 - distance / np.float32(self.h), 0, 1), np.float32)

    def blend(self, box: Box, fraction: Float32, hu: Float32 | float) -> None:
        """Paints ``hu``, brought to the canvas's beam by ``scale``, over what is there, by ``fraction``."""
        here = self.hu[box]
        here += fraction * (self.scale.slope * hu + self.scale.offset_hu - here)

    def ellipsoid(self, centre: NDArray[np.float64], radii: tuple[float, float, float], hu: float) -> None:
        """Paints an axis-aligned ellipsoid; centre and radii in (x, y, z)."""
        centre, r = np.asarray(centre, float), np.asarray(radii, float)
        box = self.box(centre - r - self.h, centre + r + self.h)
        if box is not None:
            x, y, z = self.points(box)
            norm = np.sqrt(
                ((x - centre[0]) / r[0]) ** 2 + ((y - centre[1]) / r[1]) ** 2 + ((z - centre[2]) / r[2]) ** 2
            )
            self.blend(box, self.fraction((norm - 1) * r.min()), hu)

    def tube(
        self,
        path: NDArray[np.float64],
        radius: NDArray[np.float64] | float,
        hu: float,
        shell_mm: float = 0.0,
        shell_hu: float = 0.0,
        flatten: tuple[float, float, float] = (1, 1, 1),
    ) -> tuple[Box, Float32] | None:
        """Paints round sections along a path (n, 3) in LPS; with a shell it is a bone. Returns its signed distance on a
        box, None where it is out of view.

        ``flatten`` stretches the section along (x, y, z), e.g. (1, 1, 2) for a rib or a plate.
        """
        radii = np.broadcast_to(np.asarray(radius, float), (len(path),))
        reach = radii.max() * np.asarray(flatten) + 2 * self.h
        whole = self.box(path.min(axis=0) - reach, path.max(axis=0) + reach)
        if whole is None:
            return None
        distance = np.full([part.stop - part.start for part in whole], 1e3, np.float32)
        for a, b, ra, rb in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
            box = self.box(np.minimum(a, b) - reach, np.maximum(a, b) + reach)
            if box is not None:
                near = distance[
                    tuple(slice(p.start - w.start, p.stop - w.start) for p, w in zip(box, whole, strict=True))
                ]
                np.minimum(near, segment_distance(self.points(box), a, b, ra, rb, flatten), out=near)
        self.paint(whole, distance, hu, shell_mm, shell_hu)
        return whole, distance

    def paint(
        self, box: Box, distance: Float32, hu: Float32 | float, shell_mm: Float32 | float, shell_hu: float
    ) -> None:
        """Paints a shape filled with ``hu`` behind a shell; without a shell, all ``hu``."""
        inside = self.fraction(distance)
        if np.any(shell_mm):
            core = self.fraction(np.asarray(distance + np.asarray(shell_mm, np.float32)))
            shell = np.where(inside > 0, 1 - core / np.maximum(inside, 1e-6), 0)
            hu = np.asarray(hu + shell * (shell_hu - hu), np.float32)
        self.blend(box, inside, hu)

    def smooth_noise(
        self, box: Box, rng: np.random.Generator, correlation_mm: float | tuple[float, float, float]
    ) -> Float32:
        """A smooth random field of unit deviation over a box; a place has the same value on every grid.

        ``correlation_mm`` is one for all or along (z, y, x).
        """
        correlation = np.broadcast_to(correlation_mm, 3)
        knots = rng.standard_normal((NOISE_PERIOD,) * 3).astype(np.float32)
        start = [axis[part.start] for axis, part in zip(self.axes, box, strict=True)] / correlation
        shift = np.mod(start + rng.uniform(0, NOISE_PERIOD, 3), NOISE_PERIOD)
        shape = tuple(part.stop - part.start for part in box)
        step = self.spacing / correlation
        return np.asarray(1.5 * ndimage.affine_transform(knots, step, shift, shape, order=1, mode="grid-wrap"))


def part_of(grid: Grid, part: Box) -> Grid:
    """A box of a grid as a grid of its own."""
    shift = np.eye(4)
    shift[:3, 3] = [p.start for p in part]
    z, y, x = (p.stop - p.start for p in part)
    return Grid((z, y, x), grid.affine @ shift)


def to_local(points: tuple[Float32, Float32, Float32], origin_lps_mm: Point, axes: Float64) -> Local:
    """Points (x, y, z) in the frame with this origin whose axes are the rows of ``axes``, (3, 3) in LPS."""
    x, y, z = (p - np.float32(c) for p, c in zip(points, origin_lps_mm, strict=True))
    e = axes.astype(np.float32)
    first, second, third = (e[i, 0] * x + e[i, 1] * y + e[i, 2] * z for i in range(3))
    return first, second, third


def segment_distance(
    points: tuple[Float32, Float32, Float32],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    radius_a: float,
    radius_b: float,
    flatten: tuple[float, float, float] = (1, 1, 1),
) -> Float32:
    """Signed distance to a tapered capsule from ``a`` to ``b``, approximate where it is flattened."""
    p = [(points[i] - a[i]) / flatten[i] for i in range(3)]
    d = (np.asarray(b) - np.asarray(a)) / np.asarray(flatten)
    t = np.clip((p[0] * d[0] + p[1] * d[1] + p[2] * d[2]) / max(float(d @ d), 1e-6), 0, 1).astype(np.float32)
    gap = np.sqrt((p[0] - t * d[0]) ** 2 + (p[1] - t * d[1]) ** 2 + (p[2] - t * d[2]) ** 2)
    return np.asarray(gap - (radius_a + t * (radius_b - radius_a)), np.float32)


def smooth_min(a: Float32, b: Float32, k: float) -> Float32:
    """The union of two shapes with a fillet of about ``k`` mm (polynomial smooth minimum)."""
    h = np.maximum(k - np.abs(a - b), 0) / k
    return np.asarray(np.minimum(a, b) - h * h * np.float32(k / 4))


def smooth_max(a: Float32, b: Float32, k: float) -> Float32:
    """The intersection of two shapes with rounded edges."""
    return np.negative(smooth_min(-a, -b, k))
