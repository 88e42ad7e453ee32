"""Trains what a recipe runs on, from a cohort to exported weights: ``trabecula train RECIPE COHORT --out DIR``.

    DIR/training.json              what was asked for; only the same is taken up again
    DIR/shards/KIND/CASE.npz       what samples are drawn from
    DIR/WEIGHTS/                   checkpoint, log, curves.csv, curves.svg, weights.safetensors
    DIR/weights/WEIGHTS.onnx       the exported networks, with manifest.json as Trabecula itself has it

It needs torch, numpy, scipy, safetensors and onnx, and nothing else (niu2023-localiser torchvision as well).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trabecula import __version__
from trabecula.causes import cause_of
from trabecula.cohort.case import Case, Cohort, validation_split
from trabecula.errors import wrong_usage
from trabecula.lock import one_run
from trabecula.messages import Phrase
from trabecula.recipes import recipe_named
from trabecula.training import curves
from trabecula.training.batches import batches, validation_batches
from trabecula.training.export import export
from trabecula.training.fit import require_fitting
from trabecula.training.loop import Judge, Schedule, best_of, load_weights, record_of, steps_done, train
from trabecula.training.needs import class_empty, lacking, require_brought
from trabecula.training.samples.shards import LeftOut, make_shards, read_shard, shard_path
from trabecula.training.start import Start, begin, starts
from trabecula.training.task import Task
from trabecula.training.tasks import task_for
from trabecula.view import Classes

PRESETS = ("small", "full")
VALIDATION_BATCHES = {"small": 2, "full": 32}
MEASURED_BATCHES = {"small": 2, "full": 150}
PARITY_INPUTS = 4

FINE_TUNING = 0.1
"""The share of a learning rate at which trained weights are gone on from."""

Tell = Callable[[Phrase], None]


@dataclass(frozen=True)
class Wanted:
    """How to train. ``only`` some of the recipe's weights; ``workers`` processes cut shards and make batches.

    ``steps`` are fewer than the preset's, to try what a machine can do. ``start`` is what to go on from: ``shipped``,
    or a folder of weights.
    """

    preset: str = "full"
    device: str = "auto"
    only: tuple[str, ...] = ()
    workers: int = 0
    resume: bool = False
    steps: int | None = None
    start: str | None = None

    def schedule(self, task: Task) -> Schedule:
        """That of the preset, ended early where ``steps`` says so, and slower where it goes on from trained weights."""
        chosen = task.schedules[self.preset]
        if self.steps is not None:
            chosen = replace(chosen, steps=min(self.steps, chosen.steps))
        if self.start is None:
            return chosen
        rate = FINE_TUNING * chosen.learning_rate
        return replace(chosen, learning_rate=rate, settle_after=1.0, continued=True)


def train_recipe(recipe_name: str, cohort: Cohort, out: Path, wanted: Wanted, tell: Tell) -> dict[str, dict[str, Any]]:
    """Trains and exports; the manifest entries of what was trained, by name.

    Raises:
        WrongUsage: no such recipe, weights, preset, device or start; ``out`` holds something else, or another process
            is at it; the cohort lacks what a network is to learn.
        Defect: an export does not answer as what was trained.
    """
    tasks = tasks_of(recipe_name, wanted.only)
    device = device_named(wanted.device)
    if wanted.preset not in PRESETS:
        raise wrong_usage("unknown-preset", name=wanted.preset, choices=tuple(PRESETS))
    training, judging = validation_split(cohort.cases)
    for task in tasks:
        require_fitting(recipe_named(recipe_name, trained=False), task.weights, task.head)
        if task.needs is not None:
            require_brought(task.needs, task.weights, task.head, training, judging)
    found = {} if wanted.start is None else starts(wanted.start, tasks)
    for task in tasks:
        begin(task, found.get(task.weights))  # what cannot be gone on from is refused before anything is cut
    _claim(out, recipe_name, cohort, wanted, found)
    tell(Phrase("train-cases", {"training": len(training), "judging": len(judging), "device": device}))
    entries = {}
    with one_run(out):
        for task in tasks:
            left_out = list(_shards(task, (*training, *judging), out, wanted, tell))
            paths = [_usable(task, cases, out, left_out, tell) for cases in (training, judging)]
            _require_shown(task, paths[0], paths[1])
            start = found.get(task.weights)
            _learn(task, start, paths[0], paths[1], out, wanted, device, tell)
            entries[task.weights] = _export(task, start, paths, out, recipe_name, cohort, wanted, len(left_out))
            tell(_of(task, Phrase("train-exported", {"path": str(out / "weights" / f"{task.weights}.onnx")})))
    return entries


def tasks_of(recipe_name: str, only: tuple[str, ...]) -> tuple[Task, ...]:
    """The trainings of the weights that a recipe runs on, or of those of them that are named.

    Raises:
        WrongUsage: there is no such recipe or training, or the recipe does not run on what is named.
    """
    weights = recipe_named(recipe_name, trained=False).weights
    foreign = [name for name in only if name not in weights]
    if foreign:
        raise wrong_usage("not-of-recipe", recipe=recipe_name, foreign=foreign, weights=weights)
    return tuple(task_for(name) for name in weights if not only or name in only)


def device_named(name: str) -> str:
    """``auto`` is a GPU where there is one.

    Raises:
        WrongUsage: ``unknown-device``: torch has none of this name here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise wrong_usage("unknown-device", name=name) from error
    return name


