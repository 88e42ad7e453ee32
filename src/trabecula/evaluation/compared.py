"""Several recipes' rows side by side: index.html, results.md, CSV tables and comparison.json, all from rows."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from trabecula.errors import TrabeculaError
from trabecula.evaluation.figures import NAMES, Figure, figures, one_a_patient, sickness
from trabecula.evaluation.interval import NONE, Estimate, p_text
from trabecula.evaluation.pages import Table, html_document, html_picture, html_table, write_csv
from trabecula.evaluation.paired import FINDINGS, AucPair, KappaPair, auc_pairs, kappa_pairs
from trabecula.evaluation.rows import CaseRow
from trabecula.evaluation.tables import PUBLISHED_DELONG, PUBLISHED_FOR, markdown
from trabecula.quantity import Category
from trabecula.recipe import Recipe
from trabecula.records.codec import plain

SCHEMA = "trabecula.cohort-comparison/1"
SHOWN = (
    *("Dice of a case, mean", "BMD R2", "BMD r", "BMD bias", "BMD lower limit of agreement"),
    *("BMD upper limit of agreement", "BMD mean absolute error", "BMD root-mean-square error"),
    *("Osteoporosis: sensitivity", "Osteoporosis: specificity"),
    *("Abnormal: AUC", "Abnormal: sensitivity", "Abnormal: specificity"),
    *("Macro AUC", "Macro F1", "Accuracy in three categories"),
    *("Kappa of categories", "Seconds a case, median"),
)
"""The figures that stand side by side, without their units; each recipe's own page has more."""

NO_CATEGORY = ("levels-not-in-view", "too-few-vertebrae", "level-unknown", "sex-unknown")
"""The reasons that leave a result without a category."""

LEAST = 2
"""An area takes so many people of a category, and so many of the rest."""

PLOTS = ("scatter.png", "bland-altman.png", "roc.png")
"""As in figure 6 of Niu 2023: regression, Bland-Altman, ROC; each recipe's folder holds its own."""


def write(
    rows: Sequence[Sequence[CaseRow]],
    recipes: Sequence[Recipe],
    left_out: Mapping[str, TrabeculaError],
    out: Path,
    command: str,
) -> Path:
    """Writes the comparison into ``out``, where each recipe's own page stands already; returns the page.

    ``rows`` are those of a recipe each; ``left_out`` are the recipes that could not be judged, by name.
    """
    found = {some[0].run.recipe: figures(some) for some in rows}
    areas, agreed = auc_pairs(rows), kappa_pairs(rows)
    tables = {
        "recipes": ("Recipes", _recipes(rows, recipes, left_out)),
        "one-vs-rest": ("AUC of each category against the rest", one_against_the_rest(rows, found)),
        "side-by-side": ("Figures side by side", _side_by_side(found)),
        "delong": ("DeLong's test between recipes", delong_table(areas)),
        "kappa": ("Agreement of categories, Cohen's kappa", _kappa(agreed, list(found))),
    }
    for name, (_, table) in tables.items():
        write_csv(out / f"{name}.csv", *table)
    curves = _curves(rows, out)
    told = {
        "schema": SCHEMA,
        "recipes": {name: [plain(asdict(one)) | {"text": one.text} for one in of] for name, of in found.items()},
        "left_out": {name: {"code": error.code, "message": error.message} for name, error in left_out.items()},
        "delong": [plain(asdict(one)) for one in areas],
        "kappa": [plain(asdict(one)) for one in agreed],
    }
    (out / "comparison.json").write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    plots = {name: [f"{name}/{plot}" for plot in PLOTS if (out / name / plot).exists()] for name in found}
    title, words = _title(rows), _words(rows, command)
    _write_markdown(out, title, words, tables, curves, plots)
    return _write_html(out, title, words, tables, curves, plots)


def _title(rows: Sequence[Sequence[CaseRow]]) -> str:
    kind = "unseen virtual patients" if rows[0][0].run.simulated else "patients"
    return f"{len(rows)} recipes on {len(one_a_patient(rows[0]))} {kind}"


