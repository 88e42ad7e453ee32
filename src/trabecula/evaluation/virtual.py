"""Judges a recipe on unseen virtual patients: ``python -m trabecula.evaluation.virtual --recipe niu2023``.

Each patient is scanned under a random protocol, screened as any CT, and held against the exact truth. Every figure is
simulated accuracy. Patients are kept as JSON lines, so that an interrupted run goes on where it stopped.
"""

import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from trabecula.anatomy import Level
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

WANTED = (Level.T12, Level.L1, Level.L2)
FIELDS = ((Level.T9, Level.L3), (Level.T8, Level.L5), (Level.T10, Level.S1), (Level.T8, Level.L3))
"""Chest with upper abdomen, abdomen, abdomen with pelvis: the first and last level in view, in turn."""

Json = dict[str, Any]


def one_patient(number: int, recipe: str) -> Json:
    """Scans and screens test patient ``number``; a record of what was found and what was true."""
    seed = TEST_SEED + number
    rng = np.random.default_rng([seed, 6])
    # Every second patient's density is uniform, so that both bands and the normal range are met.
    subject = sample_subject(seed, float(rng.uniform(30, 220)) if number % 2 else None)
    top, bottom = FIELDS[number % len(FIELDS)]
    ct = scan_patient(subject, sample_protocol(rng), top, bottom)
    scan = Scan(ct.volume, Orientation(), Acquisition(source="virtual", tube_voltage_kvp=float(ct.protocol.kvp)))
    about: Json = {
        "patient": number,
        "sex": subject.sex,
        "age_years": round(subject.age_years),
        "phase": subject.phase,
        "thickness_mm": ct.protocol.thickness_mm,
        "noise_hu": round(ct.protocol.noise_hu, 1),
        "in_view": [top, bottom],
    }
    started = time.perf_counter()
    try:
        assessment = screen(scan, RECIPES[recipe]())
    except TrabeculaError as error:
        return {**about, "refused": error.code, "levels": []}
    return {
        **about,
        "seconds": round(time.perf_counter() - started, 2),
        "reasons": [reason.code for reason in assessment.reasons],
        "blood_hu": assessment.densities.calibration.get("blood_hu"),
        "false_levels": _false_levels(assessment, ct),
        "levels": [_level(level, assessment, ct) for level in WANTED],
        "mean_bmd": assessment.diagnosis.bmd_mg_cm3,
        "true_mean_bmd": float(np.mean([ct.bmd[Level.L1], ct.bmd[Level.L2]])),
    }


def _level(level: Level, assessment: Assessment, ct: VirtualCt) -> Json:
    true = ct.trabecular == level.verse_id
    box, density = assessment.spine.find(level), assessment.densities.find(level)
    true_z = float(ct.volume.to_index(np.asarray(ct.subject.vertebra(level).centre_lps_mm))[0])
    spacing = ct.volume.spacing_mm[0]
    record: Json = {"level": level, "true_bmd": round(ct.bmd[level], 2)}
    record["found_off_mm"] = None if box is None else round(abs(box.centre_zx[0] - true_z) * spacing, 1)
    record["dice"] = round(dice(assessment.regions.labels == level.verse_id, true), 4) if true.any() else None
    if density is not None:
        off = np.asarray(density.centroid_lps_mm) - ct.volume.to_lps(np.argwhere(true).mean(axis=0))
        record |= {
            "bmd": density.bmd_mg_cm3,
            "mean_hu": round(density.mean_hu, 1),
            "true_mean_hu": round(float(ct.volume.hu[true].mean()), 1),
            "centroid_off_mm": round(float(np.linalg.norm(off)), 1),
            "withheld": [reason.code for reason in density.reasons] if density.bmd_mg_cm3 is None else [],
        }
    return record


def _false_levels(assessment: Assessment, ct: VirtualCt) -> list[str]:
    """Wanted levels that were named where another vertebra lies (over 12 mm off along the spine)."""
    wrong = []
    for level in WANTED:
        box = assessment.spine.find(level)
        if box is not None:
            true_z = ct.volume.to_index(np.asarray(ct.subject.vertebra(level).centre_lps_mm))[0]
            if abs(box.centre_zx[0] - true_z) * ct.volume.spacing_mm[0] > 12:
                wrong.append(level.value)
    return wrong


