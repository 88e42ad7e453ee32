"""Judges how vertebrae are named on unseen virtual torsos: ``python -m trabecula.evaluation.counting``.

Every field of view and every numbering variant, in both families of generators; every figure is simulated accuracy.
Torsos are kept as JSON lines, so that an interrupted run goes on where it stopped.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from trabecula.errors import Refusal
from trabecula.evaluation.interval import clopper_pearson
from trabecula.evaluation.tables import markdown
from trabecula.records import Acquisition, Scan, Spine
from trabecula.virtual.fields import FIELD_KINDS
from trabecula.virtual.findings import POPULATION, VARIANTS
from trabecula.virtual.torso import Torso, draw_torso
from trabecula.volume import Grid, Orientation

TEST_SEED = 900_000
"""Training subjects are counted from 100,000: none is met again here."""

SPACING_MM = 3.0
"""Of the torsos: thick slices in wide pixels; what is smaller the network does not see."""

SAME_PLACE_MM = 12.0
"""A vertebra counts as found where something was found this near to its middle."""

CUT_PLACE_MM = 25.0
"""The same of one that the end of the scan cuts: its middle may lie outside, and it is its name that is judged."""

Json = dict[str, Any]


def one_torso(number: int, localise: Callable[[Scan], Spine], family: str, people: str) -> Json:
    """Names test torso ``number``; what was named, and what is true. ``people``: as in the population, or variants."""
    field = FIELD_KINDS[number % len(FIELD_KINDS)]
    # Each kind of people has persons of its own.
    seed = TEST_SEED + number + (0 if people == "population" else 50_000)
    rates = POPULATION if people == "population" else VARIANTS
    torso = draw_torso(seed, SPACING_MM, family, field, rates)
    scan = Scan(torso.volume, Orientation(), Acquisition(source="virtual"))
    row: Json = {
        "number": number,
        "family": family,
        "people": people,
        "field": torso.field.kind,
        "numbering": torso.truth.numbering,
        "ribs": {b.name: [round(mm) for mm in b.rib_mm] for b in torso.truth.bodies if b.name in ("T12", "T13", "L1")},
    }
    try:
        spine = localise(scan)
    except Refusal as refused:
        return row | {"refused": refused.code, "missed": _missed(torso, []), "boxes": []}
    return row | _judged(torso, spine)


def _judged(torso: Torso, spine: Spine) -> Json:
    middles = np.array([body.centre_lps_mm for body in torso.truth.bodies])
    shares = torso.truth.in_view(Grid(torso.volume.shape, torso.volume.affine))
    boxes: list[Json] = []
    for box in spine.vertebrae:
        place = torso.volume.to_lps(spine.middle(box))
        away = np.linalg.norm(middles - place, axis=1)
        nearest = torso.truth.bodies[int(away.argmin())]
        near_mm = SAME_PLACE_MM if shares[nearest.name] >= 1 else CUT_PLACE_MM
        truth = nearest.name if away.min() < near_mm else None
        boxes.append({"named": box.level.value, "true": truth, "away_mm": round(float(away.min()), 1)})
    phrases = [one.phrase for one in spine.reasons if one.phrase is not None]
    probability = next((phrase.facts["probability"] for phrase in phrases if "probability" in phrase.facts), None)
    codes = [one.code if one.phrase is None else one.phrase.key for one in spine.reasons]
    found = [box["true"] for box in boxes]
    return {"boxes": boxes, "codes": codes, "probability": probability, "missed": _missed(torso, found)}


def _missed(torso: Torso, found: Sequence[str | None]) -> list[str]:
    """The bodies from T11 to L6 that are whole and in view, and were not found."""
    shares = torso.truth.in_view(Grid(torso.volume.shape, torso.volume.affine))
    measured = {"T11", "T12", "T13", *(f"L{k}" for k in range(1, 7))}
    return [name for name, share in shares.items() if name in measured and share >= 1 and name not in found]


def outcome(row: Json) -> str:
    """Whether the names are right, doubted, withheld or wrong: of the bodies from T11 to L6."""
    if "refused" in row:
        return "refused"
    if "level-unknown" in row["codes"]:
        return "withheld"
    named = [box for box in row["boxes"] if box["named"][0] == "L" or box["named"] in ("T11", "T12", "T13")]
    right = all(box["named"] == box["true"] for box in named)
    doubted = bool({"level-uncertain", "level-uncertain.ribs"} & set(row["codes"]))
    return {
        (True, False): "right",
        (True, True): "right, doubted",
        (False, True): "wrong, doubted",
        (False, False): "WRONG",
    }[right, doubted]


OUTCOMES = ("right", "right, doubted", "wrong, doubted", "WRONG", "withheld", "refused")


def table(rows: Sequence[Json], by: str) -> str:
    """How many torsos of each value of ``by`` came out how, and bodies missed."""
    lines = []
    for value in sorted({row[by] for row in rows}):
        mine = [row for row in rows if row[by] == value]
        counts = [sum(outcome(row) == kind for row in mine) for kind in OUTCOMES]
        lines.append((value, len(mine), *counts, sum(len(row["missed"]) for row in mine)))
    return markdown((by, "torsos", *OUTCOMES, "bodies missed"), lines)


def reliability(rows: Sequence[Json]) -> tuple[str, float]:
    """The names' probability against how often they are right, and the expected calibration error, of those named."""
    pairs = [
        (float(row["probability"]), outcome(row).startswith("right"))
        for row in rows
        if row.get("probability") is not None and outcome(row) not in ("withheld", "refused")
    ]
    edges = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0001)
    lines, error = [], 0.0
    for low, high in pairwise(edges):
        mine = [(p, right) for p, right in pairs if low <= p < high]
        if mine:
            said, true = (float(np.mean([pair[k] for pair in mine])) for k in (0, 1))
            error += len(mine) / len(pairs) * abs(said - true)
            lines.append((f"{low:.2f} to {min(high, 1):.2f}", len(mine), f"{said:.3f}", f"{true:.3f}"))
    return markdown(("P(names)", "torsos", "mean P", "right"), lines), error


