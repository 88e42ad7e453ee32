"""The recipes by name. A new one is a file beside these and a line here."""

from trabecula.errors import WrongUsage
from trabecula.recipe import Recipe
from trabecula.recipes.counting import COUNTING
from trabecula.recipes.house import HOUSE
from trabecula.recipes.niu2023 import NIU2023, NIU2023_FIXED_CROP

RECIPES: dict[str, Recipe] = {one.name: one for one in (HOUSE, COUNTING, NIU2023, NIU2023_FIXED_CROP)}
DEFAULT = HOUSE.name


def recipe_named(name: str | None) -> Recipe:
    """The recipe of this name, or the default one.

    Raises:
        WrongUsage: there is none.
    """
    found = RECIPES.get(name or DEFAULT)
    if found is None:
        raise WrongUsage("unknown-recipe", f"There is no recipe {name!r}. Choose among: {', '.join(sorted(RECIPES))}.")
    return found
