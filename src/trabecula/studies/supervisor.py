"""Keeps one worker running, and settles what a worker that went away left behind."""

import logging
import subprocess
import sys
import threading
from datetime import UTC, datetime

from trabecula.errors import Defect, TrabeculaError, defect
from trabecula.studies.orders import Orders
from trabecula.studies.store import Store
from trabecula.studies.tables import Job

LOG = logging.getLogger(__name__)
LOOK_EVERY_SECONDS = 1.0
RESTART_AFTER_SECONDS = 1.0

LOST = defect("worker-lost.twice")


class Supervisor:
    """Starts the worker, starts it again when it dies, and ends it with the server."""

    def __init__(self, orders: Orders, store: Store) -> None:
        self.orders, self.store = orders, store
        self.ending = threading.Event()
        self.cancelled = threading.Event()
        self.process: subprocess.Popen[str] | None = None
        self.thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        settle(self.store, self.orders.limits.attempts)
        self.thread.start()

    def stop(self) -> None:
        self.ending.set()
        self._end_worker()
        self.thread.join(timeout=10)

    def interrupt(self) -> None:
        """What the worker is at is not wanted any more: it ends, and another one starts."""
        self.cancelled.set()
        self._end_worker()

    def _watch(self) -> None:
        while not self.ending.is_set():
            self.process = self._launch()
            while self.process.poll() is None and not self.ending.wait(LOOK_EVERY_SECONDS):
                self._stop_what_takes_too_long()
            self._end_worker()
            if not self.ending.is_set() and self.cancelled.is_set():
                self.cancelled.clear()
                settle(self.store, self.orders.limits.attempts, innocent=True)
            elif not self.ending.is_set():
                LOG.warning("the worker ended with code %s and is started again", self.process.returncode)
                settle(self.store, self.orders.limits.attempts)
                self.ending.wait(RESTART_AFTER_SECONDS)

    def _launch(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen([sys.executable, "-m", "trabecula.studies.worker"], stdin=subprocess.PIPE, text=True)
        assert process.stdin is not None
        process.stdin.write(self.orders.to_line())  # not as arguments: others may read those
        process.stdin.flush()
        return process

    def _end_worker(self) -> None:
        if self.process is None:
            return
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _stop_what_takes_too_long(self) -> None:
        limit = self.orders.limits.job_seconds
        for job in self.store.running_jobs():
            if (datetime.now(UTC) - datetime.fromisoformat(job.started_utc)).total_seconds() > limit:
                end(self.store, job, took_too_long(limit))
                self._end_worker()


def settle(store: Store, attempts: int, innocent: bool = False) -> None:
    """Jobs that were under way when their worker went: they wait again, or are given up after ``attempts``.

    ``innocent`` where the worker was ended for the sake of another study: that is no attempt.
    """
    for job in store.running_jobs():
        if job.attempts >= attempts and not innocent:
            end(store, job, LOST)
        else:
            store.put_back(job.id, innocent)


def took_too_long(seconds: float) -> Defect:
    """What is told of a scan that was stopped after so long."""
    return defect("took-too-long", minutes=seconds / 60)


def end(store: Store, job: Job, why: TrabeculaError) -> None:
    """Give up a job; its study says why."""
    study = store.study(job.study_id)
    message = why.message if study is None else why.told(study.language)
    if job.version == 0:
        store.unfolded(job.study_id)
    elif job.version == 1:
        store.end_without_result(job.id, "failed", why.code, message)
    else:
        store.files_failed(job.study_id, job.version, f"{message} [{why.code}]")
