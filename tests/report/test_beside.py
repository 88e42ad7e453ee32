"""What stands beside the density: other readings of it, and the curve of a population with this person on it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from trabecula.quantity import VBMD_K2HPO4, Measurement
from trabecula.records import Assessment
from trabecula.records.population import Point, Population
from trabecula.records.reference import CHINA_BIOBANK
from trabecula.report.beside import beside
from trabecula.report.page import page

TABLE = Population("site", {"F": (Point(30.0, 180.0, 30.0), Point(50.0, 140.0, 28.0), Point(80.0, 80.0, 25.0))})


def person(blocks: Callable[..., Assessment], population: Population | None, **said: object) -> Assessment:
    return replace(blocks(**said), population=population)


def test_a_younger_dense_person_lies_left_and_above(blocks: Callable[..., Assessment]) -> None:
    woman = person(blocks, TABLE, patient_sex="F", patient_age_years=70.0)
    young = person(blocks, TABLE, patient_sex="F", patient_age_years=40.0)
    dense = replace(young, diagnosis=replace(young.diagnosis, density=Measurement(180.0, (160.0, 200.0), VBMD_K2HPO4)))
    old_at, young_at = (beside(one, "en")["curve"]["person"] for one in (woman, dense))
    assert young_at["x"] < old_at["x"] and young_at["y"] < old_at["y"]
    assert young_at["high"] < young_at["y"] < young_at["low"]  # pixels grow downwards


def test_the_person_of_usual_density_lies_on_the_line(blocks: Callable[..., Assessment]) -> None:
    found = person(blocks, TABLE, patient_sex="F", patient_age_years=50.0)
    usual = replace(found, diagnosis=replace(found.diagnosis, density=Measurement(140.0, (120.0, 160.0), VBMD_K2HPO4)))
    curve = beside(usual, "en")["curve"]
    assert (curve["person"]["x"], curve["person"]["y"]) in curve["dots"]


@pytest.mark.parametrize(
    ("population", "said"),
    [
        (None, {"patient_sex": "F", "patient_age_years": 70.0}),
        (TABLE, {"patient_sex": "M", "patient_age_years": 70.0}),  # the table is of women
        (TABLE, {"patient_sex": "F"}),
        (TABLE, {"patient_age_years": 70.0}),  # a de-identified scan tells neither
    ],
)
def test_no_curve_without_population_sex_or_age(
    blocks: Callable[..., Assessment], population: Population | None, said: dict[str, object]
) -> None:
    assert beside(person(blocks, population, **said), "en")["curve"] is None


def test_two_published_points_are_said_to_be_no_more(blocks: Callable[..., Assessment]) -> None:
    found = person(blocks, CHINA_BIOBANK, patient_sex="F", patient_age_years=60.0)
    curve = beside(found, "en")["curve"]
    assert curve["sparse"] and curve["spread"] is None and "no standard deviation" in curve["caption"]
    assert "69,095" in curve["title"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_opinions_stand_on_the_page_and_decide_nothing(blocks: Callable[..., Assessment], language: str) -> None:
    found = person(blocks, TABLE, patient_sex="F", patient_age_years=60.0)
    first = found.readings.vertebrae[1]
    opinions = {"whole-region": Measurement(131.3, (110.0, 150.0), VBMD_K2HPO4)}
    read = replace(found.readings, vertebrae=(found.readings.vertebrae[0], replace(first, opinions=opinions)))
    html = page(replace(found, readings=read), {"written_utc": "2026"}, pictures(), language)
    assert "131.3" in html and "<polygon" in html and 'class="person"' in html
    assert beside(found, language)["opinions"] is None


def pictures() -> dict[str, bytes]:
    import io

    from PIL import Image

    png = io.BytesIO()
    Image.new("RGB", (4, 4)).save(png, "PNG")
    return {name: png.getvalue() for name in ("sagittal.png", "coronal.png")}
