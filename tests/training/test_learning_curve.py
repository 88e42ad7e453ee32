"""The learning curve of a segmentation: who is trained on and who judges, and the one command from cohort to plot."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from trabecula import inference
from trabecula.cohort.case import Case, Cohort, Known, Split
from trabecula.cohort.files import Files
from trabecula.errors import WrongUsage
from trabecula.evaluation.rows import read_rows
from trabecula.recipes import RECIPES
from trabecula.serving.learning import parts_of, segmenter_of, sizes
from trabecula.serving.train_cli import learning_curve
from trabecula.virtual.order import Order, simulate
from trabecula.weights import INSTEAD, catalogue, read_manifest


def cohort(number: int, first: int = 0) -> Cohort:
    """People without files, each with two scans."""
    cases = [
        Case(f"{person}-{scan}", f"p{person}", Files(Path("nowhere")), Known())
        for person in range(first, first + number)
        for scan in range(2)
    ]
    return Cohort("people", "d", tuple(cases))


def people(some: tuple[Case, ...], split: Split | None = None) -> set[str]:
    return {case.patient for case in some if split is None or case.split is split}


def test_nobody_who_judges_is_trained_on_and_more_people_hold_the_fewer() -> None:
    given = cohort(30)
    parts = {number: parts_of(given, given, number) for number in (5, 10, 20)}
    judged = {number: people(judging.cases) for number, (_, judging) in parts.items()}
    taught = {number: people(part.cases, Split.TRAIN) for number, (part, _) in parts.items()}
    choosing = {number: people(part.cases, Split.VALIDATION) for number, (part, _) in parts.items()}
    assert [len(taught[number]) for number in parts] == [5, 10, 20]
    assert taught[5] < taught[10] < taught[20]
    assert len(judged[5]) == 6 and judged[5] == judged[10] == judged[20]
    assert choosing[5] == choosing[20] != set()
    assert not judged[20] & (taught[20] | choosing[20]) and not taught[20] & choosing[20]
    assert len({part.digest for part, _ in parts.values()}) == 3
    with pytest.raises(WrongUsage, match="22 people are left") as refused:
        parts_of(given, given, 23)
    assert refused.value.code == "too-few-patients"


def test_those_marked_for_the_test_judge_and_so_do_others_that_a_cohort_keeps_for_it() -> None:
    given = cohort(12)
    marked = replace(
        given, cases=tuple(replace(one, split=Split.TEST if one.patient == "p3" else None) for one in given.cases)
    )
    part, judging = parts_of(marked, marked, 5)
    assert people(judging.cases) == {"p3"} and "p3" not in people(part.cases)
    others = cohort(4, first=100)
    part, judging = parts_of(given, others, 10)
    assert people(judging.cases) == people(others.cases) and len(people(part.cases)) == 11


def test_what_cannot_be_drawn_is_told_first() -> None:
    assert sizes("300, 100,100") == [100, 300]
    for given in ("", "many", "0", "1.5"):
        with pytest.raises(WrongUsage) as refused:
            sizes(given)
        assert refused.value.code == "people-unusable"
    assert segmenter_of(RECIPES["pan2024"]) == "pan2024-segmenter"
    with pytest.raises(WrongUsage) as refused:
        segmenter_of(RECIPES["yasaka2020"])
    assert refused.value.code == "nothing-outlined"


@pytest.mark.slow
def test_one_command_goes_from_a_cohort_to_the_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(Order(seed=31, protocol="abdomen-thick", format="nifti"), 4, tmp_path / "people", 1, lambda done: None)
    monkeypatch.setenv(INSTEAD, "")  # put back afterwards
    out = tmp_path / "curve"

    def run() -> None:
        learning_curve("pan2024", str(tmp_path / "people"), out, "1,2", "small", "cpu", 2, 1)

    try:
        run()
        told = {path: path.read_bytes() for path in out.glob("*/weights/*.onnx")}
        weights = [read_manifest(out / number / "weights")["pan2024-segmenter"] for number in ("1", "2")]
        assert [one.training["data"]["trained_on"] for one in weights] == [1, 2]
        rows = {number: read_rows(out / number / "judged" / "rows.jsonl") for number in ("1", "2")}
        assert [row.case for row in rows["1"]] == [row.case for row in rows["2"]] and len(rows["1"]) == 1
        for number, one in zip(rows, weights, strict=True):
            assert rows[number][0].run.weights["pan2024-segmenter"] == one.sha256
        with (out / "learning-curve.csv").open() as file:
            lines = list(csv.DictReader(file))
        assert [(line["training images"], line["cases"], line["SD"]) for line in lines] == [
            ("1", "1", "-"),  # one scan has no spread
            ("2", "1", "-"),
        ]
        page = (out / "learning-curve.md").read_text()
        assert "**Simulated**" in page and "trabecula learning-curve pan2024" in page and "--steps 2" in page
        assert (out / "learning-curve.png").stat().st_size > 5000
        (out / "learning-curve.md").unlink()
        run()  # nothing is trained or screened again
        assert {path: path.read_bytes() for path in out.glob("*/weights/*.onnx")} == told
        assert (out / "learning-curve.md").read_text() == page
        assert json.loads((out / "2" / "training.json").read_text())["cases"] == 3
    finally:
        for cached in (catalogue, inference.network):
            cached.cache_clear()
