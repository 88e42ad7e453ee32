"""Do weights fit the recipe that is to run on them? Then they can take the place of those shipped."""

from pathlib import Path

from trabecula.anatomy import LEVELS, NAMED_LEVELS
from trabecula.errors import Defect, wrong_usage
from trabecula.inference import use_instead
from trabecula.quantity import CATEGORIES
from trabecula.recipe import Recipe
from trabecula.view import Bins, Classes, Head, Number
from trabecula.weights import MANIFEST, Weights, catalogue, read_manifest


def require_fitting(recipe: Recipe, name: str, head: Head) -> None:
    """Refuses a head that cannot take the place of the shipped one, or that does not name what the recipe measures.

    Raises:
        WrongUsage: ``weights-misfit``, with the classes that are wanting.
    """
    shipped = catalogue().get(name)
    if shipped is not None:
        _require_same_kind(recipe, name, head, shipped.head)
    if not isinstance(head, Classes):
        return
    instead_of = shipped.head if shipped is not None and isinstance(shipped.head, Classes) else head
    if wanting := [one for one in _needed(recipe, instead_of) if one not in head.names]:
        raise wrong_usage("weights-misfit.classes", name=name, classes=head.names, recipe=recipe.name, wanting=wanting)


def _require_same_kind(recipe: Recipe, name: str, head: Head, shipped: Head) -> None:
    """The same kind of answer, and of a number the same quantity."""
    found, needed = (_said(one) for one in (head, shipped))
    if found != needed:
        raise wrong_usage("weights-misfit.kind", name=name, found=found, recipe=recipe.name, needed=needed)


def _said(head: Head) -> str:
    kind = type(head).__name__
    return f"{kind}({head.quantity})" if isinstance(head, Bins | Number) else kind


def _needed(recipe: Recipe, head: Classes) -> list[str]:
    """The classes that a head like this one must have: all categories, all levels, or its own tissues."""
    names = set(head.names)
    if names & {level.value for level in NAMED_LEVELS}:
        return list(dict.fromkeys(level.value for level in (*LEVELS, *recipe.levels)))
    if names & {category.value for category in CATEGORIES}:
        return [category.value for category in CATEGORIES]
    return list(head.names)


def read_fitting(recipe: Recipe, folder: Path) -> dict[str, Weights]:
    """The networks of a folder that stand in for some of a recipe's, held against their hashes.

    Raises:
        WrongUsage: ``weights-unreadable``; ``weights-misfit``; ``weights-foreign`` where none is of the recipe.
    """
    try:
        found = read_manifest(folder)
        for one in found.values():
            one.content()
    except Defect as error:
        raise wrong_usage("weights-unreadable", path=str(folder), code=error.code) from error
    if not set(found) & set(recipe.weights):
        raise wrong_usage("weights-foreign", found=tuple(found), recipe=recipe.name, needed=recipe.weights)
    for name in recipe.weights:
        if name in found:
            require_fitting(recipe, name, found[name].head)
    return found


def use_fitting(recipe: Recipe, folder: Path) -> None:
    """Runs the recipe on the weights of a folder, that of exported ones or of the training that left them.

    Raises:
        WrongUsage: as ``read_fitting``.
    """
    found = weights_folder(folder) or folder
    read_fitting(recipe, found)
    use_instead(found)


def weights_folder(folder: Path) -> Path | None:
    """Where exported weights lie: in the folder itself or, of a training, in ``weights``; None where there are none."""
    return next((one for one in (folder, folder / "weights") if (one / MANIFEST).exists()), None)
