"""What stands beside the density on the page: the other ways by which it was read, and people of the same sex."""

from dataclasses import dataclass
from typing import Any

from trabecula.messages import Phrase
from trabecula.quantity import BANDS, VBMD_K2HPO4
from trabecula.records import Assessment, VertebraReading
from trabecula.records.population import Point

OPINIONS = ("whole-region", "network", "as-scanned")
"""The other ways by which a vertebra may have been read, as they stand from left to right."""

AGES, MOST_MG_CM3 = (20.0, 95.0), 240.0
SIZE_PX = (360.0, 210.0)
MARGIN_PX = {"left": 34.0, "right": 8.0, "top": 8.0, "bottom": 30.0}


def beside(assessment: Assessment, language: str) -> dict[str, Any]:
    """``opinions`` and ``curve`` as the page's template takes them; None where there is nothing to show."""
    return {"opinions": _opinions(assessment, language), "curve": _curve(assessment, language)}


def _opinions(assessment: Assessment, language: str) -> dict[str, Any] | None:
    """A row for each measured vertebra: the density, and what the whole region and the network make of it."""
    read = [one for one in assessment.readings.vertebrae if one.density is not None and one.opinions]
    names = [name for name in OPINIONS if any(name in one.opinions for one in read)]
    if not names:
        return None
    return {
        "heads": [Phrase("opinion-density").told(language), *(Phrase(f"opinion-{n}").told(language) for n in names)],
        "rows": [_row(one, names, assessment) for one in read],
    }


def _row(one: VertebraReading, names: list[str], assessment: Assessment) -> dict[str, Any]:
    assert one.density is not None, "only measured vertebrae have a row"
    others = [one.opinions[name].shown if name in one.opinions else "-" for name in names]
    used = assessment.diagnosis.decided_by(one.level)
    return {"level": one.level.value, "used": used, "values": [one.density.shown, *others]}


@dataclass(frozen=True)
class _Scale:
    """From years and mg/cm3 to pixels of the picture."""

    most: float

    def x(self, years: float) -> float:
        first, last = AGES
        room = SIZE_PX[0] - MARGIN_PX["left"] - MARGIN_PX["right"]
        return round(MARGIN_PX["left"] + room * (years - first) / (last - first), 1)

    def y(self, mg_cm3: float) -> float:
        room = SIZE_PX[1] - MARGIN_PX["top"] - MARGIN_PX["bottom"]
        return round(SIZE_PX[1] - MARGIN_PX["bottom"] - room * max(mg_cm3, 0.0) / self.most, 1)

    def line(self, points: list[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(years)},{self.y(mg)}" for years, mg in points)


def _curve(assessment: Assessment, language: str) -> dict[str, Any] | None:
    """The population's means by age for this person's sex, its spread where one was published, and this person."""
    population, density = assessment.population, assessment.diagnosis.density
    said = assessment.scan.acquisition
    sex, age = said.patient_sex, said.patient_age_years
    if population is None or density is None or density.quantity != VBMD_K2HPO4 or sex is None or age is None:
        return None
    points = population.points.get(sex, ())
    if not points:
        return None
    highest = max(one.mean_mg_cm3 + (one.sd_mg_cm3 or 0.0) for one in points)
    scale = _Scale(max(MOST_MG_CM3, highest, density.interval[1]))
    sexes = Phrase(f"sex-{sex.lower()}").told(language)
    low, high = (scale.y(end) for end in density.interval)
    edges = BANDS[VBMD_K2HPO4.key].edges
    return {
        "size": SIZE_PX,
        "box": (scale.x(AGES[0]), scale.y(0), scale.x(AGES[1]), scale.y(scale.most)),
        "mean": scale.line([(one.age_years, one.mean_mg_cm3) for one in points]),
        "dots": [(scale.x(one.age_years), scale.y(one.mean_mg_cm3)) for one in points],
        "spread": _spread(points, scale),
        "sparse": len(points) < 3,
        "person": {
            "x": scale.x(min(max(age, AGES[0]), AGES[1])),
            "y": scale.y(density.value),
            "low": low,
            "high": high,
        },
        "bands": [(scale.y(edge), f"{edge:g}") for edge in edges],
        "ages": [(scale.x(years), f"{years:g}") for years in range(20, 100, 10)],
        "title": Phrase("curve-title", {"population": population.name, "sex": sexes}).told(language),
        "caption": Phrase("curve-caption" if len(points) > 2 else "curve-caption-sparse").told(language),
        "axis": Phrase("curve-axis").told(language),
    }


def _spread(points: tuple[Point, ...], scale: _Scale) -> str | None:
    """The outline of one standard deviation to either side; None where some have none."""
    known = [(one.age_years, one.mean_mg_cm3, one.sd_mg_cm3) for one in points if one.sd_mg_cm3 is not None]
    if len(known) < len(points):
        return None
    above = [(age, mean + sd) for age, mean, sd in known]
    below = [(age, mean - sd) for age, mean, sd in reversed(known)]
    return scale.line(above + below)
