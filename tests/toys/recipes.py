"""Toy recipes on a cylinder with bright blocks: every kind of answer, without a network."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from trabecula.anatomy import Level
from trabecula.errors import Refusal
from trabecula.flow.diagnose.bands import BandDiagnosis
from trabecula.flow.exclude import Exclusions
from trabecula.messages import Phrase
from trabecula.quantity import AREAL_BMD, Category, Measurement
from trabecula.recipe import Recipe
from trabecula.records import (
    Basis,
    Calibration,
    Diagnosis,
    Readings,
    Reason,
    Regions,
    Scan,
    Spine,
    VertebraBox,
    VertebraReading,
)

LEVELS = (Level.T12, Level.L1, Level.L2)


def localise_blocks(scan: Scan) -> Spine:
    bright = np.flatnonzero((scan.volume.hu > 100).any(axis=(1, 2)))
    blocks = np.split(bright, np.flatnonzero(np.diff(bright) > 1) + 1)[::-1]
    boxes = (VertebraBox(level, 0.9, (z[0], z[-1]), (24, 36)) for level, z in zip(LEVELS, blocks, strict=True))
    return Spine(tuple(boxes), 30.0)


def nothing_found(scan: Scan) -> Spine:
    raise Refusal("no-vertebrae-found", "No vertebra was found.")


@dataclass(frozen=True)
class Blocks:
    """The bright voxels of every block."""

    levels: tuple[Level, ...] = LEVELS

    def __call__(self, scan: Scan, spine: Spine) -> Regions:
        labels = np.zeros(scan.volume.shape, np.uint8)
        for box in spine.vertebrae:
            part = slice(int(box.z_range[0]), int(box.z_range[1]) + 1)
            hu = scan.volume.hu[part]
            labels[part][(hu > 100) & (hu < 200)] = box.level.verse_id
        return Regions(labels, ())


def calibrate_blocks(scan: Scan, spine: Spine, regions: Regions | None) -> Calibration:
    return Calibration(Phrase("rung-assumed"), 1.5, 0.0, 0.05)


def measure_blocks(scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
    assert regions is not None
    vertebrae = []
    for level in LEVELS:
        mask = regions.labels == level.verse_id
        x, y, z = scan.volume.to_lps(np.argwhere(mask).mean(axis=0))
        hu = float(scan.volume.hu[mask].mean())
        size = float(mask.sum() * scan.volume.voxel_volume_mm3)
        density = Measurement(calibration.density(hu), (hu / 1.6, hu / 1.4))
        vertebrae.append(VertebraReading(level, (x, y, z), size, hu, 0.0, density))
    method = Phrase("method-network", {"error_sd": 5.0})
    return Readings(tuple(vertebrae), method, (Reason("odd", "A header said \x1b[2J."),))


def blocks(localise: Callable[[Scan], Spine] = localise_blocks) -> Recipe:
    return Recipe(
        "blocks",
        "nobody",
        localise,
        Blocks(),
        calibrate_blocks,
        measure_blocks,
        Exclusions(()),
        BandDiagnosis(),
    )


SHARES = {Category.OSTEOPOROSIS: 0.7, Category.OSTEOPENIA: 0.2, Category.NORMAL: 0.1}
"""What the toy classifier answers."""


@dataclass(frozen=True)
class Classified:
    """A category for each of L1 and L2, and no density."""

    levels: tuple[Level, ...] = (Level.L1, Level.L2)

    def __call__(self, scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
        readings = measure_blocks(scan, spine, regions, calibration).vertebrae
        vertebrae = (replace(one, density=None, probabilities=SHARES) for one in readings if one.level in self.levels)
        return Readings(tuple(vertebrae), Phrase("method-network", {"error_sd": 0.0}))


@dataclass(frozen=True)
class Areal:
    """An areal density of each vertebra that was found, read from whole images: there is no region."""

    levels: tuple[Level, ...] = (Level.L1, Level.L2)

    def __call__(self, scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
        assert regions is None
        vertebrae = []
        for level in self.levels:
            box = spine.find(level)
            assert box is not None
            x, y, z = scan.volume.to_lps(spine.middle(box))
            density = Measurement(0.8, (0.7, 0.9), AREAL_BMD)
            vertebrae.append(VertebraReading(level, (x, y, z), 0.0, float("nan"), float("nan"), density))
        return Readings(tuple(vertebrae), Phrase("method-network", {"error_sd": 0.1}))


@dataclass(frozen=True)
class ByShares:
    """The likeliest category."""

    def __call__(self, readings: Readings) -> Diagnosis:
        levels = tuple(one.level for one in readings.vertebrae)
        return Diagnosis(Category.OSTEOPOROSIS, Basis.CLASSIFIER, None, SHARES, levels)


@dataclass(frozen=True)
class ByTScore:
    """Osteopenia below 1 g/cm2, whoever it is."""

    levels: tuple[Level, ...] = (Level.L1, Level.L2)

    def category(self, areal_bmd_g_cm2: float, sex: str | None) -> Category:
        return Category.OSTEOPENIA if areal_bmd_g_cm2 < 1.0 else Category.NORMAL

    def __call__(self, readings: Readings) -> Diagnosis:
        density = readings.vertebrae[0].density
        assert density is not None
        levels = tuple(one.level for one in readings.vertebrae)
        return Diagnosis(self.category(density.value, None), Basis.T_SCORE, density, {}, levels)


def classifying() -> Recipe:
    """Osteoporosis by a classifier, without a density."""
    return replace(blocks(), name="classifying", measure=Classified(), diagnose=ByShares())


def areal() -> Recipe:
    """Osteopenia by the T-score of an areal density, without regions."""
    return replace(blocks(), name="areal", segment=None, measure=Areal(), diagnose=ByTScore())
