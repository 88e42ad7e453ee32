"""Patches about one vertebral body, patches and planes anywhere along the spine, with the labels of their tissues."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.cohort.drawn import SPINE_SPACING_MM
from trabecula.training.samples.augment import at_spacing, middles, of_shape, random_pose, vary_intensity
from trabecula.training.samples.shards import Shard
from trabecula.training.samples.spine import SACRUM
from trabecula.view import View
from trabecula.volume import Float32

STRETCH = (48, 80, 80)
"""The shape of a patch along the spine: a training step on a whole crop would take ten times as long."""

PLANE = (128, 96, 1)
"""The shape of a sagittal plane along the spine."""

Sample = tuple[Float32, NDArray[np.int64]]


def one_body(shard: Shard, rng: np.random.Generator, view: View) -> Sample | None:
    """A patch (1, *shape) about a body's middle, roughly, and its labels: 1 its outer part, 2 its trabecular region.

    None where the shard shows no body that is measured.
    """
    volume, body, inner = at_spacing(shard["hu"], SPINE_SPACING_MM), shard["body"], shard["trabecular"]
    places = {label: middle for label, middle in middles(body).items() if label != SACRUM}
    if not places:
        return None
    label = list(places)[rng.integers(len(places))]
    jitter = rng.normal(0, 2.5, 3).clip(-7, 7) / SPINE_SPACING_MM
    pose = random_pose(view, volume, places[label] + jitter, rng, 7, 0.6)
    image = pose.image(volume)
    truth = pose.labels((body == label).astype(np.uint8) + (inner == label))
    if rng.random() < 0.3:
        image = image + _band(truth, rng)
    image = vary_intensity(image, rng)
    if rng.random() < 0.12:  # the end of the scan
        at = int(rng.integers(0, view.shape[0] // 2))
        end = slice(0, at) if rng.random() < 0.5 else slice(view.shape[0] - at, view.shape[0])
        image[end], truth[end] = -1000, 0
    return _mirrored(image, truth, rng, view)


def along_spine(shard: Shard, rng: np.random.Generator, view: View) -> Sample:
    """A patch (1, *STRETCH), mostly on a vertebra, and its labels: 1 the rest of any body, 2 its trabecular region."""
    volume, body, inner = at_spacing(shard["hu"], SPINE_SPACING_MM), shard["body"], shard["trabecular"]
    present = [label for label in np.unique(body[::8, ::8, ::8]) if label]
    if present and rng.random() < 0.85:
        where = np.argwhere(body[::4, ::4, ::4] == present[rng.integers(len(present))]) * 4
        centre = where[rng.integers(len(where))] + rng.integers(-14, 15, 3)
    else:
        centre = rng.integers(0, volume.shape)
    pose = random_pose(of_shape(view, STRETCH), volume, centre.astype(float), rng, 7, 0.5)
    truth = pose.labels((body > 0).astype(np.uint8) + (inner > 0))
    return _mirrored(vary_intensity(pose.image(volume), rng), truth, rng, view)


def sagittal(shard: Shard, rng: np.random.Generator, view: View) -> Sample:
    """A sagittal plane (1, *PLANE[:2]) through or beside a body, and its labels as ``along_spine`` has them."""
    volume, body, inner = at_spacing(shard["hu"], SPINE_SPACING_MM), shard["body"], shard["trabecular"]
    places = list(middles(body).values())
    spread = [rng.uniform(-30, 30), rng.uniform(-20, 20), rng.uniform(-30, 30)]
    centre = places[rng.integers(len(places))] + np.asarray(spread) / SPINE_SPACING_MM
    pose = random_pose(of_shape(view, PLANE), volume, centre, rng, 7, 0.5)
    truth = pose.labels((body > 0).astype(np.uint8) + (inner > 0))
    image = view.window(vary_intensity(pose.image(volume), rng))
    return view.as_input(image)[0], np.ascontiguousarray(truth[..., 0]).astype(np.int64)


def _mirrored(image: Float32, truth: NDArray[np.uint8], rng: np.random.Generator, view: View) -> Sample:
    """Half of the patches left to right; windowed as in use."""
    if rng.random() < 0.5:
        image, truth = image[:, :, ::-1], truth[:, :, ::-1]
    return view.window(np.ascontiguousarray(image))[None], np.ascontiguousarray(truth).astype(np.int64)


def _band(truth: NDArray[np.uint8], rng: np.random.Generator) -> Float32:
    """A dense or sparse layer across a body, as growth or sclerosis leave it: it looks like an end plate."""
    inside = np.argwhere(truth == 2)
    if not len(inside):
        return np.zeros(truth.shape, np.float32)
    normal = rng.normal(0, [1.0, 0.25, 0.25])
    normal /= np.linalg.norm(normal)
    z, y, x = (np.arange(n, dtype=np.float32) for n in truth.shape)
    centre = inside[rng.integers(len(inside))]
    along = (
        ((z - centre[0]) * normal[0])[:, None, None]
        + ((y - centre[1]) * normal[1])[:, None]
        + (x - centre[2]) * normal[2]
    )
    width = rng.uniform(0.8, 3.5)
    strength = rng.uniform(40, 220) if rng.random() < 0.75 else rng.uniform(-80, -30)
    body = ndimage.gaussian_filter((truth > 0).astype(np.float32), 0.7)
    return np.asarray(strength * np.exp(-((along / width) ** 2)) * body, np.float32)
