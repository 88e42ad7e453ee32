"""A toy spine whose HU tell what is to be read, and recipes of every kind that read it, errors and all."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from trabecula.anatomy import Level
from trabecula.cohort.case import Case, Cohort, Field, Known, Labelled, Seen
from trabecula.flow.diagnose.bands import BandDiagnosis
from trabecula.messages import Phrase
from trabecula.quantity import AREAL_BMD, CATEGORIES, QCT_BANDS, VBMD_K2HPO4, Category, Measurement
from trabecula.recipe import Recipe
from trabecula.records import (
    Acquisition,
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
    VertebraRegion,
)
from trabecula.volume import Grid, Orientation, Volume

LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)
SHAPE, SPACING_MM = (40, 12, 12), (5.0, 5.0, 5.0)


def first_slice(level: Level) -> int:
    """Bodies are four slices high and two apart, L1 highest."""
    return 30 - 6 * LEVELS.index(level)


@dataclass(frozen=True)
class ToySource:
    """Each vertebra's HU are its density, one more for every error of the reader."""

    hu: Mapping[Level, float]
    outlined: bool = True

    @property
    def masks(self) -> tuple[str, ...]:
        return ("trabecular",) if self.outlined else ()

    def load(self, known: Known, masks: tuple[str, ...]) -> Seen:
        grid = Grid.axial((0.0, 0.0, 0.0), SHAPE, SPACING_MM)
        hu, mask = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.uint8)
        for level, value in self.hu.items():
            part = np.s_[first_slice(level) : first_slice(level) + 4, 4:8, 4:8]
            hu[part], mask[part] = value, level.verse_id
        acquisition = Acquisition("dicom", manufacturer="Maker", slice_thickness_mm=5.0, tube_voltage_kvp=120.0)
        scan = Scan(Volume(hu, grid.affine), Orientation(), acquisition)
        return Seen(scan, {kind: mask for kind in masks}, known)

    def labelled(self, known: Known, masks: tuple[str, ...], field: Field) -> Labelled:
        raise NotImplementedError


@dataclass(frozen=True)
class Bright:
    """Finds what is bright where vertebrae are."""

    def __call__(self, scan: Scan) -> Spine:
        boxes = []
        for level in LEVELS:
            first = first_slice(level)
            if scan.volume.hu[first].any():
                boxes.append(VertebraBox(level, 1.0, (first, first + 3), (4.0, 7.0)))
        return Spine(tuple(boxes), 5.5)


@dataclass(frozen=True)
class Outlined:
    """The bright voxels, less the last slice of each body."""

    levels: tuple[Level, ...] = LEVELS

    def __call__(self, scan: Scan, spine: Spine) -> Regions:
        labels = np.zeros(scan.volume.shape, np.uint8)
        for box in spine.vertebrae:
            labels[int(box.z_range[0]) : int(box.z_range[1]), 4:8, 4:8] = box.level.verse_id
        regions = tuple(VertebraRegion(box.level, 1.0, (0.0, 0.0, 0.0), 1000.0) for box in spine.vertebrae)
        return Regions(labels, regions)


@dataclass(frozen=True)
class AsGiven:
    """No calibration."""

    def __call__(self, scan: Scan, spine: Spine, regions: Regions | None) -> Calibration:
        return Calibration(Phrase("rung-assumed"), 1.0, 0.0, 0.05)


@dataclass(frozen=True)
class Nothing:
    """Excludes none."""

    def __call__(
        self, scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration, readings: Readings
    ) -> Readings:
        return readings


def shares(density: float) -> dict[Category, float]:
    """Probabilities that a reader without a number gives."""
    low, high = (1 / (1 + np.exp((density - cut) / 12)) for cut in QCT_BANDS.edges)
    return {Category.OSTEOPOROSIS: low, Category.OSTEOPENIA: high - low, Category.NORMAL: 1 - high}


