"""Judges a recipe on unseen virtual patients: ``python -m trabecula.evaluation.virtual --recipe niu2023``.

Each patient is scanned under a random protocol, screened as any CT, and held against the exact truth. Every figure is
simulated accuracy. Patients are kept as JSON lines, so that an interrupted run goes on where it stopped.
"""

import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from trabecula.anatomy import LEVELS, Level
from trabecula.errors import TrabeculaError
from trabecula.evaluation.agreement import agreement
from trabecula.evaluation.diagnosis import auc, confusion
from trabecula.evaluation.overlap import dice
from trabecula.evaluation.tables import NIU2023_TEST, agreement_figures, beside, diagnosis_figures, markdown
from trabecula.flow.diagnose import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3
from trabecula.recipes import RECIPES
from trabecula.records import Acquisition, Assessment, Scan
from trabecula.screen import screen
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.scanner import sample_protocol
from trabecula.virtual.subject import sample_subject
from trabecula.volume import Orientation

TEST_SEED = 900_000
"""Training subjects are counted from 100,000: none is met again here."""

FIELDS = (
    (Level.T9, Level.L3),
    (Level.T8, Level.L5),
    (Level.T10, Level.S1),
    (Level.T8, Level.L3),
    (Level.L1, Level.L4),
)
"""Chest with upper abdomen, abdomen, abdomen with pelvis, chest, and a lumbar stretch with hardly a landmark."""

SAME_PLACE_MM = 12.0
"""A vertebra counts as found where something was found this near to it, along the spine."""

Json = dict[str, Any]


def one_patient(number: int, recipe: str, family: str = "a") -> Json:
    """Scans and screens test patient ``number``; a record of what was found and what was true."""
    seed = TEST_SEED + number
    rng = np.random.default_rng([seed, 6])
    # Every second patient's density is uniform, so that both bands and the normal range are met.
    subject = sample_subject(seed, float(rng.uniform(30, 220)) if number % 2 else None, family=family)
    top, bottom = FIELDS[number % len(FIELDS)]
    ct = scan_patient(subject, sample_protocol(rng), top, bottom)
    scan = Scan(ct.volume, Orientation(), Acquisition(source="virtual", tube_voltage_kvp=float(ct.protocol.kvp)))
    made = RECIPES[recipe]()
    about: Json = {
        "patient": number,
        "family": family,
        "sex": subject.sex,
        "age_years": round(subject.age_years),
        "phase": subject.phase,
        "kvp": ct.protocol.kvp,
        "numbering": subject.numbering,
        "thickness_mm": ct.protocol.thickness_mm,
        "noise_hu": round(ct.protocol.noise_hu, 1),
        "in_view": [top, bottom],
    }
    started = time.perf_counter()
    try:
        assessment = screen(scan, made)
    except TrabeculaError as error:
        return {**about, "refused": error.code, "levels": [], "invented": []}
    whole = LEVELS[LEVELS.index(top) : LEVELS.index(bottom) + 1]
    wanted = [level for level in whole if level in made.settings["levels"] and (ct.trabecular == level.verse_id).any()]
    return {
        **about,
        "seconds": round(time.perf_counter() - started, 2),
        "reasons": [reason.code for reason in assessment.reasons],
        "blood_hu": assessment.densities.calibration.get("blood_hu"),
        "invented": _invented(assessment, ct),
        "levels": [_level(level, assessment, ct) for level in wanted],
        "mean_bmd": assessment.diagnosis.bmd_mg_cm3,
        "true_mean_bmd": float(np.mean([ct.bmd[Level.L1], ct.bmd[Level.L2]])),
    }


