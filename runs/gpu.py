"""Trains networks of the house and of Niu 2023 within minutes on a machine with a GPU and many processor cores.

It needs Python 3.11 or later with torch, numpy, scipy, safetensors, onnx and typer, and no internet. Cores are the
bottleneck, not the GPU: they first simulate people for as long as they are told, then make samples of them.

    python runs/gpu.py simulate house-counter --work /tmp/work --seconds 150
    python runs/gpu.py learn house-counter --work /tmp/work --seconds 300 --out OUT
    python runs/gpu.py export house-counter --weights OUT --work /tmp/work

The last command may run elsewhere: it simulates the people who judge again, from their seeds.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from trabecula.cohort.case import Case, validation_split
from trabecula.cohort.read import read_cohort
from trabecula.training.batches import batches, validation_batches
from trabecula.training.loop import BEST, LOG, WEIGHTS, Judge, Schedule, best_of, load_weights, train
from trabecula.training.run import MEASURED_BATCHES, describe, write_weights
from trabecula.training.samples.shards import make_shards, shard_path
from trabecula.training.start import Start, begin, starts
from trabecula.training.task import Task
from trabecula.training.tasks import task_for

app = typer.Typer(add_completion=False)

LOOKED_AT = 96
"""Samples of those who judge, looked at every ``JUDGE_EVERY`` steps: reading them is work for one core."""

JUDGE_EVERY = 600


@dataclass(frozen=True)
class Setting:
    """How a network is trained here. ``people`` at most are simulated; samples are seen ``batch`` at a time."""

    people: int
    batch: int
    learning_rate: float
    shipped: bool
    settle_after: float = 0.85


SETTINGS = {
    "house-counter": Setting(people=6000, batch=8, learning_rate=1e-3, shipped=True),
    "house-segmenter": Setting(people=400, batch=8, learning_rate=1e-3, shipped=True),
    "niu2023-segmenter": Setting(people=400, batch=4, learning_rate=1.5e-3, shipped=True),
}

Names = Annotated[list[str], typer.Argument(help=f"Of {', '.join(SETTINGS)}.")]
Work = Annotated[Path, typer.Option("--work", help="Shards, checkpoints and logs; what is there is gone on with.")]

Out = Annotated[Path, typer.Option("--out", help="Where the weights and the log are left.")]
Given = Annotated[Path, typer.Option("--weights", help="Where they were left.")]


@app.command()
def simulate(names: Names, work: Work, seconds: float = 100, cores: int = os.cpu_count() or 2) -> None:
    """Cut shards, those who judge first, until the time is up."""
    for name in names:
        task = task_for(name)
        training, judging = people(name)
        few = judging[: max(24, SETTINGS[name].people // 60)]
        shards(task, few, work, cores)
        ends, at, step = time.monotonic() + seconds, 0, 8 * cores
        while time.monotonic() < ends and at < len(training):
            shards(task, training[at : at + step], work, cores)
            at += step
        learners, judges = (len(made(task, cases, work)) for cases in (training, judging))
        say(f"{name}: {learners} people to learn from, {judges} to judge by")


@app.command()
def learn(name: str, work: Work, out: Out, seconds: float = 300, workers: int = 15, device: str = "auto") -> None:
    """Train a network on what was simulated and leave its weights and log in ``out``."""
    task, setting = fitted(name)
    training, judging = people(name)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    torch.manual_seed(task.seed)
    torch.backends.cudnn.benchmark = True
    start = started(task) if setting.shipped else None
    schedule = Schedule(
        steps=200_000,
        learning_rate=setting.learning_rate,
        warmup=100,
        minutes=seconds / 60,
        save_every=1000,
        settle_after=setting.settle_after,
        judge_every=JUDGE_EVERY,
    )
    held_out = validation_batches(task, made(task, judging, work), LOOKED_AT // task.batch)
    folder = work / name
    train(
        begin(task, start).to(device),
        batches(task, made(task, training, work), 0, workers),
        task.loss,
        schedule,
        folder,
        device,
        Judge(lambda network: task.score(network, held_out), task.rule.figure, task.rule.better),
        lambda line: say(f"{name}: {line}") if "validation" in line or line.split()[1].endswith("00") else None,
    )
    out.mkdir(parents=True, exist_ok=True)
    for file in (WEIGHTS, LOG, "schedule.json"):
        (out / f"{name}.{file}").write_bytes((folder / file).read_bytes())
    about = {"trained_on": len(made(task, training, work)), "judged_by": len(made(task, judging, work))}
    about |= {"setting": asdict(setting), "start": start.sha256 if start else ""}
    (out / f"{name}.json").write_text(json.dumps(about, indent=1))
    say(f"{name}: {best_of(folder)}")


@app.command()
def export(name: str, work: Work, weights: Given, cores: int = 2) -> None:
    """Write the ONNX file and its manifest entry into ``work/weights``."""
    task, setting = fitted(name)
    about = json.loads((weights / f"{name}.json").read_text())
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in (WEIGHTS, "schedule.json"):
        (folder / file).write_bytes((weights / f"{name}.{file}").read_bytes())
    (folder / BEST).write_bytes((folder / WEIGHTS).read_bytes())  # its figures go with it
    judging = people(name)[1][: about["judged_by"]]
    shards(task, judging, work, cores)
    network = load_weights(task.network(), folder)
    cohort = read_cohort(f"virtual:{setting.people}", judging=False)
    counts = {"cases": about["trained_on"] + about["judged_by"], "left_out": 0}
    counts |= {one: about[one] for one in ("trained_on", "judged_by")}
    entry = describe(task, network, folder, cohort, counts)
    entry |= {"start": {"given": "shipped", "sha256": about["start"]}} if about["start"] else {}
    entry |= {"trained_by": f"python runs/gpu.py simulate {name}; python runs/gpu.py learn {name}"}
    measured = MEASURED_BATCHES["full"] * task_for(name).batch // task.batch
    write_weights(task, network, made(task, judging, work), work / "weights", measured, entry)
    print(work / "weights" / f"{name}.onnx")


def fitted(name: str) -> tuple[Task, Setting]:
    """The training of a network with the batch of this run."""
    return replace(task_for(name), batch=SETTINGS[name].batch), SETTINGS[name]


def started(task: Task) -> Start:
    """Where the shipped network begins."""
    return starts("shipped", (task,))[task.weights]


def people(name: str) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Those to learn from and those to judge by."""
    return validation_split(read_cohort(f"virtual:{SETTINGS[name].people}", judging=False).cases)


def shards(task: Task, cases: tuple[Case, ...], work: Path, cores: int) -> None:
    """Cuts what is missing."""
    make_shards(task.kind, cases, work / "shards" / task.kind.name, cores, lambda done, total: None)


def made(task: Task, cases: tuple[Case, ...], work: Path) -> tuple[Path, ...]:
    """The shards that there are."""
    paths = [shard_path(work / "shards" / task.kind.name, case) for case in cases]
    return tuple(path for path in paths if path.exists())


def say(line: str) -> None:
    """A line at once."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    app()
