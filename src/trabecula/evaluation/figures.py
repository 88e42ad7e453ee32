"""The figures of an evaluation, worked out from its rows alone: of vertebrae by patient, of patients one scan each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import NAMED_LEVELS
from trabecula.evaluation.agreement import Agreement, agreement
from trabecula.evaluation.categories import Weights, auc_by_category, classification, macro_auc
from trabecula.evaluation.clustered import resampled, share
from trabecula.evaluation.diagnosis import auc, confusion
from trabecula.evaluation.interval import NONE, Estimate, p_text
from trabecula.evaluation.rows import CaseRow, VertebraRow
from trabecula.quantity import CATEGORIES, QUANTITIES, Category
from trabecula.records import Basis

NAMES = tuple(category.value for category in CATEGORIES)
"""The categories that people have, densest first."""

Vertebrae = list[tuple[CaseRow, VertebraRow]]


@dataclass(frozen=True)
class Figure:
    """One figure. ``hits`` of ``of`` where it is a proportion, else ``of`` is how many values it rests on.

    ``sd`` is the spread of the values, ``p`` the two-sided P of there being nothing.
    """

    name: str
    estimate: Estimate
    of: int
    patients: int
    hits: int | None = None
    unit: str = ""
    digits: int = 2
    sd: float | None = None
    p: float | None = None

    @property
    def text(self) -> str:
        """As tables show it; a proportion with its count, so that nobody takes 4 of 4 for certainty."""
        value = self.estimate
        if self.of == 0 or np.isnan(value.value):
            return "none"
        if self.hits is not None:
            interval = f"; {100 * value.low:.1f} to {100 * value.high:.1f}"
            return f"{100 * value.value:.1f}% ({self.hits}/{self.of}{interval if np.isfinite(value.low) else ''})"
        shown = value.text(self.digits) if np.isfinite(value.low) else f"{value.value:.{self.digits}f}"
        spread = "" if self.sd is None else f", SD {self.sd:.{self.digits}f}"
        return shown + spread + ("" if self.p is None or np.isnan(self.p) else f", {p_text(self.p)}")


def figures(rows: Sequence[CaseRow]) -> tuple[Figure, ...]:
    """Every figure that the rows give."""
    vertebrae = vertebrae_of(rows)
    return (*_finding(rows, vertebrae), *_density(vertebrae), *_patients(one_a_patient(rows)), *_running(rows))


def vertebrae_of(rows: Sequence[CaseRow]) -> Vertebrae:
    """Every vertebra that should have been found; those of refused scans are not among them, refusals are counted."""
    return [(row, vertebra) for row in rows for vertebra in row.vertebrae]


def one_a_patient(rows: Sequence[CaseRow]) -> list[CaseRow]:
    """The first scan of each patient: a patient with two scans is still one patient."""
    first: dict[str, CaseRow] = {}
    for row in rows:
        first.setdefault(row.patient, row)
    return list(first.values())


def proportion(name: str, hits: Sequence[bool], patients: Sequence[str]) -> Figure:
    """A proportion with the interval of ``clustered.share``."""
    return Figure(name, share(hits, patients), len(hits), len(set(patients)), sum(map(bool, hits)))


def _finding(rows: Sequence[CaseRow], vertebrae: Vertebrae) -> list[Figure]:
    def of(name: str, some: Vertebrae, hit: Callable[[VertebraRow], bool]) -> Figure:
        return proportion(name, [hit(v) for _, v in some], [row.patient for row, _ in some])

    found = [(row, v) for row, v in vertebrae if v.found]
    named = [(row, v) for row, v in found if v.named]
    invented = [row.patient for row in rows for _ in row.invented]
    real = [True] * len(found) + [False] * len(invented)
    made = [
        of("Localisation recall", vertebrae, lambda v: v.found),
        proportion("Localisation precision", real, [row.patient for row, _ in found] + invented),
        of("Names right, of those given", named, lambda v: v.called == v.level),
        of("Names not given", found, lambda v: not v.named),
        of("Withheld, of those found", found, lambda v: bool(v.withheld)),
    ]
    return [*made, *_overlap(vertebrae)]


def _overlap(vertebrae: Vertebrae) -> list[Figure]:
    """Dice of vertebrae, of the level that fares worst, and of whole cases."""
    known = [(row, v.level, v.dice) for row, v in vertebrae if v.dice is not None]
    if not known:
        return []
    levels = sorted({level for _, level, _ in known})
    pairs = np.array([(levels.index(level), dice) for _, level, dice in known], float)
    patients = [row.patient for row, _, _ in known]
    number, people = len(known), len(set(patients))
    mean = resampled(pairs, patients, lambda p: float(p[:, 1].mean()))
    worst = resampled(pairs, patients, lambda p: min(p[p[:, 0] == i, 1].mean() for i in np.unique(p[:, 0])))
    by_case: dict[str, list[float]] = {}
    for row, _, dice in known:
        by_case.setdefault(row.case, []).append(dice)
    means = {case: float(np.mean(dices)) for case, dices in by_case.items()}
    patient = {row.case: row.patient for row, _, _ in known}
    owners, values = [patient[case] for case in means], np.array(list(means.values()))
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    return [
        Figure("Dice, mean", mean, number, people, digits=3),
        Figure("Dice, lowest mean of a level", worst, number, people, digits=3),
        Figure("Dice of a case, mean", resampled(values, owners, np.mean), len(values), people, digits=3, sd=spread),
        proportion("Dice, share above 0.9", [bool(value > 0.9) for value in values], owners),
    ]


def _density(vertebrae: Vertebrae) -> list[Figure]:
    """Agreement of single vertebrae, whole patients drawn for the intervals."""
    pairs = [(row, v) for row, v in vertebrae if v.value is not None and v.reference is not None]
    if len(pairs) < 4:
        return []
    measured, reference = (np.array([getattr(v, name) for _, v in pairs], float) for name in ("value", "reference"))
    patients = [row.patient for row, _ in pairs]
    if np.ptp(measured) == 0 or np.ptp(reference) == 0:
        return []
    unit = next((QUANTITIES[row.quantity].unit for row, _ in pairs if row.quantity in QUANTITIES), "mg/cm3")
    return agreement_figures(agreement(measured, reference, patients=patients), "Vertebrae", unit, len(set(patients)))


def agreement_figures(result: Agreement, what: str, unit: str, patients: int) -> list[Figure]:
    """The figures of an agreement, under the names that the published ones have where ``what`` is BMD."""
    digits = 3 if unit == "g/cm2" else 2

    def of(name: str, estimate: Estimate, own_unit: str = "", p: float | None = None) -> Figure:
        label = f"{what} {name}, {own_unit}" if own_unit else f"{what} {name}"
        return Figure(label, estimate, result.n, patients, unit=own_unit, digits=digits if own_unit else 3, p=p)

    normality = of("normality of differences, W", result.normality.estimate, p=result.normality.p)
    return [
        of("R2", result.r2),
        of("r", result.r.estimate, p=result.r.p),
        of("coefficient of determination", result.determination),
        of("bias", result.bias, unit),
        of("lower limit of agreement", result.lower_limit, unit),
        of("upper limit of agreement", result.upper_limit, unit),
        of("slope of differences on means", result.proportional.estimate, p=result.proportional.p),
        *([normality] if np.isfinite(result.normality.p) else []),
        of("slope of measured on reference", result.slope),
        of("mean absolute error", result.mae, unit),
        of("root-mean-square error", result.rmse, unit),
        of("ICC(2,1)", result.icc.absolute),
        of("ICC(3,1)", result.icc.consistency),
        of("concordance (Lin)", result.ccc),
    ]


def _patients(rows: Sequence[CaseRow]) -> list[Figure]:
    """What becomes of people: how many get a number, how close it is, who is called ill."""
    patients = [row.patient for row in rows]
    made = [
        proportion("Scans refused", [row.refused is not None for row in rows], patients),
        proportion("Patients with a category", [row.category != Category.UNDETERMINED for row in rows], patients),
    ]
    both = [row for row in rows if row.value is not None and row.reference is not None]
    values, references = (np.array([getattr(row, name) for row in both], float) for name in ("value", "reference"))
    quantity = next((QUANTITIES[row.quantity] for row in both if row.quantity in QUANTITIES), None)
    if len(both) >= 4 and quantity is not None and np.ptp(values) > 0 and np.ptp(references) > 0:
        made += agreement_figures(agreement(values, references), "BMD", quantity.unit, len(both))
    judged = [row for row in rows if row.true_category is not None and row.category != Category.UNDETERMINED]
    for name, ill in (
        ("Osteoporosis", (Category.OSTEOPOROSIS,)),
        ("Abnormal", (Category.OSTEOPOROSIS, Category.OSTEOPENIA)),
    ):
        made += _diagnosis(name, tuple(category.value for category in ill), judged)
    return [*made, *_categories(judged)]


def _diagnosis(name: str, ill: tuple[str, ...], rows: Sequence[CaseRow]) -> list[Figure]:
    """Rates and AUC of one finding; the score is the number where there is one, else the probability."""
    if not rows:
        return []
    true = np.array([row.true_category in ill for row in rows])
    counts = confusion(np.array([row.category in ill for row in rows]), true)
    enough = 2 <= true.sum() <= len(rows) - 2
    area = auc(np.array([sickness(row, ill) for row in rows]), true) if enough else NONE
    made = [Figure(f"{name}: AUC", area, len(rows), len(rows), digits=3)]
    tp, fp, fn, tn = counts.true_positive, counts.false_positive, counts.false_negative, counts.true_negative
    for label, estimate, hits, of in (
        ("sensitivity", counts.sensitivity, tp, tp + fn),
        ("specificity", counts.specificity, tn, tn + fp),
        ("PPV", counts.positive_predictive_value, tp, tp + fp),
        ("NPV", counts.negative_predictive_value, tn, tn + fn),
    ):
        made.append(Figure(f"{name}: {label}", estimate, of, of, hits))
    return made


def _categories(rows: Sequence[CaseRow]) -> list[Figure]:
    """All three at once: AUC of each against the rest and their mean, macro figures, agreement beyond chance."""
    if not rows:
        return []
    true, found = [str(row.true_category) for row in rows], [row.category for row in rows]
    scores, number = likelihoods(rows), len(rows)
    result = classification(found, true, NAMES)
    known = np.asarray(np.isfinite(scores).all(axis=0))
    areas = auc_by_category(np.where(known, scores, 0), true, NAMES)
    each = {name: areas[name] if one else NONE for name, one in zip(NAMES, known, strict=True)}
    hits = sum(f == t for f, t in zip(found, true, strict=True))
    others = [
        ("Normal: AUC", each[Category.NORMAL]),
        ("Osteopenia: AUC", each[Category.OSTEOPENIA]),
        ("Macro AUC", macro_auc(scores, true, NAMES) if known.all() else NONE),
        ("Macro F1", result.f1),
        ("Macro precision", result.precision),
        ("Macro recall", result.recall),
        ("Macro specificity", result.specificity),
        ("Kappa of categories", result.kappa[Weights.PLAIN]),
        ("Kappa of categories, linear weights", result.kappa[Weights.LINEAR]),
        ("Kappa of categories, quadratic weights", result.kappa[Weights.QUADRATIC]),
    ]
    accuracy = Figure("Accuracy in three categories", result.accuracy, number, number, hits)
    return [accuracy, *(Figure(name, estimate, number, number, digits=3) for name, estimate in others)]


def by_number(row: CaseRow) -> bool:
    """Whether the category was read from a number: of a classifier that also gives one it was not."""
    return row.value is not None and row.basis != Basis.CLASSIFIER


def sickness(row: CaseRow, ill: Sequence[str]) -> float:
    """How likely the categories of ``ill`` are by what was read: minus the number, or their probabilities.

    A number ranks only what lies at its lower end: osteopenia alone goes by its probability, nan where there is none.
    """
    if not by_number(row):
        return sum(row.probabilities.get(one, 0.0) for one in ill)
    if Category.OSTEOPOROSIS in ill:
        return -float(row.value or 0)
    return sum(row.probabilities.get(one, np.nan) for one in ill)


def likelihoods(rows: Sequence[CaseRow]) -> NDArray[np.float64]:
    """What ranks each of ``NAMES``, (rows, categories): probabilities; a number for normal, minus it for osteoporosis.

    nan where there is none.
    """
    table = np.array([[row.probabilities.get(name, np.nan) for name in NAMES] for row in rows], float)
    table = table.reshape(len(rows), len(NAMES))
    for i, row in enumerate(rows):
        if by_number(row):
            table[i, NAMES.index(Category.NORMAL)] = row.value
            table[i, NAMES.index(Category.OSTEOPOROSIS)] = -float(row.value or 0)
    return table


def _running(rows: Sequence[CaseRow]) -> list[Figure]:
    seconds = [row.seconds for row in rows if row.seconds is not None]
    if not seconds:
        return []
    middle = float(np.median(seconds))
    return [Figure("Seconds a case, median", Estimate(middle, np.nan, np.nan), len(seconds), len(seconds), digits=1)]


@dataclass(frozen=True)
class Group:
    """Vertebrae that have something in common, and how they fared."""

    name: str
    number: int
    patients: int
    found: Figure
    named_right: Figure
    dice: float | None
    error_mean: float | None
    error_sd: float | None


def groups(rows: Sequence[CaseRow]) -> tuple[Group, ...]:
    """Vertebrae by level, by finding, and by whatever the cohort groups its cases by."""
    members: dict[str, Vertebrae] = {}
    for row, vertebra in vertebrae_of(rows):
        names = [f"level: {vertebra.level}", *(f"{sort}: {name}" for sort, name in row.groups.items())]
        findings = vertebra.findings or ("none",)
        names += [f"finding: {name.removesuffix('_mm').replace('_', ' ')}" for name in findings]
        for name in names:
            members.setdefault(name, []).append((row, vertebra))
    return tuple(_group(name, members[name]) for name in sorted(members, key=_order))


def _order(name: str) -> tuple[str, str]:
    """Levels from above, the rest by name."""
    sort, _, what = name.partition(": ")
    levels = [level.value for level in NAMED_LEVELS]
    return ("", f"{levels.index(what):03d}") if sort == "level" else (sort, what)


def _group(name: str, some: Vertebrae) -> Group:
    patients = [row.patient for row, _ in some]
    named = [(row, v) for row, v in some if v.named]
    overlaps = [v.dice for _, v in some if v.dice is not None]
    errors = np.array([v.value - v.reference for _, v in some if v.value is not None and v.reference is not None])
    return Group(
        name,
        len(some),
        len(set(patients)),
        proportion("found", [v.found for _, v in some], patients),
        proportion("named right", [v.called == v.level for _, v in named], [row.patient for row, _ in named]),
        float(np.mean(overlaps)) if overlaps else None,
        float(errors.mean()) if errors.size else None,
        float(errors.std(ddof=1)) if errors.size > 1 else None,
    )
