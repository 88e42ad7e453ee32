"""How right the default recipe's number is on unseen virtual people, and whether its intervals hold: simulated.

    python tools/number.py --family b --seed 983000 --persons 12 --out runs/number-b.jsonl

Each person is scanned once by a protocol drawn as in practice (slices of 1.25 mm and more, for speed) over T10 to L4
and held against what QCT would read. Rows are kept as JSON lines, so that an interrupted run goes on where it stopped.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from trabecula.anatomy import Level
from trabecula.recipes import recipe_named
from trabecula.records import Acquisition, Scan
from trabecula.screen import screen
from trabecula.virtual.cohort import scan_patient
from trabecula.virtual.families import sample_person
from trabecula.virtual.qct import read_qct
from trabecula.virtual.scanner import sample_protocol
from trabecula.volume import Orientation

FIELDS = ((Level.T11, Level.L3), (Level.T12, Level.L4), (Level.T10, Level.L3))
Json = dict[str, Any]


def examine(number: int, seed: int, family: str) -> Json:
    """One person's row: what was read of each level and of the mean, and what is true."""
    seed += number
    rng = np.random.default_rng([seed, 6])
    # Every second density is uniform, so that both bands and the normal range are met.
    person = sample_person(seed, float(rng.uniform(30, 220)) if number % 2 else None, family=family)
    drawn = replace(sample_protocol(rng), flips=(False,) * 3)
    coarse = {name: max(getattr(drawn, name), 1.25) for name in ("thickness_mm", "increment_mm")}
    protocol = replace(drawn, pixel_mm=max(drawn.pixel_mm, 0.75), **coarse)
    ct = scan_patient(person, protocol, *FIELDS[number % len(FIELDS)])
    header = Acquisition("virtual", tube_voltage_kvp=float(protocol.kvp), slice_thickness_mm=protocol.thickness_mm)
    found = screen(Scan(ct.volume, Orientation(), header), recipe_named("house"))
    line, mean = read_qct(ct).line, found.diagnosis.density
    levels = []
    for one in found.readings.vertebrae:
        body = min(person.spine, key=lambda v: float(np.linalg.norm(np.array(v.centre_lps_mm) - one.centroid_lps_mm)))
        if one.density is not None and body.name in {level.value for level in ct.truth} and one.level == body.name:
            true = ct.truth[Level(body.name)].bmd_qct_region_k2hpo4
            by_own_line = line.bmd_mg_cm3(one.read_hu or one.mean_hu) - found.calibration.contrast_rise
            levels.append([one.level, true, one.density.value, *one.density.interval, by_own_line])
    return {
        "person": number,
        "phase": person.phase,
        "told_phase": found.calibration.facts.get("contrast_phase"),
        "kvp": protocol.kvp,
        "true": float(np.mean([ct.truth[level].bmd_qct_region_k2hpo4 for level in (Level.L1, Level.L2)])),
        "read": None if mean is None else [mean.value, *mean.interval],
        "candidates": [str(one) for one in found.diagnosis.candidates],
        "levels": levels,
    }


def summary(rows: list[Json]) -> str:
    """Bias, deviation and coverage."""
    lines = []
    groups: dict[str, Callable[[Json], bool]] = {
        "all": lambda row: True,
        "plain": lambda row: row["phase"] == "none",
        "enhanced": lambda row: row["phase"] != "none",
    }
    for name, chosen in groups.items():
        read = [(row["read"], row["true"]) for row in rows if row["read"] and chosen(row)]
        if read:
            errors = np.array([value[0] - true for value, true in read])
            held = np.mean([value[1] <= true <= value[2] for value, true in read])
            lines.append(f"{name}: {len(read)} means, {errors.mean():+.1f} (SD {errors.std():.1f}), held {held:.1%}")
    levels = [level for row in rows for level in row["levels"]]
    for name, column in (("levels", 2), ("levels by the scanner's own line", 5)):
        errors = np.array([level[column] - level[1] for level in levels])
        lines.append(f"{name}: {len(levels)}, {errors.mean():+.1f} (SD {errors.std():.1f})")
    lines.append(f"levels' intervals held: {np.mean([one[3] <= one[1] <= one[4] for one in levels]):.1%}")
    enhanced = [(row["phase"] != "none") == (row["told_phase"] != "plain") for row in rows]
    lines.append(f"contrast medium told rightly: {sum(enhanced)} of {len(rows)}")
    return "\n".join(lines)


def main(
    family: Annotated[str, typer.Option()] = "a",
    seed: Annotated[int, typer.Option(help="Training starts at 100,000: stay above 900,000.")] = 973_000,
    persons: Annotated[int, typer.Option()] = 12,
    out: Annotated[Path, typer.Option()] = Path("runs/number.jsonl"),
) -> None:
    """Screens virtual people and prints how right the numbers are."""
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {row["person"] for row in rows}
    with out.open("a", encoding="utf-8") as file:
        for number in range(persons):
            if number not in done:
                rows.append(json.loads(json.dumps(examine(number, seed, family), default=float)))
                print(json.dumps(rows[-1]), file=file, flush=True)
    print(summary(rows))


if __name__ == "__main__":
    typer.run(main)
