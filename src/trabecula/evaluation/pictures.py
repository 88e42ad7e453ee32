"""The plots of an evaluation: regression, Bland-Altman and ROC, of all patients and of each part of the tests."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trabecula.evaluation.figures import NAMES, by_number, likelihoods, one_a_patient, sickness
from trabecula.evaluation.rows import CaseRow
from trabecula.quantity import BANDS, QUANTITIES, Category

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Scores, higher for what is looked for, and whether it is there."""


def draw(rows: Sequence[CaseRow], out: Path, part: str = "") -> list[str]:
    """Writes what the rows allow into ``out``; returns the files' names. ``part`` goes into titles and names."""
    from trabecula.evaluation import plots

    people = one_a_patient(rows)
    slug = "-" + re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") if part else ""
    about = ", ".join(filter(None, (rows[0].run.recipe, part)))
    simulated = ", simulated" if rows[0].run.simulated else ""
    made: dict[str, Figure] = {}
    both = [row for row in people if row.value is not None and row.reference is not None]
    values, references = (np.array([getattr(row, name) for row in both], float) for name in ("value", "reference"))
    if len(both) >= 4 and np.ptp(values) > 0 and np.ptp(references) > 0:
        title, key = f"{about}, {len(both)} patients{simulated}", str(both[0].quantity)
        unit, bands = QUANTITIES[key].unit, BANDS.get(key)
        edges = () if bands is None else bands.edges
        made["scatter"] = plots.scatter(values, references, title=title, unit=unit, bands=edges)
        made["bland-altman"] = plots.bland_altman(values, references, title=title, unit=unit)
    curves = curves_of(people)
    if curves:
        number = len(next(iter(curves.values()))[1])
        made["roc"] = plots.roc(curves, title=f"{about}, {number} patients{simulated}")
    for name, figure in made.items():
        plots.save(figure, out / f"{name}{slug}.png")
    return [f"{name}{slug}.png" for name in made]


def curves_of(people: Sequence[CaseRow]) -> Mapping[str, Curve]:
    """What is looked for, and how well: each category of a classifier against the rest; by a number osteoporosis, and
    osteoporosis or osteopenia. Without those of which there are fewer than two, or all but one.
    """
    judged = [row for row in people if row.true_category is not None and row.category != Category.UNDETERMINED]
    true = np.array([row.true_category for row in judged])
    if judged and all(by_number(row) for row in judged):
        some = {
            "osteoporosis": (Category.OSTEOPOROSIS.value,),
            "abnormal": (Category.OSTEOPOROSIS.value, Category.OSTEOPENIA.value),
        }
        found = {
            name: (np.array([sickness(row, ill) for row in judged]), np.isin(true, ill)) for name, ill in some.items()
        }
    else:
        table = likelihoods(judged)
        found = {name: (table[:, i], true == name) for i, name in enumerate(NAMES)}
    return {
        name: curve
        for name, curve in found.items()
        if np.isfinite(curve[0]).all() and 2 <= curve[1].sum() <= len(judged) - 2
    }
