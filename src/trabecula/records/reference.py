"""Where a person's density lies among people of the same age and sex, by a site's table or by published points.

This is no WHO T-score and no Z-score of DXA: those are not defined for volumetric BMD by CT.
"""

import csv
import math
from pathlib import Path

from trabecula.causes import cause_of
from trabecula.errors import wrong_usage
from trabecula.quantity import VBMD_K2HPO4
from trabecula.records import Assessment, Effect, Reason, reason
from trabecula.records.population import Point, Population

HEADS = ("sex", "age_years", "mean_mg_cm3", "sd_mg_cm3")
LIKELY_MG_CM3 = (5.0, 400.0)


CHINA_BIOBANK = Population(
    "China Biobank (n = 69,095, PMC7988599)",
    {
        "F": (Point(32.0, 185.4, None), Point(80.0, 62.4, None)),
        "M": (Point(32.0, 176.6, None), Point(80.0, 92.1, None)),
    },
)
"""Its published peak at 30 to 34 years and its mean at 80, of L1 and L2; no standard deviations were found."""


def read_reference(given: str) -> Population:
    """``china-biobank``, or a site's own table: CSV with a row for each sex (F or M) and age, ages rising.

    Raises:
        WrongUsage: there is no such file, or a row lacks a number, is impossible or out of order.
    """
    if given == "china-biobank":
        return CHINA_BIOBANK
    path = Path(given)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise wrong_usage("reference-unreadable", cause=cause_of(error)) from error
    points: dict[str, list[Point]] = {}
    for number, row in enumerate(rows, 2):
        sex = (row.get("sex") or "").strip().upper()
        if sex not in ("F", "M"):
            raise wrong_usage("reference-sex", line=number, sex=sex)
        age, mean, sd = (_number(row, head, number) for head in HEADS[1:])
        if not 0 <= age <= 120 or not LIKELY_MG_CM3[0] <= mean <= LIKELY_MG_CM3[1] or not 0 < sd < mean:
            raise wrong_usage("reference-impossible", line=number)
        if points.get(sex) and age <= points[sex][-1].age_years:
            raise wrong_usage("reference-unordered", line=number)
        points.setdefault(sex, []).append(Point(age, mean, sd))
    if not points:
        raise wrong_usage("reference-empty", columns=HEADS)
    return Population(path.stem, {sex: tuple(of) for sex, of in points.items()})


def _number(row: dict[str, str], head: str, line: int) -> float:
    try:
        found = float(row.get(head) or "")
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise wrong_usage("reference-without-number", line=line, column=head)
    return found


def reference_reason(assessment: Assessment, population: Population) -> Reason | None:
    """Where the mean lies among people of the same age and sex; None where one of the three is not known."""
    density, said = assessment.diagnosis.density, assessment.scan.acquisition
    if density is None or density.quantity != VBMD_K2HPO4 or None in (said.patient_sex, said.patient_age_years):
        return None
    expected = population.at(said.patient_sex or "", said.patient_age_years or math.nan)
    if expected is None:
        return None
    apart, mean, name = density.value - expected.mean_mg_cm3, expected.mean_mg_cm3, population.name
    if expected.sd_mg_cm3 is None:
        return reason("reference.mean", Effect.NOTE, population=name, mean=mean, apart=apart)
    return reason("reference.sd", Effect.NOTE, population=name, mean=mean, apart=apart, sds=apart / expected.sd_mg_cm3)
