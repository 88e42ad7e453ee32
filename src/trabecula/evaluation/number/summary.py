"""What rows of people say: bias, deviation, coverage, rungs, categories, phases and precision, as Markdown tables."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trabecula.evaluation import clustered
from trabecula.evaluation.interval import clopper_pearson, mean
from trabecula.flow.calibrate.beam import REFERENCE_KVP, Beam
from trabecula.flow.calibrate.size import USUAL_MM
from trabecula.quantity import QCT_BANDS
from trabecula.virtual.attenuation import behind

Json = dict[str, Any]
Floats = NDArray[np.float64]
Group = Callable[[Json], bool]

PROFILE_PATH_MM = 230.0
"""Of the torso in which a phantom is scanned alone."""

NEAR_MG_CM3 = 40.0

SHARES = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
"""Ends of the bins in which probabilities are held against what was true."""


def groups(rows: list[Json]) -> dict[str, list[Json]]:
    """The rows of each subgroup by its name; empty where nobody is in it."""

    def where(chosen: Group) -> list[Json]:
        return [row for row in rows if chosen(row)]

    named = {"all": rows}
    for family in sorted({row["family"] for row in rows}):
        own = [row for row in rows if row["family"] == family]
        plain = [row for row in own if row["scan"]["phase"] == "none"]
        named[f"family {family}"], named[f"family {family}, plain"] = own, plain
        named[f"family {family}, enhanced"] = [row for row in own if row not in plain]
    for phase in ("arterial", "portal", "delayed"):
        named[f"{phase} phase"] = [row for row in rows if row["scan"]["phase"] == phase]
    for kvp in sorted({row["scan"]["kvp"] for row in rows}):
        named[f"{kvp} kVp"] = [row for row in rows if row["scan"]["kvp"] == kvp]
    named["slices up to 2 mm"] = where(lambda row: row["scan"]["thickness_mm"] <= 2)
    named["slices of 2.5 and 3 mm"] = where(lambda row: 2 < row["scan"]["thickness_mm"] <= 3)
    named["slices over 3 mm"] = where(lambda row: row["scan"]["thickness_mm"] > 3)
    named |= {"women": where(lambda row: row["sex"] == "F"), "men": where(lambda row: row["sex"] == "M")}
    named["under 60 years"] = where(lambda row: row["age_years"] < 60)
    named["60 and over"] = where(lambda row: row["age_years"] >= 60)
    return named


def accuracy(rows: list[Json]) -> str:
    """Bias with its 95% interval, SD and coverage of the mean of L1 and L2 (or what stood in), by subgroup."""
    lines = ["| people | n | bias (95% interval) | SD | intervals that hold |", "| --- | --- | --- | --- | --- |"]
    for name, some in groups(rows).items():
        read = [row for row in some if row["scan"]["mean"] is not None]
        if not read:
            continue
        off = np.array([row["scan"]["mean"][0] - row["true"] for row in read])
        held = clopper_pearson(sum(_holds(row["scan"]["mean"], row["true"]) for row in read), len(read))
        lines.append(f"| {name} | {len(read)} | {_signed(mean(off))} | {_sd(off)} | {held.text(0, 100)} % |")
    return "\n".join(lines)


def vertebrae(rows: list[Json]) -> tuple[list[Json], list[str]]:
    """Every measured vertebra that is named rightly, with its truth; and whose it is."""
    found, whose = [], []
    for row in rows:
        for one in row["scan"]["levels"]:
            if one["density"] is not None and one["level"] == one["is"] and one["is"] in row["true_levels"]:
                found.append({**one, "true": row["true_levels"][one["is"]], "row": row})
                whose.append(row["person"])
    return found, whose


def rungs(rows: list[Json]) -> str:
    """The same vertebrae by every rung of the ladder, and by one slope for everybody."""
    found, whose = vertebrae(rows)
    lines = ["| line | vertebrae | bias (95% interval) | SD |", "| --- | --- | --- | --- |"]
    for name, read in LINES.items():
        pairs = [
            (value - one["true"], who)
            for one, who in zip(found, whose, strict=True)
            if (value := read(one)) is not None
        ]
        if not pairs:
            continue
        off, of = np.array([pair[0] for pair in pairs]), [pair[1] for pair in pairs]
        lines.append(f"| {name} | {len(off)} | {_signed(clustered.resampled(off, of, np.mean))} | {_sd(off)} |")
    held = clustered.share([_holds(one["density"], one["true"]) for one in found], whose)
    lines += ["", f"Intervals of vertebrae that hold: {held.text(1, 100)} % of {len(found)}."]
    return "\n".join(lines)


def _by(line: Json, hu: float, slope: float | None = None, offset_hu: float | None = None) -> float:
    """A density by a line, less contrast medium's rise, which is known in HU."""
    slope = line["slope"] if slope is None else slope
    offset_hu = line["offset_hu"] if offset_hu is None else offset_hu
    return float((hu - offset_hu - line["rise"] * line["slope"]) / slope)


