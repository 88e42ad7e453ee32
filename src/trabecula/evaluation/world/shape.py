"""Can the generator's body shape stand for a real vertebra? Its parameters, fitted to body masks, and the Dice reached.

It judges the shape, not the numbers: nothing that is found here goes back into the generator.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, spatial

from trabecula.anatomy import Level
from trabecula.virtual import vertebra
from trabecula.virtual.canvas import smooth_max
from trabecula.virtual.findings import NOTHING
from trabecula.virtual.subject import VertebraShape, sample_subject
from trabecula.volume import Float64, Volume, point

BODY_MASKS = "masks/*-body.nii.gz"
SUBREGION_MASK = "tptbox-l3/sub-ct_seg-subreg_label-22_msk.nii.gz"
VERTEBRA_MASK = "tptbox-l3/sub-ct_seg-vert_label-22_msk.nii.gz"
CORPUS = (49, 50)
"""A body's border and inside in sub-region masks."""

_SCALE = np.array([1.0] * 3 + [0.05] * 3 + [1.0] * 5 + [2.0, 0.03, 0.03, 0.5, 0.5, 0.2, 0.5])
_BOUNDS = [(None, None)] * 6 + [(20, 70)] * 4 + [(12, 45), (-25, 25), (-0.05, 0.35), (-0.05, 0.3), (-1, 5), (0.5, 8)]
_BOUNDS += [(2, 5), (0, 6)]
"""Centre, turn, widths, depths, height (mm), wedge (deg), waist, concavity, rounding (mm), back: power, hollow (mm)."""


@dataclass(frozen=True)
class Fit:
    """A body mask and the generator's shape that fits it best."""

    name: str
    level: str
    spacing_mm: tuple[float, float, float]
    dice: float
    shape: VertebraShape


def fit_body(volume: Volume, mask: NDArray[np.bool_], name: str = "", level: str = "L2") -> Fit:
    """Fits the body's parameters to one mask (z, y, x) by its soft Dice.

    Raises:
        ValueError: the mask is empty.
    """
    if not mask.any():
        raise ValueError("There is no body to fit.")
    low = np.maximum(np.argwhere(mask).min(axis=0) - 4, 0)
    part = tuple(slice(a, b) for a, b in zip(low, np.argwhere(mask).max(axis=0) + 5, strict=True))
    inside = mask[part].ravel()
    points = volume.to_lps(np.argwhere(np.ones_like(mask[part])) + low)
    start = _start(points[inside])
    soft_mm = 0.35 * min(volume.spacing_mm) + 0.35

    def loss(scaled: Float64) -> float:
        away = _distance(_shaped(scaled * _SCALE, level), points)
        share = 1 / (1 + np.exp(np.clip(away / soft_mm, -30, 30)))
        return float(1 - 2 * share[inside].sum() / (share.sum() + inside.sum()))

    bounds = [
        (None if lo is None else lo / s, None if hi is None else hi / s)
        for (lo, hi), s in zip(_BOUNDS, _SCALE, strict=True)
    ]
    found = optimize.minimize(
        loss, start / _SCALE, method="L-BFGS-B", bounds=bounds, options={"maxiter": 50, "eps": 0.02}
    )
    shape = _shaped(found.x * _SCALE, level)
    drawn = _distance(shape, points) < 0
    dice = 2 * (drawn & inside).sum() / (drawn.sum() + inside.sum())
    return Fit(name, level, volume.spacing_mm, float(dice), shape)


def _start(points: Float64) -> Float64:
    """An upright body of the mask's size, at its place."""
    width, depth, height = np.percentile(points, 97, axis=0) - np.percentile(points, 3, axis=0)
    return np.array(
        [*points.mean(axis=0), 0, 0, 0, width, width, depth, depth, height, 2.0, 0.15, 0.1, 1.0, 2.0, 3.0, 2.0], float
    )


def _shaped(p: Float64, level: str) -> VertebraShape:
    turn = spatial.transform.Rotation.from_rotvec(p[3:6]).as_matrix()
    upright = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, 1]])  # left, anterior, up in LPS
    any_one = sample_subject(0).vertebra(Level(level))
    return replace(
        any_one,
        findings=NOTHING,
        centre_lps_mm=point(p[:3]),
        axes=upright @ turn,
        width_mm=(float(p[6]), float(p[7])),
        depth_mm=(float(p[8]), float(p[9])),
        height_mm=float(p[10]),
        wedge_deg=float(p[11]),
        waist=(float(p[12]), float(p[13])),
        concavity_mm=float(p[14]),
        rounding_mm=float(p[15]),
        back_power=float(p[16]),
        hollow_mm=float(p[17]),
    )


def _distance(shape: VertebraShape, points: Float64) -> Float64:
    x, y, z = ((points - shape.centre_lps_mm) @ np.asarray(shape.axes).T).T.astype(np.float32)
    # The stream is drawn from only where the body is fractured.
    side, end, _ = vertebra._body_distances(shape, (x, y, z), np.random.default_rng(0))
    side = np.maximum(side, -vertebra.canal_distance((x, y, z), shape))
    return np.asarray(smooth_max(side, end, shape.rounding_mm), float)


def real_masks(folder: Path) -> Iterator[tuple[str, str, Volume, NDArray[np.bool_]]]:
    """Name, level, place and mask of every hand-made or published body mask in a folder of real CTs."""
    for path in sorted(folder.glob(BODY_MASKS)):
        labels, volume = _read(path)
        for level in (Level.L1, Level.L2):
            yield path.name.removesuffix("-body.nii.gz"), level.value, volume, labels == level.verse_id
    if (folder / SUBREGION_MASK).exists():
        labels, volume = _read(folder / SUBREGION_MASK)
        vertebrae, _ = _read(folder / VERTEBRA_MASK)
        yield "tptbox-l3", "L3", volume, np.isin(labels, CORPUS) & (vertebrae == Level.L3.verse_id)


def _read(path: Path) -> tuple[NDArray[np.int64], Volume]:
    """Labels (z, y, x) of a NIfTI mask and their place."""
    import nibabel as nib

    image = nib.as_closest_canonical(nib.load(path))
    labels = np.rint(np.asarray(image.dataobj)).astype(int).transpose(2, 1, 0)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine[:, [2, 1, 0, 3]]
    return labels, Volume(np.empty(labels.shape, np.float32), affine)
