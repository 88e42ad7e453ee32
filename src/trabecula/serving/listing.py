"""The recipes as ``trabecula recipes`` lists them: read from recipes/listing.json, so that no recipe is loaded."""

import json
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size

import trabecula
from trabecula.messages import DEFAULT_LANGUAGE, Phrase, joined, messages

LISTING = Path(trabecula.__file__).parent / "recipes" / "listing.json"
Json = dict[str, Any]


def recipes_json() -> str:
    """The whole list as it is kept."""
    return LISTING.read_text(encoding="utf-8").rstrip("\n")


def recipe_names() -> list[str]:
    """The names alone."""
    return [str(one["recipe"]) for one in json.loads(LISTING.read_bytes())]


def recipes_text(language: str = DEFAULT_LANGUAGE) -> str:
    """The list for people: a name at the left edge, what there is to know of it below."""
    return "\n\n".join(_told(one, language) for one in json.loads(LISTING.read_bytes()))


def _told(one: Json, language: str) -> str:
    text = messages(language)
    name = text["recipe-default"].format(name=one["recipe"]) if one["default"] else one["recipe"]
    deciding = {"levels": " ".join(one["levels"]), "deciding": " ".join(one["levels_that_decide"])}
    figures = {kind: [_figure(of) for of in one[kind]] or [text["recipe-no-figures"]] for kind in ("simulated", "real")}
    facts = {
        "follows": [one["source"]],
        "measures": [_measures(one, language)],
        "levels": [text["recipe-rests-on"].format_map(deciding)],
        "stages": [f"{stage} {kind}" for stage, kind in one["stages"].items()],
        "networks": [f"{of}: {said or text['recipe-no-own-figures']}" for of, said in one["networks"].items()],
        **figures,
    }
    width = max(cell_len(text[f"recipe-{kind}"]) for kind in facts) + 2
    about = text.get(f"about-{one['recipe']}", "")
    lines = [name, f"  {about}"]
    for kind, told in facts.items():
        heads = [set_cell_size(text[f"recipe-{kind}"], width), *[" " * width] * (len(told) - 1)]
        lines += [f"  {head}{said}" for head, said in zip(heads, told, strict=True)]
    return "\n".join(lines)


def _measures(one: Json, language: str) -> str:
    units = [
        (of["quantity"], " ".join(part for part in (of["unit"], of["material"]) if part)) for of in one["measures"]
    ]
    said = [Phrase(f"measures-{quantity}", {"unit": unit}) for quantity, unit in units]
    return joined([*said, *([Phrase("measures-category")] if one["classifies"] else [])]).told(language)


def _figure(figure: Json) -> str:
    return f"{figure['figure']}: {figure['value']} ({figure['where']})"
