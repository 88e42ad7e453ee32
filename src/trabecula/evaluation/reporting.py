"""What a publication has to report of an evaluation, as far as the program knows it: TRIPOD+AI and CLAIM, item by item.

Nothing is guessed: what only the authors know is said to be theirs to write.
"""

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from trabecula.cohort.case import Case, Cohort, Split
from trabecula.evaluation.checklists import CLAIM, TRIPOD_AI, Item
from trabecula.evaluation.figures import Figure, Group, one_a_patient
from trabecula.evaluation.rows import CaseRow
from trabecula.flow.diagnose.classifier import ClassifierDiagnosis
from trabecula.flow.diagnose.tscore import NORMAL_T, OSTEOPOROSIS_T, TScoreDiagnosis
from trabecula.quantity import CATEGORIES, QCT_BANDS, Bands, Category
from trabecula.recipe import Recipe
from trabecula.view import Bins, Classes, View
from trabecula.weights import Weights, weights_named

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]

YOURS = "to be written by you"

LIBRARIES = ("openvino", "numpy", "scipy")

LISTED = 20
"""Cases named in one cell; the rest are counted."""


@dataclass(frozen=True)
class Facts:
    """What is known of an evaluation beside its rows: the cohort, those of it that were judged, and the recipe."""

    cohort: Cohort
    judged: tuple[Case, ...]
    recipe: Recipe
    weights: tuple[Weights, ...]


def facts_of(cohort: Cohort, judged: Sequence[Case], recipe: Recipe) -> Facts:
    """The facts, with the weights that the recipe runs on as they are now."""
    return Facts(cohort, tuple(judged), recipe, tuple(weights_named(name) for name in recipe.weights))


def checklists(
    rows: Sequence[CaseRow], found: Sequence[Figure], parts: Sequence[Group], facts: Facts
) -> list[tuple[str, Table]]:
    """Both checklists as titled tables: item, what it asks for, what is known."""
    known = topics(rows, found, parts, facts)
    return [
        ("What to report: TRIPOD+AI (2024)", _table(TRIPOD_AI, known)),
        ("What to report: CLAIM (2024 update)", _table(CLAIM, known)),
    ]


def _table(items: Iterable[Item], known: Mapping[str, str]) -> Table:
    """What was told at an item before is referred to, not told again."""
    told: dict[str, str] = {}
    lines: list[tuple[str, ...]] = []
    for item in items:
        texts = [f"See {told[topic]}." if topic in told else known[topic] for topic in item.topics if known[topic]]
        for topic in item.topics:
            told.setdefault(topic, item.number)
        if texts and item.yours:
            texts.append(f"{YOURS.capitalize()}: {item.yours}.")
        lines.append((item.number, item.name, " ".join(dict.fromkeys(texts)) or YOURS))
    return ("item", "what", "reported"), lines


def topics(rows: Sequence[CaseRow], found: Sequence[Figure], parts: Sequence[Group], facts: Facts) -> dict[str, str]:
    """Every topic in sentences; empty where nothing is known of it."""
    return {**_data(rows, facts), **_model(rows, facts), **_results(rows, found, parts), **_standing(rows)}


def _data(rows: Sequence[CaseRow], facts: Facts) -> dict[str, str]:
    """Who was looked at, and what is known of them."""
    cohort, judged = facts.cohort, facts.judged
    simulated = " These are virtual patients: every figure is simulated." if cohort.simulated else ""
    bad = Counter(row.error.code for row in cohort.bad)
    lines = len({row.line for row in cohort.bad})
    refused = Counter(row.refused for row in rows if row.refused is not None)
    splits = {split: [case for case in cohort.cases if case.split is split] for split in Split}
    told = ", ".join(f"{split} {_people(cases)}" for split, cases in splits.items() if cases)
    return {
        "source": f"Cohort {cohort.name}, {_people(cohort.cases)} (sha256 {cohort.digest[:12]}); judged:"
        f" {_people(judged)}.{simulated}",
        "left_out": f"Rows of the table left out: {lines}{_counted(bad)}."
        f" Scans refused by the program: {sum(refused.values())}{_counted(refused)}.",
        "split": f"Marked in the table: {told}. Only those marked test were judged."
        if splits[Split.TEST]
        else "No case was marked test; all were judged.",
        "disjoint": "Patients: a table in which one patient is in two splits is refused.",
        "reference": _reference(judged),
        "places": _places(judged),
        "people": _characteristics(rows, judged),
        "pseudonyms": "Cases are named by the pseudonyms of the table; results hold no other identifier.",
        "sample": f"{_cells(rows)} No calculation of sample size is made by the program.",
        "missing": _missing(rows),
    }


