"""The recipes by name; each is built when it is asked for."""

from collections.abc import Callable
from functools import partial

from trabecula.recipe import Recipe
from trabecula.recipes.house import house
from trabecula.recipes.niu2023 import niu2023

RECIPES: dict[str, Callable[[], Recipe]] = {
    "house": house,
    "niu2023": niu2023,
    "niu2023-fixed-crop": partial(niu2023, centre="paper"),
}
DEFAULT = "house"