def _level(level: Level, assessment: Assessment, ct: VirtualCt) -> Json:
    true = ct.trabecular == level.verse_id
    spacing = ct.volume.spacing_mm[0]
    middle = np.argwhere(true).mean(axis=0)
    off = {box.level: abs(box.centre_zx[0] - middle[0]) * spacing for box in assessment.spine.vertebrae}
    nearest = min(off, key=lambda name: off[name], default=None)
    findings = [k for k, v in asdict(ct.subject.vertebra(level).findings).items() if v and k != "schmorl_upper"]
    record: Json = {"level": level, "true_bmd": round(ct.bmd[level], 2), "findings": findings}
    if nearest is None or off[nearest] > SAME_PLACE_MM:
        return {**record, "called": None, "dice": 0.0}
    density = assessment.densities.find(nearest)
    record["called"] = nearest
    record["off_mm"] = round(off[nearest], 1)
    record["dice"] = round(dice(assessment.regions.labels == nearest.verse_id, true), 4)
    if density is not None:
        apart = np.asarray(density.centroid_lps_mm) - ct.volume.to_lps(middle)
        record |= {
            "bmd": density.bmd_mg_cm3,
            "mean_hu": round(density.mean_hu, 1),
            "true_mean_hu": round(float(ct.volume.hu[true].mean()), 1),
            "centroid_off_mm": round(float(np.linalg.norm(apart)), 1),
            "withheld": [reason.code for reason in density.reasons] if density.bmd_mg_cm3 is None else [],
        }
    return record


def _invented(assessment: Assessment, ct: VirtualCt) -> list[str]:
    """Vertebrae measured where none is."""
    bodies = [np.asarray(vertebra.centre_lps_mm) for vertebra in ct.subject.spine]
    return [
        str(v.level)
        for v in assessment.densities.vertebrae
        if v.measurable and min(np.linalg.norm(body - v.centroid_lps_mm) for body in bodies) > SAME_PLACE_MM
    ]


def summary(records: list[Json]) -> dict[str, str]:
    """The figures of a run, by the names that the published ones have."""
    levels = [level for record in records for level in record["levels"]]
    found = [level for level in levels if level["called"] is not None]
    named = [level for level in found if not level["called"].startswith("unknown")]
    right = [level for level in named if level["called"] == level["level"]]
    overlaps = np.array([level["dice"] for level in levels])
    patients = np.array([np.mean([level["dice"] for level in r["levels"]]) for r in records if r["levels"]])
    figures = {
        "Localisation recall": f"{_percent(len(found), len(levels))}",
        "Localisation precision": f"{_percent(len(found), len(found) + sum(len(r['invented']) for r in records))}",
        "Names right, of those given": _percent(len(right), len(named)),
        "Names not given": _percent(len(found) - len(named), len(found)),
        "Dice, mean": f"{overlaps.mean():.3f} (median {np.median(overlaps):.3f})",
        "Dice, share above 0.9": f"{(patients > 0.9).mean():.1%} (of vertebrae {(overlaps > 0.9).mean():.1%})",
    }
    measured = [r for r in records if r.get("mean_bmd") is not None]
    figures["Patients with a number"] = f"{len(measured)} of {len(records)}"
    bmd, true = (np.array([r[key] for r in measured]) for key in ("mean_bmd", "true_mean_bmd"))
    figures |= agreement_figures(agreement(bmd, true))
    for name, cut in (("Osteoporosis", OSTEOPOROSIS_BELOW_MG_CM3), ("Abnormal", NORMAL_ABOVE_MG_CM3)):
        ill, called = (true < cut, bmd < cut) if name == "Osteoporosis" else (true <= cut, bmd <= cut)
        figures |= diagnosis_figures(name, confusion(called, ill), auc(-bmd, ill))
    figures["Seconds a case"] = (
        f"{np.median([r['seconds'] for r in records if 'seconds' in r]):.1f} (two at a time on two CPU cores, warm)"
    )
    return figures


def _percent(part: int, of: int) -> str:
    return f"{part / of:.1%} ({part}/{of})" if of else "none"


def groups(records: list[Json]) -> str:
    """Vertebrae by what may make them hard, as a Markdown table."""
    sorts: dict[str, Callable[[Json, Json], list[str]]] = {
        "level": lambda r, v: [v["level"]],
        "in view": lambda r, v: [" to ".join(r["in_view"])],
        "slices": lambda r, v: ["to 1.5 mm" if r["thickness_mm"] <= 1.5 else f"{r['thickness_mm']:g} mm"],
        "tube voltage": lambda r, v: [f"{r['kvp']} kVp"],
        "contrast": lambda r, v: [r["phase"]],
        "numbering": lambda r, v: [r["numbering"]],
        "finding": lambda r, v: [name.removesuffix("_mm").replace("_", " ") for name in v["findings"]] or ["none"],
    }
    rows = []
    for sort, of in sorts.items():
        members: dict[str, list[Json]] = {}
        for record in records:
            for vertebra in record["levels"]:
                for name in of(record, vertebra):
                    members.setdefault(name, []).append(vertebra)
        for name, some in sorted(members.items()):
            found = [v for v in some if v["called"] is not None]
            named = [v for v in found if not v["called"].startswith("unknown")]
            errors = np.array([v["bmd"] - v["true_bmd"] for v in some if v.get("bmd") is not None])
            rows.append(
                (
                    f"{sort}: {name}",
                    len(some),
                    _percent(len(found), len(some)),
                    _percent(sum(v["called"] == v["level"] for v in named), len(named)),
                    len(found) - len(named),
                    f"{np.mean([v['dice'] for v in some]):.3f}",
                    f"{errors.mean():+.1f} ({errors.std():.1f})" if errors.size else "-",
                )
            )
    return markdown(("vertebrae", "n", "found", "named right", "unnamed", "Dice", "BMD error, mean (SD)"), rows)


