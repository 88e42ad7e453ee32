"""The frozen values that pass from stage to stage: Scan -> Spine -> Regions -> Densities -> Diagnosis -> Assessment."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import Level
from trabecula.messages import Fact, Phrase
from trabecula.volume import Float64, Orientation, Volume


@dataclass(frozen=True)
class Reason:
    """A doubt or a correction that the reader of a result must know: a stable code and a sentence in English.

    ``phrase`` is the sentence by its facts, for other languages; ``reason`` makes all three.
    """

    code: str
    message: str
    phrase: Phrase | None = None

    def told(self, language: str) -> str:
        """The sentence in a language of ``messages.LANGUAGES``."""
        return self.message if self.phrase is None else self.phrase.told(language)


def reason(key: str, **facts: Fact) -> Reason:
    """The reason that the message files hold under ``key``; its code is what stands before a dot."""
    phrase = Phrase(key, facts)
    return Reason(key.partition(".")[0], phrase.told(), phrase)


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


@dataclass(frozen=True)
class Scan:
    """A CT that was read: the volume in (z, y, x), how it was given, what its headers say, what had to be mended."""

    volume: Volume
    orientation: Orientation
    acquisition: Acquisition
    reasons: tuple[Reason, ...] = ()


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
class VertebraRegion:
    """The trabecular region of one vertebra: which part of the scan it is, and why it may not be trusted."""

    level: Level
    confidence: float
    centroid_lps_mm: tuple[float, float, float]
    volume_mm3: float
    reasons: tuple[Reason, ...] = ()  # any of these withholds the vertebra


@dataclass(frozen=True)
class Regions:
    """``labels`` is (z, y, x) uint8 on the scan's own grid, VerSe ids, 0 outside every region."""

    labels: NDArray[np.uint8]
    vertebrae: tuple[VertebraRegion, ...]
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class VertebraDensity:
    """What was measured in one vertebra. ``bmd_mg_cm3`` is K2HPO4-equivalent and None where it is withheld."""

    level: Level
    centroid_lps_mm: tuple[float, float, float]
    volume_mm3: float
    mean_hu: float  # plain mean over the region in the CT as given, before any correction
    sd_hu: float
    bmd_mg_cm3: float | None
    bmd_interval_mg_cm3: tuple[float, float] | None
    reasons: tuple[Reason, ...] = ()

    @property
    def measurable(self) -> bool:
        return self.bmd_mg_cm3 is not None


@dataclass(frozen=True)
class Densities:
    """Every vertebra measured or withheld, cranial first, and the calibration the numbers rest on."""

    vertebrae: tuple[VertebraDensity, ...]
    calibration: dict[str, Any]
    reasons: tuple[Reason, ...] = ()

    def find(self, level: Level) -> VertebraDensity | None:
        return next((v for v in self.vertebrae if v.level == level), None)


@dataclass(frozen=True)
class Diagnosis:
    """The category and what it rests on. ``probabilities`` are those of the category given the interval."""

    category: str  # normal, osteopenia, osteoporosis or undetermined
    bmd_mg_cm3: float | None
    bmd_interval_mg_cm3: tuple[float, float] | None
    probabilities: dict[str, float]
    levels_used: tuple[Level, ...]
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Assessment:
    """All that came of one scan; ``flow/report.py`` writes it down."""

    recipe: str
    scan: Scan
    spine: Spine
    regions: Regions
    densities: Densities
    diagnosis: Diagnosis
    run: dict[str, Any] = field(default_factory=dict)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Every reason that concerns the whole result, in the order of the stages."""
        stages = (self.scan, self.spine, self.regions, self.densities, self.diagnosis)
        return tuple(reason for stage in stages for reason in stage.reasons)
