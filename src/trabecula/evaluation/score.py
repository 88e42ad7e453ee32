"""Holds an assessment against what is known of its case: a typed row."""

from collections.abc import Mapping

import numpy as np

from trabecula.anatomy import NAMED_LEVELS, Level
from trabecula.cohort.case import Case, Known, Seen
from trabecula.evaluation.rows import CaseRow, Run, VertebraRow
from trabecula.quantity import AREAL_BMD, BANDS, Quantity
from trabecula.recipe import Recipe
from trabecula.records import Assessment
from trabecula.volume import Float64

SAME_PLACE_MM = 12.0
"""A vertebra counts as found where something was found this near to it, along the spine."""

MASK = "trabecular"


def score(case: Case, seen: Seen, recipe: Recipe, assessment: Assessment, run: Run, seconds: float) -> CaseRow:
    """The row of a case that was screened."""
    middles = middles_of(seen)
    wanted = wanted_levels(seen.known, middles, recipe.levels)
    overlaps = _Overlaps(seen, assessment)
    diagnosis = assessment.diagnosis
    quantity = None if diagnosis.density is None else diagnosis.density.quantity
    reference = reference_of(seen.known, recipe, quantity)
    bands = BANDS.get((quantity or seen.known.quantity).key)
    return CaseRow(
        run=run,
        case=case.name,
        patient=case.patient,
        quantity=None if quantity is None else quantity.key,
        value=None if diagnosis.density is None else float(diagnosis.density.value),
        reference=reference,
        category=diagnosis.category.value,
        true_category=None if reference is None or bands is None else bands.category(reference).value,
        probabilities={category.value: float(p) for category, p in diagnosis.probabilities.items()},
        vertebrae=tuple(_vertebra(level, seen, assessment, middles.get(level), overlaps) for level in wanted),
        invented=_invented(assessment, middles, seen.known),
        reasons=tuple(reason.code for reason in assessment.reasons),
        groups=dict(seen.known.groups),
        seconds=round(seconds, 2),
    )


def reference_of(known: Known, recipe: Recipe, quantity: Quantity | None) -> float | None:
    """What the recipe's number is held against: DXA's for an areal density, else the mean QCT of the same vertebrae.

    None where it is not known, or is known in another quantity.
    """
    if quantity is AREAL_BMD:
        return known.areal_bmd_g_cm2
    if quantity is not None and quantity is not known.quantity:
        return None
    levels: tuple[Level, ...] = getattr(recipe.diagnose, "levels", (Level.L1, Level.L2))
    if any(level not in known.density for level in levels):
        return None
    return float(np.mean([known.density[level] for level in levels]))


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


class _Overlaps:
    """Voxels of true and found regions and of what both share, counted in one pass."""

    def __init__(self, seen: Seen, assessment: Assessment) -> None:
        self.true = seen.masks.get(MASK)
        self.hu = seen.scan.volume.hu
        self.known = self.true is not None and assessment.regions is not None
        if self.known:
            pairs = np.asarray(self.true, np.uint16) << 8 | assessment.labels
            self.counts = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)

    def dice(self, level: Level, called: Level) -> float | None:
        if not self.known:
            return None
        true, found = level.verse_id, called.verse_id
        total = self.counts[true].sum() + self.counts[:, found].sum()
        return round(float(2 * self.counts[true, found] / total), 4) if total else None

    def true_mean_hu(self, level: Level) -> float | None:
        """Of the true region, in the CT as given."""
        if self.true is None or not (inside := self.true == level.verse_id).any():
            return None
        return round(float(self.hu[inside].mean()), 1)


def _vertebra(
    level: Level, seen: Seen, assessment: Assessment, middle: Float64 | None, overlaps: _Overlaps
) -> VertebraRow:
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
        return VertebraRow(level.value, None, reference, None, findings=findings, dice=0.0 if overlaps.known else None)
    reading = assessment.readings.find(called)
    density = None if reading is None or reading.withheld else reading.density
    same = density is not None and density.quantity is known.quantity
    return VertebraRow(
        level=level.value,
        called=called.value,
        reference=reference,
        value=float(density.value) if same and density is not None else None,
        withheld=tuple(r.code for r in reading.reasons) if reading is not None and reading.withheld else (),
        findings=findings,
        off_mm=off,
        dice=overlaps.dice(level, called),
        mean_hu=None if reading is None else round(reading.mean_hu, 1),
        true_mean_hu=overlaps.true_mean_hu(level),
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