def page(records: list[Json], recipe: str, command: str) -> str:
    """The results page, published figures beside ours, the groups, and a row a vertebra."""
    published = {"Localisation recall": "100%", "Localisation precision": "100%", **NIU2023_TEST}
    rows = []
    for r in records:
        for v in r["levels"]:
            rows.append(
                (r["patient"], f"{r['sex']} {r['age_years']}", f"{r['thickness_mm']:g}", r["noise_hu"], r["phase"])
                + (v["level"], v["called"] or "-", v["dice"], round(v["true_bmd"]))
                + ("-" if v.get("bmd") is None else round(v["bmd"]), " ".join(v.get("withheld", [])))
            )
    heads = ("patient", "who", "slice mm", "noise", "contrast", "level", "called", "Dice", "true", "BMD", "withheld")
    refused = [f"{r['patient']} ({r['refused']})" for r in records if "refused" in r]
    return (
        f"# {recipe} on {len(records)} unseen virtual patients\n\n"
        "**Simulated accuracy**: virtual patients, not people; the truth is exact, the anatomy is ours. "
        f"Made by `{command}`.\n\n"
        + beside(published, summary(records), ("figure", "Niu 2023, 100 patients", "ours, simulated"))
        + f"\n\nA vertebra counts as found within {SAME_PLACE_MM:.0f} mm along the spine; those from the first to the "
        "last level in view count. The mean BMD is that of L1 and L2 or their substitute, mg/cm3 K2HPO4-equivalent. "
        f"Refused: {', '.join(refused) or 'none'}.\n\n" + groups(records) + "\n\n" + markdown(heads, rows) + "\n"
    )


def main(
    recipe: Annotated[str, typer.Option()] = "niu2023",
    patients: Annotated[int, typer.Option()] = 40,
    workers: Annotated[int, typer.Option()] = 2,
    family: Annotated[str, typer.Option(help="Generator family: a, or b, which no training ever saw.")] = "a",
    out: Annotated[Path, typer.Option()] = Path("docs/results/niu2023-virtual"),
) -> None:
    """Screens virtual patients and writes OUT.md, OUT.jsonl and the plots beside it."""
    from rich.progress import track

    from trabecula.evaluation import plots

    lines = out.with_suffix(".jsonl")
    lines.parent.mkdir(parents=True, exist_ok=True)
    records = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    done = {record["patient"] for record in records}
    missing = [number for number in range(patients) if number not in done]
    with lines.open("a", encoding="utf-8") as file, ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(one_patient, number, recipe, family) for number in missing]
        for job in track(as_completed(jobs), description="virtual patients", total=len(jobs)):
            records.append(json.loads(json.dumps(job.result())))
            print(json.dumps(records[-1]), file=file, flush=True)
    records.sort(key=lambda record: int(record["patient"]))
    command = f"python -m trabecula.evaluation.virtual --recipe {recipe} --patients {patients} --family {family}"
    out.with_suffix(".md").write_text(page(records, recipe, command), encoding="utf-8")
    measured = [r for r in records if r.get("mean_bmd") is not None]
    bmd, true = (np.array([r[key] for r in measured]) for key in ("mean_bmd", "true_mean_bmd"))
    title = f"{recipe}, {len(measured)} virtual patients, simulated"
    plots.save(plots.scatter(bmd, true, title=title), out.with_name(out.name + "-scatter.png"))
    plots.save(plots.bland_altman(bmd, true, title=title), out.with_name(out.name + "-bland-altman.png"))


if __name__ == "__main__":
    typer.run(main)
