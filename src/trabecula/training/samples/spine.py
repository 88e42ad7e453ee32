"""Stretches of spine at 1.25 x 1 x 1 mm with bodies, trabecular regions and densities: what patches are cut from."""

import numpy as np

from trabecula.anatomy import Level
from trabecula.cohort.case import CONTRAST, UNENHANCED, Field, Labelled
from trabecula.cohort.drawn import SPINE_SPACING_MM
from trabecula.cohort.grids import has_spacing, nearest, respaced
from trabecula.errors import wrong_usage
from trabecula.quantity import VBMD_K2HPO4
from trabecula.training.samples.shards import Kind, Shard
from trabecula.volume import Grid

MARGIN_MM = 25.0
"""Kept round the bodies, so that a patch about the outermost one is filled."""


def cut(labelled: Labelled) -> Shard:
    """HU, labels of bodies and trabecular regions, tube voltage, rows of VerSe id and density, areal BMD (or NaN)."""
    volume, known = labelled.volume, labelled.known
    hu, masks = volume.hu, dict(labelled.masks)
    if not (masks["bodies"] > 0).any():
        raise wrong_usage("mask-empty")
    if not has_spacing(volume, SPINE_SPACING_MM):
        grid = _about_bodies(respaced(volume, SPINE_SPACING_MM), labelled)
        hu = volume.sample(grid)
        masks = {kind: nearest(mask, volume, grid) for kind, mask in masks.items()}
    density = known.density if known.quantity is VBMD_K2HPO4 else {}
    return {
        "hu": np.clip(hu, -1024, 3071).astype(np.int16),
        "body": masks["bodies"],
        "trabecular": masks["trabecular"],
        "enhanced": np.array(known.groups.get(CONTRAST, UNENHANCED) != UNENHANCED),
        "kvp": np.array(known.tube_voltage_kvp or 120.0, np.float32),
        "bmd": np.array([[level.verse_id, bmd] for level, bmd in density.items()], np.float32).reshape(-1, 2),
        "abmd": np.array(np.nan if known.areal_bmd_g_cm2 is None else known.areal_bmd_g_cm2, np.float32),
    }


KIND = Kind("spines", Field.SPINE, ("bodies", "trabecular"), cut, stand_ins=(("bodies", "trabecular"),))
"""Where bodies are not outlined their trabecular regions say where they are: enough for all but an outline."""


def _about_bodies(grid: Grid, labelled: Labelled) -> Grid:
    """The part of a grid round the bodies."""
    where = np.argwhere(labelled.masks["bodies"][::2, ::2, ::2] > 0) * 2
    index = np.linalg.inv(grid.affine) @ labelled.volume.affine
    ends = np.stack([where.min(axis=0), where.max(axis=0)]) * np.diag(index)[:3] + index[:3, 3]
    margin = MARGIN_MM / np.asarray(grid.spacing_mm)
    low = np.clip(np.floor(ends[0] - margin), 0, None).astype(int)
    high = np.minimum(np.ceil(ends[1] + margin).astype(int) + 1, grid.shape)
    shift = np.eye(4)
    shift[:3, 3] = low
    z, y, x = (int(n) for n in high - low)
    return Grid((z, y, x), grid.affine @ shift)


def seen(shard: Shard) -> set[str]:
    """The classes of tissue that a shard shows."""
    found = {"background"}
    if ((shard["body"] > 0) & (shard["trabecular"] == 0)).any():
        found.add("cortical")
    if (shard["trabecular"] > 0).any():
        found.add("trabecular")
    return found


SACRUM = Level.S1.verse_id
