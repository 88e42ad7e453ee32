"""The checklists: every item by its own number, filled with what is known, and nothing where only authors know."""

from dataclasses import replace
from pathlib import Path

import pytest

from trabecula.cohort.table import read_table
from trabecula.evaluation.checklists import CLAIM, TRIPOD_AI
from trabecula.evaluation.figures import figures, groups
from trabecula.evaluation.pages import write
from trabecula.evaluation.reporting import YOURS, Facts, checklists, facts_of, topics
from trabecula.evaluation.rows import CaseRow, Run, VertebraRow
from trabecula.recipes import RECIPES

RUN = Run("house", "5e77", {}, "0.1", "c0de", "site.csv", "d", False, None, None)
TABLE = """case,path,patient,qct_L1,qct_L2,site,split,sex,age,kvp
a,a.nii.gz,p1,90,94,north,train,F,61,120
b,a.nii.gz,p2,60,64,north,test,F,71,100
c,a.nii.gz,p2,60,64,south,test,F,71,120
d,a.nii.gz,p3,150,154,south,test,M,50,120
e,gone.nii.gz,p4,150,,south,test,M,50,120
"""


def row(case: str, patient: str, reference: float, value: float, called: str, true: str) -> CaseRow:
    vertebra = VertebraRow("L1", "L1", reference, value, withheld=("metal",) if case == "d" else ())
    return CaseRow(
        RUN,
        case,
        patient,
        quantity="vbmd-k2hpo4",
        value=value,
        reference=reference,
        category=called,
        true_category=true,
        vertebrae=(vertebra,),
        groups={"site": "north"},
    )


ROWS = [
    row("b", "p2", 62, 85, "osteopenia", "osteoporosis"),
    row("c", "p2", 62, 60, "osteoporosis", "osteoporosis"),
    row("d", "p3", 152, 150, "normal", "normal"),
]


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "site.csv").write_text(TABLE)
    cohort = read_table(tmp_path / "site.csv")
    return facts_of(cohort, [case for case in cohort.cases if case.split == "test"], RECIPES["house"])


def known(facts: Facts, rows: list[CaseRow] = ROWS) -> dict[str, str]:
    return topics(rows, figures(rows), groups(rows), facts)


def test_the_items_are_those_of_the_publications() -> None:
    assert [item.number for item in CLAIM] == [str(number) for number in range(1, 45)]
    numbers = [item.number for item in TRIPOD_AI]
    assert len(set(numbers)) == len(numbers) == 52
    assert list(dict.fromkeys(number.rstrip("abcdefg") for number in numbers)) == [str(n) for n in range(1, 28)]


def test_every_item_is_answered_or_left_to_the_authors_and_no_topic_is_lost(facts: Facts) -> None:
    wanted = {topic for item in (*TRIPOD_AI, *CLAIM) for topic in item.topics}
    assert set(known(facts)) == wanted
    for (title, (heads, lines)), items in zip(
        checklists(ROWS, figures(ROWS), groups(ROWS), facts), (TRIPOD_AI, CLAIM), strict=True
    ):
        assert "2024" in title
        assert len(heads) == 3
        assert [line[:2] for line in lines] == [(item.number, item.name) for item in items]
        for item, (_, _, told) in zip(items, lines, strict=True):
            assert (told == YOURS) == (not any(known(facts)[topic] for topic in item.topics))
    # Ethics, funding, dates: nobody but the authors knows.
    tripod = {number: told for number, _, told in checklists(ROWS, (), (), facts)[0][1][1]}
    assert {tripod[number] for number in ("5b", "17", "18a", "26")} == {YOURS}


def test_it_tells_who_was_left_out_and_who_was_judged(facts: Facts) -> None:
    told = known(facts)
    assert "4 scans of 3 patients" in told["source"]
    assert "judged: 3 scans of 2 patients" in told["source"]
    assert "left out: 1 (1 file-missing)" in told["left_out"]
    assert "train 1 scan of 1 patient, test 3 scans of 2 patients" in told["split"]
    assert told["people"].startswith("Sex: F 1, M 1. Age, 2 patients: median 60, 50 to 71 years.")
    assert "south (2 scans)" in told["places"]
    assert "L1 3, L2 3" in told["reference"]
    assert "normal 1, osteopenia 0, osteoporosis 1" in told["sample"]
    assert "b (osteoporosis called osteopenia)" in told["failures"]
    assert "c (" not in told["failures"]  # the second scan of a patient: no second failure
    assert "1 (1 metal)" in told["refusals"]
    assert "osteoporosis below 80 mg/cm3, normal above 120" in told["outcome"]
    assert "site" in told["clusters"]


def test_what_was_trained_on_the_same_cohort_is_said(facts: Facts) -> None:
    assert "Trained on this cohort" not in known(facts)["apart"]
    own = replace(
        next(one for one in facts.weights if one.name == "house-finder"),
        training={
            "data": {"cohort": "site.csv", "digest": facts.cohort.digest, "trained_on": 1, "seed": 5},
            "start": {"given": "shipped", "sha256": "abc"},
            "network": {"kind": "AnatomyNet", "parameters": 12},
            "kept_by": {"figure": "dice", "highest": True},
        },
    )
    told = known(replace(facts, weights=tuple(own if one.name == own.name else one for one in facts.weights)))
    assert "Trained on this cohort, on patients of it that are not judged: house-finder." in told["apart"]
    assert "house-finder: trained on site.csv (1 cases, seed 5)" in told["training"]
    assert "house-finder: from shipped weights" in told["initial"]
    assert "AnatomyNet, 12 parameters" in told["model"]
    assert "house-finder: the highest dice" in told["kept"]
    unmarked = replace(facts.cohort, cases=tuple(replace(case, split=None) for case in facts.cohort.cases))
    told = known(replace(facts, weights=(own,), cohort=unmarked))
    assert "patients judged here among them" in told["apart"]
    assert "No case was marked test" in told["split"]


def test_virtual_patients_are_never_passed_off_as_people(facts: Facts) -> None:
    assert "imulated" not in known(facts)["source"] + known(facts)["limits"]
    rows = [replace(one, run=replace(RUN, simulated=True)) for one in ROWS]
    told = known(replace(facts, cohort=replace(facts.cohort, simulated=True)), rows)
    assert "every figure is simulated" in told["source"]
    assert told["limits"].startswith("Simulated")


def test_the_page_holds_both_checklists(facts: Facts, tmp_path: Path) -> None:
    page = write(ROWS, tmp_path, "a test", facts)
    for text in (page.read_text(encoding="utf-8"), (tmp_path / "results.md").read_text(encoding="utf-8")):
        assert "TRIPOD+AI (2024)" in text
        assert "CLAIM (2024 update)" in text
        assert "Ethical approval" in text
    assert "TRIPOD" not in write(ROWS, tmp_path, "a test").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("niu2023", "Category of the mean density of L1, L2: osteoporosis below 80 mg/cm3"),
        ("fang2021", "of L1, L2, L3, L4: osteoporosis below 80"),
        ("pan2024", "likeliest category by the network, of L1, L2. True ones by QCT: osteoporosis below 80"),
        ("yasaka2020", "osteoporosis at -2.5 and below, osteopenia below -1; young mean (SD), g/cm2: F "),
    ],
)
def test_each_kind_of_diagnosis_says_how_it_reads_a_category(facts: Facts, recipe: str, words: str) -> None:
    assert words in known(replace(facts, recipe=RECIPES[recipe]))["outcome"]