def _words(rows: Sequence[Sequence[CaseRow]], command: str) -> str:
    simulated = (
        "**Simulated accuracy**: virtual patients, not people; the truth is exact, the anatomy is ours. "
        if rows[0][0].run.simulated
        else ""
    )
    return (
        f"{simulated}Made by `{command}` on {rows[0][0].run.cohort}. Each recipe is held against its own reference: QCT"
        " of the vertebrae that decide it, or DXA. Published figures are of the publications' own patients: they can be"
        " read beside ours, not ranked. Intervals are 95%. DeLong's test and kappa are of the patients that both"
        " recipes judged; for DeLong's those are left out whose two references differ on the finding. P is two-sided"
        " and not corrected for the number of tests. Seconds are those of a recipe alone, reading left aside."
    )


def _recipes(
    rows: Sequence[Sequence[CaseRow]], recipes: Sequence[Recipe], left_out: Mapping[str, TrabeculaError]
) -> Table:
    """A row a recipe: what it is and measures, and what became of the patients."""
    judged = {some[0].run.recipe: one_a_patient(some) for some in rows}
    cells: list[tuple[str, ...]] = []
    for recipe in recipes:
        units = [quantity.unit for quantity in recipe.quantities] + (["category"] if recipe.classifies else [])
        head = (recipe.name, recipe.source, ", ".join(units))
        if recipe.name in left_out:
            error = left_out[recipe.name]
            cells.append((*head, "-", "-", "-", f"left out [{error.code}]: {error.message}"))
            continue
        people = judged[recipe.name]
        refused = Counter(row.refused for row in people if row.refused is not None)
        unclear = [row for row in people if row.refused is None and row.category == Category.UNDETERMINED]
        because = Counter(code for row in unclear for code in dict.fromkeys(row.reasons) if code in NO_CATEGORY)
        cells.append(
            (
                *head,
                str(len(people)),
                str(len(people) - refused.total() - len(unclear)),
                _counted(len(unclear), because),
                _counted(refused.total(), refused),
            )
        )
    return ("recipe", "follows", "measures", "patients", "with a category", "undetermined", "refused"), cells


def _counted(number: int, codes: Mapping[Any, int]) -> str:
    said = ", ".join(f"{code} {count}" for code, count in sorted(codes.items(), key=lambda item: -item[1]))
    return f"{number}: {said}" if said else str(number)


def _side_by_side(found: Mapping[str, Sequence[Figure]]) -> Table:
    """A row a figure, a column a recipe; below it what the recipes' publications report."""
    ours = {name: {_bare(one.name, one.unit): _with_unit(one) for one in of} for name, of in found.items()}
    cells: list[tuple[str, ...]] = []
    for figure in SHOWN:
        if not any(figure in of for of in ours.values()):
            continue
        cells.append((figure, *(of.get(figure, "-") for of in ours.values())))
        published = [_published(name, figure) for name in ours]
        if any(published):
            cells.append((f"{figure}, published", *(one or "-" for one in published)))
    return ("figure", *ours), cells


def one_against_the_rest(rows: Sequence[Sequence[CaseRow]], found: Mapping[str, Sequence[Figure]]) -> Table:
    """A row a category, a column a recipe: the area, and how many of those judged have the category."""
    cells: list[tuple[str, ...]] = []
    for category in reversed(NAMES):
        figure = f"{category.capitalize()}: AUC"
        areas = {name: next((one.estimate for one in of if one.name == figure), NONE) for name, of in found.items()}
        cells.append((category, *(_area(areas[some[0].run.recipe], some, category) for some in rows)))
        published = [_published(name, figure) for name in found]
        if any(published):
            cells.append((f"{category}, published", *(one or "-" for one in published)))
    return ("against the rest", *found), cells


def _area(area: Estimate, rows: Sequence[CaseRow], category: str) -> str:
    """An area with its people, or why there is none."""
    known = [row for row in one_a_patient(rows) if row.true_category is not None]
    judged = [row for row in known if row.category != Category.UNDETERMINED]
    ill = sum(row.true_category == category for row in judged)
    if np.isfinite(area.value):
        return f"{area.text(3)}; {ill} of {len(judged)} have it"
    if not LEAST <= ill <= len(judged) - LEAST:
        return f"too few: {ill} of {len(judged)} have it, at least {LEAST} must and {LEAST} must not"
    return "not ranked: the recipe gives no probability of it"


def _bare(name: str, unit: str) -> str:
    return name.removesuffix(f", {unit}")


