"""report.html: what it says in each language, of each kind of answer, and that it needs nothing beside itself."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from trabecula.anatomy import Level
from trabecula.messages import LANGUAGES, joined, messages
from trabecula.quantity import Category, Measurement
from trabecula.records import Assessment, Basis, Diagnosis, Effect, Reason, Regions, reason
from trabecula.records.codec import decode
from trabecula.report.figures import marked
from trabecula.report.folder import report

Blocks = Callable[..., Assessment]
Turned = Callable[[Assessment], Assessment]


def test_the_page_says_what_it_must(blocks: Blocks, tmp_path: Path) -> None:
    text = report(blocks(manufacturer="ACME", tube_voltage_kvp=100.0), tmp_path / "out").read_text()
    for words in (
        *("Osteopenia", ">104.8 <", "90 to 120", "L1 and L2", "T12 holds metal.", "withheld", "Slices are thick."),
        *("Research use only.", "This result cannot be used to rule out low BMD.", "K2HPO4-equivalent", "ACR / ISCD"),
        *("no T-score is derived", "ACME", "100 kVp", "Osteopenia 95%"),
    ):
        assert words in text
    needle = float(re.findall(r'class="needle" style="left:([\d.]+)%', text)[0])
    assert needle == pytest.approx(104.76 / 200 * 100, abs=0.01)


def test_the_page_is_told_in_chinese_and_the_record_in_english(blocks: Blocks, tmp_path: Path) -> None:
    made = blocks(tube_voltage_kvp=100.0, patient_sex="F", patient_age_years=67)
    made = replace(made, scan=replace(made.scan, reasons=(reason("tube-voltage", voltage_kvp=100.0),)))
    metal = reason("metal", Effect.WITHHOLD, level=Level.T12, limit_hu=2000.0)
    t12 = replace(made.readings.vertebrae[0], reasons=(metal,))
    made = replace(made, readings=replace(made.readings, vertebrae=(t12, *made.readings.vertebrae[1:])))
    text = report(made, tmp_path / "out", language="zh").read_text()
    assert '<html lang="zh-CN">' in text
    for words in (
        *("骨量减少", "骨质疏松", "骨密度正常", "95% 区间 90 至 120 mg/cm³", "L1 和 L2", "不予报告", "女、67 岁"),
        *(
            "仅供研究使用。",
            "本结果不能用于排除低骨密度。",
            "扫描管电压为 100 kVp",
            "T12 内有金属或骨水泥",
            "按管电压和患者体型计算",
            "不推算 T 值",
        ),
    ):
        assert words in text
    english = {word for word in re.findall(r">([^<>]+)<", text.partition("</style>")[2]) if word.isascii()}
    assert not [word for word in english if re.search(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}", word)]
    found = json.loads((tmp_path / "out" / "assessment.json").read_text())
    assert found["reasons"][-1]["message"].startswith("The scan was made at 100 kVp")
    assert found["vertebrae"][0]["reasons"][0]["message"] == "T12 holds metal or cement (over 2000 HU)."


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_level_has_a_bar_on_the_bands_of_the_answer(blocks: Blocks, tmp_path: Path, language: str) -> None:
    text = report(blocks(), tmp_path / "out", language=language).read_text()
    dots = [float(at) for at in re.findall(r'class="dot" style="left:([\d.]+)%', text)]
    assert dots == pytest.approx([104.76 / 2] * 2)  # T12 is withheld: no bar
    whiskers = re.findall(r'class="whisker" style="left:([\d.]+)%;width:([\d.]+)%', text)
    assert [(float(a), float(b)) for a, b in whiskers] == [(45.0, 14.75)] * 3
    assert text.count('class="zone osteopenia') == 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_cut_off_on_a_phone(blocks: Blocks, browser: Browser, tmp_path: Path, language: str) -> None:
    page = report(blocks(contrast_agent="recorded"), tmp_path / "out", language=language)
    assert f">{messages(language)['density']}<small>" in page.read_text()
    opened = browser.new_page(viewport={"width": 390, "height": 900})
    opened.goto(page.as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    opened.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_limits_over_the_bars_are_two_numbers(
    blocks: Blocks, browser: Browser, tmp_path: Path, language: str
) -> None:
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    opened.goto(report(blocks(), tmp_path / "out", language=language).as_uri())
    ends = opened.evaluate(
        """() => ["low", "high"].map((end) => {
            const range = document.createRange();
            range.selectNodeContents(document.querySelector(`thead .scale .${end}`));
            return range.getBoundingClientRect();
        })"""
    )
    assert ends[1]["left"] - ends[0]["right"] >= 3
    opened.close()


def test_a_density_beyond_the_bands_widens_every_scale(blocks: Blocks, tmp_path: Path) -> None:
    made = blocks()
    t12, l1, l2 = made.readings.vertebrae
    dense = replace(l2, density=Measurement(230.0, (190.0, 251.0)))
    text = report(
        replace(made, readings=replace(made.readings, vertebrae=(t12, l1, dense))), tmp_path / "out"
    ).read_text()
    assert re.findall(r'class="dot" style="left:([\d.]+)%', text) == ["40.29", "88.46"]  # of 0 to 260
    assert 'class="needle" style="left:40.29%' in text


def test_vertebrae_without_names_are_counted_from_above(blocks: Blocks, tmp_path: Path) -> None:
    made = blocks()
    names = dict(zip((Level.T12, Level.L1, Level.L2), (Level.UNKNOWN_1, Level.UNKNOWN_2, Level.UNKNOWN_3), strict=True))
    labels = np.zeros_like(made.labels)
    for level, name in names.items():
        labels[made.labels == level.verse_id] = name.verse_id
    unnamed = replace(
        made,
        spine=replace(made.spine, vertebrae=tuple(replace(v, level=names[v.level]) for v in made.spine.vertebrae)),
        regions=Regions(labels, ()),
        readings=replace(
            made.readings, vertebrae=tuple(replace(v, level=names[v.level]) for v in made.readings.vertebrae)
        ),
        diagnosis=Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, ()),
    )
    text = report(unnamed, tmp_path / "en").read_text()
    assert "vertebrae that cannot be named" in text and "Levels measured: unknown-2 and unknown-3" in text
    assert (tmp_path / "en" / "axial-unknown-2.png").exists()
    assert "未定节段 3" in report(unnamed, tmp_path / "zh", language="zh").read_text()
    assert [mark.name for mark in marked(unnamed)] == ["(?1)", "?2", "?3"]


def test_the_page_needs_nothing_beside_itself(blocks: Blocks, tmp_path: Path) -> None:
    text = report(blocks(), tmp_path / "out").read_text()
    sources = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')\s]{0,22})', text)
    assert len(sources) == 5
    assert set(sources) == {"data:image/png;base64,"}
    assert not re.search(r"<(script|link|iframe|object)|https?:|@import", text)


def test_markup_in_a_header_or_a_reason_stays_text(blocks: Blocks, tmp_path: Path) -> None:
    evil = '"><script>alert(1)</script>'
    made = blocks(series_description=evil, kernel=evil, manufacturer=evil)
    made = replace(made, recipe=evil, diagnosis=replace(made.diagnosis, reasons=(Reason("a<b", evil),)))
    text = report(made, tmp_path / "out").read_text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 7
    assert json.loads((tmp_path / "out" / "assessment.json").read_text())["scan"]["kernel"] == evil


def words(page: str) -> str:
    """The text of a page, without its style."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition("</style>")[2]))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_category_without_a_density_is_no_less_a_result(
    blocks: Blocks, as_classifier: Turned, tmp_path: Path, language: str
) -> None:
    page = report(as_classifier(blocks()), tmp_path / "out", language=language).read_text()
    text = words(page)
    said, category = messages(language), messages(language)["category-osteoporosis"]
    both = said["or"].format(first=category, last=said["word-osteopenia"])  # 72% alone are not enough
    assert re.findall(r"<h1>(.*?)</h1>", page) == [both]
    word = said["word-osteoporosis"]
    sentence = said["by-classifier"].format(levels=joined(("L1", "L2")).told(language), category=word)
    assert sentence in text and "72%" in text
    given = messages(language)["probabilities"].partition("{")[0]
    assert given not in text and messages(language)["probabilities-classifier"].partition("{")[0] in text
    share = messages(language)["probability"].format(category=category, share="72%")
    assert text.count(share) == 3  # of the whole, of L1 and of L2
    assert messages(language)["footer-classifier"][:40] in text
    assert messages(language)["category-undetermined"] not in text
    assert 'class="bands"' not in page and 'class="number"' not in page
    assert re.findall(r'<tbody class="([\w-]+)"', page) == ["withheld", "used", "used"]
    assert "K2HPO4-equivalent" not in text and "BMD mg/cm³" not in text


