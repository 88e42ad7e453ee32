"""Shards: what training samples are drawn from, cut from each case once and kept as ``CASE.npz``.

A folder of shards is made by as many processes as it is given, skips what is already there, and may be stopped and
started again.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trabecula.cohort.case import Case, Field, Labelled
from trabecula.errors import TrabeculaError, wrong_usage
from trabecula.messages import Phrase
from trabecula.workers import worker_processes

Shard: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Kind:
    """A sort of shard: which part of a person it shows, which masks it takes, and how it is cut.

    ``stand_ins`` are pairs of a kind of mask and of what is taken where a case has none of it.
    """

    name: str
    field: Field
    masks: tuple[str, ...]
    cut: Callable[[Labelled], Shard]
    stand_ins: tuple[tuple[str, str], ...] = ()

    def of(self, case: Case) -> Shard:
        """The shard of a case.

        Raises:
            TrabeculaError: the case lacks a mask that nothing stands in for, or cannot be used.
        """
        instead = dict(self.stand_ins)
        taken = {kind: kind if kind in case.source.masks else instead.get(kind, kind) for kind in self.masks}
        found = case.labelled(tuple(dict.fromkeys(taken.values())), self.field)
        return self.cut(replace(found, masks={kind: found.masks[mask] for kind, mask in taken.items()}))


@dataclass(frozen=True)
class LeftOut:
    """A case that no shard could be cut from."""

    case: str
    error: TrabeculaError

    @property
    def phrase(self) -> Phrase:
        """The case and why, as it stands in another sentence."""
        return Phrase("case-bad", {"name": self.case, "said": self.error.coded})


def shard_path(folder: Path, case: Case) -> Path:
    """Where a case's shard is; a case may have a name that no file can have."""
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in case.name)
    return folder / f"{plain[:80]}-{hashlib.sha256(case.name.encode()).hexdigest()[:8]}.npz"


def make_shards(
    kind: Kind, cases: tuple[Case, ...], folder: Path, workers: int, progress: Callable[[int, int], None]
) -> tuple[LeftOut, ...]:
    """Makes the missing shards; ``progress`` gets the number done and of how many. Returns the cases left out.

    Raises:
        WrongUsage: ``worker-lost``: a process was stopped from outside; ``no-shards``: every case was left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [case for case in cases if not shard_path(folder, case).exists()]
    left_out: list[LeftOut] = []
    done = len(cases) - len(missing)
    progress(done, len(cases))
    try:
        for case, error in _made(kind, missing, folder, workers):
            done += 1
            if error is not None:
                left_out.append(LeftOut(case.name, error))
            progress(done, len(cases))
    except BrokenProcessPool as error:
        raise wrong_usage("worker-lost.resume", workers=workers) from error
    if len(left_out) == len(cases):
        raise wrong_usage("no-shards.kind", kind=kind.name, first=left_out[0].phrase)
    return tuple(left_out)


def _made(kind: Kind, cases: list[Case], folder: Path, workers: int) -> Iterator[tuple[Case, TrabeculaError | None]]:
    if workers <= 1 or len(cases) < 2:
        for case in cases:
            yield case, _make(kind, case, folder)
        return
    with worker_processes(workers) as pool:
        jobs = {pool.submit(_make, kind, case, folder): case for case in cases}
        for job in as_completed(jobs):
            yield jobs[job], job.result()


def _make(kind: Kind, case: Case, folder: Path) -> TrabeculaError | None:
    """One shard, written beside its place and moved there when whole; why there is none where it cannot be cut."""
    path = shard_path(folder, case)
    try:
        arrays = kind.of(case)
    except TrabeculaError as error:
        return error
    save(path, arrays)
    return None


def save(path: Path, arrays: Shard) -> None:
    """A shard as a file that appears whole."""
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    partial.rename(path)


class Shards:
    """The shards of some cases, read when first wanted and then kept in memory."""

    def __init__(self, paths: tuple[Path, ...], rng: np.random.Generator) -> None:
        self.paths = paths
        self.rng = rng
        self.read = lru_cache(maxsize=None)(read_shard)

    def draw(self) -> Shard:
        """A random shard."""
        return self.read(self.paths[self.rng.integers(len(self.paths))])


def read_shard(path: Path) -> Shard:
    """The arrays of a shard."""
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}
