"""Many studies in one call: a folder each, a table, on with it where it was stopped, and nobody's name."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from toys.program import Program
from trabecula.lock import one_run


def table_of(out: Path) -> list[dict[str, str]]:
    with (out / "studies.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def studies(ct: Path, tmp_path: Path) -> Path:
    """Two scans and a letter."""
    folder = tmp_path / "studies"
    folder.mkdir()
    shutil.copy(ct, folder / "doe-jane.nii.gz")
    shutil.copy(ct, folder / "roe-richard.nii.gz")
    (folder / "letter.txt").write_text("Dear colleague")
    (folder / ".hidden").write_text("x")
    return folder


def test_a_folder_of_studies(trabecula: Program, studies: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = trabecula("screen", studies, "--each", "--out", out, "--recipe", "blocks")
    assert (ran.code, ran.err) == (0, "")
    assert "2 of 3 studies have a result." in ran.out and "unknown-format" in ran.out
    rows = {Path(row["input"]).name: row for row in table_of(out)}
    assert sorted(rows) == ["doe-jane.nii.gz", "letter.txt", "roe-richard.nii.gz"]
    assert [row["folder"] for row in rows.values()] == ["0001", "0002", "0003"]
    jane = rows["doe-jane.nii.gz"]
    assert (jane["state"], jane["category"], jane["bmd"], jane["unit"]) == ("done", "osteopenia", "100.0", "mg/cm3")
    assert (jane["low"], jane["high"], jane["levels"]) == ("94", "107", "L1 L2")
    assert jane["check_first"] == "acquisition-unknown"
    assert (rows["letter.txt"]["state"], rows["letter.txt"]["code"]) == ("refused", "unknown-format")
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock",
        "0001",
        "0003",
        "studies.csv",
    ]  # names of folders name nobody


def test_it_goes_on_where_it_was_stopped(trabecula: Program, studies: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("screen", studies, "--each", "--out", out, "--recipe", "blocks")
    trabecula(*arguments)
    made = {name: (out / name / "assessment.json").stat().st_mtime_ns for name in ("0001", "0003")}
    shutil.rmtree(out / "0003")
    shutil.copy(studies / "doe-jane.nii.gz", studies / "another.nii.gz")  # first by name, and the last to come
    again = trabecula(*arguments)
    assert again.code == 0 and "3 of 4 studies" in again.out
    rows = {Path(row["input"]).name: row["folder"] for row in table_of(out)}
    assert rows == {
        **{"doe-jane.nii.gz": "0001", "letter.txt": "0002"},
        **{"roe-richard.nii.gz": "0003", "another.nii.gz": "0004"},
    }
    assert (out / "0001" / "assessment.json").stat().st_mtime_ns == made["0001"]
    assert (out / "0003" / "assessment.json").exists()
    trabecula(*arguments, "--fhir")  # other options: screened anew
    assert (out / "0001" / "fhir.json").exists()
    assert (out / "0001" / "assessment.json").stat().st_mtime_ns != made["0001"]


def test_several_inputs_for_programs(trabecula: Program, studies: Path, tmp_path: Path) -> None:
    given = (studies / "doe-jane.nii.gz", studies / "letter.txt")
    ran = trabecula("screen", *given, "--out", tmp_path / "out", "--recipe", "blocks", "--json", "--deidentify")
    rows = json.loads(ran.out)
    assert [row["state"] for row in rows] == ["done", "refused"]
    assert "doe" not in ran.out + (tmp_path / "out" / "studies.csv").read_text()
    assert [row["input"] for row in rows] == ["", ""]


def test_several_recipes_of_several_studies(trabecula: Program, studies: Path, tmp_path: Path) -> None:
    given = (studies / "doe-jane.nii.gz", studies / "roe-richard.nii.gz")
    ran = trabecula("screen", *given, "--out", tmp_path / "out", "--recipe", "blocks,classifying")
    assert ran.code == 0
    (first, _) = table_of(tmp_path / "out")
    assert first["category"] == "blocks osteopenia; classifying osteoporosis"
    assert first["check_first"] == "recipes-disagree"
    assert (tmp_path / "out" / "0002" / "index.html").exists()


def test_where_no_study_has_a_result_it_ends_as_a_refusal(trabecula: Program, studies: Path, tmp_path: Path) -> None:
    letter = studies / "letter.txt"
    ran = trabecula("screen", letter, letter, "--out", tmp_path / "out", "--recipe", "blocks")
    assert ran.code == 3 and "0 of 2 studies" in ran.out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("{ct}", "{ct}", "--label", "Ward 3"), "one-study-only"),
        (("{ct}", "--each"), "no-folder-of-studies"),
        (("{empty}", "--each"), "no-folder-of-studies"),
        (("{ct}", "{ct}", "--language", "tlh"), "unknown-language"),
    ],
)
def test_wrong_usage_of_many(
    trabecula: Program, ct: Path, tmp_path: Path, arguments: tuple[str, ...], code: str
) -> None:
    (tmp_path / "empty").mkdir()
    given = [one.format(ct=ct, empty=tmp_path / "empty") for one in arguments]
    ran = trabecula("screen", *given, "--out", tmp_path / "out", "--recipe", "blocks")
    assert (ran.code, f"[{code}]" in ran.err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_many_do_not_go_where_something_else_lies(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    ran = trabecula("screen", ct, ct, "--out", tmp_path / "out", "--recipe", "blocks")
    assert (ran.code, "[output-not-empty]" in ran.err) == (2, True)


def test_two_runs_do_not_write_into_one_folder_at_the_same_time(
    trabecula: Program, studies: Path, tmp_path: Path
) -> None:
    command = ("screen", studies, "--each", "--out", tmp_path / "out", "--recipe", "blocks", "--language", "es")
    with one_run(tmp_path / "out"):
        ran = trabecula(*command)
    assert (ran.code, "[output-in-use]: Otra ejecución está escribiendo" in ran.err) == (2, True)
    assert [one.name for one in (tmp_path / "out").iterdir()] == [".lock"]
    assert trabecula(*command).code == 0
