"""A site's table: what is right is read, what is wrong is told with its line, and nobody is judged by himself."""

from pathlib import Path

import pytest

from trabecula.anatomy import Level
from trabecula.cohort.case import Split, require_sound, validation_split
from trabecula.cohort.read import read_cohort
from trabecula.cohort.table import COLUMNS, read_table
from trabecula.errors import WrongUsage
from trabecula.quantity import VBMD_HA

HEADS = "case,path,patient,bodies_mask,labels,qct_L1,qct_L2,qct_material,dxa_g_cm2,scanner,site,split,sex,age,findings"
GOOD = (
    "a,a.nii.gz,p1,a-mask.nii.gz,totalsegmentator,101.5,99,HA,0.91,Force,north,train,f,61.5,L1:fracture+cement L3:metal"
)


def table(folder: Path, *rows: str, heads: str = HEADS) -> Path:
    for name in ("a.nii.gz", "a-mask.nii.gz", "b.nii.gz"):
        (folder / name).touch()
    path = folder / "site.csv"
    path.write_text("\n".join((heads, *rows)) + "\n", encoding="utf-8")
    return path


def test_a_row_becomes_a_case(tmp_path: Path) -> None:
    (case,) = read_table(table(tmp_path, GOOD)).cases
    assert (case.name, case.patient, case.split) == ("a", "p1", Split.TRAIN)
    assert case.source.ct == tmp_path / "a.nii.gz"  # type: ignore[attr-defined]
    assert case.source.masks == ("bodies",)
    known = case.known
    assert known.density == {Level.L1: 101.5, Level.L2: 99.0}
    assert known.quantity is VBMD_HA
    assert (known.areal_bmd_g_cm2, known.sex, known.age_years) == (0.91, "F", 61.5)
    assert known.findings == {Level.L1: ("fracture", "cement"), Level.L3: ("metal",)}
    assert known.groups == {"scanner": "Force", "site": "north", "sex": "F"}


def test_empty_cells_are_what_is_not_known_and_a_patient_is_a_case_where_none_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, "a;a.nii.gz;;", "b;b.nii.gz;;", heads="case;path;qct_L1;split")
    cohort = read_table(path)
    assert [case.patient for case in cohort.cases] == ["a", "b"]
    assert all(not case.known.density and case.split is None for case in cohort.cases)
    assert not cohort.simulated


