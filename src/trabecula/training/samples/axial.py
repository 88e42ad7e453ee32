"""Axial images round a lumbar vertebra, and the areal BMD that DXA gave the person.

Varied as in Yasaka 2020, whose 1,665 images became 99,900: noise, parallel shift, rotation.
"""

import numpy as np

from trabecula.anatomy import Level
from trabecula.cohort.drawn import SPINE_SPACING_MM
from trabecula.flow.calibrate.voltage import to_reference_voltage
from trabecula.training.samples.augment import Pose, at_spacing, middles, of_shape, rotation
from trabecula.training.samples.shards import Shard
from trabecula.view import View
from trabecula.volume import Float32

REACH_MM = 9.0
"""How far above or below a body's middle an image lies at most: end plates begin beyond."""

SHIFT_SD_MM, TURN_SD_DEG, NOISE_HU = 3.0, 5.0, 25.0


def sample(
    shard: Shard, rng: np.random.Generator, view: View, levels: tuple[Level, ...]
) -> tuple[Float32, Float32] | None:
    """An image (1, y, x) through one of ``levels`` and the areal BMD in g/cm2.

    None where the person has none, or none of the levels is in view.
    """
    places = middles(shard["body"])
    there = [places[level.verse_id] for level in levels if level.verse_id in places]
    if not there or not np.isfinite(shard["abmd"]):
        return None
    volume = at_spacing(shard["hu"], SPINE_SPACING_MM)
    off_mm = np.array([rng.uniform(-REACH_MM, REACH_MM), *rng.normal(0, SHIFT_SD_MM, 2)])
    middle = there[rng.integers(len(there))] + off_mm / SPINE_SPACING_MM
    image = _turned(view, volume.spacing_mm, middle, rng.normal(0, TURN_SD_DEG)).image(volume)
    image = image * np.float32(to_reference_voltage(float(shard["kvp"])))
    image = image + rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0, NOISE_HU))
    if rng.random() < 0.5:
        image = image[:, :, ::-1]
    return np.ascontiguousarray(view.as_input(view.window(image))[0]), np.array(shard["abmd"], np.float32)


def _turned(view: View, spacing_mm: tuple[float, float, float], middle: np.ndarray, degrees: float) -> Pose:
    """One plane of the view, turned about the long axis."""
    one = of_shape(view, (1, *view.shape[1:]))
    matrix = np.diag(1 / np.asarray(spacing_mm)) @ rotation(np.radians([degrees, 0.0, 0.0]))
    matrix = matrix @ np.diag(one.spacing_mm)
    return Pose(one, matrix, middle - matrix @ ((np.asarray(one.shape) - 1) / 2))