def _claim(
    out: Path, recipe_name: str, cohort: Cohort, wanted: Wanted, found: Mapping[str, Start] | None = None
) -> None:
    """Notes what is trained; refuses a folder that holds something else, or the same without ``resume``."""
    note = out / "training.json"
    asked = {
        "schema": "trabecula.training/1",
        "version": __version__,
        "recipe": recipe_name,
        "preset": wanted.preset,
        "steps": wanted.steps,
        "cohort": cohort.name,
        "cohort_digest": cohort.digest,
        "cases": len(cohort.cases),
        **({"start": {name: start.sha256 for name, start in found.items()}} if found else {}),
    }
    if note.exists():
        try:
            noted = json.loads(note.read_text(encoding="utf-8"))
        except ValueError:
            noted = None
        if noted != asked:
            raise wrong_usage("other-training", path=str(out))
        if not wanted.resume:
            raise wrong_usage("training-begun", path=str(out))
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise wrong_usage("output-not-empty", path=str(out))
    try:
        out.mkdir(parents=True, exist_ok=True)
        partial = out / "training.part"
        partial.write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")
        partial.rename(note)
    except OSError as error:
        raise wrong_usage("output-unwritable", path=str(out), cause=cause_of(error)) from error


def _shards_of(task: Task, out: Path) -> Path:
    return out / "shards" / task.kind.name


