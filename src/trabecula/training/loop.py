"""The one training loop: steps, a cosine-like descent, bf16, validation, checkpoints that it resumes from."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trabecula.messages import Phrase

CHECKPOINT, BEST, WEIGHTS, LOG = "checkpoint.safetensors", "best.safetensors", "weights.safetensors", "log.jsonl"


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn. ``minutes`` ends a run early, the learning rate having fallen by then."""

    steps: int
    learning_rate: float
    weight_decay: float = 1e-4
    warmup: int = 50
    minutes: float | None = None
    save_every: int = 100
    bf16: bool = True  # where the device works in it by itself
    settle_after: float = 1.0  # share of the run after which batch normalisation keeps its statistics
    judge_every: int = 200  # steps between two looks at the validation cases
    continued: bool = False  # of trained weights: judged before the first step, and they keep their statistics


@dataclass(frozen=True)
class Judge:
    """Looks at a network with the validation cases: ``score`` its figures, ``better`` whether one beats another."""

    score: Callable[[nn.Module], Mapping[str, float]]
    figure: str
    better: Callable[[float, float | None], bool]


def train(
    network: nn.Module,
    batches: Iterator[Any],
    loss: Callable[[nn.Module, Any], Tensor],
    schedule: Schedule,
    folder: Path,
    device: str = "cpu",
    judge: Judge | None = None,
    tell: Callable[[Phrase], None] = print,
) -> None:
    """Trains in place; resumes from ``folder`` and leaves ``weights.safetensors`` and ``log.jsonl`` there.

    The weights kept are an average over the last steps (about 100, fewer at the start), which a short run needs to
    settle; with a ``judge``, that average which it found best.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(network, schedule, folder, device, judge)
    step, spent = run.resume()
    started = time.monotonic() - spent
    network.train()
    if schedule.continued:
        _keep_statistics(network)
    settled = False
    with (folder / LOG).open("a") as log:
        if schedule.continued and step == 0:
            run.judge(step, log, tell)
        while step < schedule.steps:
            progress = _progress(step, time.monotonic() - started, schedule)
            if progress >= 1:
                break
            rate = schedule.learning_rate * min(1, (step + 1) / schedule.warmup) * (1 - 0.98 * progress**1.5)
            if progress >= schedule.settle_after and not settled:
                settled = True
                _settle(network, run.average, batches, loss, device)
            value = run.step(loss, next(batches), rate)
            step += 1
            seconds = time.monotonic() - started
            if step % 10 == 0:
                entry = {"step": step, "loss": round(value, 4), "rate": rate, "s": round(seconds)}
                print(json.dumps(entry), file=log, flush=True)
                tell(Phrase("train-step", {"step": step, "of": schedule.steps, "loss": value, "seconds": seconds}))
            if step % schedule.judge_every == 0 and step < schedule.steps:
                run.judge(step, log, tell)
            if step % schedule.save_every == 0:
                run.save(step, time.monotonic() - started)
        if not (folder / WEIGHTS).exists():
            run.judge(step, log, tell)
    run.save(step, time.monotonic() - started)
    run.finish(step, time.monotonic() - started)


def works_in_bf16(device: str) -> bool:
    """Whether bf16 is faster there: on a processor without AVX-512 a step in bf16 takes more than ten times as long."""
    return not device.startswith("cpu") or torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "AMX"))


class _Run:
    """A network, the average of its weights, its optimiser, and the folder where they are kept."""

    def __init__(self, network: nn.Module, schedule: Schedule, folder: Path, device: str, judge: Judge | None) -> None:
        self.network, self.schedule, self.folder, self.device, self._judge = network, schedule, folder, device, judge
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self.average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=_moving_average, use_buffers=True)

    def step(self, loss: Callable[[nn.Module, Any], Tensor], batch: Any, rate: float) -> float:
        """One step; the loss before it."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        bf16 = self.schedule.bf16 and works_in_bf16(self.device)
        with torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=bf16):
            value = loss(self.network, to_device(batch, self.device))
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.average.update_parameters(self.network)
        return float(value.item())

    def judge(self, step: int, log: Any, tell: Callable[[Phrase], None]) -> None:
        """Looks at the averaged weights with the validation cases and keeps them where they are the best so far."""
        if self._judge is None:
            return
        candidate = self.average.module.eval()
        with torch.no_grad():
            figures = {name: float(value) for name, value in self._judge.score(candidate).items()}
        candidate.train()
        value, old = figures[self._judge.figure], best_of(self.folder).get(self._judge.figure)
        kept = self._judge.better(value, old)
        if kept:
            about = {"step": str(step), "figures": json.dumps(figures)}
            _write(_tensors(self.average.module), self.folder / BEST, about)
        shown = {name: round(figure, 4) for name, figure in figures.items()}
        print(json.dumps({"step": step, "validation": shown, "kept": kept}), file=log, flush=True)
        figures_told = [f"{name} {figure:.4g}" for name, figure in shown.items()]
        tell(Phrase("train-judged.kept" if kept else "train-judged", {"step": step, "figures": figures_told}))

    def save(self, step: int, seconds: float) -> None:
        tensors = {f"network.{k}": v for k, v in _tensors(self.network).items()}
        tensors |= {f"average.{k}": v for k, v in _tensors(self.average).items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{k}": torch.as_tensor(v).clone().contiguous() for k, v in state.items()}
        _write(tensors, self.folder / CHECKPOINT, {"step": str(step), "seconds": str(seconds)})

    def finish(self, step: int, seconds: float) -> None:
        """Leaves the weights to use and how they came about."""
        if (self.folder / BEST).exists():
            shutil.copyfile(self.folder / BEST, self.folder / f"{WEIGHTS}.part")
            (self.folder / f"{WEIGHTS}.part").rename(self.folder / WEIGHTS)
        else:
            _write(_tensors(self.average.module), self.folder / WEIGHTS, {"step": str(step)})
        record = {**asdict(self.schedule), "steps_done": step, "seconds": round(seconds), "device": self.device}
        (self.folder / "schedule.json").write_text(json.dumps(record, indent=1))

    def resume(self) -> tuple[int, float]:
        """Step and seconds of the last checkpoint, from which everything is as it was."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return 0, 0.0
        step, seconds = steps_done(self.folder)
        tensors = load_file(path)

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.network.load_state_dict(part("network."))
        self.average.load_state_dict(part("average."))
        adam: dict[int, dict[str, Tensor]] = {}
        for key, value in part("adam.").items():
            index, name = key.split(".", 1)
            adam.setdefault(int(index), {})[name] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": adam, "param_groups": groups})
        _forget_after(self.folder / LOG, step)
        return step, seconds


@torch.no_grad()
def _moving_average(averaged: Any, current: Any, number: Tensor | int) -> None:
    """Decay 0.99; less at first, or a short run's average would be of the weights it began with."""
    decay = min(0.99, (1 + float(number)) / (10 + float(number)))
    for mean, new in zip(averaged, current, strict=True):
        if mean.is_floating_point():
            mean.lerp_(new.to(mean.dtype), 1 - decay)
        else:
            mean.copy_(new)


def steps_done(folder: Path) -> tuple[int, float]:
    """Steps and seconds of the last checkpoint of a folder."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0, 0.0
    with safe_open(path, "pt") as file:
        about = file.metadata()
    return int(about["step"]), float(about["seconds"])


def best_of(folder: Path) -> dict[str, float]:
    """The validation figures of the best checkpoint so far; none where there is none."""
    path = folder / BEST
    if not path.exists():
        return {}
    with safe_open(path, "pt") as file:
        return {name: float(value) for name, value in json.loads(file.metadata()["figures"]).items()}


def to_device(batch: Any, device: str) -> Any:
    """Tensors in tuples, lists and dicts, on a device."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {name: to_device(part, device) for name, part in batch.items()}
    return type(batch)(to_device(part, device) for part in batch) if isinstance(batch, list | tuple) else batch


def load_weights(network: nn.Module, folder: Path) -> nn.Module:
    """The trained weights of a folder, or those of its last checkpoint; the network set to evaluation."""
    done = folder / WEIGHTS
    if done.exists():
        network.load_state_dict(load_file(done))
    else:
        tensors = load_file(folder / CHECKPOINT)
        prefix = "average.module."
        network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    return network.eval()


def record_of(folder: Path) -> dict[str, Any]:
    """How a network was trained, as far as it is."""
    path = folder / "schedule.json"
    return dict(json.loads(path.read_text())) if path.exists() else {"unfinished": True}


def _keep_statistics(network: nn.Module) -> None:
    """Batch normalisation as in use: a few batches of few people would give it worse statistics than it has."""
    for norm in _norms(network):
        norm.eval()


def _norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def _settle(
    network: nn.Module,
    average: nn.Module,
    batches: Iterator[Any],
    loss: Callable[[nn.Module, Any], Tensor],
    device: str,
) -> None:
    """Goes on from the averaged weights with batch normalisation as it will be in use.

    Where a small batch meets maps of a voxel or two, each batch is normalised by a dozen values, and what the network
    learnt with that noise is biased without it. So the statistics are measured anew over many batches, then kept.
    """
    network.load_state_dict(
        {k.removeprefix("module."): v for k, v in average.state_dict().items() if k != "n_averaged"}
    )
    norms = _norms(network)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all that follows
    with torch.no_grad():
        for _ in range(40):
            loss(network, to_device(next(batches), device))
    _keep_statistics(network)
    average.load_state_dict(
        {**{f"module.{k}": v for k, v in network.state_dict().items()}, "n_averaged": torch.tensor(0)}
    )


def _progress(step: int, seconds: float, schedule: Schedule) -> float:
    by_time = seconds / (60 * schedule.minutes) if schedule.minutes else 0.0
    return max(step / schedule.steps, by_time)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone().contiguous() for name, value in module.state_dict().items()}


def _write(tensors: dict[str, Tensor], path: Path, about: dict[str, str]) -> None:
    """A file of tensors that appears whole, whenever the run is killed."""
    partial = path.with_suffix(".part")
    save_file(tensors, partial, about)
    partial.rename(path)


def _forget_after(log: Path, step: int) -> None:
    """Takes what came after the checkpoint out of the log: it is walked again."""
    if log.exists():
        kept = [line for line in log.read_text().splitlines() if _step_of(line) <= step]
        log.write_text("".join(f"{line}\n" for line in kept))


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # cut off in the middle
        return float("inf")
