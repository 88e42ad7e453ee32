"""The recipes by name. A new one is a file beside these and a line here."""

from trabecula.errors import wrong_usage
from trabecula.recipe import Recipe
from trabecula.recipes.fang2021 import FANG2021
from trabecula.recipes.house import HOUSE
from trabecula.recipes.niu2023 import NIU2023, NIU2023_BLOCK, NIU2023_FIXED_CROP
from trabecula.recipes.pan2024 import PAN2024, PAN2024_L1
from trabecula.recipes.peng2023 import PENG2023
from trabecula.recipes.yasaka2020 import YASAKA2020
from trabecula.weights import INSTEAD, catalogue

PUBLISHED = (YASAKA2020, FANG2021, NIU2023, NIU2023_FIXED_CROP, PENG2023, PAN2024, PAN2024_L1)

RECIPES: dict[str, Recipe] = {one.name: one for one in (HOUSE, *PUBLISHED)}
DEFAULT = HOUSE.name
ALL = "all"
"""What names every recipe at once."""

TO_TRAIN: dict[str, Recipe] = {one.name: one for one in (NIU2023_BLOCK,)}
"""Recipes of which a network is not shipped: they can be trained, and run with what was trained."""


def recipe_named(name: str | None, trained: bool = True) -> Recipe:
    """The recipe of this name, or the default one; ``trained`` is False where its networks are yet to be given.

    Raises:
        WrongUsage: ``unknown-recipe``; ``recipe-untrained``: it takes a network that is neither shipped nor given.
    """
    found = RECIPES.get(name or DEFAULT) or TO_TRAIN.get(name or DEFAULT)
    if found is None:
        raise wrong_usage("unknown-recipe", name=str(name), choices=sorted(RECIPES))
    if trained and found.name in TO_TRAIN and (missing := sorted(set(found.weights) - set(catalogue()))):
        raise wrong_usage("recipe-untrained", recipe=found.name, missing=missing, first=missing[0], variable=INSTEAD)
    return found


def recipes_named(names: str | None) -> tuple[Recipe, ...]:
    """The recipes of these names, with commas between them, each once and in this order; all of them for ``all``.

    Raises:
        WrongUsage: one of them is none.
    """
    if names == ALL:
        return tuple(RECIPES.values())
    wanted = [name.strip() for name in (names or DEFAULT).split(",") if name.strip()]
    return tuple(recipe_named(name) for name in dict.fromkeys(wanted or [str(names)]))
