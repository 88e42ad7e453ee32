"""Single vertebrae of which only the trabecular region is shown, and their density."""

import numpy as np
from scipy import ndimage

from trabecula.cohort.drawn import SPINE_SPACING_MM
from trabecula.flow.calibrate.voltage import to_reference_voltage
from trabecula.training.samples.augment import at_spacing
from trabecula.training.samples.shards import Shard
from trabecula.view import View
from trabecula.volume import Float32

LEAST_VOXELS = 3000
"""A region of fewer voxels is no whole vertebra's."""

Sample = tuple[Float32, Float32]


def sample(shard: Shard, rng: np.random.Generator, view: View) -> Sample | None:
    """A random whole vertebra (1, *shape) as the network will see it, its mask a little wrong, and its BMD."""
    whole = [
        (label, bmd)
        for label, bmd in shard["bmd"]
        if not (shard["body"][[0, -1]] == label).any() and (shard["trabecular"] == label).sum() > LEAST_VOXELS
    ]
    if not whole:
        return None
    label, bmd = whole[rng.integers(len(whole))]
    where = ndimage.find_objects((shard["trabecular"] == label).astype(np.uint8))[0]
    part = tuple(slice(max(0, axis.start - 6), axis.stop + 6) for axis in where)
    region = shard["trabecular"][part] == label
    change = rng.random()
    if change < 0.25:
        region = ndimage.binary_erosion(region)
    elif change < 0.4:
        region = ndimage.binary_dilation(region)
    elif change < 0.7:
        region = np.roll(region, rng.integers(-1, 2, 3), (0, 1, 2))
    volume = at_spacing(shard["hu"][part].astype(np.float32), SPINE_SPACING_MM)
    middle = np.argwhere(region).mean(axis=0) + rng.uniform(-2, 2, 3) / SPINE_SPACING_MM
    image = view.cut_masked(volume, region.astype(np.uint8), 1, middle, to_reference_voltage(float(shard["kvp"])))
    if rng.random() < 0.5:
        image = image[:, :, ::-1]
    return np.ascontiguousarray(image)[None], np.array(bmd, np.float32)
