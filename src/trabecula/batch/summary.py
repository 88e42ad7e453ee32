"""A batch on one page: how many, which categories at which age, what was doubtful, which scanners, what drifts."""

import io
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from trabecula import __version__
from trabecula.messages import DEFAULT_LANGUAGE, Fact, Phrase, messages, outline
from trabecula.quantity import CATEGORIES, QUANTITIES, Category

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

SEXES = {"F": "summary-women", "M": "summary-men", "": "summary-no-sex"}
"""How people of a sex are called, by the keys of the message files."""

COLOURS = {"F": "#b55597", "M": "#0d5a68", "": "#8b98a3"}
STATES = ("done", "refused", "failed", "duplicate")
Say = Callable[..., str]
DECADES = ((0, 40), (40, 50), (50, 60), (60, 70), (70, 80), (80, 200))
SHOWN = 20
"""Scanners and reasons told one by one; the rest is summed up."""

DOTS = 3000
"""More studies than these are drawn as a field of counts."""

FEW = 20
"""A month or scanner with fewer studies is not held against the others."""

LIMIT_SE = 4.0
"""How many standard errors a group's mean may lie from the mean of its age and sex before it is marked."""


@dataclass(frozen=True)
class Group:
    """Some of the studies with a result."""

    name: str
    number: int
    counts: tuple[int, ...]  # by category, undetermined last
    mean: float | None
    sd: float | None
    doubtful: float  # share
    apart: float | None = None  # from what age and sex let one expect, in the density's unit
    marked: bool = False
    every: bool = False  # all studies together


class _Columns:
    """The columns that the page needs, as arrays over the studies with a result."""

    def __init__(self, table: "pa.Table") -> None:
        import pyarrow.compute as compute

        done = table.filter(compute.equal(table["state"], "done"))
        self.number = done.num_rows
        self.category = _texts(done, "category")
        self.sex, self.age = _texts(done, "sex"), _reals(done, "age_years")
        self.sex[~np.isin(self.sex, ("F", "M"))] = ""
        self.density = _reals(done, "density")
        quantities = Counter(one for one in _texts(done, "quantity").tolist() if one)
        self.quantity = QUANTITIES[quantities.most_common(1)[0][0]] if quantities else None
        if len(quantities) > 1 and self.quantity is not None:  # densities of two kinds share no axis
            self.density[_texts(done, "quantity") != self.quantity.key] = np.nan
        self.doubts, self.withheld = _texts(done, "doubts"), _texts(done, "withheld_codes")
        self.month = _texts(done, "month")
        makers, models = _texts(done, "manufacturer"), _texts(done, "model")
        self.scanner = np.array([f"{a} {b}".strip() for a, b in zip(makers, models, strict=True)], object)


@dataclass(frozen=True)
class Code:
    """A reason code: what it says, in how many studies it stands, and their share."""

    code: str
    says: str
    number: int
    share: float


def summary_page(table: "pa.Table", language: str = DEFAULT_LANGUAGE) -> str:
    """The page as HTML that needs nothing beside itself, for the rows as ``journal.table_of`` gives them."""
    columns, text = _Columns(table), messages(language)

    def say(key: str, **facts: Fact) -> str:
        return Phrase(key, facts).told(language)

    states = Counter(table["state"].to_pylist())
    ended = [row for row in zip(*(table[name].to_pylist() for name in ("state", "code")), strict=True)]
    expected = _expected(columns)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
    )
    unit = "" if columns.quantity is None else columns.quantity.unit
    return environment.get_template("summary.html").render(
        version=__version__,
        say=say,
        text=text,
        total=table.num_rows,
        states=[(text[f"summary-{name}"], states[name]) for name in STATES if states[name]],
        unit=unit,
        heads=[text[f"word-{one}"] for one in (*CATEGORIES[::-1], Category.UNDETERMINED)],
        ages=_ages(columns, say),
        plots=[] if columns.quantity is None else [_histogram(columns, unit, say), _over_age(columns, unit, say)],
        without=[
            (text[f"summary-{state}"], code, outline(code, language), number)
            for (state, code), number in Counter(one for one in ended if one[0] != "done").most_common()
        ],
        doubts=_codes(columns.doubts, columns.number, language),
        withheld=_codes(columns.withheld, columns.number, language),
        scanners=_groups(columns, columns.scanner, expected, say, by_size=True),
        months=_groups(columns, columns.month, expected, say, by_size=False),
        few=FEW,
        limit=LIMIT_SE,
    )


def _texts(table: "pa.Table", name: str) -> NDArray[Any]:
    return np.array([one or "" for one in table[name].to_pylist()], object)


def _reals(table: "pa.Table", name: str) -> NDArray[np.float64]:
    return np.array(table[name].to_numpy(zero_copy_only=False), np.float64)


def _ages(columns: _Columns, say: Say) -> list[Group]:
    """Categories by sex and age, those of unknown age last."""
    found = []
    for sex, key in SEXES.items():
        of_sex, who = columns.sex == sex, say(key)
        for low, high in DECADES:
            if low == 0:
                told = say("summary-under", who=who, high=high)
            elif high == 200:
                told = say("summary-older", who=who, low=low)
            else:
                told = say("summary-between", who=who, low=low, high=high - 1)
            chosen = of_sex & (columns.age >= low) & (columns.age < high)
            found.append(_group(columns, told, chosen))
        found.append(_group(columns, say("summary-no-age", who=who), of_sex & ~np.isfinite(columns.age)))
    together = _group(columns, say("summary-all"), np.ones(columns.number, bool))
    return [*(one for one in found if one.number), replace(together, every=True)]