def test_areal_density_has_its_own_unit_and_no_bands_of_qct(blocks: Blocks, as_areal: Turned, tmp_path: Path) -> None:
    page = report(as_areal(blocks()), tmp_path / "out").read_text()
    text = words(page)
    for said in (
        "Osteopenia",
        "0.800 g/cm²",
        "95% interval 0.70 to 0.90 g/cm²",
        "T-score",
        "BMD g/cm²",
        "0.70 to 0.90",
    ):
        assert said in text, said
    assert 'class="bands"' not in page and 'class="dot"' not in page
    assert "ACR / ISCD" not in text and "K2HPO4-equivalent" not in text and "Undetermined" not in text


def test_the_density_beside_a_classifier_marks_no_band_as_the_category(
    blocks: Blocks, as_classifier: Turned, tmp_path: Path
) -> None:
    made = as_classifier(blocks())
    made = replace(made, diagnosis=replace(made.diagnosis, density=Measurement(104.76, (90.0, 119.4))))
    page = report(made, tmp_path / "out").read_text()
    assert 'class="needle"' in page and "zone osteopenia here" not in page


def test_whole_images_have_no_regions_to_tell_of(blocks: Blocks, as_areal: Turned, tmp_path: Path) -> None:
    made = as_areal(blocks())
    whole = tuple(
        replace(one, volume_mm3=0.0, mean_hu=float("nan"), sd_hu=float("nan")) for one in made.readings.vertebrae
    )
    made = replace(made, regions=None, readings=replace(made.readings, vertebrae=whole))
    text = words(report(made, tmp_path / "out").read_text())
    assert "nothing is outlined" in text and "Thick outline" not in text and "Volume cm³" not in text
    assert "WHO: osteoporosis at -2.5" in text and "taken off" not in text


def test_where_every_vertebra_is_withheld_the_bands_are_shown_without_a_needle(blocks: Blocks, tmp_path: Path) -> None:
    made = blocks()
    nothing = tuple(replace(one, density=None) for one in made.readings.vertebrae)
    undetermined = Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, ())
    made = replace(made, readings=replace(made.readings, vertebrae=nothing), diagnosis=undetermined)
    page = report(made, tmp_path / "out").read_text()
    assert "Undetermined" in page and 'class="bands"' in page and 'class="needle"' not in page


def test_a_result_that_was_kept_as_json_has_the_same_page(blocks: Blocks, tmp_path: Path) -> None:
    made = blocks(tube_voltage_kvp=100.0, kernel="B30f")
    first = report(made, tmp_path / "first", language="zh").read_text()
    kept = json.loads((tmp_path / "first" / "assessment.json").read_text())
    again = decode(kept, made.scan, made.labels)
    second = report(replace(again, run=made.run), tmp_path / "second", language="zh").read_text()
    stamp = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
    assert stamp.sub("", words(second)) == stamp.sub("", words(first))
