"""Batches of samples without end for training, and the same few each time for validation."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from trabecula.errors import WrongUsage, wrong_usage
from trabecula.training.samples.shards import Shards, read_shard
from trabecula.training.task import Batch, Task

TRIES = 1000
"""Shards drawn for one sample before they are said to have none to give."""


def batches(task: Task, paths: tuple[Path, ...], start: int, workers: int) -> Iterator[Batch]:
    """Random batches without end. ``start`` is the step they begin at: a resumed run does not see the same again.

    With ``workers`` they are made by as many processes beside the training.
    """
    stream = _Stream(task, paths, start)
    if workers == 0:
        return iter(stream)
    return iter(DataLoader(stream, batch_size=None, num_workers=workers, prefetch_factor=4))


def validation_batches(task: Task, paths: tuple[Path, ...], number: int) -> list[Batch]:
    """Batches of the validation cases, drawn as in training, but the same ones each time, every case in turn.

    Raises:
        WrongUsage: ``no-samples``: no case has a sample to give.
    """
    rng = np.random.default_rng([task.seed, 0])
    shards = [read_shard(path) for path in paths]
    found: list[tuple[Any, ...]] = []
    for turn in range(max(TRIES, number * task.batch)):
        drawn = task.draw(shards[turn % len(shards)], rng)
        if drawn is not None:
            found.append(drawn)
        if len(found) == number * task.batch:
            break
    if not found:
        raise _no_samples(task)
    return [task.collate(found[at : at + task.batch]) for at in range(0, len(found), task.batch)]


@dataclass
class _Stream(IterableDataset[Batch]):
    """One process's share of the batches: every process draws by itself."""

    task: Task
    paths: tuple[Path, ...]
    start: int

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        seed = [self.task.seed, 1 + self.start, 0 if worker is None else worker.id]
        shards = Shards(self.paths, np.random.default_rng(seed))
        while True:
            yield self.task.collate([_one(self.task, shards) for _ in range(self.task.batch)])


def _one(task: Task, shards: Shards) -> tuple[Any, ...]:
    for _ in range(TRIES):
        drawn = task.draw(shards.draw(), shards.rng)
        if drawn is not None:
            return drawn
    raise _no_samples(task)


def _no_samples(task: Task) -> WrongUsage:
    return wrong_usage("no-samples", weights=task.weights)
