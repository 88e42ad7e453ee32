"""What has changed between two results of one person, and whether it is more than the error of measuring twice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trabecula.anatomy import Level
from trabecula.errors import refusal
from trabecula.quantity import Measurement
from trabecula.records import Assessment, Effect, Reason, reason
from trabecula.records.history import History, Point

SESSION_CV, SCANNER_CV, PHASE_CV, KERNEL_CV = 0.047, 0.049, 0.029, 0.013
"""Root-mean-square coefficients of variation of automated BMD in routine CT: another session, another scanner, another
contrast phase, another kernel (s41747-024-00483-9)."""

VOLTAGE_CV = 0.03
"""What another tube voltage adds; no published figure was found, this one is our own estimate."""

LEAST_SIGNIFICANT = 2.77
"""Times the precision error: 1.96 times the square root of two measurements."""

SAME_SIZE = (0.8, 1.25)
"""A person's vertebrae keep their volume; outlines differ by less than this."""


@dataclass(frozen=True)
class Change:
    """The mean over the levels that both results measured: before, now, and the least significant change (mg/cm3)."""

    levels: tuple[Level, ...]
    before: float
    now: float
    least_significant: float

    @property
    def difference(self) -> float:
        return self.now - self.before

    @property
    def significant(self) -> bool:
        return abs(self.difference) >= self.least_significant


def change_between(prior: Assessment, now: Assessment) -> Change:
    """The change from an earlier result to a later one.

    Raises:
        Refusal: it is the same scan, a later one or one of another person as far as sex, age and the size of the
            vertebrae tell, or no level was measured in both in the same quantity.
    """
    _require_same_person(prior, now)
    pairs = [
        (one.level, before.density.value, one.density.value)
        for one in now.readings.vertebrae
        if one.level.is_named and one.density is not None
        if (before := prior.readings.find(one.level)) is not None and before.density is not None
        if before.density.quantity == one.density.quantity
    ]
    used = [pair for pair in pairs if pair[0] in now.diagnosis.levels_used] or pairs
    if not used:
        raise refusal("prior-without-common-level")
    earlier, later = (float(np.mean([pair[n] for pair in used])) for n in (1, 2))
    least = LEAST_SIGNIFICANT * precision_cv(prior, now) * (earlier + later) / 2
    return Change(tuple(pair[0] for pair in used), earlier, later, least)


def history_with(priors: Sequence[Assessment], now: Assessment) -> History:
    """The results of one person from the earliest to this one, over the levels that all of them measured.

    Where no level is common to all, it is the last of ``priors`` and this one alone. The end of an interval is the mean
    of the vertebrae's: it is never too narrow.

    Raises:
        Refusal: as ``change_between``, for each of them.
    """
    changes = [change_between(prior, now) for prior in priors]
    last = changes[-1]
    common = tuple(level for level in last.levels if all(level in one.levels for one in changes))
    kept = list(priors) if common else [priors[-1]]
    levels = common or last.levels
    points = tuple(_point(one, levels) for one in (*kept, now))
    means = (points[-2].density.value + points[-1].density.value) / 2
    return History(levels, points, LEAST_SIGNIFICANT * precision_cv(priors[-1], now) * means)


def in_order(priors: Sequence[Assessment]) -> list[Assessment]:
    """Earlier results from the earliest on: by day where every one tells it, else by age, else as they are given."""
    days = [one.scan.acquisition.scanned_on for one in priors]
    ages = [one.scan.acquisition.patient_age_years for one in priors]
    if None not in days:
        return [one for _, _, one in sorted(zip(days, range(len(priors)), priors, strict=True))]
    if None not in ages:
        return [one for _, _, one in sorted(zip(ages, range(len(priors)), priors, strict=True))]
    return list(priors)


def _point(found: Assessment, levels: Sequence[Level]) -> Point:
    """The mean density of these levels in one result."""
    read = [found.readings.find(level) for level in levels]
    densities = [one.density for one in read if one is not None and one.density is not None]
    low, high = (float(np.mean([one.interval[end] for one in densities])) for end in (0, 1))
    mean = Measurement(float(np.mean([one.value for one in densities])), (low, high), densities[0].quantity)
    return Point(mean, found.scan.acquisition.scanned_on, found.scan.acquisition.patient_age_years)


def precision_cv(prior: Assessment, now: Assessment) -> float:
    """The precision error of this pair, as a share: what differs between the scans adds its part."""
    first, second = prior.scan.acquisition, now.scan.acquisition
    differs = {
        SCANNER_CV: (first.manufacturer, first.model) != (second.manufacturer, second.model),
        VOLTAGE_CV: first.tube_voltage_kvp != second.tube_voltage_kvp,
        KERNEL_CV: first.kernel != second.kernel,
        PHASE_CV: prior.calibration.facts.get("contrast_phase") != now.calibration.facts.get("contrast_phase"),
    }
    return float(np.linalg.norm([SESSION_CV, *(cv for cv, differ in differs.items() if differ)]))


def _require_same_person(prior: Assessment, now: Assessment) -> None:
    first, second = prior.scan.acquisition, now.scan.acquisition
    if first.series_instance_uid is not None and first.series_instance_uid == second.series_instance_uid:
        raise refusal("prior-is-the-same-scan")
    if None not in (first.patient_sex, second.patient_sex) and first.patient_sex != second.patient_sex:
        raise refusal("prior-of-another-patient.sex")
    if first.scanned_on is not None and second.scanned_on is not None and first.scanned_on > second.scanned_on:
        raise refusal("prior-is-newer.day", before=first.scanned_on, now=second.scanned_on)
    before_years, now_years = first.patient_age_years, second.patient_age_years
    if before_years is not None and now_years is not None and before_years > now_years:
        raise refusal("prior-is-newer", before=before_years, now=now_years)
    ratios = [
        one.volume_mm3 / before.volume_mm3
        for one in now.readings.vertebrae
        if one.level.is_named and not one.withheld
        if (before := prior.readings.find(one.level)) is not None and not before.withheld and before.volume_mm3 > 0
    ]
    if ratios and not SAME_SIZE[0] < float(np.median(ratios)) < SAME_SIZE[1]:
        raise refusal("prior-of-another-patient.size", ratio=float(np.median(ratios)))


def change_reason(change: Change) -> Reason:
    """The change in a sentence, for the result."""
    levels, difference, least = change.levels, change.difference, change.least_significant
    if not change.significant:
        return reason("second-reading.none", Effect.NOTE, levels=levels, difference=difference, least=least)
    if difference < 0:
        return reason("second-reading.loss", Effect.NOTE, levels=levels, difference=-difference, least=least)
    return reason("second-reading.gain", Effect.NOTE, levels=levels, difference=difference, least=least)
