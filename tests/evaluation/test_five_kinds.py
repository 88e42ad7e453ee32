"""Recipes of every kind held against the truth of toy patients: densities, classes, both, areal density."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from evaluation.toys import AREAL, BOTH, CLASSES, DENSITY, KINDS, LEVELS, people, person
from trabecula.anatomy import Level
from trabecula.cohort.case import Case, Cohort, Known, Seen
from trabecula.errors import WrongUsage
from trabecula.evaluation.figures import Figure, figures
from trabecula.evaluation.reference import reference_of, true_category_of
from trabecula.evaluation.rows import CaseRow, read_rows, run_of, to_line
from trabecula.evaluation.run import ROWS, evaluate, judge_together
from trabecula.quantity import AREAL_BMD, VBMD_HA, VBMD_K2HPO4, Category
from trabecula.recipe import Recipe
from trabecula.recipes import RECIPES

NAMES = ("normal", "osteopenia", "osteoporosis")

every_kind = pytest.mark.parametrize("recipe", KINDS.values(), ids=KINDS.keys())


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, recipe in KINDS.items():
        monkeypatch.setitem(RECIPES, name, recipe)


def judged(recipe: Recipe, cohort: Cohort) -> list[CaseRow]:
    return [row for case in cohort.cases for row in judge_together(case, [run_of(recipe, cohort)])]


def named(rows: list[CaseRow]) -> dict[str, Figure]:
    return {one.name: one for one in figures(rows)}


@every_kind
def test_rows_of_every_kind_come_back_as_they_were(recipe: Recipe, tmp_path: Path) -> None:
    rows = judged(recipe, people(12))
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(to_line(one) + "\n" for one in rows), encoding="utf-8")
    assert read_rows(path) == rows
    assert named(read_rows(path)) == named(rows)
    assert all(row.refused is None and row.true_category is not None for row in rows)


def test_a_classifier_without_a_density_is_held_against_the_bands_of_qct() -> None:
    (row,) = judged(CLASSES, Cohort("toys", "d", (person(1, 95, 4),)))
    assert (row.value, row.quantity, row.basis) == (None, None, "classifier")
    assert row.reference == 95
    assert row.true_category == "osteopenia"
    assert sum(row.probabilities.values()) == pytest.approx(1)
    assert [sorted(one.probabilities) for one in row.vertebrae] == [sorted(NAMES)] * 2
    rows = judged(CLASSES, people())
    found = named(rows)
    assert not [name for name in found if name.startswith("BMD")]
    true = [row.true_category for row in rows]
    scores = np.array([[row.probabilities[name] for name in NAMES] for row in rows])
    for i, name in enumerate(NAMES):
        expected = roc_auc_score([one == name for one in true], scores[:, i])
        assert found[f"{name.capitalize()}: AUC"].estimate.value == pytest.approx(expected)
    assert found["Macro AUC"].estimate.value == pytest.approx(
        roc_auc_score(true, scores, multi_class="ovr", labels=NAMES)
    )
    assert found["Macro F1"].estimate.value == pytest.approx(
        f1_score(true, [row.category for row in rows], average="macro")
    )


def test_a_classifier_with_a_density_is_judged_by_its_probabilities_and_its_density_by_qct() -> None:
    cohort = people()
    rows = judged(BOTH, cohort)
    errors = np.array([row.value - row.reference for row in rows])  # type: ignore[operator]
    found = named(rows)
    assert found["BMD bias, mg/cm3"].estimate.value == pytest.approx(errors.mean())
    assert found["BMD root-mean-square error, mg/cm3"].estimate.value == pytest.approx(np.sqrt((errors**2).mean()))
    assert found["BMD r"].text.endswith("P < 0.001")
    turned = [replace(row, probabilities=dict(zip(NAMES, (0.1, 0.2, 0.7), strict=True))) for row in rows]
    assert named(turned)["Osteoporosis: AUC"].estimate.value == 0.5  # the number still ranks, and is not asked
    as_bands = [replace(row, basis="bands") for row in turned]
    assert named(as_bands)["Osteoporosis: AUC"].estimate.value > 0.9


def test_an_areal_density_is_held_against_dxa_and_its_t_score_of_this_sex() -> None:
    woman, man, nobody = person(1, 85, 0, "F"), person(2, 85, 0, "M"), person(3, 85, 0, None)
    rows = judged(AREAL, Cohort("toys", "d", (woman, man, nobody)))
    assert [row.reference for row in rows] == [0.85] * 3
    assert [row.true_category for row in rows] == ["osteopenia", "osteoporosis", None]
    assert [(row.quantity, row.basis) for row in rows] == [("abmd", "t-score")] * 3
    assert all(one.mean_hu is None and one.dice is None and one.value is None for one in rows[0].vertebrae)
    found = named(judged(AREAL, people()))
    assert found["BMD bias, g/cm2"].estimate.value == pytest.approx(0.02, abs=0.01)
    assert found["BMD r"].estimate.value > 0.95
    assert found["Osteoporosis: AUC"].estimate.value > 0.9


def test_a_number_without_probabilities_still_ranks_both_ends() -> None:
    found = named(judged(AREAL, people(30)))  # it gives none
    assert found["Normal: AUC"].estimate.value > 0.9
    assert found["Osteoporosis: AUC"].estimate.value > 0.9
    assert found["Osteopenia: AUC"].text == found["Macro AUC"].text == "none"


def test_who_got_no_number_is_still_held_against_the_right_reference() -> None:
    blank = replace(person(1, 85, 0), source=replace(person(1, 85, 0).source, hu={}))  # type: ignore[type-var]
    for recipe, reference in ((AREAL, 0.85), (CLASSES, 85.0), (DENSITY, 85.0)):
        (row,) = judged(recipe, Cohort("toys", "d", (blank,)))
        assert (row.category, row.reference) == ("undetermined", reference)
        assert row.true_category == "osteopenia"


def test_who_was_refused_is_counted_by_what_is_true_of_him(tmp_path: Path) -> None:
    class Unreadable:
        masks = ()

        def load(self, known: Known, masks: tuple[str, ...]) -> Seen:
            raise WrongUsage("file-missing", "There is none.")

    gone = replace(person(7, 70, 0), source=Unreadable())  # type: ignore[arg-type]
    cohort = Cohort("toys", "d", (*people(12).cases[:6], gone))
    evaluate("toy-classes", cohort, tmp_path, 1, "", lambda done, total: None)
    *_, row = read_rows(tmp_path / ROWS)
    assert (row.refused, row.true_category) == ("file-missing", "osteoporosis")
    text = (tmp_path / "results.md").read_text()
    (line,) = [one for one in text.split("## Patients")[0].splitlines() if one.startswith("| osteoporosis |")]
    assert line.endswith("| 1 |")  # the column of those refused


def test_a_reference_that_is_not_known_judges_nothing() -> None:
    known = Known(density={Level.L1: 100.0, Level.L2: 90.0}, areal_bmd_g_cm2=0.89)
    assert reference_of(known, DENSITY, AREAL_BMD) == 0.89
    assert reference_of(known, DENSITY, VBMD_K2HPO4) == 95.0
    assert reference_of(known, CLASSES, None) == 95.0
    assert reference_of(known, DENSITY, VBMD_HA) is None
    assert reference_of(Known(density={Level.L1: 100.0}), CLASSES, None) is None
    assert true_category_of(replace(known, quantity=VBMD_HA), CLASSES, None) is None  # no bands for it
    assert true_category_of(known, AREAL, None) is None  # the sex is not known
    assert true_category_of(replace(known, sex="M"), AREAL, None) is Category.OSTEOPOROSIS  # a T-score of -2.6
    assert true_category_of(Known(), AREAL, None) is None


def test_both_models_of_pan_2024_are_held_against_the_same_reference() -> None:
    """DeLong's test compares them on the same categories: those of the person's QCT, which is that of L1 and L2."""
    known = Known(density={Level.L1: 84.0, Level.L2: 74.0})
    for name in ("pan2024", "pan2024-l1"):
        assert reference_of(known, RECIPES[name], None) == 79.0
        assert true_category_of(known, RECIPES[name], None) is Category.OSTEOPOROSIS


def test_yasaka_2020_is_held_against_dxa_and_its_own_young_reference() -> None:
    recipe = RECIPES["yasaka2020"]
    young = recipe.diagnose.young  # type: ignore[attr-defined]
    for sex, (mean, sd) in young.items():
        known = Known(sex=sex, areal_bmd_g_cm2=mean - 2.6 * sd, density=dict.fromkeys(LEVELS, 200.0))
        assert reference_of(known, recipe, None) == mean - 2.6 * sd
        assert true_category_of(known, recipe, None) is Category.OSTEOPOROSIS
        assert true_category_of(replace(known, areal_bmd_g_cm2=mean), recipe, AREAL_BMD) is Category.NORMAL


@every_kind
def test_an_evaluation_of_every_kind_gives_a_page_with_its_plots(recipe: Recipe, tmp_path: Path) -> None:
    page = evaluate(recipe.name, people(), tmp_path, 1, "trabecula evaluate", lambda done, total: None)
    plots = {path.name for path in tmp_path.glob("*.png")}
    density = set() if recipe is CLASSES else {"scatter.png", "bland-altman.png"}
    assert plots == density | {"roc.png"}
    text = page.read_text()
    for words in ("Categories, true in rows", "Patients by what sets them apart", "60 to 69 years", "5 mm", "Maker"):
        assert words in text
    told = json.loads((tmp_path / "figures.json").read_text())
    (everybody, *groups) = told["subgroups"]
    assert everybody["patients"] == sum(one["patients"] for one in groups if one["sort"] == "age") == 60


@pytest.mark.parametrize("recipe", [BOTH, AREAL], ids=["both", "areal"])
def test_where_a_class_is_absent_its_figures_are_none(recipe: Recipe, tmp_path: Path) -> None:
    cohort = people()
    healthy = replace(cohort, cases=tuple(case for case in cohort.cases if case.known.density[Level.L1] > 115))
    page = evaluate(recipe.name, healthy, tmp_path, 1, "trabecula evaluate", lambda done, total: None)
    found = named(read_rows(tmp_path / ROWS))
    assert found["Macro F1"].text == "none"
    assert found["Osteoporosis: AUC"].text == "none"
    assert found["Accuracy in three categories"].of == len(healthy.cases)
    assert "none" in page.read_text()


@pytest.mark.parametrize(
    ("recipe", "known", "outlined"),
    [
        (AREAL, {"areal_bmd_g_cm2": None}, True),
        (AREAL, {"areal_bmd_g_cm2": None}, False),
        (CLASSES, {"density": {}}, False),
        (DENSITY, {"density": {Level.L1: 90.0}}, False),
    ],
)
def test_without_a_reference_nothing_is_begun(
    recipe: Recipe, known: dict[str, object], outlined: bool, tmp_path: Path
) -> None:
    cases = people(3, **known).cases
    cases = tuple(replace(case, source=replace(case.source, outlined=outlined)) for case in cases)  # type: ignore[type-var]
    for simulated in (False, recipe is AREAL):
        cohort = Cohort("site.csv", "d", cases, simulated=simulated)
        with pytest.raises(WrongUsage, match=rf"site.csv.*{recipe.name}") as refused:
            evaluate(recipe.name, cohort, tmp_path / "out", 1, "", lambda done, total: None)
        assert refused.value.code == "reference-missing"
        assert not (tmp_path / "out").exists()


def test_masks_alone_judge_a_recipe_that_outlines(tmp_path: Path) -> None:
    evaluate("toy-classes", people(3, density={}), tmp_path, 1, "", lambda done, total: None)
    found = named(read_rows(tmp_path / ROWS))
    assert found["Dice of a case, mean"].estimate.value == pytest.approx(6 / 7, abs=1e-4)  # 3 of 4 slices


class Unknown:
    """A source that tells what is known only when it is loaded, as virtual patients do."""

    masks = ("trabecular",)

    def __init__(self, case: Case) -> None:
        self.case = case

    def load(self, known: Known, masks: tuple[str, ...]) -> Seen:
        return self.case.source.load(self.case.known, masks)


def test_what_is_known_of_drawn_patients_is_seen_in_the_first(tmp_path: Path) -> None:
    cases = tuple(
        Case(one.name, one.patient, Unknown(one), Known())  # type: ignore[arg-type]
        for one in people(3).cases
    )
    cohort = Cohort("virtual", "d", cases, simulated=True)
    evaluate("toy-areal", cohort, tmp_path, 1, "", lambda done, total: None)
    assert [row.reference is not None for row in read_rows(tmp_path / ROWS)] == [True] * 3


def test_each_part_of_the_tests_has_figures_beside_its_own_published_ones(tmp_path: Path) -> None:
    from trabecula.evaluation.pages import write

    cohort = people()
    rows = [
        replace(
            row,
            run=replace(row.run, recipe="yasaka2020"),
            groups={**row.groups, "part": ("external", "internal")[i % 2] + " test"},
        )
        for i, row in enumerate(judged(AREAL, cohort))
    ]
    write(rows, tmp_path, "trabecula evaluate")
    text = (tmp_path / "results.md").read_text()
    whole, internal = text.index("## Figures\n"), text.index("## Figures of internal test")
    external = text.index("## Figures of external test")
    assert "Yasaka 2020, internal, 45 patients | Yasaka 2020, external, 50 patients" in text[whole:external]
    assert "0.970" in text[external:internal] and "0.965" not in text[external:internal].split("\n")[2]
    assert "Yasaka 2020, external" not in text[internal : text.index("## Categories")]
    assert {"scatter-internal-test.png", "roc-external-test.png"} <= {path.name for path in tmp_path.glob("*.png")}
    told = json.loads((tmp_path / "figures.json").read_text())
    parts = {name: {one["name"]: one for one in some} for name, some in told["parts"].items()}
    assert {some["BMD r"]["of"] for some in parts.values()} == {30}


def figure_names() -> set[str]:
    """The figures that all kinds of recipes give together."""
    with pytest.MonkeyPatch.context() as patch:
        for name, recipe in KINDS.items():
            patch.setitem(RECIPES, name, recipe)
        return {name for recipe in KINDS.values() for name in named(judged(recipe, people()))}


def test_the_lowest_mean_dice_is_that_of_the_worst_level() -> None:
    rows = judged(DENSITY, people(12))
    worse = [
        replace(row, vertebrae=tuple(replace(v, dice=0.7 if v.level == "L2" else v.dice) for v in row.vertebrae))
        for row in rows
    ]
    found = named(worse)
    assert found["Dice, lowest mean of a level"].estimate.value == pytest.approx(0.7)
    assert found["Dice of a case, mean"].estimate.value == pytest.approx((0.7 + 6 / 7) / 2, abs=1e-3)
    assert found["Dice, share above 0.9"].hits == 0
