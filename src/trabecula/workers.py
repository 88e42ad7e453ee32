"""Processes that share the work of a long command."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, parent_process
from multiprocessing.connection import wait


@contextmanager
def worker_processes(number: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes of one thread each; they end with the command, however that ends."""
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
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    """Where the command is killed, a worker would wait for ever, or write what the next run writes too."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
