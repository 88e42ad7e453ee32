"""Everybody who was screened here, against the published means: density by age and sex, categories, doubts."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from trabecula.quantity import QCT_BANDS
from trabecula.serving.web.guards import visitor_of
from trabecula.serving.web.parts import parts_of

router = APIRouter()

REFERENCE_MG_CM3 = {"F": ((32.0, 185.4), (80.0, 62.4)), "M": ((32.0, 176.6), (80.0, 92.1))}
"""Mean L1-L2 vBMD at the peak (30 to 34 years) and at 80 years, by sex: China Biobank, n = 69,095 (PMC7988599). No
standard deviation is known to us, so that none is drawn; between the two ages a straight line is ours."""

AGES, DENSITIES = (20.0, 100.0), (0.0, 240.0)
WIDTH, HEIGHT, LEFT, BELOW, ABOVE = 640.0, 360.0, 48.0, 40.0, 12.0
CATEGORIES = ("osteoporosis", "osteopenia", "normal", "undetermined")
SHOWN_REASONS = 12


@dataclass(frozen=True)
class Dot:
    """One study in the plot, at (x, y) of the drawing."""

    x: float
    y: float
    sex: str
    study_id: str
    words: str


@router.get("/cohort")
def cohort_page(request: Request) -> Response:
    """Plots over the newest version of every study."""
    parts = parts_of(request)
    found = parts.store.latest_assessments()
    dots = [
        Dot(across(study.age_years), up(study.density), _sex(study.sex), study.id, _words(study))
        for study, _ in found
        if study.density is not None and study.quantity == QCT_BANDS.quantity.key and study.age_years is not None
    ]
    categories = Counter(told["diagnosis"]["category"] for _, told in found)
    reasons: Counter[str] = Counter()
    for _, told in found:
        reasons.update({one["code"] for one in told["reasons"]})
        reasons.update({one["code"] for vertebra in told["vertebrae"] for one in vertebra["reasons"]})
    return parts.page(
        "cohort.html",
        visitor_of(request),
        total=len(found),
        ended=parts.store.ended_without_result(),
        dots=dots,
        unplotted=len(found) - len(dots),
        frame=frame(),
        categories=bars([(name, categories[name]) for name in CATEGORIES]),
        reasons=bars(reasons.most_common(SHOWN_REASONS)),
    )


def across(age_years: float) -> float:
    """Where an age lies in the drawing, from the left."""
    low, high = AGES
    share = (min(max(age_years, low), high) - low) / (high - low)
    return round(LEFT + share * (WIDTH - LEFT - ABOVE), 1)


def up(bmd_mg_cm3: float) -> float:
    """Where a density lies in the drawing, from its top."""
    low, high = DENSITIES
    share = (min(max(bmd_mg_cm3, low), high) - low) / (high - low)
    return round(HEIGHT - BELOW - share * (HEIGHT - BELOW - ABOVE), 1)


def frame() -> dict[str, Any]:
    """What stands behind the dots: axes, bands, the published means."""
    low, high = QCT_BANDS.edges
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - ABOVE,
        "top": ABOVE,
        "bottom": HEIGHT - BELOW,
        "low": up(low),
        "high": up(high),
        "ages": [(across(age), f"{age:.0f}") for age in (20.0, 40.0, 60.0, 80.0, 100.0)],
        "densities": [(up(bmd), f"{bmd:.0f}") for bmd in (0.0, 40.0, 80.0, 120.0, 160.0, 200.0, 240.0)],
        "lines": [(sex, [(across(age), up(bmd)) for age, bmd in ends]) for sex, ends in REFERENCE_MG_CM3.items()],
    }


def bars(counts: list[tuple[str, int]]) -> list[tuple[str, int, float]]:
    """Name, count and length out of 100, the longest full."""
    most = max((count for _, count in counts), default=0)
    return [(name, count, round(100 * count / most, 1) if most else 0.0) for name, count in counts]


def _sex(sex: str | None) -> str:
    return sex if sex in REFERENCE_MG_CM3 else "O"


def _words(study: Any) -> str:
    return f"{study.label}: {study.density:.0f} mg/cm³ at {study.age_years:.0f} years, {study.category}"
