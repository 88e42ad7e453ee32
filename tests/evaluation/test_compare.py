"""Several recipes over one cohort: each case loaded once, the rest gone on with, every table worked out by hand."""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from evaluation.toys import AREAL, BOTH, CLASSES, DENSITY, KINDS, ToySource, people
from trabecula.anatomy import Level
from trabecula.cohort.case import Case, Cohort, Known, Seen
from trabecula.errors import Refusal, WrongUsage
from trabecula.evaluation.compare import compare
from trabecula.evaluation.compared import delong_table
from trabecula.evaluation.paired import auc_pairs, kappa_pairs
from trabecula.evaluation.rows import CaseRow, read_rows, run_of
from trabecula.evaluation.run import ROWS, evaluate, judge_together
from trabecula.evaluation.score import Truth
from trabecula.recipes import RECIPES
from trabecula.records import Scan, Spine

NAMES = ",".join(KINDS)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, recipe in KINDS.items():
        monkeypatch.setitem(RECIPES, name, recipe)


@dataclass(frozen=True)
class Counted(ToySource):
    """Counts how often it is loaded."""

    loads: tuple[list[int], ...] = ([],)

    def load(self, known: Known, masks: tuple[str, ...]) -> Seen:
        self.loads[0].append(1)
        return super().load(known, masks)


def counted(cohort: Cohort) -> tuple[Cohort, list[int]]:
    loads: list[int] = []
    cases = tuple(replace(one, source=Counted(one.source.hu, True, (loads,))) for one in cohort.cases)  # type: ignore[attr-defined]
    return replace(cohort, cases=cases), loads


def done(out: Path, names: str, cohort: Cohort, told: list[tuple[int, int]] | None = None) -> Path:
    return compare(
        names, cohort, out, 1, "trabecula compare toys", lambda *at: None if told is None else told.append(at)
    )


def rows_of(out: Path, name: str) -> list[CaseRow]:
    return read_rows(out / name / ROWS)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        for name, recipe in KINDS.items():
            patch.setitem(RECIPES, name, recipe)
        out = tmp_path_factory.mktemp("compared") / "out"
        cohort, loads = counted(people(40))
        done(out, NAMES, cohort)
        assert len(loads) == 40  # once for all four
    return out


def test_each_recipe_has_the_rows_and_the_page_that_evaluate_gives_it(compared: Path, tmp_path: Path) -> None:
    for name in KINDS:
        evaluate(name, people(40), tmp_path / name, 1, "trabecula evaluate", lambda *at: None)
        alone, together = rows_of(tmp_path, name), rows_of(compared, name)
        assert [replace(one, seconds=None) for one in alone] == [replace(one, seconds=None) for one in together]
        assert (compared / name / "index.html").exists()


def test_the_page_sets_them_side_by_side(compared: Path) -> None:
    page = (compared / "index.html").read_text(encoding="utf-8")
    assert "4 recipes on 40 patients" in page
    for name in KINDS:
        assert page.count(f'<a href="{name}/index.html">') == 1
    drawn = [path.name for name in KINDS for path in (compared / name).glob("*.png")]
    assert page.count("data:image/png") == len(drawn) + 2  # one ROC of all for each finding
    assert sorted(set(drawn)) == ["bland-altman.png", "roc.png", "scatter.png"]
    told = json.loads((compared / "comparison.json").read_text(encoding="utf-8"))
    assert list(told["recipes"]) == list(KINDS)
    table = (compared / "side-by-side.csv").read_text().splitlines()
    bias = next(line for line in table if line.startswith("BMD bias")).split(",")
    assert bias[1].endswith("mg/cm3") and bias[3] == "-" and bias[4].endswith("g/cm2")


def against_the_rest(out: Path) -> dict[str, dict[str, str]]:
    with (out / "one-vs-rest.csv").open(newline="", encoding="utf-8") as file:
        return {line["against the rest"]: line for line in csv.DictReader(file)}


def test_each_category_has_its_area_against_the_rest_and_its_people(compared: Path) -> None:
    told = against_the_rest(compared)
    assert list(told) == ["osteoporosis", "osteopenia", "normal"]
    rows = rows_of(compared, CLASSES.name)
    for category, line in told.items():
        true = [row.true_category == category for row in rows]
        area = roc_auc_score(true, [row.probabilities[category] for row in rows])
        assert line[CLASSES.name].startswith(f"{area:.3f} (")
        assert line[CLASSES.name].endswith(f"; {sum(true)} of 40 have it")
    assert told["osteopenia"][AREAL.name] == "not ranked: the recipe gives no probability of it"
    page = (compared / "index.html").read_text(encoding="utf-8")
    assert "AUC of each category against the rest" in page and told["osteoporosis"][DENSITY.name] in page