@dataclass(frozen=True)
class Read:
    """What each vertebra's HU mean: a density, probabilities, both, or an areal density a hundredth of them."""

    levels: tuple[Level, ...] = (Level.L1, Level.L2)
    density: bool = True
    classes: bool = False
    areal: bool = False

    def __call__(self, scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
        found = []
        for box in spine.vertebrae:
            if box.level in self.levels:
                hu = float(scan.volume.hu[int(box.z_range[0]), 5, 5])
                value, quantity = (hu / 100, AREAL_BMD) if self.areal else (hu, VBMD_K2HPO4)
                number = Measurement(value, (0.9 * value, 1.1 * value), quantity)
                x, y, z = scan.volume.to_lps(spine.middle(box))
                mean_hu = float("nan") if self.areal else hu
                found.append(
                    VertebraReading(
                        box.level,
                        (float(x), float(y), float(z)),
                        1000.0,
                        mean_hu,
                        0.0,
                        number if self.density else None,
                        shares(hu) if self.classes else None,
                    )
                )
        return Readings(tuple(found), Phrase("method-network", {"error_sd": 5.0}))


@dataclass(frozen=True)
class Likeliest:
    """The likeliest category of the mean probabilities; the mean density beside it where there is one."""

    levels: tuple[Level, ...] = (Level.L1, Level.L2)

    def __call__(self, readings: Readings) -> Diagnosis:
        used = [one for one in readings.vertebrae if one.level in self.levels and one.probabilities]
        if not used:
            reason = Reason("too-few-vertebrae", "None.", effect=Effect.DOUBT)
            return Diagnosis(Category.UNDETERMINED, Basis.CLASSIFIER, None, {}, (), (reason,))
        mean = {name: float(np.mean([one.probabilities[name] for one in used])) for name in CATEGORIES}  # type: ignore[index]
        values = [one.density.value for one in used if one.density is not None]
        number = Measurement(float(np.mean(values)), (0.0, 300.0)) if values else None
        category = max(mean, key=lambda name: mean[name])
        return Diagnosis(category, Basis.CLASSIFIER, number, mean, tuple(one.level for one in used))


@dataclass(frozen=True)
class ByYoungMean:
    """T-score of the mean areal density; nothing for who is neither a woman nor a man."""

    levels: tuple[Level, ...] = LEVELS
    young: Mapping[str, tuple[float, float]] = field(default_factory=lambda: {"F": (1.1, 0.12), "M": (1.2, 0.12)})

    def category(self, areal_bmd_g_cm2: float, sex: str | None) -> Category:
        if sex not in self.young:
            return Category.UNDETERMINED
        mean, sd = self.young[sex]
        t_score = (areal_bmd_g_cm2 - mean) / sd
        if t_score <= -2.5:
            return Category.OSTEOPOROSIS
        return Category.OSTEOPENIA if t_score < -1 else Category.NORMAL

    def __call__(self, readings: Readings) -> Diagnosis:
        values = [one.density.value for one in readings.vertebrae if one.density is not None]
        if not values:
            return Diagnosis(Category.UNDETERMINED, Basis.T_SCORE, None, {}, ())
        mean = float(np.mean(values))
        number = Measurement(mean, (0.9 * mean, 1.1 * mean), AREAL_BMD)
        return Diagnosis(self.category(mean, "F"), Basis.T_SCORE, number, {}, self.levels)


def _recipe(name: str, measure: Read, diagnose: object, outline: bool = True) -> Recipe:
    segment = Outlined(measure.levels) if outline else None
    return Recipe(name, "a toy", Bright(), segment, AsGiven(), measure, Nothing(), diagnose)  # type: ignore[arg-type]


DENSITY = _recipe("toy-density", Read(), BandDiagnosis(substitutes=()))
BOTH = _recipe("toy-both", Read(classes=True), Likeliest())
CLASSES = _recipe("toy-classes", Read(density=False, classes=True), Likeliest())
AREAL = _recipe("toy-areal", Read(levels=LEVELS, areal=True), ByYoungMean(), outline=False)

KINDS = {one.name: one for one in (DENSITY, BOTH, CLASSES, AREAL)}


def person(number: int, dense: float, error: float, sex: str | None = "F", **known: object) -> Case:
    """Somebody this ``dense`` throughout, whose scan reads ``error`` more."""
    facts: dict[str, object] = {
        "sex": sex,
        "age_years": 40.0 + number % 45,
        "density": dict.fromkeys(LEVELS, dense),
        "areal_bmd_g_cm2": dense / 100,
    }
    source = ToySource(dict.fromkeys(LEVELS, dense + error))
    return Case(f"case-{number}", f"patient-{number}", source, Known(**{**facts, **known}))  # type: ignore[arg-type]


def people(count: int = 60, **known: object) -> Cohort:
    """People of 50 to 170 mg/cm3, read with an error of mean 2 and SD 6."""
    rng = np.random.default_rng(4)
    densities, errors = rng.permutation(np.linspace(50, 170, count)), rng.normal(2, 6, count)
    cases = [person(i, float(d), float(e), **known) for i, (d, e) in enumerate(zip(densities, errors, strict=True))]
    return Cohort("toys", "d", tuple(cases))
