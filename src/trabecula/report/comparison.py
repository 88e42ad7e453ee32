"""One scan read by several recipes, side by side: index.html for people, comparison.json for programs."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trabecula.anatomy import Level
from trabecula.errors import TrabeculaError
from trabecula.messages import DEFAULT_LANGUAGE, Fact, Phrase
from trabecula.quantity import Quantity, rounded
from trabecula.recipe import Recipe
from trabecula.records import FRACTURE, Assessment, Reason, Scan, reason, withholds
from trabecula.records.codec import plain
from trabecula.records.doubts import check_first, weighed
from trabecula.report.folder import PAGE
from trabecula.report.page import answer
from trabecula.report.words import templates, unit_shown

INDEX = "index.html"
SCHEMA = "trabecula.comparison/1"
PICTURE = "sagittal.png"
Json = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What one recipe made of the scan: its assessment, or why there is none."""

    recipe: Recipe
    assessment: Assessment | None = None
    refused: TrabeculaError | None = None

    @property
    def own_reasons(self) -> tuple[Reason, ...]:
        """What is to be said of this result but not of the scan, which the others read too; weightiest first."""
        if self.assessment is None:
            return ()
        return tuple(one for one in weighed(self.assessment).reasons if one not in self.assessment.scan.reasons)

    @property
    def own_doubts(self) -> tuple[Reason, ...]:
        """Those of them that are more than notes."""
        if self.assessment is None:
            return ()
        notes = weighed(self.assessment).notes
        return tuple(one for one in self.own_reasons if one not in notes)

    @property
    def seconds(self) -> float | None:
        """What its stages take, reading and the report left aside."""
        if self.assessment is None:
            return None
        taken = self.assessment.run["seconds"]
        return round(sum(float(taken[stage]) for stage in self.recipe.stages), 3)


def verdict(outcomes: Sequence[Outcome]) -> Reason | None:
    """Whether the recipes agree on the category, among those that give one; None where fewer than two do."""
    by: dict[str, list[str]] = {}
    for one in outcomes:
        if one.assessment is not None and one.assessment.diagnosis.determined:
            by.setdefault(one.assessment.diagnosis.category.value, []).append(one.recipe.name)
    if sum(map(len, by.values())) < 2:
        return None
    if len(by) == 1:
        ((category, names),) = by.items()
        return reason("recipes-agree", category=Phrase(f"category-{category}"), recipes=names)
    said = [Phrase("category-by", {"category": Phrase(f"category-{one}"), "recipes": by[one]}) for one in by]
    return reason("recipes-disagree", said=said)


def remarks(outcomes: Sequence[Outcome]) -> tuple[Reason, ...]:
    """What the verdict leaves out: who gives no category and why, a fracture that not all see, who rests on whom."""
    found = {one.recipe.name: one.assessment for one in outcomes if one.assessment is not None}
    return (*_without_category(found), *_fractures(found), *_found_alike(outcomes))


def _without_category(found: Mapping[str, Assessment]) -> list[Reason]:
    """By the codes for which its vertebrae were withheld, else by the first doubt of the whole."""
    said = []
    for name, assessment in found.items():
        if assessment.diagnosis.determined:
            continue
        codes = [why.code for one in assessment.readings.vertebrae for why in one.reasons if withholds((why,))]
        codes = codes or [one.code for one in weighed(assessment).reasons][:1]
        said.append(
            Phrase("refused-by", {"recipe": name, "code": Phrase("list", {"words": list(dict.fromkeys(codes))})})
        )
    return [reason("recipes-without", said=said)] if said else []


def _fractures(found: Mapping[str, Assessment]) -> list[Reason]:
    """Vertebrae that some recipes suspect to be broken and others measure."""
    broken: dict[Level, list[str]] = {}
    sound: dict[Level, list[str]] = {}
    for name, assessment in found.items():
        for one in assessment.readings.vertebrae:
            if any(why.code == FRACTURE for why in one.reasons):
                broken.setdefault(one.level, []).append(name)
            elif not one.withheld:
                sound.setdefault(one.level, []).append(name)
    return [
        reason("recipes-fracture", level=level, recipes=names, others=sound[level])
        for level, names in broken.items()
        if level in sound
    ]


def _found_alike(outcomes: Sequence[Outcome]) -> list[Reason]:
    """Recipes whose spine one and the same stage finds: that they agree on a level's name says nothing of it."""
    groups: list[tuple[object, list[str]]] = []
    for one in outcomes:
        if one.assessment is None:
            continue
        names = next((names for stage, names in groups if stage == one.recipe.localise), None)
        if names is None:
            groups.append((one.recipe.localise, [one.recipe.name]))
        else:
            names.append(one.recipe.name)
    return [reason("recipes-share", recipes=names) for _, names in groups if len(names) > 1]


