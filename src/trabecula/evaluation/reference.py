"""What a recipe's result is held against: QCT of its vertebrae, or DXA; and that reference's category by its cuts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trabecula.anatomy import Level
from trabecula.cohort.case import Case, Cohort, Known
from trabecula.errors import wrong_usage
from trabecula.messages import Phrase, joined
from trabecula.quantity import AREAL_BMD, BANDS, Category, Quantity
from trabecula.recipe import Recipe


def judged_by_dxa(recipe: Recipe) -> bool:
    """Whether a recipe diagnoses an areal density: its last stage then says what one means for a man or a woman."""
    return _t_score(recipe) is not None


def reference_of(known: Known, recipe: Recipe, quantity: Quantity | None) -> float | None:
    """DXA's for an areal density, else the mean QCT of the vertebrae that decide.

    ``quantity`` is that of the recipe's number, None where it gave none. None where the reference is not known, or is
    known in another quantity.
    """
    if quantity == AREAL_BMD or (quantity is None and judged_by_dxa(recipe)):
        return known.areal_bmd_g_cm2
    if quantity is not None and quantity != known.quantity:
        return None
    levels = deciding_levels(recipe)
    if any(level not in known.density for level in levels):
        return None
    return float(np.mean([known.density[level] for level in levels]))


def true_category_of(known: Known, recipe: Recipe, quantity: Quantity | None) -> Category | None:
    """The reference's category: by the T-score of this sex for DXA, else by the bands of the QCT's quantity.

    None where either is not known, or the cut is not.
    """
    reference, areal = reference_of(known, recipe, quantity), _t_score(recipe)
    if reference is None:
        return None
    if areal is not None:
        category = Category(areal.category(reference, known.sex))
    else:
        bands = BANDS.get((quantity or known.quantity).key)
        category = Category.UNDETERMINED if bands is None else bands.category(reference)
    return None if category is Category.UNDETERMINED else category


def deciding_levels(recipe: Recipe) -> tuple[Level, ...]:
    """The vertebrae whose mean QCT is what a result is held against: those that the recipe names, else its own."""
    named: tuple[Level, ...] = getattr(recipe.diagnose, "judged_by", ())
    levels: tuple[Level, ...] = getattr(recipe.diagnose, "levels", (Level.L1, Level.L2))
    return named or levels


def require_reference(recipe: Recipe, cohort: Cohort, cases: Sequence[Case]) -> None:
    """Refuses to judge a recipe on cases that know nothing to judge it by, before any is screened.

    A recipe that outlines vertebrae can be judged by masks alone. Of virtual patients that are drawn when needed, the
    first is drawn to see what is known of them.

    Raises:
        WrongUsage: ``reference-missing``.
        TrabeculaError: the first case cannot be drawn.
    """
    dxa = judged_by_dxa(recipe)
    if any(_has(case.known, recipe, dxa) for case in cases):
        return
    if not dxa and (cohort.simulated or (recipe.segment is not None and any(case.source.masks for case in cases))):
        return
    if cohort.simulated and cases and _has(cases[0].load(()).known, recipe, dxa):
        return
    if dxa:
        needed = Phrase("judged-by-dxa")
    else:
        columns = joined([f"qct_{level}" for level in deciding_levels(recipe)])
        needed = Phrase("judged-by-qct", {"columns": columns})
    raise wrong_usage("reference-missing.cohort", cohort=cohort.name, recipe=recipe.name, needed=needed)


def _has(known: Known, recipe: Recipe, dxa: bool) -> bool:
    return reference_of(known, recipe, AREAL_BMD if dxa else known.quantity) is not None


def _t_score(recipe: Recipe) -> Any:
    return recipe.diagnose if callable(getattr(recipe.diagnose, "category", None)) else None