def summary(records: list[Json]) -> dict[str, str]:
    """The figures of a run, by the names that the published ones have."""
    levels = [level for record in records for level in record["levels"]]
    found = sum(level["found_off_mm"] is not None and level["found_off_mm"] <= 12 for level in levels)
    named = sum(level["found_off_mm"] is not None for level in levels)
    overlaps = np.array([level["dice"] or 0.0 for level in levels])
    patients = np.array([np.mean([level["dice"] or 0.0 for level in r["levels"]]) for r in records if r["levels"]])
    measured = [r for r in records if r.get("mean_bmd") is not None]
    bmd, true = (np.array([r[key] for r in measured]) for key in ("mean_bmd", "true_mean_bmd"))
    figures = {
        "Localisation recall": f"{found / (len(WANTED) * len(records)):.1%}",
        "Localisation precision": f"{found / max(named, 1):.1%}",
        "Dice, mean": f"{overlaps.mean():.3f} (median {np.median(overlaps):.3f})",
        "Dice, share above 0.9": f"{(patients > 0.9).mean():.1%} (of vertebrae {(overlaps > 0.9).mean():.1%})",
        "Patients with a number": f"{len(measured)} of {len(records)}",
    }
    figures |= agreement_figures(agreement(bmd, true))
    for name, cut in (("Osteoporosis", OSTEOPOROSIS_BELOW_MG_CM3), ("Abnormal", NORMAL_ABOVE_MG_CM3)):
        ill, called = (true < cut, bmd < cut) if name == "Osteoporosis" else (true <= cut, bmd <= cut)
        figures |= diagnosis_figures(name, confusion(called, ill), auc(-bmd, ill))
    figures["Seconds a case"] = (
        f"{np.median([r['seconds'] for r in records if 'seconds' in r]):.1f} (two at a time on two CPU cores, warm)"
    )
    return figures


def page(records: list[Json], recipe: str, command: str) -> str:
    """The results page, published figures beside ours and a row a patient."""
    published = {"Localisation recall": "100%", "Localisation precision": "100%", **NIU2023_TEST}
    rows = []
    for r in records:
        for level in r["levels"]:
            off = level["found_off_mm"]
            rows.append(
                (r["patient"], f"{r['sex']} {r['age_years']}", f"{r['thickness_mm']:g}", r["noise_hu"], r["phase"])
                + (level["level"], "-" if off is None else off, level["dice"], round(level["true_bmd"]))
                + ("-" if level.get("bmd") is None else round(level["bmd"]), " ".join(level.get("withheld", [])))
            )
    heads = ("patient", "who", "slice mm", "noise", "contrast", "level", "off mm", "Dice", "true", "BMD", "withheld")
    return (
        f"# {recipe} on {len(records)} unseen virtual patients\n\n"
        "**Simulated accuracy**: virtual patients, not people; the truth is exact, the anatomy is ours. "
        f"Made by `{command}`.\n\n"
        + beside(published, summary(records), ("figure", "Niu 2023, 100 patients", "ours, simulated"))
        + "\n\nA vertebra counts as found within 12 mm along the spine. The mean BMD is that of L1 and L2 or their "
        "substitute, mg/cm3 K2HPO4-equivalent.\n\n" + markdown(heads, rows) + "\n"
    )


def main(
    recipe: Annotated[str, typer.Option()] = "niu2023",
    patients: Annotated[int, typer.Option()] = 40,
    workers: Annotated[int, typer.Option()] = 2,
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
        jobs = [pool.submit(one_patient, number, recipe) for number in missing]
        for job in track(as_completed(jobs), description="virtual patients", total=len(jobs)):
            records.append(json.loads(json.dumps(job.result())))
            print(json.dumps(records[-1]), file=file, flush=True)
    records.sort(key=lambda record: int(record["patient"]))
    command = f"python -m trabecula.evaluation.virtual --recipe {recipe} --patients {patients}"
    out.with_suffix(".md").write_text(page(records, recipe, command), encoding="utf-8")
    measured = [r for r in records if r.get("mean_bmd") is not None]
    bmd, true = (np.array([r[key] for r in measured]) for key in ("mean_bmd", "true_mean_bmd"))
    title = f"{recipe}, {len(measured)} virtual patients, simulated"
    plots.save(plots.scatter(bmd, true, title=title), out.with_name(out.name + "-scatter.png"))
    plots.save(plots.bland_altman(bmd, true, title=title), out.with_name(out.name + "-bland-altman.png"))


if __name__ == "__main__":
    typer.run(main)
