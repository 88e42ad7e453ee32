"""Rows are of one run: they are resumed, and never mixed with another's; figures and pages come of them alone."""

import csv
import html
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from trabecula.errors import WrongUsage
from trabecula.evaluation.figures import figures, groups
from trabecula.evaluation.pages import write
from trabecula.evaluation.rows import CaseRow, Run, VertebraRow, read_rows, to_line

RUN = Run("niu2023", "s", {"a": "1"}, "0.1", "c", "virtual:a", "d", True, "a", "0.1")


def vertebra(level: str, reference: float, value: float | None, **facts: object) -> VertebraRow:
    return VertebraRow(level, str(facts.pop("called", level)), reference, value, **facts)  # type: ignore[arg-type]


def row(number: int, reference: float, value: float | None, run: Run = RUN, **facts: object) -> CaseRow:
    def category(bmd: float) -> str:
        return "osteoporosis" if bmd < 80 else "osteopenia" if bmd <= 120 else "normal"

    made = CaseRow(
        run,
        f"case-{number}",
        f"patient-{number}",
        quantity="vbmd-k2hpo4" if value is not None else None,
        value=value,
        reference=reference,
        category="undetermined" if value is None else category(value),
        true_category=category(reference),
        probabilities={"normal": 1.0},
        vertebrae=(
            vertebra("L1", reference + 2, None if value is None else value + 1, dice=0.95, off_mm=1.0),
            vertebra("L2", reference - 2, None if value is None else value - 1, dice=0.85, findings=("cyst_mm",)),
        ),
        groups={"slices": "5 mm"},
        seconds=2.0,
    )
    return replace(made, **facts)  # type: ignore[arg-type]


ROWS = [row(i, reference, reference + error) for i, (reference, error) in enumerate(
    [(60, 3), (70, 5), (75, 2), (78, 3), (90, 4), (100, 2), (110, 1), (130, 3), (150, -2), (170, 6)]
)]  # fmt: skip


def saved(path: Path, rows: list[CaseRow]) -> Path:
    path.write_text("".join(to_line(one) + "\n" for one in rows), encoding="utf-8")
    return path


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    assert read_rows(saved(tmp_path / "rows.jsonl", ROWS), RUN) == ROWS
    assert read_rows(tmp_path / "none.jsonl", RUN) == []


@pytest.mark.parametrize("name", [one.name for one in fields(Run)])
def test_rows_of_another_run_are_not_resumed(tmp_path: Path, name: str) -> None:
    other = replace(RUN, **{name: {"a": "2"} if name == "weights" else False if name == "simulated" else "other"})
    with pytest.raises(WrongUsage, match=name) as refused:
        read_rows(saved(tmp_path / "rows.jsonl", [row(0, 60, 60, other)]), RUN)
    assert refused.value.code == "other-run"
    with pytest.raises(WrongUsage, match="differ in"):
        read_rows(saved(tmp_path / "mixed.jsonl", [ROWS[0], row(1, 60, 60, other)]))


def test_a_line_that_was_cut_off_is_left_out_and_a_damaged_one_is_a_sentence(tmp_path: Path) -> None:
    path = saved(tmp_path / "rows.jsonl", ROWS[:2])
    with path.open("a") as file:
        file.write(to_line(ROWS[2])[:200])
    assert read_rows(path, RUN) == ROWS[:2]
    path.write_text("{}\n" + to_line(ROWS[0]) + "\n")
    with pytest.raises(WrongUsage) as refused:
        read_rows(path, RUN)
    assert refused.value.code == "rows-damaged"


