"""Do weights fit the recipe that is to run on them?"""

from trabecula.anatomy import LEVELS, NAMED_LEVELS
from trabecula.errors import WrongUsage
from trabecula.quantity import CATEGORIES
from trabecula.recipe import Recipe
from trabecula.view import Classes, Head
from trabecula.weights import Weights, catalogue


def require_fitting(recipe: Recipe, name: str, head: Head) -> None:
    """Refuses a head that cannot take the place of the shipped one, or that does not name what the recipe measures.

    Raises:
        WrongUsage: ``weights-misfit``, with the classes that are wanting.
    """
    shipped = catalogue().get(name)
    if shipped is not None and type(shipped.head) is not type(head):
        raise WrongUsage(
            "weights-misfit",
            f"{name} answers with {type(head).__name__.lower()} where the recipe {recipe.name} needs"
            f" {type(shipped.head).__name__.lower()}.",
        )
    if not isinstance(head, Classes):
        return
    if set(head.names) == {category.value for category in CATEGORIES}:
        return
    levels = {level.value for level in NAMED_LEVELS}
    needed = [level.value for level in LEVELS] if levels & set(head.names) else ["cortical", "trabecular"]
    wanting = [one for one in needed if one not in head.names]
    wanting += [level.value for level in recipe.levels if levels & set(head.names) and level.value not in head.names]
    if wanting:
        raise WrongUsage(
            "weights-misfit",
            f"{name} has the classes {', '.join(head.names)}, and the recipe {recipe.name} needs"
            f" {', '.join(dict.fromkeys(wanting))} as well. Train it with these, or take other weights.",
        )


def require_all_fitting(recipe: Recipe, found: dict[str, Weights]) -> None:
    """The same for every network that stands in for one of the recipe's.

    Raises:
        WrongUsage: ``weights-misfit``; ``weights-foreign`` where none is of the recipe.
    """
    if not set(found) & set(recipe.weights):
        raise WrongUsage(
            "weights-foreign",
            f"None of {', '.join(found)} is run by the recipe {recipe.name}, which runs {', '.join(recipe.weights)}.",
        )
    for name in recipe.weights:
        if name in found:
            require_fitting(recipe, name, found[name].head)
