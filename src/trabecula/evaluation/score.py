"""Holds an assessment against what is known of its case: a typed row."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import NAMED_LEVELS, Level
from trabecula.cohort.case import Case, Known, Seen
from trabecula.cohort.folder import slices
from trabecula.evaluation.reference import reference_of, true_category_of
from trabecula.evaluation.rows import CaseRow, Run, VertebraRow
from trabecula.quantity import Category
from trabecula.recipe import Recipe
from trabecula.records import Acquisition, Assessment, Regions
from trabecula.volume import Float64

SAME_PLACE_MM = 12.0
"""A vertebra counts as found where something was found this near to it, along the spine."""

MASK = "trabecular"


def score(
    case: Case,
    seen: Seen,
    recipe: Recipe,
    assessment: Assessment,
    run: Run,
    seconds: float,
    truth: "Truth | None" = None,
) -> CaseRow:
    """The row of a case that was screened; ``truth`` is that of this very case, where other recipes were held to it."""
    middles = middles_of(seen)
    wanted = wanted_levels(seen.known, middles, recipe.levels)
    truth = Truth(seen) if truth is None else truth
    diagnosis = assessment.diagnosis
    quantity = None if diagnosis.density is None else diagnosis.density.quantity
    true_category = true_category_of(seen.known, recipe, quantity)
    return CaseRow(
        run=run,
        case=case.name,
        patient=case.patient,
        quantity=None if quantity is None else quantity.key,
        value=None if diagnosis.density is None else float(diagnosis.density.value),
        reference=reference_of(seen.known, recipe, quantity),
        category=diagnosis.category.value,
        true_category=None if true_category is None else true_category.value,
        probabilities=_by_name(diagnosis.probabilities),
        vertebrae=tuple(_vertebra(level, seen, assessment, middles.get(level), truth) for level in wanted),
        invented=_invented(assessment, middles, seen.known),
        reasons=tuple(reason.code for reason in assessment.reasons),
        groups=groups_of(seen.known, seen.scan.acquisition),
        seconds=round(seconds, 2),
        basis=diagnosis.basis.value,
    )


def groups_of(known: Known, made: Acquisition | None) -> dict[str, str]:
    """What figures are broken down by: the cohort's own groups, and what it and the headers say beside them.

    ``made`` is None where the scan could not be read.
    """
    made = made or Acquisition("")
    voltage, thickness = known.tube_voltage_kvp or made.tube_voltage_kvp, made.slice_thickness_mm
    found = {
        "sex": known.sex,
        "age": None if known.age_years is None else decade(known.age_years),
        "vendor": made.manufacturer,
        "tube voltage": None if voltage is None else f"{voltage:g} kVp",
        "slices": None if thickness is None else slices(thickness),
    }
    return {name: value for name, value in found.items() if value is not None} | dict(known.groups)


def decade(age_years: float) -> str:
    """The ten years an age lies in."""
    first = int(age_years // 10) * 10
    return f"{first} to {first + 9} years"


def _by_name(probabilities: Mapping[Category, float] | None) -> dict[str, float]:
    return {category.value: float(p) for category, p in (probabilities or {}).items()}


def middles_of(seen: Seen) -> dict[Level, Float64]:
    """The middle of every vertebra, (z, y, x) in voxels of the scan, as far as the cohort says where they are."""
    volume = seen.scan.volume
    if seen.known.centres_lps_mm:
        return {level: volume.to_index(np.asarray(at)) for level, at in seen.known.centres_lps_mm.items()}
    mask = next((seen.masks[kind] for kind in (MASK, "bodies") if kind in seen.masks), None)
    if mask is None:
        return {}
    by_id = {level.verse_id: level for level in NAMED_LEVELS}
    places = np.argwhere(mask > 0)
    ids = mask[tuple(places.T)]
    return {by_id[int(i)]: places[ids == i].mean(axis=0) for i in np.unique(ids) if int(i) in by_id}


def wanted_levels(known: Known, middles: Mapping[Level, Float64], levels: tuple[Level, ...]) -> list[Level]:
    """Those of a recipe's levels that should be found: wholly in view, as far as that is known."""
    there = known.whole_levels
    if there is None:
        there = tuple(middles) or tuple(known.density)
    return [level for level in levels if level in there]