def _people(cases: Sequence[Case]) -> str:
    return _scans(len(cases), len({case.patient for case in cases}))


def _scans(scans: int, patients: int | None = None) -> str:
    """``1 scan``, ``3 scans of 2 patients``."""
    told = f"{scans} scan{'' if scans == 1 else 's'}"
    return told if patients is None else f"{told} of {patients} patient{'' if patients == 1 else 's'}"


def _counted(codes: Mapping[Any, int]) -> str:
    """`` (3 file-missing, 1 number-unusable)``, or nothing."""
    told = ", ".join(f"{number} {code}" for code, number in sorted(codes.items(), key=lambda one: -one[1]))
    return f" ({told})" if told else ""


def _reference(cases: Sequence[Case]) -> str:
    levels = Counter(level.value for case in cases for level in case.known.density)
    materials = {case.known.quantity.material or "" for case in cases if case.known.density}
    areal = sum(case.known.areal_bmd_g_cm2 is not None for case in cases)
    masks = Counter(kind for case in cases for kind in case.source.masks)
    parts = []
    if levels:
        told = ", ".join(f"{level} {number}" for level, number in levels.items())
        parts.append(f"Density by QCT in mg/cm3 ({' and '.join(sorted(materials))}), vertebrae: {told}.")
    if areal:
        parts.append(f"Areal BMD by DXA, L1 to L4, of {_scans(areal)}.")
    if masks:
        told = ", ".join(f"{kind} of {_scans(number)}" for kind, number in masks.items())
        parts.append(f"Masks: {told}.")
    return " ".join(parts)


def _places(cases: Sequence[Case]) -> str:
    parts = []
    for name, values in (
        ("Sites", Counter(case.known.site for case in cases if case.known.site)),
        ("Scanners", Counter(case.known.scanner for case in cases if case.known.scanner)),
        ("Tube voltages", Counter(f"{v:g} kVp" for case in cases if (v := case.known.tube_voltage_kvp))),
    ):
        if values:
            told = ", ".join(f"{what} ({_scans(number)})" for what, number in values.most_common())
            parts.append(f"{name}: {told}.")
    return " ".join(parts)


def _characteristics(rows: Sequence[CaseRow], cases: Sequence[Case]) -> str:
    """Of the patients that were judged, by their first scan."""
    first: dict[str, Case] = {}
    for case in cases:
        first.setdefault(case.patient, case)
    sexes = Counter(case.known.sex or "not given" for case in first.values())
    ages = np.array([case.known.age_years for case in first.values() if case.known.age_years is not None], float)
    told = f"Sex: {', '.join(f'{sex} {number}' for sex, number in sorted(sexes.items()))}."
    if ages.size:
        told += f" Age, {ages.size} patients: median {np.median(ages):.0f}, {ages.min():.0f} to {ages.max():.0f} years."
    values = np.array([row.reference for row in one_a_patient(rows) if row.reference is not None], float)
    if values.size:
        told += f" Reference: median {np.median(values):.4g}, {values.min():.4g} to {values.max():.4g}."
    return told


def _cells(rows: Sequence[CaseRow]) -> str:
    """Patients by what is true of them."""
    true = Counter(row.true_category for row in one_a_patient(rows) if row.true_category is not None)
    told = ", ".join(f"{category.value} {true[category.value]}" for category in CATEGORIES)
    return f"Patients by the reference: {told}; without a reference category {len(one_a_patient(rows)) - true.total()}."


