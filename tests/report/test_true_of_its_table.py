"""Every sentence of the report is true of the table that stands beside it, whatever the result is."""

import re
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from toys.assessed import blocks_assessment
from trabecula.anatomy import Level
from trabecula.flow.diagnose.bands import BandDiagnosis
from trabecula.flow.diagnose.shifted import NamesShifted
from trabecula.quantity import Measurement
from trabecula.records import Assessment, Effect, Reason, reason
from trabecula.report.figures import marked, overlays
from trabecula.report.page import page

RUN: dict[str, Any] = {"version": "0", "written_utc": "2026-01-01T00:00:00+00:00"}
OF_THE_WHOLE = (
    reason("level-uncertain", probability=0.5),
    reason("contrast-agent-recorded"),
    reason("contrast-medium.header", rise=12.0, rise_sd=4.0),
    reason("thick-slices.voxels", length_mm=5.0),
    reason("files-left-out", Effect.NOTE, kinds=("2 other",)),
)
LEVELS = (Level.T12, Level.L1, Level.L2)
BASE = blocks_assessment()
PICTURES = overlays(BASE)


def of_vertebra(level: Level, kind: str) -> tuple[Reason, ...]:
    if kind == "withheld":
        return (reason("metal", Effect.WITHHOLD, level=level, limit_hu=2000.0),)
    return (reason("uneven-density", level=level, sd_hu=90.0),) if kind == "doubted" else ()


@st.composite
def assessments(draw: st.DrawFn) -> Assessment:
    """Three vertebrae of any density, sound, doubted or withheld, diagnosed as ``house`` does."""
    vertebrae = []
    for one in BASE.readings.vertebrae:
        kind = draw(st.sampled_from(("sound", "doubted", "withheld")))
        value, half = draw(st.floats(40.0, 190.0)), draw(st.floats(4.0, 40.0))
        density = None if kind == "withheld" else Measurement(value, (max(0.0, value - half), value + half), own_sd=2.0)
        vertebrae.append(replace(one, density=density, reasons=of_vertebra(one.level, kind)))
    said = tuple(draw(st.lists(st.sampled_from(OF_THE_WHOLE), unique=True)))
    readings = replace(BASE.readings, vertebrae=tuple(vertebrae))
    diagnosis = NamesShifted(BandDiagnosis())(readings)
    return replace(BASE, scan=replace(BASE.scan, reasons=said), readings=readings, diagnosis=diagnosis)


def rows_of(text: str) -> dict[str, tuple[str, str, str]]:
    """Standing, density and the rest of each row of the table, by its level."""
    found = {}
    for standing, body in re.findall(r'<tbody class="([\w-]+)">(.*?)</tbody>', text, re.DOTALL):
        level = re.findall(r'<th scope="row">(\w+)', body)[0]
        density = re.findall(r'<td class="bmd">([\d.]+|-)', body)[0]
        found[level] = (standing, density, body)
    return found


def levels_in(sentence: str) -> set[str]:
    return set(re.findall(r"\b(?:T\d+|L\d)\b", sentence))


@settings(max_examples=60)
@given(made=assessments())
def test_every_sentence_is_true_of_the_table(made: Assessment) -> None:
    text = page(made, RUN, PICTURES)
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text.partition("</style>")[2]))
    rows = rows_of(text)
    used = {level for level, (standing, _, _) in rows.items() if standing == "used"}
    with_number = {level for level, (_, density, _) in rows.items() if density != "-"}

    # who decides, and who was measured
    (told,) = re.findall(r"Levels (?:used|measured): ([^<]*)<", text)
    assert levels_in(told) == (used if made.diagnosis.determined else with_number)
    for measurable in re.findall(r"measurable: ([^.<]*)\.", text):
        assert levels_in(measurable) <= with_number
        asked = {"T12", "L1", "L2"}
        assert (measurable == "none") == (not with_number & asked)
    assert ("No category could be determined" in plain) == (not used)

    # the category, and what its interval touches
    if made.diagnosis.density is not None:
        low, high = made.diagnosis.density.interval
        crossing = re.findall(r"By its 95% interval it may be ([^.]*)\.", plain)
        headline = re.findall(r"<h1>(.*?)</h1>", text)[0].lower()
        for word, touched in (("osteoporosis", low < 80.0), ("normal", high > 120.0)):
            if min(abs(low - 80.0), abs(high - 120.0)) > 0.5:
                assert (word in headline or word in " ".join(crossing)) >= touched
                assert not crossing or (word in crossing[0]) == touched

    # doubts
    doubted = bool(re.findall(r'class="first"', text))
    assert ("No reason for doubt" in plain) == (not doubted)
    if "No reason for doubt was found in the scan or in the measurement" in plain:
        assert not any("<code>" in body for _, _, body in rows.values())
    codes = re.findall(r"<code>([\w-]+)</code>", text)
    sentences = re.findall(r"(?:<li>|</b> )([^<]+?)\s*<code>", text)
    assert len(sentences) == len(set(sentences)), "told twice"
    assert codes.count("contrast-agent-recorded") == (
        "contrast-medium" not in codes and codes.count("contrast-agent-recorded")
    )
    for row in rows.values():
        for sentence in re.findall(r'<td colspan="6">([^<]+?)\s*<code>', row[2]):
            assert plain.count(sentence) == 1, "told in the row and again elsewhere"

    # the legend tells of the marks that are in the pictures, and of no others
    standings = {mark.standing for mark in marked(made)}
    for words, standing in (("Thick outline", "used"), ("Thin outline", "measured"), ("Dashed", "withheld")):
        assert (words in plain) == (standing in standings)
    assert ("BMD on the bands" in text) == bool(with_number)
