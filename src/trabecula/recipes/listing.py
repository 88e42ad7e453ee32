"""What there is to know of every recipe, as JSON values: ``tools/recipes.py`` keeps it in ``listing.json``.

Loading the recipes themselves takes numpy, scipy and a second; a list of them should not.
"""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from trabecula.quantity import Quantity
from trabecula.recipe import Recipe
from trabecula.recipes import DEFAULT, RECIPES
from trabecula.weights import catalogue

FOLDER = Path(__file__).parent
LISTING, FIGURES = FOLDER / "listing.json", FOLDER / "figures.json"
NOT_SHIPPED = "not shipped"
Json = dict[str, Any]


def listing() -> list[Json]:
    """Every recipe, in the order of ``RECIPES``; figures are those of figures.json and of the weights' manifest."""
    figures: Json = json.loads(FIGURES.read_text(encoding="utf-8"))
    return [_listed(recipe, figures.get(recipe.name, {})) for recipe in RECIPES.values()]


def _listed(recipe: Recipe, figures: Json) -> Json:
    shipped = catalogue()
    told = {name: _said(shipped[name].training.get("figures", "")) for name in recipe.weights if name in shipped}
    return {
        "recipe": recipe.name,
        "default": recipe.name == DEFAULT,
        "about": recipe.about(),
        "source": recipe.source,
        "stages": {name: described(stage) for name, stage in recipe.stages.items()},
        "measures": [{"quantity": one.key, "unit": one.unit, "material": one.material} for one in recipe.quantities],
        "classifies": recipe.classifies,
        "levels": [level.value for level in recipe.levels],
        "levels_that_decide": [level.value for level in getattr(recipe.diagnose, "levels", recipe.levels)],
        "simulated": figures.get("simulated", []),
        "real": figures.get("real", []),
        "networks": {name: told.get(name, NOT_SHIPPED) for name in recipe.weights},
    }


def _said(figures: str | Json) -> str:
    """A network's own figures as a sentence; ``trabecula train`` keeps them by name."""
    if isinstance(figures, str):
        return figures
    numbers = (f"{name.replace('_', ' ')} {value}" for name, value in figures.items() if name != "on")
    return f"{figures['on']}: {', '.join(numbers)}"


def described(stage: Any) -> str:
    """A stage by its kind and its networks: ``NetworkDensity(niu2023-densitometer)``."""
    kind = type(stage).__name__
    if not is_dataclass(stage):
        return str(getattr(stage, "__name__", kind))
    inner = []
    for one in fields(stage):
        value = getattr(stage, one.name)
        if one.name == "weights":
            inner.append(str(value))
        elif is_dataclass(value) and not isinstance(value, Quantity) and _holds_weights(value):
            inner.append(f"{one.name}: {described(value)}")
    return f"{kind}({', '.join(inner)})" if inner else kind


def _holds_weights(value: Any) -> bool:
    return any(one.name == "weights" for one in fields(value))