def test_a_category_that_too_few_have_is_told_so(tmp_path: Path) -> None:
    cohort = people(40)
    ill = [case for case in cohort.cases if np.mean([case.known.density[one] for one in (Level.L1, Level.L2)]) < 80]
    some = [case for case in cohort.cases if case not in ill[1:]]
    done(tmp_path, f"{DENSITY.name},{CLASSES.name}", replace(cohort, cases=tuple(some)))
    told = against_the_rest(tmp_path)["osteoporosis"]
    expected = f"too few: 1 of {len(some)} have it, at least 2 must and 2 must not"
    assert (told[DENSITY.name], told[CLASSES.name]) == (expected, expected)
    assert expected in (tmp_path / "results.md").read_text(encoding="utf-8")


def test_areas_are_compared_on_the_patients_that_both_judged(compared: Path) -> None:
    density, classes = (rows_of(compared, one.name) for one in (DENSITY, CLASSES))
    pair = next(one for one in auc_pairs([density, classes]) if one.finding == "osteoporosis")
    true = [row.true_category == "osteoporosis" for row in density]
    assert (pair.patients, pair.apart) == (40, 0)
    assert pair.areas[0].value == pytest.approx(roc_auc_score(true, [-(row.value or 0) for row in density]))
    shares = [row.probabilities["osteoporosis"] for row in classes]
    assert pair.areas[1].value == pytest.approx(roc_auc_score(true, shares))
    assert pair.test is not None and pair.test.difference.value == pytest.approx(
        pair.areas[0].value - pair.areas[1].value
    )


def test_patients_whose_references_differ_are_left_out_and_counted(compared: Path) -> None:
    density, areal = (rows_of(compared, one.name) for one in (DENSITY, AREAL))
    pair = next(one for one in auc_pairs([density, areal]) if one.finding == "abnormal")
    apart = [
        (a.true_category == "normal") != (b.true_category == "normal") for a, b in zip(density, areal, strict=True)
    ]
    assert sum(apart) > 0
    assert (pair.apart, pair.patients) == (sum(apart), 40 - sum(apart))


def test_osteopenia_is_compared_by_its_probability_alone(compared: Path) -> None:
    """It lies between: no number ranks it, and a recipe without probabilities has no test."""
    density, classes, areal = (rows_of(compared, one.name) for one in (DENSITY, CLASSES, AREAL))
    (pair,) = [one for one in auc_pairs([density, classes]) if one.finding == "osteopenia"]
    true = [row.true_category == "osteopenia" for row in density]
    for area, rows in zip(pair.areas, (density, classes), strict=True):
        assert area.value == pytest.approx(roc_auc_score(true, [row.probabilities["osteopenia"] for row in rows]))
    (pair,) = [one for one in auc_pairs([density, areal]) if one.finding == "osteopenia"]
    assert pair.test is None and np.isnan(pair.areas[1].value)


def test_the_published_test_stands_beside_that_of_its_two_models(compared: Path) -> None:
    def named(rows: list[CaseRow], name: str) -> list[CaseRow]:
        return [replace(row, run=replace(row.run, recipe=name)) for row in rows]

    both, classes = rows_of(compared, BOTH.name), rows_of(compared, CLASSES.name)
    pairs = auc_pairs([named(both, "pan2024"), named(classes, "pan2024-l1")])
    _, cells = delong_table(pairs)
    assert {line[0]: line[-1] for line in cells} == {
        "osteoporosis": "P = 0.546",
        "abnormal": "P = 0.033",
        "osteopenia": "P = 0.210",
    }
    assert {line[-1] for line in delong_table(auc_pairs([both, classes]))[1]} == {"-"}


def test_kappa_is_of_the_categories_found(compared: Path) -> None:
    some = [rows_of(compared, one.name) for one in (DENSITY, BOTH, AREAL)]
    first, second, _ = kappa_pairs(some)
    assert (first.first, first.second, second.second) == (DENSITY.name, BOTH.name, AREAL.name)
    found = [[row.category for row in rows] for rows in some]
    assert second.plain.value == pytest.approx(cohen_kappa_score(found[0], found[2]))
    linear = cohen_kappa_score(found[0], found[2], labels=["normal", "osteopenia", "osteoporosis"], weights="linear")
    assert second.linear.value == pytest.approx(linear)
    assert first.same == sum(a == b for a, b in zip(found[0], found[1], strict=True))
    matrix = (compared / "kappa.csv").read_text().splitlines()
    assert len(matrix) == 1 + len(KINDS)