def _computed(one: Json) -> float:
    return _by(one["row"]["scan"]["lines"]["computed"], one["read_hu"])


def _computed_of_the_mean(one: Json) -> float:
    """On scanners whose slope and water are those of all makers' mean: without the luck of these scans."""
    scan = one["row"]["scan"]
    line = scan["lines"]["computed"]
    return _by(line, one["read_hu"], line["slope"] * scan["maker_slope"], line["offset_hu"] + scan["own_offset_hu"])


def _phantom(one: Json) -> float:
    return _by(one["row"]["scan"]["lines"]["phantom"], one["read_hu"])


def _tissues(one: Json) -> float | None:
    line = one["row"]["scan"]["lines"]["computed"]
    found = [rung for rung in line["rungs"] if rung[0] == "rung-tissues"]
    return _by(line, one["read_hu"], found[0][1], found[0][2]) if found else None


def _profile(one: Json) -> float | None:
    """By a phantom that was scanned alone on the same scanner."""
    scan = one["row"]["scan"]
    line, kvp = scan["lines"]["computed"], scan["kvp"]
    path = line["facts"]["water_path_mm"]
    if path is None:
        return None
    there = behind(kvp, PROFILE_PATH_MM, scan["maker_slope"]).slope_k2hpo4
    slope = there * Beam(kvp, path).slope_k2hpo4 / Beam(kvp, PROFILE_PATH_MM).slope_k2hpo4
    return _by(line, one["read_hu"], slope, scan["own_offset_hu"] + line["offset_hu"])


def _none(one: Json) -> float:
    """By one slope for every voltage and size, contrast medium and all."""
    return float(one["read_hu"] / Beam(REFERENCE_KVP, USUAL_MM).slope_k2hpo4)


def _opinion(name: str) -> Callable[[Json], float | None]:
    return lambda one: one["opinions"].get(name)


LINES: dict[str, Callable[[Json], float | None]] = {
    "phantom in the scan": _phantom,
    "phantom scanned alone, same scanner": _profile,
    "computed from voltage and size (the default)": _computed,
    "the same, had every scanner been the makers' mean": _computed_of_the_mean,
    "the patient's tissues": _tissues,
    "none: 120 kVp and a usual body for all, contrast medium left": _none,
    "the default line, whole region": _opinion("whole-region"),
    "network of Niu 2023": _opinion("network"),
}


def categories(rows: list[Json]) -> str:
    """Brier score and reliability of P(category); sensitivity and specificity for below 80."""
    told = [row for row in rows if row["scan"]["probabilities"]]
    names = ("osteoporosis", "osteopenia", "normal")
    true = [str(QCT_BANDS.category(row["true"])) for row in told]
    shares = np.array([[row["scan"]["probabilities"][name] for name in names] for row in told])
    hits = np.array([[name == one for name in names] for one in true], float)
    chance = ((hits.mean(axis=0) - hits) ** 2).sum(axis=1).mean()
    lines = [
        f"Brier score of the three categories, {len(told)} people: {((shares - hits) ** 2).sum(axis=1).mean():.3f}"
        f" (by their frequency alone {chance:.3f}; 0 is best).",
        "",
        "| probability told | times | true in |",
        "| --- | --- | --- |",
    ]
    for low, high in pairwise(SHARES):
        inside = (shares >= low) & ((shares < high) | (high == SHARES[-1]))
        if inside.any():
            held = clopper_pearson(int(hits[inside].sum()), int(inside.sum()))
            lines.append(f"| {low:.0%} to {high:.0%} | {int(inside.sum())} | {held.text(0, 100)} % |")
    lines += ["", "| below 80 | people | true | sensitivity | specificity |", "| --- | --- | --- | --- | --- |"]
    for name, some in _prevalences(told).items():
        ill = np.array([row["true"] < QCT_BANDS.edges[0] for row in some], bool)
        said = np.array([row["scan"]["mean"][0] < QCT_BANDS.edges[0] for row in some], bool)
        found = clopper_pearson(int((said & ill).sum()), int(ill.sum()))
        kept = clopper_pearson(int((~said & ~ill).sum()), int((~ill).sum()))
        lines.append(f"| {name} | {len(some)} | {int(ill.sum())} | {found.text(0, 100)} % | {kept.text(0, 100)} % |")
    headline = sum(one in row["scan"]["candidates"] for one, row in zip(true, told, strict=True))
    single = [(one, row) for one, row in zip(true, told, strict=True) if len(row["scan"]["candidates"]) == 1]
    right = sum(one in row["scan"]["candidates"] for one, row in single)
    lines += [
        "",
        f"The headline names the true category in {headline} of {len(told)}; of {len(single)} that name one alone,"
        f" in {right}.",
    ]
    return "\n".join(lines)


