"""The frozen values between stages: Scan -> Spine -> Regions -> Calibration -> Readings -> Diagnosis -> Assessment."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.messages import Fact, Phrase
from trabecula.quantity import AREAL_BMD, CATEGORIES, VBMD_K2HPO4, Category, Interval, Measurement, Quantity
from trabecula.records.history import History
from trabecula.records.population import Population
from trabecula.volume import Float64, Orientation, Volume

SURE_SHARE = 0.8
"""A category less probable than this is no headline of its own."""


CONTRAST = "contrast-medium"
"""The code of the reason that tells contrast medium."""

FRACTURE = "vertebral-fracture"
"""The code of the reason that tells a suspected fracture."""


class Effect(StrEnum):
    """What a reason does to what it is said of."""

    NOTE = "note"  # nothing: the reader should know it
    DOUBT = "doubt"  # the number stands, and may be wrong
    WITHHOLD = "withhold"  # there is no number


@dataclass(frozen=True)
class Reason:
    """What the reader of a result must know: a stable code, a sentence in English, and what it does to the result.

    ``phrase`` is the sentence by its facts, for other languages; ``reason`` makes all of it.
    """

    code: str
    message: str
    phrase: Phrase | None = None
    effect: Effect = Effect.DOUBT

    def told(self, language: str) -> str:
        """The sentence in a language of ``messages.LANGUAGES``."""
        return self.message if self.phrase is None else self.phrase.told(language)


def reason(key: str, effect: Effect = Effect.DOUBT, /, **facts: Fact) -> Reason:
    """The reason that the message files hold under ``key``; its code is what stands before a dot."""
    phrase = Phrase(key, facts)
    return Reason(key.partition(".")[0], phrase.told(), phrase, effect)


def withholds(reasons: tuple[Reason, ...]) -> bool:
    """Whether one of the reasons leaves no number."""
    return any(one.effect is Effect.WITHHOLD for one in reasons)


@dataclass(frozen=True)
class Acquisition:
    """What the headers say of how the scan was made; None where they are silent. Never holds a patient identifier."""

    source: str  # "dicom", "nifti" or "nrrd"
    manufacturer: str | None = None
    model: str | None = None
    tube_voltage_kvp: float | None = None
    kernel: str | None = None
    slice_thickness_mm: float | None = None
    contrast_agent: str | None = None
    series_description: str | None = None
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    patient_sex: str | None = None
    patient_age_years: float | None = None
    filter_material: str | None = None  # of what is put into the beam
    station: str | None = None  # which of a department's scanners
    contrast_delay_s: float | None = None  # from the start of the injection to the scan
    scanned_on: str | None = None  # YYYY-MM-DD


@dataclass(frozen=True)
class Gap:
    """A stretch of a scan that cannot be measured: no slice was seen there, or its numbers are off.

    It runs along one axis of the volume (0 z, 1 y, 2 x) from ``start`` to ``stop`` in voxels, both included.
    """

    axis: int
    start: float
    stop: float

    def touches(self, part: tuple[slice, slice, slice]) -> bool:
        """Whether a part of the scan, (z, y, x) and not empty, reaches into it or to the slices beside it."""
        along = part[self.axis]
        return bool(along.start < along.stop and along.start <= self.stop and along.stop - 1 >= self.start)


@dataclass(frozen=True)
class Scan:
    """A CT that was read: the volume in (z, y, x), how it was given, what its headers say, what had to be mended."""

    volume: Volume
    orientation: Orientation
    acquisition: Acquisition
    reasons: tuple[Reason, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True)
class VertebraBox:
    """One vertebra's body as the localiser found it, in voxels of the scan (fractions allowed) along z and x."""

    level: Level
    confidence: float  # that this is a vertebra and that it is this one
    z_range: tuple[float, float]
    x_range: tuple[float, float]
    y: float | None = None  # of its middle, where the localiser looked in three dimensions

    @property
    def centre_zx(self) -> tuple[float, float]:
        return sum(self.z_range) / 2, sum(self.x_range) / 2


@dataclass(frozen=True)
class Spine:
    """The vertebrae in view, cranial first, and the row (voxels along y) at which their bodies lie."""

    vertebrae: tuple[VertebraBox, ...]
    body_y: float
    reasons: tuple[Reason, ...] = ()

    def find(self, level: Level) -> VertebraBox | None:
        return next((v for v in self.vertebrae if v.level == level), None)

    def middle(self, box: VertebraBox) -> Float64:
        """The middle of a vertebra's body, (z, y, x) in voxels of the scan."""
        z, x = box.centre_zx
        return np.array([z, self.body_y if box.y is None else box.y, x])


@dataclass(frozen=True)
class BodyHeights:
    """A vertebral body's heights in mm in front, in the middle and behind, along its middle third."""

    anterior_mm: float
    middle_mm: float
    posterior_mm: float

    @property
    def tallest_mm(self) -> float:
        return max(self.anterior_mm, self.posterior_mm)