def test_figures_by_hand() -> None:
    found = {one.name: one for one in figures(ROWS)}
    assert found["Localisation recall"].text == "100.0% (20/20; 69.2 to 100.0)"  # ten patients, not twenty vertebrae
    assert found["Osteoporosis: sensitivity"].text == "75.0% (3/4; 19.4 to 99.4)"  # 78 was read as 81
    assert found["Osteoporosis: AUC"].estimate.value == 1
    assert found["Osteoporosis: AUC"].estimate.low == pytest.approx(0.025 ** (1 / 4))
    assert found["BMD bias, mg/cm3"].estimate.value == pytest.approx(2.7)
    assert found["Vertebrae bias, mg/cm3"].of == 20
    assert found["Dice, mean"].estimate.value == pytest.approx(0.9)
    assert found["Scans refused"].hits == 0


def test_a_second_scan_of_a_person_is_no_second_person() -> None:
    twice = [*ROWS, replace(ROWS[0], case="case-0-again"), replace(ROWS[1], case="case-1-again")]
    once, again = ({one.name: one for one in figures(rows)} for rows in (ROWS, twice))
    for name in ("Osteoporosis: sensitivity", "Patients with a category", "BMD bias, mg/cm3"):
        assert once[name] == again[name]
    assert again["Localisation recall"].of == 24
    assert again["Localisation recall"].patients == 10


def test_refused_and_failed_scans_are_counted() -> None:
    rows = [*ROWS[:6], CaseRow(RUN, "x", "px", refused="not-ct"), CaseRow(RUN, "y", "py", refused="defect-KeyError")]
    found = {one.name: one for one in figures(rows)}
    assert (found["Scans refused"].hits, found["Scans refused"].of) == (2, 8)
    assert found["Patients with a category"].hits == 6


def test_a_classifier_without_a_number_is_judged_by_its_probabilities() -> None:
    rows = [
        replace(one, value=None, quantity=None, probabilities={"osteoporosis": 1 / (1 + one.reference)})
        for one in ROWS
        if one.reference is not None
    ]
    found = {one.name: one for one in figures(rows)}
    assert found["Osteoporosis: AUC"].estimate.value == 1
    assert "BMD bias, mg/cm3" not in found


def test_nobody_at_all_and_one_alone_give_tables_without_a_crash(tmp_path: Path) -> None:
    assert {one.name: one.of for one in figures([])}["Localisation recall"] == 0
    for rows in (ROWS[:1], [CaseRow(RUN, "x", "px", refused="not-ct")]):
        page = write(rows, tmp_path, "trabecula evaluate")
        assert "<table>" in page.read_text()


def test_groups_are_in_the_spines_order_and_name_findings_in_words() -> None:
    names = [one.name for one in groups(ROWS)]
    assert names == ["level: L1", "level: L2", "finding: cyst", "finding: none", "slices: 5 mm"]


def test_every_table_says_the_same_and_what_it_was_made_by(tmp_path: Path) -> None:
    page = write(ROWS, tmp_path, "trabecula evaluate niu2023 virtual:10 --out x")
    text, markdown = page.read_text(), (tmp_path / "results.md").read_text()
    told = json.loads((tmp_path / "figures.json").read_text())
    with (tmp_path / "figures.csv").open() as file:
        rows = {line["figure"]: line for line in csv.DictReader(file)}
    for figure in told["figures"]:
        assert figure["text"] in markdown
        assert html.escape(figure["text"]) in text
        value, cell = figure["estimate"]["value"], rows[figure["name"]]["value"]
        assert cell == "" if value is None else float(cell) == pytest.approx(value, rel=1e-4)
    for words in ("Simulated accuracy", "trabecula evaluate niu2023 virtual:10 --out x", "family of the generator"):
        assert words in markdown
        assert words in text
    assert "Niu 2023, 100 patients" in markdown
    assert "data:image/png;base64," in text
    house = [replace(one, run=replace(RUN, recipe="house")) for one in ROWS]
    assert "Niu 2023" not in write(house, tmp_path, "x").read_text()
    people = [replace(one, run=replace(RUN, simulated=False)) for one in ROWS]
    assert "imulated" not in write(people, tmp_path, "x").read_text()