class Truth:
    """What every recipe's regions on one case are held against; what is counted of it is counted once for them all."""

    def __init__(self, seen: Seen) -> None:
        self.mask = seen.masks.get(MASK)
        self.hu = seen.scan.volume.hu
        self._parts = [] if self.mask is None else ndimage.find_objects(self.mask)
        self._mean_hu: dict[Level, float | None] = {}

    def voxels(self, level: Level) -> int:
        """How many the true region has."""
        return 0 if (where := self._where(level)) is None else int(where[1].sum())

    def mean_hu(self, level: Level) -> float | None:
        """Of the true region, in the CT as given."""
        if level not in self._mean_hu:
            where = self._where(level)
            self._mean_hu[level] = None if where is None else round(float(self.hu[where[0]][where[1]].mean()), 1)
        return self._mean_hu[level]

    def dice(self, level: Level, regions: Regions | None, called: Level) -> float | None:
        """Of the true region and what was found of ``called``; None where there is nothing to compare."""
        if self.mask is None or regions is None:
            return None
        part = regions.part(called)
        found = regions.labels[part] == called.verse_id
        shared = int((found & (self.mask[part] == level.verse_id)).sum())
        total = self.voxels(level) + int(found.sum())
        return round(2 * shared / total, 4) if total else None

    def _where(self, level: Level) -> tuple[tuple[slice, ...], NDArray[np.bool_]] | None:
        """The part of the scan that a true region lies in, and the region over that part; None where there is none."""
        number = level.verse_id
        part = self._parts[number - 1] if number <= len(self._parts) else None
        return None if part is None or self.mask is None else (part, self.mask[part] == number)


def _vertebra(level: Level, seen: Seen, assessment: Assessment, middle: Float64 | None, truth: Truth) -> VertebraRow:
    known = seen.known
    reference = known.density.get(level)
    findings = tuple(name for name in known.findings.get(level, ()) if name != "schmorl_upper")
    called: Level | None
    if middle is None:
        called, off = (level if assessment.spine.find(level) is not None else None), None
    else:
        spacing = seen.scan.volume.spacing_mm[0]
        apart = {box.level: abs(box.centre_zx[0] - middle[0]) * spacing for box in assessment.spine.vertebrae}
        called = min(apart, key=lambda name: apart[name], default=None)
        off = None if called is None else round(float(apart[called]), 1)
        if off is not None and off > SAME_PLACE_MM:
            called = None
    if called is None:
        missed = truth.mask is not None and assessment.regions is not None
        return VertebraRow(level.value, None, reference, None, findings=findings, dice=0.0 if missed else None)
    reading = assessment.readings.find(called)
    density = None if reading is None or reading.withheld else reading.density
    same = density is not None and density.quantity == known.quantity
    return VertebraRow(
        level=level.value,
        called=called.value,
        reference=reference,
        value=float(density.value) if same and density is not None else None,
        withheld=tuple(r.code for r in reading.reasons) if reading is not None and reading.withheld else (),
        findings=findings,
        off_mm=off,
        dice=truth.dice(level, assessment.regions, called),
        mean_hu=None if reading is None or not np.isfinite(reading.mean_hu) else round(reading.mean_hu, 1),
        true_mean_hu=truth.mean_hu(level),
        probabilities={} if reading is None or reading.withheld else _by_name(reading.probabilities),
    )


def _invented(assessment: Assessment, middles: Mapping[Level, Float64], known: Known) -> tuple[str, ...]:
    """Vertebrae measured where none is; nothing can be said where the cohort does not tell where all of them are."""
    if not known.centres_lps_mm:
        return ()
    bodies = np.array(list(known.centres_lps_mm.values()))
    return tuple(
        reading.level.value
        for reading in assessment.readings.vertebrae
        if not reading.withheld and np.linalg.norm(bodies - reading.centroid_lps_mm, axis=1).min() > SAME_PLACE_MM
    )