@dataclass(frozen=True)
class VertebraRegion:
    """The trabecular region of one vertebra: which part of the scan it is, and what the segmenter says of it."""

    level: Level
    confidence: float
    centroid_lps_mm: tuple[float, float, float]
    volume_mm3: float
    heights: BodyHeights | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Regions:
    """``labels`` is (z, y, x) uint8 on the scan's own grid, VerSe ids, 0 outside every region."""

    labels: NDArray[np.uint8]
    vertebrae: tuple[VertebraRegion, ...]
    reasons: tuple[Reason, ...] = ()

    def find(self, level: Level) -> VertebraRegion | None:
        return next((v for v in self.vertebrae if v.level == level), None)

    @cached_property
    def _boxes(self) -> list[tuple[slice, slice, slice] | None]:
        return list(ndimage.find_objects(self.labels))

    def part(self, level: Level) -> tuple[slice, slice, slice]:
        """The smallest part of the scan that holds a vertebra's whole region; an empty one where it has none."""
        label = level.verse_id
        found = self._boxes[label - 1] if label <= len(self._boxes) else None
        return found or (slice(0, 0), slice(0, 0), slice(0, 0))


@dataclass(frozen=True)
class Rung:
    """One way from HU to density that a scan allows: a straight line, and the standard deviations of its errors."""

    name: Phrase
    slope_hu_cm3_mg: float
    offset_hu: float
    slope_sd_fraction: float
    offset_sd_hu: float

    def density(self, hu: float) -> float:
        return (hu - self.offset_hu) / self.slope_hu_cm3_mg