def _missing(rows: Sequence[CaseRow]) -> str:
    people = one_a_patient(rows)
    without = sum(row.reference is None for row in people)
    unread = sum(row.value is None and not row.probabilities for row in people)
    withheld = sum(bool(vertebra.withheld) for row in rows for vertebra in row.vertebrae)
    return (
        f"Nothing is imputed; a case counts in every figure that it has both sides of. Patients without a reference:"
        f" {without}; without a result: {unread}. Vertebrae withheld: {withheld}."
    )


def _model(rows: Sequence[CaseRow], facts: Facts) -> dict[str, str]:
    """What was run, and how it was made."""
    recipe, run = facts.recipe, rows[0].run
    same = [w.name for w in facts.weights if _data_of(w).get("digest") == facts.cohort.digest]
    other = [w.name for w in facts.weights if w.name not in same]
    stages = ", ".join(f"{name} {type(stage).__name__}" for name, stage in recipe.stages.items())
    marked = any(case.split is Split.TEST for case in facts.cohort.cases)
    inside = (
        "on patients of it that are not judged" if marked else "patients judged here among them: none is marked test"
    )
    apart = [f"Trained on another cohort: {', '.join(other)}."] if other else []
    apart += [f"Trained on this cohort, {inside}: {', '.join(same)}."] if same else []
    return {
        "model": f"Recipe {recipe.name} ({recipe.source}): {stages}; settings sha256 {run.settings[:12]}."
        + "".join(f" {w.name}: {_layers(w)}{_answers(w)}, sha256 {w.sha256[:12]}." for w in facts.weights),
        "input": " ".join(f"{w.name} sees {_sees(w.view)}." for w in facts.weights),
        "training": " ".join(_trained(w) for w in facts.weights),
        "initial": " ".join(_begun(w) for w in facts.weights),
        "kept": " ".join(_kept(w) for w in facts.weights),
        "apart": " ".join(apart),
        "outcome": _outcome(recipe),
        "preparation": "Each scan is read as HU on its own grid, turned to one orientation, and refused or marked where"
        " it is unsound; vertebrae are withheld by the checks that the recipe lists.",
        "calculated": f"By the program itself, version {run.version}: trabecula evaluate {recipe.name}.",
    }


def _data_of(weights: Weights) -> Mapping[str, Any]:
    data = weights.training.get("data", {})
    return data if isinstance(data, Mapping) else {"cohort": data}


def _sees(view: View) -> str:
    size, spacing = ("x".join(f"{n:g}" for n in triple) for triple in (view.shape, view.spacing_mm))
    level, width = view.window_hu
    masked = ", all but the region blanked" if view.masked else ""
    return f"{size} voxels (z, y, x) of {spacing} mm, window {level:g}/{width:g} HU, {view.plane}{masked}"


def _layers(weights: Weights) -> str:
    network = weights.training.get("network")
    return f"{network['kind']}, {network['parameters']} parameters, " if isinstance(network, Mapping) else ""


def _answers(weights: Weights) -> str:
    head = weights.head
    if isinstance(head, Classes):
        return f"classes {', '.join(head.names)}"
    if isinstance(head, Bins):
        return f"expectation over {head.number} bins from {head.first:g} to {head.last:g} ({head.quantity})"
    return f"answers with {type(head).__name__.lower()}"


def _trained(weights: Weights) -> str:
    data, schedule = _data_of(weights), weights.training.get("schedule", {})
    cases = data.get("trained_on", data.get("cases"))
    facts = [f"{cases} cases" if cases is not None else "", f"seed {data['seed']}" if "seed" in data else ""]
    steps = schedule.get("steps_done", schedule.get("steps"))
    facts += [f"{steps} steps" if steps is not None else ""]
    facts += [f"learning rate {schedule['learning_rate']:g}" if "learning_rate" in schedule else ""]
    told = ", ".join(one for one in facts if one)
    return f"{weights.name}: trained on {data.get('cohort', 'a cohort that is not told')} ({told})."


def _begun(weights: Weights) -> str:
    start = weights.training.get("start")
    if not isinstance(start, Mapping):
        return f"{weights.name}: at random."
    return f"{weights.name}: from {start['given']} weights, sha256 {str(start['sha256'])[:12]}."


