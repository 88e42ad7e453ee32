"""The recipes as ``trabecula recipes`` lists them: read from recipes/listing.json, so that no recipe is loaded."""

import json
from pathlib import Path
from typing import Any

import trabecula

LISTING = Path(trabecula.__file__).parent / "recipes" / "listing.json"
Json = dict[str, Any]


def recipes_json() -> str:
    """The whole list as it is kept."""
    return LISTING.read_text(encoding="utf-8").rstrip("\n")


def recipes_text() -> str:
    """The list for people: a name at the left edge, what there is to know of it below."""
    return "\n\n".join(_told(one) for one in json.loads(LISTING.read_bytes()))


def _told(one: Json) -> str:
    lines = [f"{one['recipe']}{' (default)' if one['default'] else ''}", f"  {one['about']}"]
    facts = {
        "follows": [one["source"]],
        "measures": [_measures(one)],
        "levels": [f"{' '.join(one['levels'])}; the category rests on {' '.join(one['levels_that_decide'])}"],
        "stages": [f"{name} {kind}" for name, kind in one["stages"].items()],
        "networks": [f"{name}: {said or 'no figures of its own'}" for name, said in one["networks"].items()],
        "simulated": [_figure(figure) for figure in one["simulated"]] or ["no figures yet"],
        "real CTs": [_figure(figure) for figure in one["real"]] or ["no figures yet"],
    }
    for name, told in facts.items():
        lines += [f"  {name if number == 0 else '':<10}{text}" for number, text in enumerate(told)]
    return "\n".join(lines)


def _measures(one: Json) -> str:
    units = [" ".join(part for part in (of["unit"], of["material"]) if part) for of in one["measures"]]
    said = [f"BMD in {unit}" for unit in units] + (["a category by a classifier"] if one["classifies"] else [])
    return " and ".join(said)


def _figure(figure: Json) -> str:
    return f"{figure['figure']}: {figure['value']} ({figure['where']})"
