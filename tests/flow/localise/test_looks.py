"""From the network's maps to named bodies, and from scans of any grid to what the network sees."""

import numpy as np
import pytest

from trabecula.flow.localise.bodies import Body
from trabecula.flow.localise.counting import _places_mm
from trabecula.flow.localise.looks import bodies
from trabecula.flow.localise.torso import torso_view
from trabecula.view import View
from trabecula.volume import PADDING_HU, Float32, Float64, Grid, Volume

VIEW = View((256, 96, 96), (3.0, 3.0, 3.0), (225.0, 750.0))


def bump(shape: tuple[int, int, int], middle: tuple[float, float, float], height: float, sigma: float = 1.2) -> Float32:
    squares = sum((axis - c) ** 2 for axis, c in zip(np.indices(shape, dtype=np.float32), middle, strict=True))
    return np.asarray(height * np.exp(-squares / (2 * sigma**2)), np.float32)


def test_each_peak_is_a_body_with_its_name() -> None:
    shape, at = (40, 24, 24), [(8.3, 12.2, 11.6), (14.1, 12.0, 12.0), (20.0, 11.5, 12.4)]
    near = np.max([bump(shape, middle, 0.9) for middle in at], axis=0)
    names = np.full((12, *shape), 0.01, np.float32)
    for k, (z, _, _) in enumerate(at):
        names[9 - k, round(z) - 2 : round(z) + 3] = 0.89
    found = bodies(near, names, 0.3, 6.0)
    assert len(found) == 3
    for middle, score, named in found:
        nearest = min(range(3), key=lambda k: np.linalg.norm(np.subtract(at[k], middle)))
        assert np.linalg.norm(np.subtract(at[nearest], middle)) < 0.4
        assert score == pytest.approx(0.85, abs=0.15)
        assert named.argmax() == 9 - nearest


def test_two_peaks_within_one_body_are_one() -> None:
    near = np.maximum(bump((20, 20, 20), (8, 10, 10), 0.9, 0.5), bump((20, 20, 20), (9.9, 10, 10), 0.6, 0.5))
    assert len(bodies(near, np.full((12, 20, 20, 20), 1 / 12, np.float32), 0.3, 6.0)) == 1


def test_a_faint_peak_is_none() -> None:
    near = bump((20, 20, 20), (8, 10, 10), 0.2)
    assert bodies(near, np.full((12, 20, 20, 20), 1 / 12, np.float32), 0.3, 6.0) == []


def leaning(affine: Float64, degrees: float) -> Float64:
    """The same grid, its slices turned about the patient's transverse axis as by a tilted gantry."""
    turned = np.eye(4)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned[1:3, 1:3] = [[cosine, -sine], [sine, cosine]]
    return np.asarray(turned @ affine)


@pytest.mark.parametrize("tilt_deg", [0.0, 1.0, -18.0, 25.0])
@pytest.mark.parametrize("spacing_mm", [(5.0, 0.8, 0.8), (1.25, 0.7, 0.7), (3.0, 3.0, 3.0), (0.7, 0.98, 0.98)])
def test_a_place_in_the_networks_image_is_the_same_place_in_the_scan(
    spacing_mm: tuple[float, float, float], tilt_deg: float
) -> None:
    extent = np.array([300.0, 280.0, 340.0])
    shape = tuple(int(e / s) for e, s in zip(extent, spacing_mm, strict=True))
    grid = Grid.axial((10.0, -20.0, 400.0), (shape[0], shape[1], shape[2]), spacing_mm)
    hu = np.full(grid.shape, PADDING_HU, np.float32)
    z, y, x = np.indices(grid.shape, sparse=True)
    place = np.array(grid.shape) * [0.4, 0.7, 0.5]
    ellipse = ((y / shape[1] - 0.5) / 0.4) ** 2 + ((x / shape[2] - 0.5) / 0.45) ** 2
    hu[np.broadcast_to(ellipse < 1, grid.shape)] = 30.0
    ball = sum(((axis - c) * s) ** 2 for axis, c, s in zip((z, y, x), place, spacing_mm, strict=True)) < 12**2
    hu[ball] = 900.0
    volume = Volume(hu, leaning(grid.affine, tilt_deg))
    coarse, image = torso_view(volume, VIEW)
    if abs(tilt_deg) > 2:
        assert np.abs(coarse.affine[:3, :3][np.eye(3)[::-1] == 0]).max() < 1e-9  # the patient lies straight in it
    assert image.shape[1:] == VIEW.shape[1:]
    assert image.shape[0] % 32 == 0 and image.shape[0] * 3.0 >= extent[0] - 8
    np.testing.assert_allclose(coarse.spacing_mm, VIEW.spacing_mm)
    middle = np.argwhere(image > 0.8).mean(axis=0) / 2  # as a voxel of the half-resolution map
    body = Body(middle, 0.9, *(np.ones(3) / 3, np.ones(3) / 3, np.ones(5) / 5), 1.0, np.ones(19) / 19)
    (found_mm,) = _places_mm([body], coarse)
    assert np.abs(found_mm - volume.to_lps(place)).max() < 1.5