def _kept(weights: Weights) -> str:
    rule = weights.training.get("kept_by")
    if not isinstance(rule, Mapping):
        return f"{weights.name}: {YOURS}."
    return f"{weights.name}: the {'highest' if rule['highest'] else 'lowest'} {rule['figure']} on validation cases."


def _outcome(recipe: Recipe) -> str:
    """How a category is read from what the recipe gives."""
    diagnose = recipe.diagnose
    levels = ", ".join(level.value for level in getattr(diagnose, "levels", ()))
    if isinstance(diagnose, TScoreDiagnosis):
        young = "; ".join(f"{sex} {mean:.3f} ({sd:.3f})" for sex, (mean, sd) in sorted(diagnose.young.items()))
        return (
            f"T-score of the mean areal BMD of {levels}: osteoporosis at {OSTEOPOROSIS_T:g} and below, osteopenia below"
            f" {NORMAL_T:g}; young mean (SD), g/cm2: {young}."
        )
    bands: Bands = getattr(diagnose, "bands", QCT_BANDS)
    low, high = bands.edges
    key, unit = bands.quantity.key, bands.quantity.unit
    edges = f"osteoporosis below {low:g} {unit}, normal above {high:g}, osteopenia between ({key})."
    if isinstance(diagnose, ClassifierDiagnosis):
        return f"The likeliest category by the network, of {levels}. True ones by QCT: {edges}"
    return f"Category of the mean density of {levels}: {edges}"


def _results(rows: Sequence[CaseRow], found: Sequence[Figure], parts: Sequence[Group]) -> dict[str, str]:
    """What came of it."""
    people = one_a_patient(rows)
    sorts = sorted({part.name.partition(":")[0] for part in parts})
    clusters = sorted({sort for sort in sorts if sort in ("site", "scanner")})
    diagnostic = [one for one in found if one.name.startswith(("Osteoporosis", "Abnormal"))]
    wrong = [
        f"{row.case} ({row.true_category} called {row.category})"
        for row in people
        if row.true_category is not None and row.category not in (row.true_category, Category.UNDETERMINED)
    ]
    more = f" and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
    named = sum(row.category != Category.UNDETERMINED for row in people)
    refused = sum(row.refused is not None for row in people)
    return {
        "flow": f"{_scans(len(rows), len(people))}: {refused} refused, {named} given a category. {_cells(rows)}",
        "performance": f"Table 'Figures': {len(found)} figures with their intervals." if found else "",
        "diagnostic": "Table 'Figures': the rows Osteoporosis and Abnormal." if diagnostic else "",
        "subgroups": f"Table 'Vertebrae by what may make them hard', by {', '.join(sorts)}." if sorts else "",
        "clusters": f"By {' and '.join(clusters)}: table 'Vertebrae by what may make them hard'." if clusters else "",
        "failures": f"Wrong category: {', '.join(wrong[:LISTED]) or 'none'}{more}. Table 'Every vertebra' holds each"
        " measured and reference value.",
        "measures": "Those that table 'Figures' names; docs/evaluating.md says how each is made." if found else "",
    }


def _standing(rows: Sequence[CaseRow]) -> dict[str, str]:
    """What is so in every evaluation."""
    run = rows[0].run
    codes = Counter(code for row in rows for vertebra in row.vertebrae for code in vertebra.withheld)
    return {
        "blinding": "The program is given the scan alone; the reference is joined to its result afterwards.",
        "automatic": "No reader takes part: the scan is the only input and nothing is corrected by hand.",
        "updating": "None: the weights are those named, and nothing is recalibrated on the cases judged.",
        "intervals": "Intervals are 95%: of proportions exact (Clopper and Pearson), of vertebrae with patients as"
        " clusters, of an AUC DeLong's.",
        "refusals": f"Scans that cannot be used are refused with a code; vertebrae withheld here:"
        f" {sum(codes.values())}{_counted(codes)}.",
        "limits": "Simulated: virtual patients, not people." if run.simulated else "",
        "software": f"Trabecula {run.version}, source sha256 {run.code[:12]}; Python {platform.python_version()},"
        f" {', '.join(_installed())}.",
    }


def _installed() -> list[str]:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found
