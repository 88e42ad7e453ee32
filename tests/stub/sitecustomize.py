"""Every Python program started with this folder on its path knows recipes more that run no network: ``stub`` measures,
``stub-classes`` tells categories alone, ``stub-areal`` reads whole images.

Where the environment asks for it there is a protocol ``tiny`` to order virtual patients by, too.

A server and its worker are processes of their own: what is to be found in both has to be there when they start.
"""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trabecula.anatomy import Level
from trabecula.flow.diagnose.bands import BandDiagnosis
from trabecula.flow.exclude import Exclusions
from trabecula.messages import Phrase
from trabecula.quantity import AREAL_BMD, Category, Measurement
from trabecula.recipe import Recipe
from trabecula.recipes import RECIPES
from trabecula.records import (
    Basis,
    Calibration,
    Diagnosis,
    Readings,
    Regions,
    Scan,
    Spine,
    VertebraBox,
    VertebraReading,
    VertebraRegion,
)

HOLD = "TRABECULA_STUB_HOLD"
"""Names a file in the environment: while it exists, the recipe does not go on. Beside it stands who waits."""

PLACES = {Level.T12: (40 / 60, 50 / 60), Level.L1: (24 / 60, 34 / 60), Level.L2: (8 / 60, 18 / 60)}
"""Where each vertebra lies along z, in parts of the scan."""

ROWS, COLUMNS = (24 / 60, 34 / 60), (24 / 60, 36 / 60)


def part(scan: Scan, level: Level) -> tuple[slice, slice, slice]:
    """The voxels (z, y, x) of a vertebra."""
    z, y, x = (
        slice(round(low * count), round(high * count))
        for (low, high), count in zip((PLACES[level], ROWS, COLUMNS), scan.volume.shape, strict=True)
    )
    return z, y, x


def localise(scan: Scan) -> Spine:
    if HOLD in os.environ and Path(os.environ[HOLD]).exists():
        Path(os.environ[HOLD] + ".pid").write_text(str(os.getpid()))
    while HOLD in os.environ and Path(os.environ[HOLD]).exists():
        time.sleep(0.02)
    boxes = []
    for level in PLACES:
        z, y, x = part(scan, level)
        middle = (y.start + y.stop - 1) / 2
        boxes.append(VertebraBox(level, 0.9, (z.start, z.stop - 1.0), (x.start, x.stop - 1.0), middle))
    return Spine(tuple(boxes), boxes[0].y)


def segment(scan: Scan, spine: Spine) -> Regions:
    labels, regions = np.zeros(scan.volume.shape, np.uint8), []
    for box in spine.vertebrae:
        where = part(scan, box.level)
        labels[where] = box.level.verse_id
        x, y, z = scan.volume.to_lps(spine.middle(box))
        size = float(labels[where].size * scan.volume.voxel_volume_mm3)
        regions.append(VertebraRegion(box.level, 0.9, (float(x), float(y), float(z)), size))
    return Regions(labels, tuple(regions))


def calibrate(scan: Scan, spine: Spine, regions: Regions | None) -> Calibration:
    return Calibration(Phrase("rung-assumed"), 1.5, 0.0, 0.05)


def measure(scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
    assert regions is not None
    vertebrae = []
    for one in regions.vertebrae:
        hu = scan.volume.hu[part(scan, one.level)]
        value = calibration.density(float(hu.mean()))
        density = Measurement(value, (value - 10, value + 10))
        about = (one.level, one.centroid_lps_mm, one.volume_mm3, float(hu.mean()), float(hu.std()))
        vertebrae.append(VertebraReading(*about, density))
    return Readings(tuple(vertebrae), Phrase("method-network", {"error_sd": 5.0}))


SHARES = {Category.OSTEOPOROSIS: 0.72, Category.OSTEOPENIA: 0.25, Category.NORMAL: 0.03}


def classify(scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
    found = measure(scan, spine, regions, calibration)
    return replace(found, vertebrae=tuple(replace(v, density=None, probabilities=SHARES) for v in found.vertebrae))


def likeliest(readings: Readings) -> Diagnosis:
    return Diagnosis(Category.OSTEOPOROSIS, Basis.CLASSIFIER, None, SHARES, (Level.L1, Level.L2))


def measure_images(scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
    vertebrae = []
    for box in spine.vertebrae:
        x, y, z = scan.volume.to_lps(spine.middle(box))
        density = Measurement(0.8123, (0.7, 0.92), AREAL_BMD)
        vertebrae.append(VertebraReading(box.level, (float(x), float(y), float(z)), 0.0, 150.0, 20.0, density))
    return Readings(tuple(vertebrae), Phrase("method-axial", {"error_sd": 0.05}))


def by_t_score(readings: Readings) -> Diagnosis:
    density = Measurement(0.8123, (0.75, 0.88), AREAL_BMD)
    return Diagnosis(Category.OSTEOPENIA, Basis.T_SCORE, density, {}, (Level.L1, Level.L2))


@dataclass(frozen=True)
class Called:
    """A function of this file as a stage: what a run is known by is its name, which is the same in every process."""

    function: str

    def __call__(self, *given: Any) -> Any:
        return globals()[self.function](*given)


@dataclass(frozen=True)
class OfLevels(Called):
    """One that measures these vertebrae."""

    levels: tuple[Level, ...] = tuple(PLACES)


STUB = Recipe(
    "stub",
    "nobody",
    Called("localise"),
    OfLevels("segment"),
    Called("calibrate"),
    OfLevels("measure"),
    Exclusions(()),
    BandDiagnosis(),
)
CLASSES = replace(STUB, name="stub-classes", measure=OfLevels("classify"), diagnose=Called("likeliest"))
AREAL = replace(
    STUB, name="stub-areal", segment=None, measure=OfLevels("measure_images"), diagnose=Called("by_t_score")
)
for one in (STUB, CLASSES, AREAL):
    RECIPES[one.name] = one

if (
    os.environ.get("TRABECULA_STUB_PROTOCOL") == "tiny"
):  # loaded only where it is wanted: every program starts with this
    from trabecula.virtual import order
    from trabecula.virtual.scanner import Protocol

    order.PROTOCOLS["tiny"] = lambda rng: Protocol(pixel_mm=3.0, thickness_mm=5.0, increment_mm=5.0, noise_hu=8.0)
    order.FIELDS["tiny"] = (Level.T12, Level.L2)
