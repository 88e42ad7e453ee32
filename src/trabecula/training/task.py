"""What one network's training is: what it sees, what it answers, how it learns, and which checkpoint is kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from trabecula.training.loop import Schedule
from trabecula.training.needs import Need
from trabecula.training.samples.shards import Kind, Shard
from trabecula.view import Head, View

Batch: TypeAlias = Any
"""Tensors in tuples, lists and dicts, as the task's ``collate`` puts them together."""

Draw = Callable[[Shard, np.random.Generator], tuple[Any, ...] | None]


@dataclass(frozen=True)
class Rule:
    """Which checkpoint is kept: the one whose ``figure`` on the validation cases is ``highest``, or lowest.

    ``source`` says whose rule it is, and what a paper leaves open.
    """

    figure: str
    highest: bool
    source: str

    def better(self, new: float, old: float | None) -> bool:
        """Whether ``new`` is to be kept instead of ``old``; a figure that is not finite never is."""
        if not np.isfinite(new):
            return False
        return old is None or (new > old if self.highest else new < old)


def stack(samples: Sequence[tuple[Any, ...]]) -> Batch:
    """Samples of arrays of one shape as a tuple of tensors (B, ...)."""
    return tuple(torch.from_numpy(np.stack(parts)) for parts in zip(*samples, strict=True))


def as_is(network: nn.Module) -> nn.Module:
    """A network that is exported as it was trained."""
    return network


@dataclass(frozen=True)
class Task:
    """The training of the weights ``weights``. ``view`` and ``head`` go with them into the manifest.

    ``draw`` makes a sample of a shard, or None where the shard has none to give; a batch that ``collate`` makes begins
    with the images. ``seen`` says which classes a shard shows. ``score`` gives figures on validation batches; that
    named ``error_sd`` is the SD of the number's error. ``input_shape`` is what the exported network takes, batch
    included; ``graph`` what is exported of a network. ``measure`` completes the head by what a trained network does on
    validation batches. ``needs`` is the reference that it learns from, where masks alone do not suffice.
    """

    weights: str
    view: View
    head: Head
    kind: Kind
    draw: Draw
    seen: Callable[[Shard], set[str]] | None
    network: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Batch], Tensor]
    score: Callable[[nn.Module, Sequence[Batch]], dict[str, float]]
    rule: Rule
    schedules: Mapping[str, Schedule]  # by preset
    batch: int
    seed: int
    input_shape: tuple[int, ...]
    collate: Callable[[Sequence[tuple[Any, ...]]], Batch] = stack
    graph: Callable[[nn.Module], nn.Module] = as_is
    measure: Callable[["Task", nn.Module, Sequence[Batch]], Head] | None = None
    needs: Need | None = None


def schedules(full: Schedule, small_steps: int) -> dict[str, Schedule]:
    """The presets: ``full`` as trained for use, ``small`` to see within minutes that all of it works."""
    from dataclasses import replace

    small = replace(
        full,
        steps=small_steps,
        minutes=None,
        warmup=min(full.warmup, small_steps // 4 + 1),
        save_every=small_steps,
        judge_every=max(1, small_steps // 4),
    )
    return {"small": small, "full": full}


def bound(function: Callable[..., Any], **settings: Any) -> Callable[..., Any]:
    """A function of this package with settings, which a worker process can be sent."""
    return partial(function, **settings)