def _prevalences(rows: list[Json]) -> dict[str, list[Json]]:
    drawn = [row for row in rows if not row["uniform"]]
    return {"drawn by age and sex, as screened": drawn, "densities spread evenly": [r for r in rows if r["uniform"]]}


def screened(rows: list[Json], truths: Floats, seed: int = 0) -> str:
    """Sensitivity and specificity for below 80 in a population whose densities are given, by the errors of the rows.

    Every density is given the error of a person within ``NEAR_MG_CM3`` of it, drawn by lot.
    """
    read = [(row["true"], row["scan"]["mean"][0]) for row in rows if row["scan"]["mean"] is not None]
    true, off = np.array([one[0] for one in read]), np.array([one[1] - one[0] for one in read])
    rng = np.random.default_rng(seed)
    near = [np.flatnonzero(np.abs(true - one) < NEAR_MG_CM3) for one in truths]
    kept = np.array([one for one, some in zip(truths, near, strict=True) if some.size])
    told = kept + np.array([off[rng.choice(some)] for some in near if some.size])
    cut = QCT_BANDS.edges[0]
    low = kept < cut
    lines = [f"{len(kept)} people, {low.mean():.0%} of them below {cut:g}:", ""]
    lines += ["| called below | sensitivity | specificity |", "| --- | --- | --- |"]
    for name, at in ((f"{cut:g}", cut), ("where the specificity is 90 %", float(np.quantile(told[~low], 0.1)))):
        lines.append(f"| {name} | {(told[low] < at).mean():.0%} | {(told[~low] >= at).mean():.0%} |")
    return "\n".join(lines)


def phases(rows: list[Json]) -> str:
    """What phase was told, and how probable the true one was held."""
    lines = ["| true phase | scans | told plain, arterial, portal, delayed | mean probability of the true one |"]
    lines.append("| --- | --- | --- | --- |")
    names = {"none": "plain", "arterial": "arterial", "portal": "portal", "delayed": "delayed"}
    for drawn, name in names.items():
        facts = [r["scan"]["lines"]["computed"]["facts"] for r in rows if r["scan"]["phase"] == drawn]
        facts = [one for one in facts if "contrast_probabilities" in one]
        if facts:
            told = [sum(one["contrast_phase"] == other for one in facts) for other in names.values()]
            share = np.mean([one["contrast_probabilities"][name] for one in facts])
            lines.append(f"| {name} | {len(facts)} | {', '.join(map(str, told))} | {share:.2f} |")
    return "\n".join(lines)


def precision(rows: list[Json]) -> str:
    """Root-mean-square coefficient of variation of people who were scanned twice."""
    lines = ["| what differed | pairs | RMS-CV | SD of one reading, mg/cm3 |", "| --- | --- | --- | --- |"]
    for what in ("same", "kernel", "voltage", "contrast"):
        pairs = np.array(list(_pairs(row for row in rows if row.get("again") == what)))
        if len(pairs):
            half = np.abs(pairs[:, 0] - pairs[:, 1]) / np.sqrt(2)
            cv = np.sqrt(np.mean((half / pairs.mean(axis=1)) ** 2))
            lines.append(f"| {what} | {len(pairs)} | {100 * cv:.1f} % | {np.sqrt(np.mean(half**2)):.1f} |")
    return "\n".join(lines)


def _pairs(rows: Iterable[Json]) -> Iterable[tuple[float, float]]:
    for row in rows:
        first, second = row["scan"]["mean"], row["second"]["mean"]
        if first is not None and second is not None and row["scan"]["used"] == row["second"]["used"]:
            yield first[0], second[0]


def summary(rows: list[Json]) -> str:
    """Every table under its heading."""
    silent = sum(row["scan"]["mean"] is None for row in rows)
    misnamed = sum(one["level"] != one["is"] for row in rows for one in row["scan"]["levels"])
    named = sum(len(row["scan"]["levels"]) for row in rows)
    return "\n\n".join(
        (
            f"{len(rows)} people, {silent} without a mean; {misnamed} of {named} vertebrae under another name.",
            "### The mean\n\n" + accuracy(rows),
            "### By rung\n\n" + rungs(rows),
            "### Categories\n\n" + categories(rows),
            "### Contrast medium\n\n" + phases(rows),
            "### Scanned twice\n\n" + precision(rows),
        )
    )


def _holds(interval: list[float], true: float) -> bool:
    return bool(interval[1] <= true <= interval[2])


def _sd(values: Floats) -> str:
    return f"{values.std(ddof=1):.1f}" if values.size > 1 else "-"


def _signed(found: Any) -> str:
    ends = f" ({found.low:+.1f} to {found.high:+.1f})" if np.isfinite(found.low) else ""
    return f"{found.value:+.1f}{ends}"
