"""Is there contrast medium in the blood? Read from the image, because headers are often silent or wrong.

In front of the lumbar and lower thoracic bodies runs the aorta, a bright or grey tube along the spine. Unenhanced blood
measures 30 to 55 HU; weakly enhanced late phases stay above 90.
"""

import numpy as np
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.records import Regions
from trabecula.volume import Grid, Volume

ENHANCED_ABOVE_HU = 75.0
"""Midway between unenhanced blood and the weakest late phase."""

GRID_MM = 2.0
REACH_MM = (-24.0, -64.0)  # in front of a body's middle: past its anterior wall, to past the aorta
ACROSS_MM = (-20.0, 44.0)  # the aorta lies left of the midline, seldom right
SLAB_MM = 8.0
RADIUS_MM = 5.0


def blood_hu(volume: Volume, regions: Regions) -> float | None:
    """HU of the brightest tube that runs along the front of the spine; None where the spine in view is too short.

    Of every place in front of the bodies, the darkest of its slabs counts, so that a bowel loop or a calcified plaque,
    which ends after a slab or two, is not taken for the aorta.
    """
    # In front of L4 the aorta divides.
    high = [v for v in regions.vertebrae if v.level not in (Level.L4, Level.L5)]
    middles = np.array([volume.to_index(np.asarray(v.centroid_lps_mm)) for v in high])
    if len(middles) < 2:
        return None
    spacing = np.asarray(volume.spacing_mm)
    order = middles[np.argsort(middles[:, 0])]
    heights = np.arange(order[0, 0], order[-1, 0], SLAB_MM / spacing[0])
    if len(heights) < 3:
        return None
    shape = (
        int(SLAB_MM / GRID_MM),
        round((REACH_MM[0] - REACH_MM[1]) / GRID_MM),
        round((ACROSS_MM[1] - ACROSS_MM[0]) / GRID_MM),
    )
    disc = np.hypot(*np.indices((5, 5)) - 2) * GRID_MM <= RADIUS_MM
    slabs = []
    for z in heights:
        y, x = (np.interp(z, order[:, 0], order[:, axis]) for axis in (1, 2))
        corner = np.array([z, y + REACH_MM[1] / spacing[1], x + ACROSS_MM[0] / spacing[2]])
        step = np.eye(4)
        step[:3, :3] = np.diag(GRID_MM / spacing)
        step[:3, 3] = corner
        slab = volume.sample(Grid((shape[0], shape[1], shape[2]), volume.affine @ step)).mean(axis=0)
        smooth = ndimage.convolve(slab, disc / disc.sum(), mode="nearest")
        slabs.append(ndimage.maximum_filter(smooth, 5))  # a bent aorta moves a little from slab to slab
    return float(np.min(slabs, axis=0).max())
