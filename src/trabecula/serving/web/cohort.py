"""Everybody who was screened here: density by age and sex, categories, doubts, readers; and all of it as a table."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response

from trabecula.messages import Phrase
from trabecula.quantity import QCT_BANDS, QUANTITIES, Category
from trabecula.records import Assessment, Effect, Reason
from trabecula.records.doubts import weighed
from trabecula.report.words import unit_shown
from trabecula.serving.web.cohort_readers import by_readers
from trabecula.serving.web.cohort_table import CSV, PARQUET, as_csv, as_parquet, table_of
from trabecula.serving.web.guards import visitor_of
from trabecula.serving.web.parts import Parts, parts_of, told
from trabecula.serving.web.presentation import patient
from trabecula.serving.web.seeking import Address, address_of
from trabecula.studies.listing import Sought
from trabecula.studies.result import result_from
from trabecula.studies.tables import Study, Version

router = APIRouter(include_in_schema=False)

REFERENCE_MG_CM3 = {"F": ((32.0, 185.4), (80.0, 62.4)), "M": ((32.0, 176.6), (80.0, 92.1))}
"""Mean L1-L2 vBMD at the peak (30 to 34 years) and at 80 years, by sex: China Biobank, n = 69,095 (PMC7988599). No
standard deviation is known to us, so that none is drawn; between the two ages a straight line is ours."""

AGES, DENSITIES = (20.0, 100.0), (0.0, 240.0)
WIDTH, HEIGHT, LEFT, BELOW, ABOVE = 640.0, 360.0, 48.0, 40.0, 12.0
SHOWN = (Category.OSTEOPOROSIS, Category.OSTEOPENIA, Category.NORMAL, Category.UNDETERMINED)
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
    """Plots and tables over the newest version of every study that the address asks for."""
    parts, visitor, address = parts_of(request), visitor_of(request), address_of(request.query_params)
    found = cohort_of(parts, address)
    newest = [(study, result_from(kept[-1].assessment, kept[-1].names).assessment) for study, kept in found]
    studies, language = [study for study, _ in newest], visitor.language
    dots = [_dot(study, language) for study in studies if _plotted(study)]
    categories = Counter(assessment.diagnosis.category for _, assessment in newest)
    return parts.page(
        "cohort.html",
        visitor,
        address=address,
        total=len(found),
        ended=parts.store.ended_without_result() if not address.sought.narrowed else [],
        dots=dots,
        unplotted=len(found) - len(dots),
        frame=frame(),
        categories=bars([(str(name), categories[name]) for name in SHOWN]),
        reasons=_reasons([assessment for _, assessment in newest], language),
        spreads=spreads(studies, language),
        readers=by_readers([kept for _, kept in found]),
    )


@router.get(f"/cohort/{CSV}")
def cohort_csv(request: Request) -> Response:
    """A row for each vertebra, as comma-separated values."""
    table = table_of(cohort_of(parts_of(request), address_of(request.query_params)))
    return _saved(as_csv(table), "text/csv; charset=utf-8", CSV)


@router.get(f"/cohort/{PARQUET}")
def cohort_parquet(request: Request) -> Response:
    """A row for each vertebra, as Parquet: every column has its type."""
    table = table_of(cohort_of(parts_of(request), address_of(request.query_params)))
    return _saved(as_parquet(table), "application/vnd.apache.parquet", PARQUET)


def cohort_of(parts: Parts, address: Address) -> list[tuple[Study, list[Version]]]:
    """Every study with a result that is asked for, with all its versions."""
    found = parts.store.all_versions()
    sought: Sought = address.sought
    if not sought.narrowed:
        return found
    chosen = {study.id for study in parts.store.studies(sought, 0, 1_000_000)[0]}
    return [(study, kept) for study, kept in found if study.id in chosen]


def spreads(studies: Sequence[Study], language: str) -> list[dict[str, Any]]:
    """Number, mean and spread of the densities by their kind and by sex: two kinds are never taken together."""
    rows = []
    for key, quantity in QUANTITIES.items():
        of_kind = [study for study in studies if study.quantity == key and study.density is not None]
        for sex in ("F", "M", "O"):
            values = np.array([study.density for study in of_kind if _sex(study.sex) == sex], float)
            if not values.size:
                continue
            sd = f"{values.std(ddof=1):.{quantity.digits}f}" if values.size > 1 else "-"
            low, middle, high = np.percentile(values, (25, 50, 75))
            quartiles = told(language, "range", low=f"{low:.{quantity.digits}f}", high=f"{high:.{quantity.digits}f}")
            rows.append(
                {
                    "kind": " ".join(filter(None, (unit_shown(quantity), quantity.material))),
                    "who": told(language, f"web-people-{sex.lower()}"),
                    "n": values.size,
                    "mean": f"{values.mean():.{quantity.digits}f}",
                    "sd": sd,
                    "median": f"{middle:.{quantity.digits}f}",
                    "quartiles": quartiles,
                }
            )
    return rows


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


def _reasons(assessments: Iterable[Assessment], language: str) -> list[dict[str, Any]]:
    """The most frequent doubts with how many studies have them, and what one of them was told."""
    counts: Counter[str] = Counter()
    example: dict[str, Reason] = {}
    for assessment in assessments:
        said = [*weighed(assessment).reasons, *(one for v in assessment.readings.vertebrae for one in v.reasons)]
        doubts = {one.code: one for one in said if one.effect is not Effect.NOTE}
        counts.update(doubts.keys())
        example |= doubts
    shown = bars(counts.most_common(SHOWN_REASONS))
    return [
        {"code": code, "count": count, "share": share, "words": example[code].told(language)}
        for code, count, share in shown
    ]


def _plotted(study: Study) -> bool:
    return study.density is not None and study.quantity == QCT_BANDS.quantity.key and study.age_years is not None


def _dot(study: Study, language: str) -> Dot:
    assert study.density is not None and study.age_years is not None
    category = Phrase(f"category-{study.category}").told(language)
    who = patient(study.sex, study.age_years, language)
    words = f"{study.label}: {study.density:.0f} mg/cm³, {who}, {category}"
    return Dot(across(study.age_years), up(study.density), _sex(study.sex), study.id, words)


def _sex(sex: str | None) -> str:
    return sex if sex in REFERENCE_MG_CM3 else "O"


def _saved(content: bytes, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="trabecula-{name}"'}
    return Response(content, media_type=kind, headers=headers)
