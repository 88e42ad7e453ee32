"""The head of a printed report: which scan, who looked; of a de-identified one, what was left out."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pypdf import PdfReader

from trabecula.anatomy import Level
from trabecula.export.pdf import pdf_of
from trabecula.messages import LANGUAGES, messages
from trabecula.quantity import Measurement
from trabecula.records import Assessment
from trabecula.records.history import History, Point
from trabecula.report.folder import report
from trabecula.report.masthead import Masthead, Review

Blocks = Callable[..., Assessment]
WHOLE = Masthead(
    label="Ward 3 <b>",
    accession="A-4711",
    study_number="5",
    study_day="2021-03-04",
    series_number="201",
    series_day="2021-03-05",
    review=Review.CORRECTED,
    reviewer="Dr. X",
    reviewed_on="2021-03-06",
)


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition("</style>")[2]))


def test_the_head_names_the_scan_and_who_looked_at_it(blocks: Blocks, tmp_path: Path) -> None:
    text = report(blocks(), tmp_path / "out", head=WHOLE).read_text()
    told = words(text)
    for said in (
        *("Scan Ward 3 &lt;b&gt;", "Accession number A-4711", "Study no. 5, 2021-03-04", "Series no. 201, 2021-03-05"),
        "Review corrected by Dr. X, 2021-03-06",
    ):
        assert said in told
    assert "Ward 3 <b>" not in text
    assert 'counter(page) " of " counter(pages)' in text


def test_what_nobody_knows_is_not_made_up(blocks: Blocks, tmp_path: Path) -> None:
    told = words(report(blocks(), tmp_path / "out").read_text())
    assert "no label given, no accession number in the input" in told and "not reviewed by anybody" in told
    assert "Accession number" not in told and "Study" not in told


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_deidentified_one_says_what_it_left_out(blocks: Blocks, tmp_path: Path, language: str) -> None:
    made = report(blocks(), tmp_path / "out", language=language, head=Masthead(deidentified=True))
    assert messages(language)["deidentified-left-out"] in made.read_text()
    assert messages(language)["scan-unnamed"] not in made.read_text()


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_printed_page_is_numbered_and_names_the_scan(blocks: Blocks, tmp_path: Path, language: str) -> None:
    made = report(blocks(), tmp_path / "out", language=language, head=WHOLE).read_text()
    (tmp_path / "printed.pdf").write_bytes(pdf_of(made))
    pages = PdfReader(tmp_path / "printed.pdf").pages
    for number, page in enumerate(pages, 1):
        told = page.extract_text()
        assert "A-4711" in told
        of = messages(language)["page-of"].format(page=number, pages=len(pages))
        assert of.replace(" ", "") in told.replace(" ", "")


def test_results_of_one_person_are_drawn_over_time(blocks: Blocks, tmp_path: Path) -> None:
    points = (
        Point(Measurement(130.0, (115.0, 145.0)), "2015-01-01"),
        Point(Measurement(120.0, (105.0, 135.0)), "2020-01-01"),
        Point(Measurement(104.8, (90.0, 119.5)), "2025-01-01"),
    )
    made = replace(blocks(), history=History((Level.L1, Level.L2), points, 14.5))
    text = report(made, tmp_path / "out").read_text()
    xs = [float(x) for x in re.findall(r'<circle fill="[^"]*" stroke-width="2" cx="([\d.]+)"', text)]
    ys = [float(y) for y in re.findall(r'<circle fill="[^"]*" stroke-width="2" cx="[\d.]+" cy="([\d.]+)"', text)]
    assert len(xs) == 3 and xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.5)  # five years each
    assert ys == sorted(ys)  # lower densities are lower
    top, height = re.findall(r'<rect fill="#f8e9bf" [^>]* y="([\d.]+)" [^>]* height="([\d.]+)"', text)[0]
    assert float(top) < ys[1] < float(top) + float(height) < ys[2]  # the change is more than the least significant
    told = words(text)
    assert "130.0" in told and "2020-01-01" in told and "least significant change (14.5)" in told
    assert "This person over time" not in report(blocks(), tmp_path / "alone").read_text()


@pytest.mark.parametrize("days", [(None, "2020-01-01"), (None, None), ("2020-01-01", "2020-01-01")])
def test_results_without_a_day_of_their_own_stand_side_by_side(
    blocks: Blocks, tmp_path: Path, days: tuple[str | None, str | None]
) -> None:
    density = Measurement(104.8, (90.0, 119.5))
    made = replace(blocks(), history=History((Level.L1,), tuple(Point(density, day) for day in days), 14.5))
    text = report(made, tmp_path / "out").read_text()
    first, last = (float(x) for x in re.findall(r'stroke-width="2" cx="([\d.]+)"', text))
    assert last - first > 300