@dataclass(frozen=True)
class Calibration:
    """A straight line, density = (HU - offset) / slope, less what contrast medium adds, and how all of it errs.

    ``rung`` names the way by which the line was found, ``rungs`` are all that the scan allows, the one used first.
    ``systematic_sd_fraction`` is the slope's error, 1 SD; ``slope_range`` holds the slopes that are possible where the
    voltage is not known. ``hu_factor`` is what bone's HU must be multiplied by to look as at the voltage that networks
    were trained at. ``contrast_rise`` is what contrast medium adds, in the quantity's unit, and is taken off. ``facts``
    are what else it rests on, by name, for the report.
    """

    rung: Phrase
    slope_hu_cm3_mg: float
    offset_hu: float
    systematic_sd_fraction: float
    quantity: Quantity = VBMD_K2HPO4
    hu_factor: float = 1.0
    contrast_rise: float = 0.0
    contrast_rise_sd: float = 0.0
    offset_sd_hu: float = 0.0
    slope_range: Interval | None = None
    rungs: tuple[Rung, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()

    def as_scanned(self, hu: float) -> float:
        """The density that HU stand for, contrast medium and all, in the quantity's unit."""
        return (hu - self.offset_hu) / self.slope_hu_cm3_mg

    def density(self, hu: float) -> float:
        """The density that HU stand for without contrast medium, in the quantity's unit."""
        return self.as_scanned(hu) - self.contrast_rise

    @property
    def enhanced(self) -> bool:
        """Whether contrast medium was seen, or is named by the header; a rise alone may be a mere possibility."""
        return any(one.code == CONTRAST for one in self.reasons)

    @property
    def without_contrast(self) -> "Calibration":
        """The same line where contrast medium is left as it is."""
        return replace(self, contrast_rise=0.0, contrast_rise_sd=0.0)

    def interval(self, value: float, own_sd: float) -> Interval:
        """What holds the truth with 95% probability, for a density whose method errs by ``own_sd``; never negative."""
        scanned = value + self.contrast_rise
        line = (self.systematic_sd_fraction * scanned, self.offset_sd_hu / self.slope_hu_cm3_mg)
        half = 1.96 * float(np.linalg.norm([own_sd, *line, self.contrast_rise_sd]))
        ends = [value]
        if self.slope_range is not None:
            ends += [scanned * self.slope_hu_cm3_mg / slope - self.contrast_rise for slope in self.slope_range]
        return max(0.0, min(ends) - half), max(0.0, max(ends) + half)


@dataclass(frozen=True)
class VertebraReading:
    """What was measured in one vertebra. ``density`` is None where it is withheld or was not asked for."""

    level: Level
    centroid_lps_mm: tuple[float, float, float]
    volume_mm3: float
    mean_hu: float  # plain mean over the region in the CT as given, before any correction
    sd_hu: float
    density: Measurement | None
    probabilities: Mapping[Category, float] | None = None  # of a classifier
    read_hu: float | None = None  # mean HU of what the density was read from, where that is less than the region
    opinions: Mapping[str, Measurement] = field(default_factory=dict)  # the density by other ways, by their names
    reasons: tuple[Reason, ...] = ()

    @property
    def likeliest(self) -> Category | None:
        """The category that a classifier finds most probable; None where none was asked."""
        shares = self.probabilities or {}
        return max(shares, key=lambda category: shares[category], default=None)

    @property
    def withheld(self) -> bool:
        """Whether nothing may be read from this vertebra."""
        return withholds(self.reasons)


@dataclass(frozen=True)
class Joint:
    """What a network says of several vertebrae that it saw in one image: categories, or one density of them all."""

    levels: tuple[Level, ...]
    probabilities: Mapping[Category, float] = field(default_factory=dict)
    density: Measurement | None = None


@dataclass(frozen=True)
class Readings:
    """Every vertebra measured or withheld, cranial first, and how the numbers were read.

    ``sex`` ("F" or "M") is what an areal density is judged by.
    """

    vertebrae: tuple[VertebraReading, ...]
    method: Phrase
    reasons: tuple[Reason, ...] = ()
    joint: Joint | None = None
    sex: str | None = None

    def find(self, level: Level) -> VertebraReading | None:
        return next((v for v in self.vertebrae if v.level == level), None)


class Basis(StrEnum):
    """What a category was read from."""

    BANDS = "bands"  # where a density lies between two cuts
    T_SCORE = "t-score"  # how far an areal density lies below the young mean
    CLASSIFIER = "classifier"  # a network's probabilities


@dataclass(frozen=True)
class Diagnosis:
    """The category and what it rests on. ``probabilities`` are those of the category given the interval."""

    category: Category
    basis: Basis
    density: Measurement | None
    probabilities: Mapping[Category, float]
    levels_used: tuple[Level, ...]
    reasons: tuple[Reason, ...] = ()

    @property
    def determined(self) -> bool:
        return self.category is not Category.UNDETERMINED

    @property
    def candidates(self) -> tuple[Category, ...]:
        """The category, with those beside it without which no 80% are reached; densest last.

        In this grey zone a headline names them all: "osteopenia or normal".
        """
        if not self.determined or self.category not in self.probabilities:
            return (self.category,)
        order = [one for one in reversed(CATEGORIES) if one in self.probabilities]
        at = order.index(self.category)
        runs = [order[a:b] for a in range(at + 1) for b in range(at + 1, len(order) + 1)]
        sure = [run for run in runs if sum(self.probabilities[one] for one in run) >= SURE_SHARE]
        shortest = min((len(run) for run in sure), default=len(order))
        fit = [run for run in sure if len(run) == shortest] or [order]
        return tuple(max(fit, key=lambda run: sum(self.probabilities[one] for one in run)))

    def decided_by(self, level: Level) -> bool:
        """Whether the category rests on this vertebra."""
        return self.determined and level in self.levels_used


@dataclass(frozen=True)
class Assessment:
    """All that came of one scan; ``records/codec.py`` turns it into JSON and back, ``report/`` writes it down."""

    recipe: str
    scan: Scan
    spine: Spine
    regions: Regions | None
    calibration: Calibration
    readings: Readings
    diagnosis: Diagnosis
    run: Mapping[str, Any] = field(default_factory=dict)
    population: Population | None = None  # whom the density was held against
    history: History | None = None  # with earlier results of the same person

    @property
    def stages(self) -> dict[str, Scan | Spine | Regions | Calibration | Readings | Diagnosis]:
        """What each stage left, in their order, by the name under which its reasons are kept."""
        made: dict[str, Scan | Spine | Regions | Calibration | Readings | Diagnosis | None] = {
            "scan": self.scan,
            "spine": self.spine,
            "regions": self.regions,
            "calibration": self.calibration,
            "readings": self.readings,
            "diagnosis": self.diagnosis,
        }
        return {name: one for name, one in made.items() if one is not None}

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Every reason that concerns the whole result, in the order of the stages."""
        return tuple(reason for stage in self.stages.values() for reason in stage.reasons)

    @property
    def quantity(self) -> Quantity | None:
        """What its densities are, be they withheld; None where a category alone was asked for."""
        measured = (self.diagnosis.density, *(one.density for one in self.readings.vertebrae))
        first = next((density for density in measured if density is not None), None)
        if first is not None:
            return first.quantity
        expected = {Basis.BANDS: self.calibration.quantity, Basis.T_SCORE: AREAL_BMD}
        return expected.get(self.diagnosis.basis)

    @property
    def fractures(self) -> tuple[Reason, ...]:
        """Suspected vertebral fractures, cranial first: findings of their own, whatever the density is."""
        said = (reason for one in self.readings.vertebrae for reason in one.reasons)
        return tuple(reason for reason in said if reason.code == FRACTURE)

    @property
    def labels(self) -> NDArray[np.uint8]:
        """The regions' labels (z, y, x) on the scan's grid; all 0 where the recipe outlines nothing."""
        if self.regions is None:
            return np.broadcast_to(np.uint8(0), self.scan.volume.shape)
        return self.regions.labels


__all__ = [
    "Acquisition",
    "Assessment",
    "Basis",
    "BodyHeights",
    "Calibration",
    "Diagnosis",
    "Effect",
    "Gap",
    "Interval",
    "Joint",
    "Readings",
    "Reason",
    "Regions",
    "Rung",
    "Scan",
    "Spine",
    "VertebraBox",
    "VertebraReading",
    "VertebraRegion",
    "reason",
    "withholds",
]
