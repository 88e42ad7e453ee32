"""An assessment whose regions and pictures are known; no network is run."""

from typing import Any

import numpy as np

from trabecula.anatomy import Level
from trabecula.messages import Phrase
from trabecula.quantity import Category, Measurement
from trabecula.records import (
    Acquisition,
    Assessment,
    Basis,
    Calibration,
    Diagnosis,
    Effect,
    Readings,
    Reason,
    Regions,
    Scan,
    Spine,
    VertebraBox,
    VertebraReading,
)
from trabecula.volume import Orientation, Volume

SPACING_MM = (2.5, 1.2, 1.5)
MIDDLES = {Level.T12: (50, 40, 44), Level.L1: (36, 36, 36), Level.L2: (22, 32, 30)}  # bends to the right and back
BODY_MM = (8.0, 11.0, 15.0)  # half axes
DENSITY = Measurement(104.76, (90.0, 119.5))


def blocks_assessment(source: str = "nifti", orientation: Orientation | None = None, **acquisition: Any) -> Assessment:
    """Three ellipsoids of 150 HU, a leaning spine, in soft tissue; L1 and L2 used, T12 withheld."""
    shape = (64, 90, 80)
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = SPACING_MM
    affine[:, 3] = (-60, -50, 900, 1)
    hu, labels = np.full(shape, 40, np.float32), np.zeros(shape, np.uint8)
    grid = np.indices(shape)
    for level, middle in MIDDLES.items():
        reach = [(g - m) * s / b for g, m, s, b in zip(grid, middle, SPACING_MM, BODY_MM, strict=True)]
        inside = sum(r**2 for r in reach) < 1
        hu[inside], labels[inside] = 150 + 10 * (np.arange(inside.sum()) % 3 - 1), level.verse_id
    volume = Volume(hu, affine)
    vertebrae = tuple(vertebra(level, volume, labels) for level in MIDDLES)
    half_z, half_x = 12 / SPACING_MM[0], 20 / SPACING_MM[2]
    boxes = tuple(
        VertebraBox(v, 0.9, (z - half_z, z + half_z), (x - half_x, x + half_x)) for v, (z, _, x) in MIDDLES.items()
    )
    acquired = Acquisition(source=source, **acquisition)
    return Assessment(
        recipe="blocks",
        scan=Scan(volume, orientation or Orientation(), acquired, (Reason("thick-slices", "Slices are thick."),)),
        spine=Spine(boxes, 36.0),
        regions=Regions(labels, ()),
        calibration=Calibration(Phrase("rung-default"), 1.422, 0.0, 0.07, facts={"tube_voltage_kvp": None}),
        readings=Readings(vertebrae, Phrase("method-network", {"error_sd": 10.3})),
        diagnosis=Diagnosis(
            Category.OSTEOPENIA, Basis.BANDS, DENSITY, {Category.OSTEOPENIA: 0.95}, (Level.L1, Level.L2)
        ),
        run={"version": "0", "seconds": {"read": 1.0}, "settings": {"window": (0, np.nan)}},
    )


def vertebra(level: Level, volume: Volume, labels: np.ndarray[Any, Any]) -> VertebraReading:
    mask = labels == level.verse_id
    x, y, z = volume.to_lps(np.argwhere(mask).mean(axis=0))
    hu, size = volume.hu[mask], float(mask.sum() * volume.voxel_volume_mm3)
    about = (level, (float(x), float(y), float(z)), size, float(hu.mean()), float(hu.std()))
    if level is Level.T12:
        return VertebraReading(*about, None, reasons=(Reason("metal", "T12 holds metal.", effect=Effect.WITHHOLD),))
    return VertebraReading(*about, DENSITY)
