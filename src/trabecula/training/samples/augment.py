"""How samples are varied: where the view lies in a scan, and what other scanners do to HU."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.view import View
from trabecula.volume import Float32, Float64, Grid, Volume


@dataclass(frozen=True)
class Pose:
    """A view laid into a scan turned, stretched and shifted: scan index = ``matrix`` @ view index + ``offset``."""

    view: View
    matrix: Float64
    offset: Float64

    def image(self, volume: Volume) -> Float32:
        """HU on the view's grid, sampled as in use."""
        step = np.eye(4)
        step[:3, :3], step[:3, 3] = self.matrix, self.offset
        return volume.sample(Grid(self.view.shape, volume.affine @ step))

    def labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Labels on the view's grid, 0 outside the scan."""
        shape = self.view.shape
        return np.asarray(
            ndimage.affine_transform(labels, self.matrix, self.offset, shape, order=0, mode="constant", cval=0)
        )


def random_pose(
    view: View, volume: Volume, middle: Float64, rng: np.random.Generator, turn_sd_deg: float, turned_share: float
) -> Pose:
    """The view about ``middle`` (z, y, x voxels of the scan), of a person up to a fifth larger or smaller, turned."""
    straight = np.diag(np.asarray(view.spacing_mm) / np.asarray(volume.spacing_mm))
    scale = rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)
    turn = np.radians(rng.normal(0, turn_sd_deg, 3)) if rng.random() < turned_share else np.zeros(3)
    matrix = straight @ rotation(turn) * scale
    return Pose(view, matrix, middle - matrix @ ((np.asarray(view.shape) - 1) / 2 + view.off_centre_voxels))


def of_shape(view: View, shape: tuple[int, int, int]) -> View:
    """The view with another extent: a network that slides over a scan is trained on pieces of it."""
    return replace(view, shape=shape)


def rotation(angles: Float64) -> Float64:
    """The matrix of three turns in radians, about each axis in turn."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_euler("xyz", angles).as_matrix())


def vary_intensity(hu: Float32, rng: np.random.Generator) -> Float32:
    """What other scanners, voltages, contrast and kernels do to HU; one time in four, tissues take arbitrary HU."""
    out = hu * np.float32(rng.uniform(0.85, 1.2)) + np.float32(rng.normal(0, 10))
    if rng.random() < 0.25:
        knots = np.array([-1100, -120, -20, 40, 120, 250, 500, 3100], float)
        out = np.interp(out, knots, knots + rng.normal(0, [20, 40, 30, 30, 40, 50, 90, 50])).astype(np.float32)
    if rng.random() < 0.3:
        out = ndimage.gaussian_filter(out, rng.uniform(0.2, 0.9, 3))
    if rng.random() < 0.5:
        out = out + rng.standard_normal(out.shape, dtype=np.float32) * np.float32(rng.uniform(2, 25))
    coarse = rng.normal(0, rng.uniform(0, 15), (3, 4, 4)).astype(np.float32)
    return np.asarray(out + ndimage.zoom(coarse, np.array(out.shape) / coarse.shape, order=1), np.float32)


def at_spacing(hu: NDArray[np.int16], spacing_mm: tuple[float, float, float]) -> Volume:
    """A shard's HU as a volume of its own."""
    return Volume(hu, Grid.axial((0.0, 0.0, 0.0), (2, 2, 2), spacing_mm).affine)  # type: ignore[arg-type]


def middles(body: NDArray[np.uint8]) -> dict[int, Float64]:
    """The middle voxel of every body, by its label."""
    return {
        label: np.array([(part.start + part.stop - 1) / 2 for part in parts])
        for label, parts in enumerate(ndimage.find_objects(body), 1)
        if parts is not None
    }
