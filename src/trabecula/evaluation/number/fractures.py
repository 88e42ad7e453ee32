"""Fractures told from bodies' heights: on true masks of bodies alone, people with fractures and every fifth without.

    python -m trabecula.evaluation.number fractures --people 100 --out runs/fractures.jsonl

The masks are the truth's, so that it is the rule of heights that is judged, not the outlines. Simulated.
"""

from typing import Any

import numpy as np
from scipy import ndimage

from trabecula.anatomy import MEASURED_LEVELS, Level
from trabecula.evaluation.interval import clopper_pearson
from trabecula.flow.exclude.height import worst_loss
from trabecula.flow.segment.heights import body_heights
from trabecula.records import BodyHeights
from trabecula.virtual.canvas import part_of
from trabecula.virtual.cohort import draw, spine_grid
from trabecula.virtual.drawn import Drawn
from trabecula.virtual.families import sample_person
from trabecula.virtual.subject import VertebraShape
from trabecula.volume import Grid

Json = dict[str, Any]

SPACING_MM = 1.25
REACH = 3
"""How many bodies up and down are compared with, as the rule has it."""

LEAST = 0.25
"""Of a height lost: a moderate fracture after Genant."""

EVERY = 5
"""Of those without a fracture one in so many is drawn."""


def lost_share(v: VertebraShape) -> float:
    """The greatest share of a height that a body has lost."""
    f = v.findings
    return max(f.fracture_anterior, f.fracture_middle, f.fracture_posterior)


def examine_bodies(number: int, seed: int, family: str) -> Json | None:
    """Every body's true and told loss; None for most people without a fracture."""
    person = sample_person(seed + number, family=family)
    names = {v.name for v in person.spine}
    measured = [level for level in MEASURED_LEVELS if level.value in names]
    if number % EVERY and not any(lost_share(person.vertebra(level)) for level in measured):
        return None
    drawn = draw(person, spine_grid(person, measured[0], measured[-1], SPACING_MM))
    heights = {level: found for level in measured if (found := _heights(drawn, level)) is not None}
    bodies = []
    for level, own in heights.items():
        at = measured.index(level)
        near = measured[max(0, at - REACH) : at + REACH + 1]
        loss = worst_loss(level, own, {one: heights[one] for one in near if one in heights and one != level})
        told = 0.0 if loss is None else loss.share
        grade = 0 if loss is None else loss.grade
        bodies.append({"level": level.value, "lost": lost_share(person.vertebra(level)), "told": told, "grade": grade})
    return {"person": f"{family}-{seed + number}", "family": family, "bodies": bodies}


def _heights(drawn: Drawn, level: Level) -> BodyHeights | None:
    found = ndimage.find_objects(drawn.body)
    box = found[level.verse_id - 1] if level.verse_id <= len(found) else None
    if box is None:
        return None
    whole = Grid(drawn.body.shape, drawn.volume.affine)
    return body_heights(np.asarray(drawn.body[box] == level.verse_id), part_of(whole, box))


def told(rows: list[Json]) -> str:
    """Moderate and severe fractures found, and sound bodies called fractured, by family and together."""
    lines = ["| bodies | people | moderate and severe | found | sound | called fractured |", "|" + " --- |" * 6]
    for family in ("a", "b", ""):
        some = [row for row in rows if row["family"].startswith(family)]
        bodies = [body for row in some for body in row["bodies"]]
        broken = [body["grade"] >= 2 for body in bodies if body["lost"] > LEAST]
        sound = [body["grade"] >= 2 for body in bodies if body["lost"] == 0]
        found, false = clopper_pearson(sum(broken), len(broken)), clopper_pearson(sum(sound), len(sound))
        lines.append(
            f"| {f'family {family}' if family else 'both'} | {len(some)} | {len(broken)} | {found.text(0, 100)} %"
            f" | {len(sound)} | {false.text(1, 100)} % |"
        )
    missed = [body for row in rows for body in row["bodies"] if body["lost"] > LEAST and body["grade"] < 2]
    near = sum(body["lost"] < LEAST + 0.05 for body in missed)
    lines += ["", f"Of the {len(missed)} that were missed, {near} had lost less than 30% of a height."]
    return "\n".join(lines)
