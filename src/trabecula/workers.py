"""Processes that share the work of a long command."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children


@contextmanager
def worker_processes(number: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes of one thread each; Ctrl+C ends them with the command."""
    with ProcessPoolExecutor(number, initializer=_begin) as pool:
        try:
            yield pool
        except KeyboardInterrupt:
            for process in active_children():
                process.kill()
            raise


def _begin() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    # A terminal sends Ctrl+C to the workers too: one that ended by itself would be told as lost.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