def _shards(task: Task, cases: tuple[Case, ...], out: Path, wanted: Wanted, tell: Tell) -> tuple[LeftOut, ...]:
    def progress(done: int, total: int) -> None:
        if done in (0, total) or done % max(1, total // 10) == 0:
            tell(_of(task, Phrase("train-shards", {"done": done, "total": total, "kind": task.kind.name})))

    left_out = make_shards(task.kind, cases, _shards_of(task, out), max(1, wanted.workers), progress)
    for one in left_out:
        tell(_of(task, Phrase("train-left-out", {"case": one.phrase})))
    return left_out


def _usable(task: Task, cases: tuple[Case, ...], out: Path, left_out: list[LeftOut], tell: Tell) -> tuple[Path, ...]:
    """The shards of the cases that bring what the network learns from; the other cases are told and noted."""
    found = []
    for case in cases:
        path = shard_path(_shards_of(task, out), case)
        if not path.exists():
            continue
        if task.needs is None or task.needs.shard(read_shard(path)):
            found.append(path)
        else:
            left_out.append(lacking(task.needs, case))
            tell(_of(task, Phrase("train-left-out", {"case": left_out[-1].phrase})))
    return tuple(found)


def _require_shown(task: Task, training: tuple[Path, ...], judging: tuple[Path, ...]) -> None:
    """Refuses a cohort in which a class has nobody, or whose validation cases were all left out."""
    if not training:
        raise wrong_usage("no-shards", weights=task.weights)
    if not judging:
        raise wrong_usage("no-shards.judging", weights=task.weights)
    if task.seen is None or not isinstance(task.head, Classes):
        return
    shown: set[str] = set()
    for path in training:
        shown |= task.seen(read_shard(path))
        if shown >= set(task.head.names):
            return
    raise class_empty(task.weights, [name for name in task.head.names if name not in shown])


def _of(task: Task, said: Phrase) -> Phrase:
    return Phrase("train-of", {"weights": task.weights, "said": said})


def _learn(
    task: Task,
    start: Start | None,
    training: tuple[Path, ...],
    judging: tuple[Path, ...],
    out: Path,
    wanted: Wanted,
    device: str,
    tell: Tell,
) -> None:
    """Trains, or goes on, and draws the curves."""
    folder = out / task.weights
    torch.manual_seed(task.seed)
    held_out = validation_batches(task, judging, VALIDATION_BATCHES[wanted.preset])
    judge = Judge(lambda network: task.score(network, held_out), task.rule.figure, task.rule.better)
    train(
        begin(task, start).to(device),
        batches(task, training, steps_done(folder)[0], wanted.workers),
        task.loss,
        wanted.schedule(task),
        folder,
        device,
        judge,
        lambda said: tell(_of(task, said)),
    )
    curves.write_curves(folder, task.rule.figure)


def _export(
    task: Task,
    start: Start | None,
    paths: list[tuple[Path, ...]],
    out: Path,
    recipe_name: str,
    cohort: Cohort,
    wanted: Wanted,
    left_out: int,
) -> dict[str, Any]:
    """Exports the best checkpoint with all that is known of it. ``paths``: shards to train on and to judge by."""
    training, judging = paths
    folder = out / task.weights
    network = load_weights(task.network(), folder)
    counts = {"cases": len(cohort.cases), "left_out": left_out}
    counts |= {"trained_on": len(training), "judged_by": len(judging)}
    about = {
        **describe(task, network, folder, cohort, counts),
        **({} if start is None else {"start": {"given": wanted.start, "sha256": start.sha256}}),
        "trained_by": f"trabecula train {recipe_name} {cohort.given} --preset {wanted.preset} --only {task.weights}"
        + ("" if start is None else f" --from {wanted.start}"),
    }
    return write_weights(task, network, judging, out / "weights", MEASURED_BATCHES[wanted.preset], about)


def describe(task: Task, network: nn.Module, folder: Path, cohort: Cohort, counts: Mapping[str, int]) -> dict[str, Any]:
    """What the manifest tells of a network trained in ``folder``; ``counts`` of cases, by what they were for."""
    figures = best_of(folder)
    error_sd = figures.get("error_sd")
    return {
        "network": {"kind": type(network).__name__, "parameters": sum(one.numel() for one in network.parameters())},
        **({} if error_sd is None else {"error_sd": float(f"{error_sd:.4g}")}),
        "figures": {
            "on": f"{counts['judged_by']} validation cases{', simulated' if cohort.simulated else ''}",
            **{name: float(f"{value:.4g}") for name, value in figures.items()},
        },
        "kept_by": {"figure": task.rule.figure, "highest": task.rule.highest, "source": task.rule.source},
        "data": {
            "cohort": cohort.name,
            "digest": cohort.digest,
            **counts,
            "seed": task.seed,
            "generator": cohort.generator,
            "family": cohort.family,
        },
        "version": __version__,
        "schedule": record_of(folder),
    }


def write_weights(
    task: Task, network: nn.Module, judging: tuple[Path, ...], folder: Path, measured: int, about: Mapping[str, Any]
) -> dict[str, Any]:
    """The ONNX file and its manifest entry in ``folder``; ``measured`` batches say what answers are worth."""
    head = task.head
    if task.measure is not None:
        head = task.measure(task, network, validation_batches(task, judging, measured))
    path = folder / f"{task.weights}.onnx"
    return export(task.graph(network), _parity_inputs(task, judging), path, task.view, head, about)


def _parity_inputs(task: Task, judging: tuple[Path, ...]) -> list[Tensor]:
    """Samples of the validation cases, each by itself and of the shape that the exported network takes."""
    images = [image for batch in validation_batches(task, judging, PARITY_INPUTS) for image in batch[0]]
    found = []
    for image in images[:PARITY_INPUTS]:
        shape = task.input_shape[-image.ndim :]
        part = image[tuple(slice(0, size) for size in shape)]
        whole = torch.zeros(shape)  # beyond the sample it is as dark as beyond the scan
        whole[tuple(slice(0, size) for size in part.shape)] = part
        found.append(whole.reshape(task.input_shape))
    return found
