"""An evaluation for people and for programs: results.md, index.html, CSV tables and figures.json, all from rows."""

import base64
import csv
import html
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from trabecula.evaluation.diagnosis import cross_table
from trabecula.evaluation.figures import NAMES, Figure, Group, figures, groups, one_a_patient
from trabecula.evaluation.pictures import draw
from trabecula.evaluation.reporting import Facts, checklists
from trabecula.evaluation.rows import CaseRow
from trabecula.evaluation.score import SAME_PLACE_MM
from trabecula.evaluation.subgroups import CELLS, Subgroup, subgroups
from trabecula.evaluation.tables import beside, markdown
from trabecula.quantity import Category
from trabecula.records.codec import plain

PART = "part"
"""The group that names which of a cohort's test sets a case is in."""

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1f2933}"
    "table{border-collapse:collapse;margin:1rem 0;font-size:.85rem}td,th{border:1px solid #cbd2d9;padding:.2rem .5rem;"
    "text-align:left}img{max-width:48%}.three img{max-width:33%}.wide{overflow-x:auto}"
)


def write(rows: Sequence[CaseRow], out: Path, command: str, facts: Facts | None = None) -> Path:
    """Writes every table and plot of the rows into a folder; returns the page. With ``facts``, what to report as well.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("no rows")
    found, hard, people = figures(rows), groups(rows), subgroups(rows)
    write_csv(out / "figures.csv", *_figures_csv(found))
    write_csv(out / "groups.csv", *_groups(hard))
    write_csv(out / "subgroups.csv", *_subgroups(people))
    write_csv(out / "vertebrae.csv", *_vertebrae(rows))
    apart = parts_of(rows)
    parts = {name: figures(some) for name, some in apart.items()}
    pictures = [*draw(rows, out), *(name for part, some in apart.items() for name in draw(some, out, part))]
    told = {
        "run": plain(asdict(rows[0].run)),
        "cases": len(rows),
        "patients": len(one_a_patient(rows)),
        "figures": _told(found),
        "parts": {name: _told(some) for name, some in parts.items()},
        "groups": [plain(asdict(one)) for one in hard],
        "subgroups": [plain(asdict(one)) for one in people],
    }
    (out / "figures.json").write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    tables = [
        ("Figures", beside(rows[0].run.recipe, _texts(found), _head(rows))),
        *(
            (f"Figures of {name}", beside(rows[0].run.recipe, _texts(of), _head(rows), name))
            for name, of in parts.items()
        ),
        ("Categories, true in rows and found in columns", _cross_table(rows)),
        ("Patients by what sets them apart", _subgroups(people)),
        ("Vertebrae by what may make them hard", _groups(hard)),
        ("Every vertebra", _vertebrae(rows)),
        ("What this was made by", _run(rows)),
        *([] if facts is None else checklists(rows, found, hard, facts)),
    ]
    lines = [f"# {_title(rows)}", "", _words(rows, command), ""]
    lines += [f"![{name}]({name})\n" for name in pictures]
    for title, (heads, cells) in tables:
        lines += [f"## {title}", "", markdown(heads, cells), ""]
    (out / "results.md").write_text("\n".join(lines), encoding="utf-8")
    page = out / "index.html"
    page.write_text(_html(rows, command, tables, [out / name for name in pictures]), encoding="utf-8")
    return page


def parts_of(rows: Sequence[CaseRow]) -> dict[str, list[CaseRow]]:
    """The rows of each test set, by the group "part", where a cohort has several."""
    parts: dict[str, list[CaseRow]] = {}
    for row in rows:
        if PART in row.groups:
            parts.setdefault(row.groups[PART], []).append(row)
    return dict(sorted(parts.items())) if len(parts) > 1 else {}


def _told(found: Sequence[Figure]) -> list[dict[str, object]]:
    return [plain(asdict(one)) | {"text": one.text} for one in found]


def _texts(found: Sequence[Figure]) -> dict[str, str]:
    return {one.name: one.text for one in found}


def _title(rows: Sequence[CaseRow]) -> str:
    run = rows[0].run
    kind = "unseen virtual patients" if run.simulated else "patients"
    return f"{run.recipe} on {len(one_a_patient(rows))} {kind}"


def _head(rows: Sequence[CaseRow]) -> str:
    return "ours, simulated" if rows[0].run.simulated else "ours"


def _words(rows: Sequence[CaseRow], command: str) -> str:
    """What the figures are, and are not."""
    run = rows[0].run
    simulated = (
        "**Simulated accuracy**: virtual patients, not people; the truth is exact, the anatomy is ours. The reference"
        " is the density of the region that QCT reads, at mid height, or a virtual DXA for areal BMD. "
        if run.simulated
        else ""
    )
    refused = [f"{row.case} ({row.refused})" for row in rows if row.refused is not None]
    return (
        f"{simulated}Made by `{command}`. Intervals are 95%: of proportions exact (Clopper and Pearson), of vertebrae"
        " with patients as clusters (Korn and Graubard; whole patients drawn), of an AUC DeLong's, and where it"
        " separates perfectly the exact one of independent pairs; for macro figures patients are drawn. These are means"
        " over the three categories, none where one has nobody. Where n stands alone in a cell, the patients are too"
        " few for a figure. P is two-sided. Figures of patients count one scan each. A vertebra"
        f" counts as found within {SAME_PLACE_MM:.0f} mm along the spine, where the cohort tells where it is. Refused:"
        f" {', '.join(refused) or 'none'}."
    )


def _run(rows: Sequence[CaseRow]) -> Table:
    run = rows[0].run
    weights = [(f"weights {name}", digest) for name, digest in run.weights.items()]
    facts: list[tuple[str, ...]] = [
        ("recipe", run.recipe),
        ("cohort", run.cohort),
        ("family of the generator", run.family or "-"),
        ("version of the generator", run.generator or "-"),
        ("version of Trabecula", run.version),
        ("sha256 of its source", run.code),
        ("sha256 of the recipe's settings", run.settings),
        *weights,
    ]
    return ("what", "value"), facts


def _cross_table(rows: Sequence[CaseRow]) -> Table:
    """Patients by true and found category; the last columns are those without one and those refused."""
    people = [row for row in one_a_patient(rows) if row.true_category is not None or row.refused is not None]
    names = (*NAMES, Category.UNDETERMINED.value, "refused", "not known")
    found = ["refused" if row.refused is not None else row.category for row in people]
    counts = cross_table(found, [row.true_category or "not known" for row in people], names)
    shown = (*NAMES, *(["not known"] if counts[-1].any() else []))
    return ("true", *names[:-1]), [(name, *map(str, counts[names.index(name), :-1])) for name in shown]


def _subgroups(people: Sequence[Subgroup]) -> Table:
    heads = ("sort", "patients with", "n", "refused", "undetermined", *CELLS)
    return heads, [
        (one.sort, one.name, str(one.patients), str(one.refused), str(one.undetermined))
        + tuple(one.cells[name].text for name in CELLS)
        for one in people
    ]


def _figures_csv(found: Sequence[Figure]) -> Table:
    heads = ("figure", "value", "low", "high", "hits", "of", "patients", "unit", "sd", "p")
    return heads, [
        (
            one.name,
            *(_number(v) for v in (one.estimate.value, one.estimate.low, one.estimate.high)),
            "" if one.hits is None else str(one.hits),
            str(one.of),
            str(one.patients),
            one.unit,
            *("" if v is None else _number(v) for v in (one.sd, one.p)),
        )
        for one in found
    ]


def _groups(parts: Sequence[Group]) -> Table:
    heads = ("vertebrae", "n", "patients", "found", "named right", "Dice", "error, mean (SD)")
    return heads, [
        (
            one.name,
            str(one.number),
            str(one.patients),
            one.found.text,
            one.named_right.text,
            "-" if one.dice is None else f"{one.dice:.3f}",
            "-"
            if one.error_mean is None
            else f"{one.error_mean:+.1f}" + ("" if one.error_sd is None else f" ({one.error_sd:.1f})"),
        )
        for one in parts
    ]


def _vertebrae(rows: Sequence[CaseRow]) -> Table:
    heads = ("case", "level", "called", "off, mm", "Dice", "reference", "measured", "withheld", "findings")
    return heads, [
        (
            row.case,
            v.level,
            v.called or "-",
            _shown(v.off_mm, 1),
            _shown(v.dice, 3),
            _shown(v.reference, 1),
            _shown(v.value, 1),
            " ".join(v.withheld),
            " ".join(v.findings),
        )
        for row in rows
        for v in row.vertebrae
    ]


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _number(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else ""


def write_csv(path: Path, heads: tuple[str, ...], cells: list[tuple[str, ...]]) -> None:
    """A table as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heads, *cells])


def _html(rows: Sequence[CaseRow], command: str, tables: Sequence[tuple[str, Table]], pictures: Sequence[Path]) -> str:
    body = [*(html_picture(path) for path in pictures), *(html_table(title, table) for title, table in tables)]
    return html_document(_title(rows), _words(rows, command), body)


def html_document(title: str, words: str, body: Sequence[str]) -> str:
    """One page that holds all of it; ``words`` are Markdown's, ``body`` is HTML."""
    told = html.escape(words.replace("**", "").replace("`", ""))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1><p>{told}</p>{''.join(body)}</html>\n"
    )


def html_picture(path: Path) -> str:
    """A picture as part of the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}">'


def html_table(title: str, table: Table) -> str:
    """A table under its heading."""
    heads, cells = table
    head = "".join(f"<th>{html.escape(one)}</th>" for one in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in line)}</tr>" for line in cells)
    return f'<h2>{html.escape(title)}</h2><div class="wide"><table><tr>{head}</tr>{lines}</table></div>'