def test_a_killed_run_goes_on_where_it_stopped(compared: Path, tmp_path: Path) -> None:
    cohort, loads = counted(people(40))
    for name, kept in ((DENSITY.name, 40), (CLASSES.name, 38)):
        (tmp_path / name).mkdir()
        lines = (compared / name / ROWS).read_text().splitlines(keepends=True)
        (tmp_path / name / ROWS).write_text("".join(lines[:kept]) + '{"run": {"rec')
    told: list[tuple[int, int]] = []
    done(tmp_path, f"{DENSITY.name},{CLASSES.name}", cohort, told)
    assert told == [(38, 40), (39, 40), (40, 40)]
    assert len(loads) == 2
    assert [row.case for row in rows_of(tmp_path, DENSITY.name)] == [case.name for case in cohort.cases]
    assert len(rows_of(tmp_path, CLASSES.name)) == 40
    done(tmp_path, NAMES, cohort)  # recipes may be added later
    assert len(rows_of(tmp_path, AREAL.name)) == 40


def test_a_recipe_without_its_reference_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    done(tmp_path, NAMES, people(8, areal_bmd_g_cm2=None))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "left out [reference-missing]: No case of toys has what toy-areal is judged by" in page
    assert not (tmp_path / AREAL.name).exists()
    assert len(rows_of(tmp_path, BOTH.name)) == 8
    with pytest.raises(WrongUsage) as wrong:
        done(tmp_path / "alone", AREAL.name, people(8, areal_bmd_g_cm2=None))
    assert wrong.value.code == "reference-missing"


@dataclass(frozen=True)
class Damaged(ToySource):
    """Cannot be read."""

    def load(self, known: Known, masks: tuple[str, ...]) -> Seen:
        raise Refusal("file-unreadable", "The file is damaged.")


def test_a_case_that_cannot_be_read_is_a_row_of_every_recipe(tmp_path: Path) -> None:
    cohort = people(8)
    cases: list[Case] = [replace(cohort.cases[0], source=Damaged({})), *cohort.cases[1:]]
    done(tmp_path, NAMES, replace(cohort, cases=tuple(cases)))
    for name in KINDS:
        assert [row.refused for row in rows_of(tmp_path, name)].count("file-unreadable") == 1
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("1: file-unreadable 1") == len(KINDS)


def test_what_recipes_share_is_worked_out_once_and_counts_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def slowly(scan: Scan) -> Spine:
        calls.append(1)
        return DENSITY.localise(scan)

    recipes = [replace(one, localise=slowly) for one in (DENSITY, CLASSES)]
    for recipe in recipes:
        monkeypatch.setitem(RECIPES, recipe.name, recipe)
    cohort = people(3)
    runs = [run_of(recipe, cohort) for recipe in recipes]
    rows = [judge_together(case, runs) for case in cohort.cases]
    assert len(calls) == 3
    assert all(np.isfinite(row.seconds) and row.refused is None for some in rows for row in some)  # type: ignore[arg-type]


def test_an_unknown_recipe_is_told_with_all_there_are(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage) as wrong:
        done(tmp_path / "out", "toy-density,homoeopathy", people(4))
    assert wrong.value.code == "unknown-recipe" and AREAL.name in wrong.value.message
    assert not (tmp_path / "out").exists()


def test_the_truth_is_counted_once_and_gives_what_whole_masks_give() -> None:
    (case,) = people(1).cases
    seen = case.load(("trabecular",))
    truth = Truth(seen)
    spine = DENSITY.localise(seen.scan)
    assert DENSITY.segment is not None
    regions = DENSITY.segment(seen.scan, spine)
    for level in (Level.L1, Level.L2, Level.T12):
        true, found = seen.masks["trabecular"] == level.verse_id, regions.labels == level.verse_id
        total = true.sum() + found.sum()
        dice = round(float(2 * (true & found).sum() / total), 4) if total else None
        assert truth.dice(level, regions, level) == dice
        mean = round(float(seen.scan.volume.hu[true].mean()), 1) if true.any() else None
        assert truth.mean_hu(level) == truth.mean_hu(level) == mean
    assert truth.dice(Level.L1, regions, Level.L2) == 0.0
    assert truth.dice(Level.L1, None, Level.L1) is None