def _group(columns: _Columns, name: str, chosen: NDArray[np.bool_]) -> Group:
    densities = columns.density[chosen]
    known = densities[np.isfinite(densities)]
    number = int(chosen.sum())
    counts = Counter(columns.category[chosen].tolist())
    return Group(
        name=name,
        number=number,
        counts=tuple(counts[one.value] for one in (*CATEGORIES[::-1], Category.UNDETERMINED)),
        mean=float(known.mean()) if len(known) else None,
        sd=float(known.std(ddof=1)) if len(known) > 1 else None,
        doubtful=float(np.mean(columns.doubts[chosen] != "")) if number else 0.0,
    )


def _groups(
    columns: _Columns, names: NDArray[Any], expected: NDArray[np.float64], say: Say, by_size: bool
) -> list[Group]:
    """Studies by scanner or month, each held against what the whole batch has at the same age and sex."""
    counts = Counter(names.tolist())
    order = [name for name, _ in counts.most_common(SHOWN)] if by_size else sorted(counts)
    if not by_size and set(order) <= {""}:
        return []
    residual = columns.density - expected
    spread = float(np.nanstd(residual)) if np.isfinite(residual).any() else 0.0
    found = []
    for name in order:
        group = _group(columns, str(name) or say("not-recorded"), names == name)
        own = residual[names == name]
        own = own[np.isfinite(own)]
        if len(own) < FEW or spread == 0.0:
            found.append(group)
            continue
        apart = float(own.mean())
        marked = abs(apart) > LIMIT_SE * spread / np.sqrt(len(own))
        found.append(replace(group, apart=apart, marked=bool(marked)))
    return found


def _expected(columns: _Columns) -> NDArray[np.float64]:
    """The density that a straight line over age, one for each sex, gives everybody; NaN where it cannot."""
    expected = np.full(columns.number, np.nan)
    for sex in SEXES:
        known = (columns.sex == sex) & np.isfinite(columns.density) & np.isfinite(columns.age)
        if known.sum() < FEW or np.ptp(columns.age[known]) < 1.0:
            continue
        slope, offset = np.polyfit(columns.age[known], columns.density[known], 1)
        expected[known] = slope * columns.age[known] + offset
    return expected


def _codes(said: NDArray[Any], total: int, language: str) -> list[Code]:
    """Reason codes, the most frequent first."""
    counts: Counter[str] = Counter()
    for text, number in Counter(said.tolist()).items():  # few texts, many studies
        for code in text.split():
            counts[code] += number
    first = counts.most_common(SHOWN)
    return [Code(code, outline(code, language), number, number / max(total, 1)) for code, number in first]


def _histogram(columns: _Columns, unit: str, say: Say) -> str:
    def draw(axes: "Axes") -> None:
        known = columns.density[np.isfinite(columns.density)]
        edges = np.histogram_bin_edges(known, bins=min(60, max(8, round(len(known) ** 0.5))))
        for sex, key in SEXES.items():
            own = columns.density[(columns.sex == sex) & np.isfinite(columns.density)]
            if len(own):
                label = f"{say(key)} (n = {len(own)})"
                axes.hist(own, bins=edges.tolist(), histtype="step", linewidth=1.6, color=COLOURS[sex], label=label)
        _bands(axes, columns, vertical=True)
        axes.set_xlabel(say("summary-density", unit=unit))
        axes.set_ylabel(say("batch-studies"))
        axes.legend(frameon=False, fontsize=8)

    return _svg(draw)


def _over_age(columns: _Columns, unit: str, say: Say) -> str:
    def draw(axes: "Axes") -> None:
        known = np.isfinite(columns.density) & np.isfinite(columns.age)
        if known.sum() > DOTS:
            field = axes.hexbin(columns.age[known], columns.density[known], gridsize=40, mincnt=1, cmap="Blues")
            axes.figure.colorbar(field, ax=axes, label=say("batch-studies"))
        else:
            for sex in SEXES:
                own = known & (columns.sex == sex)
                axes.scatter(columns.age[own], columns.density[own], s=9, color=COLOURS[sex], linewidths=0)
        _bands(axes, columns, vertical=False)
        axes.set_xlabel(say("web-age-axis"))
        axes.set_ylabel(say("summary-density", unit=unit))

    return _svg(draw)


def _bands(axes: "Axes", columns: _Columns, vertical: bool) -> None:
    from trabecula.quantity import QCT_BANDS

    if columns.quantity == QCT_BANDS.quantity:
        for edge in QCT_BANDS.edges:
            line = axes.axvline if vertical else axes.axhline
            line(edge, color="#55636f", linewidth=0.8, linestyle="--")


def _svg(draw: Any) -> str:
    """A drawing as an element to stand in a page; the same figures give the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    drawn = matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "trabecula", "font.size": 9})
    with drawn, warnings.catch_warnings():
        # The browser draws the letters, in a font that has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        held = io.StringIO()
        figure.savefig(held, format="svg", metadata={"Date": None})
    text = held.getvalue()
    return text[text.index("<svg") :]
