"""What is measured, in which unit, and what its value means: density, its interval, the category it falls into."""

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """What a diagnosis says of bone density; ``undetermined`` where nothing may be said."""

    NORMAL = "normal"
    OSTEOPENIA = "osteopenia"
    OSTEOPOROSIS = "osteoporosis"
    UNDETERMINED = "undetermined"


CATEGORIES = (Category.NORMAL, Category.OSTEOPENIA, Category.OSTEOPOROSIS)
"""Those that a person can have, densest first: the order of a classifier's outputs where its weights name no other."""


@dataclass(frozen=True)
class Quantity:
    """A kind of number. ``key`` is stable and names it in files; ``digits`` are those that a reader is shown."""

    key: str
    unit: str
    digits: int
    material: str | None = None  # what a calibrated density is equivalent to

    def shown(self, value: float) -> str:
        """A value with the digits of its kind, never rounded across a band's edge: 79.97 may not be shown as 80.0."""
        kept = rounded(self, value, self.digits)
        text = f"{kept:.{self.digits}f}"
        return text if float(text) == kept else f"{kept}"


VBMD_K2HPO4 = Quantity("vbmd-k2hpo4", "mg/cm3", 1, "K2HPO4")
"""Volumetric BMD as QCT gives it, equivalent to dipotassium phosphate."""

VBMD_HA = Quantity("vbmd-ha", "mg/cm3", 1, "hydroxyapatite")
"""Volumetric BMD, equivalent to calcium hydroxyapatite."""

AREAL_BMD = Quantity("abmd", "g/cm2", 3)
"""Areal BMD as DXA gives it."""

QUANTITIES: dict[str, Quantity] = {one.key: one for one in (VBMD_K2HPO4, VBMD_HA, AREAL_BMD)}

Interval = tuple[float, float]


@dataclass(frozen=True)
class Measurement:
    """A value of a quantity with the interval that holds the truth with 95% probability.

    ``own_sd`` is the part of its error, 1 SD, that other vertebrae of the same scan do not share.
    """

    value: float
    interval: Interval
    quantity: Quantity = VBMD_K2HPO4
    own_sd: float = 0.0

    @property
    def shown(self) -> str:
        return self.quantity.shown(self.value)

    @property
    def interval_shown(self) -> tuple[str, str]:
        """Both ends of the interval, with one digit less than the value."""
        low, high = (f"{end:.{max(0, self.quantity.digits - 1)}f}" for end in self.interval)
        return low, high


@dataclass(frozen=True)
class Bands:
    """Where categories meet on a quantity's scale; both edges belong to osteopenia.

    Sources differ on the closed ends: PMC7495321 has 80 to 120 inclusive, PMC7237403 <= 80 and >= 120.
    """

    quantity: Quantity
    osteoporosis_below: float
    normal_above: float

    @property
    def edges(self) -> tuple[float, float]:
        return self.osteoporosis_below, self.normal_above

    def category(self, value: float) -> Category:
        """The band that a value falls into."""
        if value < self.osteoporosis_below:
            return Category.OSTEOPOROSIS
        return Category.OSTEOPENIA if value <= self.normal_above else Category.NORMAL


QCT_BANDS = Bands(VBMD_K2HPO4, 80.0, 120.0)
"""ACR / ISCD bands of spinal QCT, for K2HPO4-equivalent density of lumbar vertebrae (Niu 2023; PMC7495321)."""

BANDS: dict[str, Bands] = {QCT_BANDS.quantity.key: QCT_BANDS}
"""The bands of each quantity that has some."""


def rounded(quantity: Quantity, value: float, digits: int) -> float:
    """Rounded to ``digits``, or as many more as keep the value on its side of the quantity's bands."""
    bands = BANDS.get(quantity.key)
    while bands is not None and digits < 12 and bands.category(round(value, digits)) is not bands.category(value):
        digits += 1
    return round(value, digits)
