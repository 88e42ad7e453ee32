"""Keeps one worker running, and settles what a worker that went away left behind."""

import logging
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from trabecula.errors import Defect, TrabeculaError, defect
from trabecula.studies.orders import Orders
from trabecula.studies.room import DISK_FULL
from trabecula.studies.store import Store
from trabecula.studies.tables import Job

LOG = logging.getLogger(__name__)
LOOK_EVERY_SECONDS = 1.0
RESTART_AFTER_SECONDS = 1.0
ROOM_AFTER_SECONDS = 5.0
"""Where the database's disk has no room: somebody has to free some."""

LOST = defect("worker-lost.twice")


class Supervisor:
    """Starts the worker, starts it again when it dies, and ends it with the server."""

    def __init__(self, orders: Orders, store: Store) -> None:
        self.orders, self.store = orders, store
        self.ending = threading.Event()
        self.cancelled = threading.Event()
        self.process: subprocess.Popen[str] | None = None
        self.settled = False
        self.thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        self.settled = self._settle(innocent=False)
        self.thread.start()

    def stop(self) -> None:
        self.ending.set()
        self._end_worker()
        self.thread.join(timeout=10)
        if self.settled:  # else what an earlier worker died of still has to be counted
            self._settle(innocent=True)

    def interrupt(self) -> None:
        """What the worker is at is not wanted any more: it ends, and another one starts."""
        self.cancelled.set()
        self._end_worker()

    def _watch(self) -> None:
        innocent = False
        while not self.ending.is_set():
            if not self.settled:
                self.ending.wait(ROOM_AFTER_SECONDS)
                self.settled = self._settle(innocent)
                continue
            self.process = self._launch()
            while self.process.poll() is None and not self.ending.wait(LOOK_EVERY_SECONDS):
                with suppress(SQLAlchemyError):  # a disk without room, say: the next look comes
                    self._stop_what_takes_too_long()
            self._end_worker()
            if self.ending.is_set():
                return
            full, wanted = self.process.returncode == DISK_FULL, self.cancelled.is_set()
            self.cancelled.clear()
            innocent = full or wanted
            self.settled = self._settle(innocent)
            if not wanted:
                LOG.warning("the worker ended with code %s and is started again", self.process.returncode)
                self.ending.wait(ROOM_AFTER_SECONDS if full else RESTART_AFTER_SECONDS)

    def _settle(self, innocent: bool) -> bool:
        """What the worker was at when it ended is put back or given up; False where the database does not take it."""
        try:
            settle(self.store, self.orders.limits.attempts, innocent)
        except SQLAlchemyError as error:
            LOG.error("database: %s; tried again", type(error).__name__)
            return False
        return True

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

    ``innocent`` where the worker was ended by ourselves, for another study's sake or with the server: no attempt.
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
