"""The summary page over many rows, and the journal that tables are made of."""

import html
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest

from trabecula.batch.journal import Journal, table_of
from trabecula.batch.run import numbered
from trabecula.batch.studies import Item, items_in
from trabecula.batch.summary import summary_page
from trabecula.errors import WrongUsage
from trabecula.messages import LANGUAGES, messages, outline


def some_rows(path: Path, number: int) -> list[str]:
    """A journal of ``number`` results in which one scanner reads 12 mg/cm3 too high."""
    rng = np.random.default_rng(0)
    keys = []
    with path.open("w") as file:
        for at in range(number):
            sex, age = "FM"[at % 2], float(rng.uniform(40, 90))
            off = 12.0 if at % 5 == 0 else 0.0
            density = 230 - 1.7 * age + off + float(rng.normal(0, 25))
            keys.append(f"{at:016x}")
            row = {"number": at + 1, "key": keys[-1], "state": "done", "code": "", "message": "", "order": "x"}
            row |= {"sex": sex, "age_years": age, "density": density, "quantity": "vbmd-k2hpo4", "unit": "mg/cm3"}
            row |= {"category": "osteopenia", "doubts": "sharp-kernel" if at % 4 == 0 else "", "scan": keys[-1]}
            row |= {
                "manufacturer": "Siemens",
                "model": "Off" if off else f"Good {at % 3}",
                "month": f"2026-0{1 + at % 9}",
            }
            row |= {"p_normal": 0.1, "mean_hu_l1": 120.5}
            file.write(json.dumps(row) + "\n")
    return keys


def test_a_scanner_that_is_off_is_marked(tmp_path: Path) -> None:
    keys = some_rows(tmp_path / "rows.jsonl", 1000)
    page = summary_page(table_of(tmp_path / "rows.jsonl", keys))
    marked = [part.partition("</td>")[0] for part in page.split('<tr class=" marked"><td>')[1:]]
    assert marked[0] == "Siemens Off"
    assert all(f"<td>Siemens Good {one}</td>" in page for one in range(3))
    assert "sharp-kernel" in page and "25%" in page
    assert page == summary_page(table_of(tmp_path / "rows.jsonl", keys))


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_the_page_is_told_in_the_language(language: str, tmp_path: Path) -> None:
    keys = some_rows(tmp_path / "rows.jsonl", 60)
    refused = {"number": 61, "key": "r", "state": "refused", "code": "no-dicom", "message": "", "order": "x"}
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write(json.dumps(refused) + "\n")
    page = summary_page(table_of(tmp_path / "rows.jsonl", [*keys, "r"]), language)
    text = messages(language)
    shown = html.unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL))
    told = [key for key in text if key.startswith("summary-") and "{" not in text[key]]
    unseen = {"summary-failed", "summary-duplicate", "summary-no-sex", "summary-none"}
    assert [key for key in told if key not in unseen and text[key] not in shown] == []
    assert text["no-dicom"] in shown and outline("sharp-kernel", language) in shown and "…" in shown
    english = {messages("en")[key] for key in told if messages("en")[key] != text[key]}
    assert [one for one in english if re.search(rf"(?<!\w){re.escape(one)}(?!\w)", shown)] == []


def test_a_code_that_says_nothing_is_shown_bare() -> None:
    assert outline("no-such-code", "de") == ""
    assert outline("cut-by-view") == "… is cut by the end of the scan."


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_summed_up(tmp_path: Path) -> None:
    keys = some_rows(tmp_path / "rows.jsonl", 100_000)
    started = time.process_time()
    page = summary_page(table_of(tmp_path / "rows.jsonl", keys))
    assert "100000" in page
    assert time.process_time() - started < 60  # processor time; some 5 s on an idle machine


def test_the_newest_row_stands_and_a_torn_line_is_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    about = {"number": 1, "key": "k", "state": "failed", "code": "defect", "message": "", "scan": None}
    journal.keep([(about, "o"), ({**about, "state": "done", "code": ""}, "o")])
    journal.close()
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"torn')
    again = Journal(tmp_path)
    assert again.known("o") == {"k"}
    assert again.known("another") == set()
    again.close()
    assert table_of(tmp_path / "rows.jsonl", ["k", "unknown"])["state"].to_pylist() == ["done"]


@pytest.mark.parametrize("text", ["name\nx\n", "path,path\nx,y\n", "\xff\n", "path\n"])
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "table.csv").write_text(text, encoding="latin-1")
    with pytest.raises(WrongUsage):
        items_in(tmp_path / "table.csv")


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("")
    with pytest.raises(WrongUsage, match="something else"):
        Journal(tmp_path)


def test_a_study_keeps_its_number_though_the_table_grows() -> None:
    first, second, new = (Item(number, name, f"/{name}") for number, name in ((1, "a"), (2, "b"), (1, "c")))
    before = {one.key: one.number for one in (first, second)}
    now = [new, Item(2, "a", "/a"), Item(3, "b", "/b"), Item(4, "d", "/d")]
    assert [(one.name, one.number) for one in numbered(now, before)] == [("c", 3), ("a", 1), ("b", 2), ("d", 4)]
