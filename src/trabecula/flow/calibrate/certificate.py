"""A calibration phantom's certificate: what its rods hold, from a file that the user writes off the paper.

TOML, rods in the order in which they lie side by side::

    name = "Model 3"
    serial = "1234"
    [[rods]]
    k2hpo4_mg_cm3 = -51.83
    water_mg_cm3 = 1012.25

A solid phantom's rods say ``hydroxyapatite_mg_cm3`` instead of these two. A spine phantom, whose inserts stand one
above the other as vertebrae do, says ``stacked = true``; it is scanned alone.
"""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trabecula.causes import cause_of
from trabecula.errors import wrong_usage
from trabecula.volume import Float64

DISPLACED, WATER_HU = 0.2174, 999.6
"""1 mg of K2HPO4 displaces 0.2174 mg of water, whose density is 0.9996 g/cm3 in the calibration of Mindways."""

K2HPO4_PER_HA = ((80.0, 0.86), (140.0, 0.81))
"""What 1 mg/cm3 of hydroxyapatite reads in K2HPO4, by tube voltage (Goodsitt 1992)."""

LEAST_SLOPE = 1.2
"""HU for 1 mg/cm3 in a rod at 140 kVp, about."""

FEWEST_RODS = 3
LIKELY_MG_CM3 = (-200.0, 1000.0)
LIKELY_WATER_MG_CM3 = (700.0, 1300.0)


@dataclass(frozen=True)
class Rod:
    """One rod of a liquid-equivalent phantom (mineral in K2HPO4, with its water) or of a solid one (water None)."""

    mineral_mg_cm3: float
    water_mg_cm3: float | None


@dataclass(frozen=True)
class Certificate:
    """A phantom and its rods: side by side, or ``stacked`` along the scanner's axis as a spine's vertebrae are."""

    name: str
    serial: str
    rods: tuple[Rod, ...]
    stacked: bool = False

    @property
    def liquid(self) -> bool:
        return self.rods[0].water_mg_cm3 is not None

    @property
    def mineral(self) -> Float64:
        return np.array([rod.mineral_mg_cm3 for rod in self.rods])

    @property
    def least_hu(self) -> Float64:
        """HU that the rods have at least, at the highest voltages."""
        water = np.array([WATER_HU if rod.water_mg_cm3 is None else rod.water_mg_cm3 for rod in self.rods])
        return np.asarray(water - WATER_HU + LEAST_SLOPE * self.mineral)

    def line(self, rod_hu: Float64, kvp: float) -> tuple[float, float, float]:
        """Slope in HU per mg/cm3 of K2HPO4, offset in HU, and the rods' rms distance from the line in HU."""
        above = rod_hu - np.array([rod.water_mg_cm3 or 0.0 for rod in self.rods])
        slope, offset = np.polyfit(self.mineral, above, 1)
        rms = float(np.sqrt(np.mean((above - slope * self.mineral - offset) ** 2)))
        if self.liquid:
            return float(slope - DISPLACED), float(offset + WATER_HU), rms
        (low_kvp, low), (high_kvp, high) = K2HPO4_PER_HA
        ratio = low + (kvp - low_kvp) / (high_kvp - low_kvp) * (high - low)
        return float(slope / ratio), float(offset), rms


def read_certificate(path: Path) -> Certificate:
    """The certificate in a file.

    Raises:
        WrongUsage: there is no such file, it is no TOML, or its rods are missing, too few or impossible.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise wrong_usage("phantom-file-unreadable", cause=cause_of(error)) from error
    given = told.get("rods")
    if not isinstance(given, list) or len(given) < FEWEST_RODS:
        raise wrong_usage("phantom-without-values", least=FEWEST_RODS)
    rods = tuple(_rod(number, one) for number, one in enumerate(given, 1))
    if len({rod.water_mg_cm3 is None for rod in rods}) > 1:
        raise wrong_usage("phantom-values-mixed")
    if float(np.ptp([rod.mineral_mg_cm3 for rod in rods])) < 50:
        raise wrong_usage("phantom-values-alike")
    stacked = told.get("stacked", False)
    if not isinstance(stacked, bool):
        raise wrong_usage("phantom-file-unreadable.stacked")
    return Certificate(str(told.get("name", path.stem)), str(told.get("serial", "")), rods, stacked)


def _rod(number: int, given: Any) -> Rod:
    liquid = isinstance(given, dict) and "k2hpo4_mg_cm3" in given
    keys = ("k2hpo4_mg_cm3", "water_mg_cm3") if liquid else ("hydroxyapatite_mg_cm3",)
    ranges = (LIKELY_MG_CM3, LIKELY_WATER_MG_CM3)
    values = []
    for key, (low, high) in zip(keys, ranges, strict=False):
        value = given.get(key) if isinstance(given, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise wrong_usage("phantom-without-values.rod", number=number, name=key)
        if not low <= value <= high:
            raise wrong_usage("phantom-value-impossible", number=number, name=key, value=value, low=low, high=high)
        values.append(float(value))
    return Rod(values[0], values[1] if liquid else None)