def report(rows: Sequence[Json]) -> str:
    """All tables of a run."""
    wrong = sum(outcome(row) == "WRONG" for row in rows)
    estimate = clopper_pearson(wrong, len(rows))
    parts = [
        "# Names by counting, on unseen virtual torsos (simulated)",
        f"{len(rows)} torsos; wrong names without a doubt: {estimate.text(2, 100)} %.",
        *(table(rows, by) for by in ("family", "people", "field", "numbering")),
    ]
    # Probabilities speak of people as they are met; where variants are as common as not, they must be too high.
    for who in sorted({row["people"] for row in rows}):
        text, error = reliability([row for row in rows if row["people"] == who])
        parts += [f"{who.capitalize()}: expected calibration error {error:.3f}.", text]
    return "\n\n".join(parts) + "\n"


def main(
    out: Annotated[Path, typer.Option(help="folder for torsos.jsonl and counting.md")],
    torsos: Annotated[int, typer.Option(help="of each family and kind of people")] = 90,
    first: Annotated[int, typer.Option(help="number of the first torso; the seed goes with it")] = 0,
    families: str = "a,b",
    people: str = "population,variants",
    recipe: str = "house",
) -> None:
    """Names torsos and writes the tables."""
    from trabecula.recipes import recipe_named

    localise = recipe_named(recipe).localise
    out.mkdir(parents=True, exist_ok=True)
    path = out / "torsos.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["number"], row["family"], row["people"]) for row in rows}
    with path.open("a") as file:
        for key in _wanted(range(first, first + torsos), families.split(","), people.split(",")):
            if key not in done:
                rows.append(one_torso(key[0], localise, *key[1:]))
                print(json.dumps(rows[-1]), file=file, flush=True)
    (out / "counting.md").write_text(report(rows))
    print(report(rows))


def _wanted(torsos: Sequence[int], families: Sequence[str], people: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    for number in torsos:
        for family in families:
            for kind in people:
                yield number, family, kind


if __name__ == "__main__":
    typer.run(main)