def _with_unit(one: Figure) -> str:
    return f"{one.text} {one.unit}".strip() if one.text != "none" else "none"


def _published(recipe: str, figure: str) -> str:
    """What the recipe's publication has of a figure; of several sets of patients one after the other."""
    columns = PUBLISHED_FOR.get(recipe, ())
    said = [value for one in columns for name, value in one.figures.items() if name.partition(", m")[0] == figure]
    return " / ".join(said)


def delong_table(areas: Sequence[AucPair]) -> Table:
    """A line for every pair and finding, with what was published of that pair."""
    heads = (
        "finding",
        "recipes",
        "patients",
        "left out",
        "AUC of the first",
        "of the second",
        "difference",
        "P",
        "published",
    )
    return heads, [
        (
            one.finding,
            f"{one.first} and {one.second}",
            str(one.patients),
            str(one.apart),
            *(_estimate(area) for area in one.areas),
            "none" if one.test is None else _estimate(one.test.difference),
            "none" if one.test is None or np.isnan(one.test.p) else p_text(one.test.p),
            PUBLISHED_DELONG.get((one.first, one.second), {}).get(one.finding, "-"),
        )
        for one in areas
    ]


def _kappa(agreed: Sequence[KappaPair], names: Sequence[str]) -> Table:
    """A matrix: plain kappa above the diagonal, with linear weights below."""
    by = {(one.first, one.second): one for one in agreed}

    def cell(row: str, column: str) -> str:
        if row == column:
            return "-"
        above = (row, column) in by
        one = by[(row, column) if above else (column, row)]
        return f"{_estimate(one.plain if above else one.linear)}; {one.same} of {one.patients} the same"

    heads = ("plain above, linear weights below", *names)
    return heads, [(row, *(cell(row, column) for column in names)) for row in names]


def _estimate(value: Estimate) -> str:
    if np.isnan(value.value):
        return "none"
    return value.text(3) if np.isfinite(value.low) else f"{value.value:.3f}"


def _curves(rows: Sequence[Sequence[CaseRow]], out: Path) -> list[str]:
    """One ROC plot a finding with every recipe's curve, each by its own reference; returns the files' names."""
    from trabecula.evaluation import plots

    made = []
    for finding, ill in FINDINGS.items():
        curves = {}
        for some in rows:
            judged = [
                row
                for row in one_a_patient(some)
                if row.true_category is not None and row.category != Category.UNDETERMINED
            ]
            true = np.array([row.true_category in ill for row in judged], bool)
            if 2 <= true.sum() <= len(judged) - 2:
                curves[some[0].run.recipe] = (np.array([sickness(row, ill) for row in judged]), true)
        if curves:
            simulated = ", simulated" if rows[0][0].run.simulated else ""
            plots.save(plots.roc(curves, title=f"{finding}{simulated}"), out / f"roc-{finding}.png")
            made.append(f"roc-{finding}.png")
    return made


def _write_markdown(
    out: Path,
    title: str,
    words: str,
    tables: Mapping[str, tuple[str, Table]],
    curves: Sequence[str],
    plots: Mapping[str, Sequence[str]],
) -> None:
    lines = [f"# {title}", "", words, ""]
    for heading, (heads, cells) in tables.values():
        lines += [f"## {heading}", "", markdown(heads, cells), ""]
    lines += [f"![{name}]({name})" for name in curves] + [""]
    for recipe, names in plots.items():
        lines += [f"## [{recipe}]({recipe}/results.md)", "", *(f"![{name}]({name})" for name in names), ""]
    (out / "results.md").write_text("\n".join(lines), encoding="utf-8")


def _write_html(
    out: Path,
    title: str,
    words: str,
    tables: Mapping[str, tuple[str, Table]],
    curves: Sequence[str],
    plots: Mapping[str, Sequence[str]],
) -> Path:
    body = [html_table(*one) for one in tables.values()]
    body += [html_picture(out / name) for name in curves]
    for recipe, names in plots.items():
        pictures = "".join(html_picture(out / name) for name in names)
        body.append(f'<h2><a href="{recipe}/index.html">{recipe}</a></h2><div class="three">{pictures}</div>')
    page = out / "index.html"
    page.write_text(html_document(title, words, body), encoding="utf-8")
    return page