def measures(recipe: Recipe) -> Phrase:
    """What a recipe measures, and in which unit."""
    said = [measured_as(one) for one in recipe.quantities]
    said += [Phrase("measures-category")] if recipe.classifies else []
    return Phrase("list", {"words": said})


def measured_as(quantity: Quantity) -> Phrase:
    """A quantity by its name, with its unit."""
    material = "" if quantity.material is None else f" {quantity.material}"
    return Phrase(f"measures-{quantity.key}", {"unit": unit_shown(quantity) + material})


def comparison_json(outcomes: Sequence[Outcome], run: Mapping[str, Any]) -> Json:
    """All of it as JSON values; a recipe's whole result stands in its folder's assessment.json."""
    said = verdict(outcomes)
    return {
        "schema": SCHEMA,
        "agree": None if said is None else said.code == "recipes-agree",
        "reasons": [_told(one) for one in (*([] if said is None else [said]), *remarks(outcomes))],
        "recipes": [_row_json(one) for one in outcomes],
        "run": plain(dict(run)),
    }


def _row_json(one: Outcome) -> Json:
    recipe, found = one.recipe, one.assessment
    row: Json = {
        "recipe": recipe.name,
        "source": recipe.source,
        "about": recipe.about(),
        "measures": [{"quantity": of.key, "unit": of.unit} for of in recipe.quantities],
        "classifies": recipe.classifies,
    }
    if found is None:
        assert one.refused is not None, "an outcome is a result or a refusal"
        return row | {"refused": {"code": one.refused.code, "message": one.refused.message}}
    diagnosis, density = found.diagnosis, found.diagnosis.density
    return row | {
        "refused": None,
        "category": diagnosis.category.value,
        "basis": diagnosis.basis.value,
        "density": None
        if density is None
        else {
            "value": rounded(density.quantity, density.value, density.quantity.digits + 1),
            "interval": [round(end, density.quantity.digits + 1) for end in density.interval],
            "quantity": density.quantity.key,
            "unit": density.quantity.unit,
        },
        "probabilities": {category.value: round(p, 4) for category, p in diagnosis.probabilities.items()},
        "levels_used": [level.value for level in diagnosis.levels_used],
        "check_first": None if (first := check_first(found)) is None else _told(first),
        "reasons": [_told(said) for said in found.reasons],
        "seconds": one.seconds,
        "folder": recipe.name,
    }


def _told(said: Reason) -> Json:
    return {"code": said.code, "message": said.message}


def comparison_page(
    outcomes: Sequence[Outcome],
    scan: Scan,
    pictures: Mapping[str, bytes],
    run: Mapping[str, Any],
    language: str = DEFAULT_LANGUAGE,
) -> str:
    """The HTML text; ``pictures`` are PNGs by the recipe's name, and part of the page."""

    def say(key: str, **facts: Fact) -> str:
        return Phrase(key, facts).told(language)

    said = verdict(outcomes)
    return (
        templates()
        .get_template("comparison.html")
        .render(
            say=say,
            verdict=None if said is None else {"code": said.code, "sentence": said.told(language)},
            remarks=[(one.code, one.told(language)) for one in remarks(outcomes)],
            rows=[_row(one, pictures.get(one.recipe.name), language) for one in outcomes],
            scan_reasons=[(one.code, one.told(language)) for one in scan.reasons],
            version=run["version"],
            written=run["written_utc"],
        )
    )


def _row(one: Outcome, picture: bytes | None, language: str) -> Json:
    """One recipe as the template takes it."""
    row: Json = {
        "name": one.recipe.name,
        "source": one.recipe.source,
        "about": one.recipe.about(language),
        "measures": measures(one.recipe).told(language),
        "answer": None,
        "refused": None,
        "report": f"{one.recipe.name}/{PAGE}",
        "picture": None if picture is None else f"data:image/png;base64,{b64encode(picture).decode('ascii')}",
        "reasons": [(said.code, said.told(language)) for said in one.own_reasons],
        "seconds": None if one.seconds is None else f"{one.seconds:.1f}",
    }
    if one.assessment is None:
        assert one.refused is not None, "an outcome is a result or a refusal"
        return row | {"refused": (one.refused.code, one.refused.told(language))}
    made, told = answer(one.assessment, language), weighed(one.assessment)
    below = [said for vertebra in one.assessment.readings.vertebrae for said in vertebra.reasons]
    row["reasons"] = [
        (said.code, said.told(language)) for said in dict.fromkeys((*one.own_reasons, *below)) if said != told.first
    ]
    return row | {"answer": made}
