"""``trabecula compare`` as a person meets it: a bad row, a missing reference, progress with time left."""

from pathlib import Path

import pytest

from toys.program import Program
from trabecula.evaluation.rows import read_rows
from trabecula.evaluation.run import ROWS
from trabecula.serving import train_cli
from trabecula.serving.train_cli import TimeLeft, left_words


def table(folder: Path, ct: Path, *rows: str) -> Path:
    path = folder / "site.csv"
    lines = ["case,path,qct_L1,qct_L2", *(row.format(ct=ct) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_bad_row_is_told_and_may_be_left_out(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    given = table(tmp_path, ct, "one,{ct},101,99", "two,{ct},-5,99", "three,{ct},80,70")
    command = ("compare", given, "--recipes", "blocks,refusing,areal", "--out", tmp_path / "out", "--workers", 1)
    ran = trabecula(*command)
    assert ran.code == 2 and "[bad-rows]" in ran.err and "Line 3: [number-unusable]" in ran.err
    assert not (tmp_path / "out").exists()
    ran = trabecula(*command, "--leave-out-bad")
    assert ran.code == 0 and ran.out == f"{tmp_path / 'out' / 'index.html'}\n"
    assert "1 of 2 scans, about " in ran.err and ran.err.endswith("2 of 2 scans\n")
    rows = read_rows(tmp_path / "out" / "blocks" / ROWS)
    assert [(row.case, row.reference) for row in rows] == [("one", 100.0), ("three", 75.0)]
    assert [row.value for row in rows] == pytest.approx([100.0, 100.0], abs=1e-3)
    assert {row.refused for row in read_rows(tmp_path / "out" / "refusing" / ROWS)} == {"no-vertebrae-found"}
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "left out [reference-missing]" in page and "2: no-vertebrae-found 2" in page


def test_an_unknown_recipe_is_told_before_the_cohort_is_read(trabecula: Program, tmp_path: Path) -> None:
    ran = trabecula("compare", tmp_path / "nowhere.csv", "--recipes", "blocks,homoeopathy", "--out", tmp_path / "out")
    assert ran.code == 2 and "[unknown-recipe]" in ran.err and "niu2023" in ran.err


def test_the_time_left_is_that_of_the_scans_of_this_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter((100.0, 130.0, 160.0))
    monkeypatch.setattr(train_cli.time, "monotonic", lambda: next(clock))
    told = TimeLeft()
    for done in (10, 11, 12):
        told(done, 20)
    assert capsys.readouterr().err.splitlines() == [
        "10 of 20 scans",
        "11 of 20 scans, about 4 min left",
        "12 of 20 scans, about 4 min left",
    ]
    assert (left_words(30), left_words(600), left_words(7200)) == ("30 s", "10 min", "2.0 h")