@pytest.mark.parametrize(
    ("row", "code", "words"),
    [
        ("a,a.nii.gz,,gone.nii.gz,,,,,,,,,,,", "file-missing", "gone.nii.gz"),
        ("a,gone,,,,,,,,,,,,,", "file-missing", "gone"),
        ("a,,,,,,,,,,,,,,", "path-missing", "no path"),
        (",a.nii.gz,,,,,,,,,,,,,", "case-unnamed", "no case"),
        ("a,a.nii.gz,,,,-5,,,,,,,,,", "number-unusable", "'-5'"),
        ("a,a.nii.gz,,,,n/a,,,,,,,,,", "number-unusable", "'n/a'"),
        ("a,a.nii.gz,,,,nan,,,,,,,,,", "number-unusable", "leave the cell empty"),
        ("a,a.nii.gz,,,,9999,,,,,,,,,", "number-unusable", "400 mg/cm3"),
        ("a,a.nii.gz,,,,,,water,,,,,,,", "cell-unknown", "K2HPO4, HA"),
        ("a,a.nii.gz,,,,,,,,,,tset,,,", "cell-unknown", "train, validation, test"),
        ("a,a.nii.gz,,,,,,,,,,,x,,", "cell-unknown", "F, M"),
        ("a,a.nii.gz,,,,,,,,,,,,,L9:metal", "cell-unknown", "L9:metal"),
        ("a,a.nii.gz,,,mine,,,,,,,,,,", "cell-unknown", "verse"),
        ("a,a.nii.gz", "cells-missing", "2 cells"),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_the_others_stand(tmp_path: Path, row: str, code: str, words: str) -> None:
    cohort = read_table(table(tmp_path, "b,b.nii.gz,,,,120,,,,,,,,,", row))
    assert [case.name for case in cohort.cases] == ["b"]
    assert code in [bad.error.code for bad in cohort.bad]
    bad = next(bad for bad in cohort.bad if bad.error.code == code)
    assert bad.line == 3
    assert words in bad.error.message
    with pytest.raises(WrongUsage, match=rf"Line 3: \[{code}\]") as refused:
        require_sound(cohort)
    assert refused.value.code == "bad-rows"
    require_sound(cohort, leave_out_bad=True)


def test_everything_wrong_with_a_row_is_told_at_once(tmp_path: Path) -> None:
    cohort = read_table(table(tmp_path, "a,gone,,,,-5,n/a,,,,,,,,"))
    assert [bad.error.code for bad in cohort.bad] == ["file-missing", "number-unusable", "number-unusable"]


def test_a_case_named_twice_is_told(tmp_path: Path) -> None:
    cohort = read_table(table(tmp_path, GOOD, GOOD))
    assert [(bad.line, bad.error.code) for bad in cohort.bad] == [(3, "case-repeated")]


def test_one_patient_in_two_splits_is_leakage_and_is_not_named(tmp_path: Path) -> None:
    rows = ("a,a.nii.gz,mrs-smith,,,,,,,,,train,,,", "b,b.nii.gz,mrs-smith,,,,,,,,,test,,,")
    with pytest.raises(WrongUsage, match="train on line 2 and test on line 3") as refused:
        read_table(table(tmp_path, *rows))
    assert refused.value.code == "leakage"
    assert "smith" not in refused.value.message


@pytest.mark.parametrize(
    ("heads", "words"), [("case", "lacks columns: path"), ("case,path,qct", "unknown"), ("case,path,case", "repeats")]
)
def test_columns_must_be_those_that_are_documented(tmp_path: Path, heads: str, words: str) -> None:
    with pytest.raises(WrongUsage, match=words):
        read_table(table(tmp_path, heads=heads))


def test_every_column_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cohorts.md").read_text()
    for name in COLUMNS:
        if not name.startswith("qct_") or name == "qct_material":
            assert f"`{name}`" in page, name


def test_nobody_is_a_sentence_and_so_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage) as refused:
        read_cohort(str(table(tmp_path)), judging=True)
    assert refused.value.code == "cohort-empty"
    for given, code in (("nowhere", "cohort-missing"), (str(tmp_path), "no-cohort"), ("virtual:0", "unknown-cohort")):
        with pytest.raises(WrongUsage) as refused:
            read_cohort(given, judging=True)
        assert refused.value.code == code
    (tmp_path / "latin.csv").write_bytes("case,path\nä,b\n".encode("latin-1"))
    with pytest.raises(WrongUsage) as refused:
        read_cohort(str(tmp_path / "latin.csv"), judging=True)
    assert refused.value.code == "table-unreadable"


def test_training_and_validation_share_no_patient_and_tests_are_in_neither(tmp_path: Path) -> None:
    rows = [f"c{i},a.nii.gz,p{i // 2},,,,,,,,,{'test' if i < 4 else ''},,," for i in range(40)]
    cases = read_table(table(tmp_path, *rows)).cases
    training, judging = validation_split(cases, 0.2)
    patients = [{case.patient for case in some} for some in (training, judging)]
    assert not patients[0] & patients[1]
    assert len(patients[1]) == round(0.2 * 18)
    assert {"p0", "p1"}.isdisjoint(patients[0] | patients[1])
    assert validation_split(tuple(reversed(cases)), 0.2)[1] == tuple(reversed(judging))
    with pytest.raises(WrongUsage, match="at least two"):
        validation_split(cases[38:])


def test_marked_validation_cases_are_taken(tmp_path: Path) -> None:
    rows = [f"c{i},a.nii.gz,,,,,,,,,,{'validation' if i == 3 else 'train'},,," for i in range(6)]
    training, judging = validation_split(read_table(table(tmp_path, *rows)).cases)
    assert [case.name for case in judging] == ["c3"]
    assert len(training) == 5


def test_contrast_medium_is_a_group(tmp_path: Path) -> None:
    path = table(tmp_path, "a,a.nii.gz,portal", "b,b.nii.gz,", heads="case,path,contrast")
    assert [case.known.groups for case in read_table(path).cases] == [{"contrast": "portal"}, {}]


def test_a_numbering_is_named_or_a_file_of_the_sites_own(tmp_path: Path) -> None:
    (tmp_path / "ours.csv").write_text("label,level\n7,L1\n")
    heads = "case,path,bodies_mask,labels"
    path = table(
        tmp_path, "a,a.nii.gz,a-mask.nii.gz,ours.csv", "b,b.nii.gz,,gone.csv", "c,b.nii.gz,,abacus", heads=heads
    )
    cohort = read_table(path)
    assert cohort.cases[0].source.labels.verse_ids == {7: Level.L1.verse_id}  # type: ignore[attr-defined]
    assert [row.error.code for row in cohort.bad] == ["file-missing", "cell-unknown"]
