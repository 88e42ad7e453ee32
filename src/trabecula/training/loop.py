"""The one training loop: steps, a cosine schedule, bf16, checkpoints that it resumes from, a line of progress."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn. ``minutes`` ends a run early, the learning rate having fallen by then."""

    steps: int
    learning_rate: float
    weight_decay: float = 1e-4
    warmup: int = 50
    minutes: float | None = None
    save_every: int = 100
    bf16: bool = True
    settle_after: float = 1.0  # share of the run after which batch normalisation keeps its statistics


def train(
    network: nn.Module,
    batches: Iterator[Any],
    loss: Callable[[nn.Module, Any], Tensor],
    schedule: Schedule,
    folder: Path,
    device: str = "cpu",
) -> None:
    """Trains in place; resumes from ``folder`` and leaves ``weights.safetensors`` and ``log.jsonl`` there.

    The weights kept are an average over the last steps (decay 0.99), which a short run needs to settle.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    average = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99),
        use_buffers=True,
    )
    step, spent = _resume(folder, network, average, optimiser)
    started = time.monotonic() - spent
    network.train()
    settled = False
    with (folder / "log.jsonl").open("a") as log:
        while step < schedule.steps:
            progress = _progress(step, time.monotonic() - started, schedule)
            if progress >= 1:
                break
            rate = schedule.learning_rate * min(1, (step + 1) / schedule.warmup) * (1 - 0.98 * progress**1.5)
            for group in optimiser.param_groups:
                group["lr"] = rate
            if progress >= schedule.settle_after and not settled:
                settled = True
                _settle(network, average, batches, loss)
            with torch.autocast(device, torch.bfloat16, enabled=schedule.bf16):
                value = loss(network, next(batches))
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            average.update_parameters(network)
            step += 1
            if step % 10 == 0:
                entry = {
                    "step": step,
                    "loss": round(value.item(), 4),
                    "rate": rate,
                    "s": round(time.monotonic() - started),
                }
                print(json.dumps(entry), file=log, flush=True)
                print(entry, flush=True)
            if step % schedule.save_every == 0:
                _save(folder, network, average, optimiser, step, time.monotonic() - started)
    _save(folder, network, average, optimiser, step, time.monotonic() - started)
    save_file(_tensors(average.module), folder / "weights.safetensors")
    record = {**asdict(schedule), "steps_done": step, "seconds": round(time.monotonic() - started), "device": device}
    (folder / "schedule.json").write_text(json.dumps(record, indent=1))


def _settle(
    network: nn.Module, average: nn.Module, batches: Iterator[Any], loss: Callable[[nn.Module, Any], Tensor]
) -> None:
    """Goes on from the averaged weights with batch normalisation as it will be in use.

    Where a small batch meets maps of a voxel or two, each batch is normalised by a dozen values, and what the network
    learnt with that noise is biased without it. So the statistics are measured anew over many batches, then kept.
    """
    network.load_state_dict(
        {k.removeprefix("module."): v for k, v in average.state_dict().items() if k != "n_averaged"}
    )
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all that follows
    with torch.no_grad():
        for _ in range(40):
            loss(network, next(batches))
    for norm in norms:
        norm.eval()
    average.load_state_dict(
        {**{f"module.{k}": v for k, v in network.state_dict().items()}, "n_averaged": torch.tensor(0)}
    )


def load_weights(network: nn.Module, folder: Path) -> nn.Module:
    """The trained weights of a folder, or those of its last checkpoint; the network set to evaluation."""
    done = folder / "weights.safetensors"
    if done.exists():
        network.load_state_dict(load_file(done))
    else:
        tensors = load_file(folder / "checkpoint.safetensors")
        prefix = "average.module."
        network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    return network.eval()


def record_of(folder: Path) -> dict[str, Any]:
    """How a network was trained, as far as it is."""
    path = folder / "schedule.json"
    return dict(json.loads(path.read_text())) if path.exists() else {"unfinished": True}


def _progress(step: int, seconds: float, schedule: Schedule) -> float:
    by_time = seconds / (60 * schedule.minutes) if schedule.minutes else 0.0
    return max(step / schedule.steps, by_time)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone().contiguous() for name, value in module.state_dict().items()}


def _save(
    folder: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, step: int, seconds: float
) -> None:
    tensors = {f"network.{k}": v for k, v in _tensors(network).items()}
    tensors |= {f"average.{k}": v for k, v in _tensors(average).items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{k}": torch.as_tensor(v).clone().contiguous() for k, v in state.items()}
    partial = folder / "checkpoint.part"
    save_file(tensors, partial, {"step": str(step), "seconds": str(seconds)})
    partial.rename(folder / "checkpoint.safetensors")


def _resume(
    folder: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[int, float]:
    from safetensors import safe_open

    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return 0, 0.0
    with safe_open(path, "pt") as file:
        about = file.metadata()
    tensors = load_file(path)

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    network.load_state_dict(part("network."))
    average.load_state_dict(part("average."))
    adam: dict[int, dict[str, Tensor]] = {}
    for key, value in part("adam.").items():
        index, name = key.split(".", 1)
        adam.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": adam, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(about["step"]), float(about["seconds"])
