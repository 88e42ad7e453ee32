"""Many studies on Dask: a bounded number under way, a row kept for each as it comes, and on where it was stopped."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin

from trabecula import __version__
from trabecula.batch.fetch import INCOMING, Fetching
from trabecula.batch.journal import PAGE, Journal, table_of, write_tables
from trabecula.batch.rows import Asked, Row, row_without
from trabecula.batch.sources import Source
from trabecula.batch.studies import Item
from trabecula.batch.work import begin, screen_item, version
from trabecula.errors import TrabeculaError, defect, failure, fault, wrong_usage
from trabecula.messages import Phrase

CONNECT_SECONDS = 20
GIB = 2**30

KILLED = defect("worker-killed")
Told = Callable[[int, Row], None]


@dataclass(frozen=True)
class Engine:
    """Where a batch runs: workers of this machine, or those of a scheduler that is there."""

    workers: int = 2
    scheduler: str = ""
    memory_gib: float = 0.0  # of each worker; 0 for what its share of the machine is


def run_batch(
    items: Sequence[Item],
    out: Path,
    asked: Asked,
    engine: Engine,
    told: Told,
    sources: Sequence[Source] = (),
    said: Callable[[Phrase], None] = print,
) -> Path:
    """Screens what has no row yet, then writes the tables and the page; returns the page.

    ``told`` is called with how many have been done in this run and the row; ``said`` with what concerns a whole one of
    the ``sources``.

    Raises:
        WrongUsage: the folder or the scheduler cannot be used.
        TrabeculaError: ``scheduler-lost``; what was done is kept.
    """
    from trabecula.batch.summary import summary_page

    journal = Journal(out)
    try:
        known = journal.known(asked.order)
        items = numbered(items, journal.numbers())
        todo = [item for item in {one.key: one for one in items}.values() if item.key not in known]
        if todo:
            ahead = 1 if engine.scheduler else engine.workers
            with _client(engine) as client, Fetching(todo, sources, out / INCOMING, ahead, said) as fetching:
                for done, row in enumerate(_rows(client, fetching, asked), 1):
                    journal.keep([(row, asked.order)])
                    told(done, row)
    finally:
        journal.close()
    table = table_of(journal.path, [one.key for one in items])
    write_tables(table, summary_page(table, asked.language), out)
    return out / PAGE


def numbered(items: Sequence[Item], before: Mapping[str, int]) -> list[Item]:
    """Items whose numbers are theirs alone: a study keeps that of an earlier run, though the table has grown since."""
    used, made = set(before.values()), list[Item]()
    for item in items:
        number = before.get(item.key, item.number)
        if item.key not in before and number in used:
            number = max(used) + 1
        used.add(number)
        made.append(replace(item, number=number))
    return made


def left(items: Sequence[Item], out: Path, asked: Asked) -> int:
    """How many studies have no row yet."""
    journal = Journal(out)
    try:
        known = journal.known(asked.order)
    finally:
        journal.close()
    return len({one.key for one in items} - known)


def _rows(client: Any, items: Fetching, asked: Asked) -> Iterator[Row]:
    """Rows as they come, with no more under way than the workers need: memory does not grow with the cohort."""
    from distributed import CancelledError, KilledWorker, as_completed

    waiting = iter(items)
    under_way: dict[Any, Item] = {}
    completed = as_completed()

    def fill() -> None:
        """One study for each thread: with a second one behind it, both would be suspected when a worker dies."""
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        while len(under_way) < max(1, sum(one["nthreads"] for one in workers)):
            item = next(waiting, None)
            if item is None:
                return
            future = client.submit(screen_item, item, asked, pure=False, retries=0)
            under_way[future] = item
            completed.add(future)

    fill()
    for future in completed:
        item = under_way.pop(future)
        error = future.exception() if future.status == "error" else None
        if future.status == "cancelled" or isinstance(error, CancelledError):
            raise _lost()
        if error is None:
            row = future.result()
        elif isinstance(error, KilledWorker):
            row = row_without(item, asked, KILLED, 0.0)
        else:
            row = row_without(item, asked, fault(error), 0.0)
        future.release()
        items.done(item)
        fill()
        yield row


class _Begin(WorkerPlugin):
    """Readies every worker, also one that takes the place of another that died."""

    def __init__(self, workers: int, memory_bytes: int) -> None:
        self.workers, self.memory_bytes = workers, memory_bytes

    def setup(self, worker: Any) -> None:
        place = worker.name if isinstance(worker.name, int) else 0
        begin(place, self.workers, self.memory_bytes)


@contextmanager
def _client(engine: Engine) -> Iterator[Any]:
    """Workers that are ready: own ones are ended afterwards, a scheduler's own stay."""
    import dask
    from distributed import Client, LocalCluster

    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is told by rows
    dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.admin.tick.limit": "1h"})
    if engine.scheduler:
        try:
            client = Client(engine.scheduler, timeout=CONNECT_SECONDS)
        except (OSError, ValueError, TimeoutError) as error:
            raise wrong_usage("scheduler-unreachable") from error
        with client:
            _require_same_version(client)
            yield client
        return
    # A worker of a machine that others use comes late; Dask would give up after 30 s.
    dask.config.set({"distributed.comm.timeouts.connect": "5 minutes"})
    memory = int(engine.memory_gib * GIB) or _memory_bytes() * 3 // 4 // engine.workers
    cluster = LocalCluster(
        n_workers=engine.workers,
        threads_per_worker=1,
        processes=True,
        memory_limit=memory,
        dashboard_address=None,
        host="127.0.0.1",
        security=True,  # certificates of this run alone: whoever reaches a worker can make it run anything
        silence_logs=logging.CRITICAL,
    )
    with cluster, Client(cluster) as client:
        client.register_plugin(_Begin(engine.workers, memory))
        yield client


def _require_same_version(client: Any) -> None:
    versions = client.run(version)
    if not versions:
        raise wrong_usage("workers-missing")
    others = sorted({str(one) for one in versions.values()} - {__version__})
    if others:
        raise wrong_usage("workers-of-another-version", others=others, version=__version__)


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _lost() -> TrabeculaError:
    return failure("scheduler-lost")
