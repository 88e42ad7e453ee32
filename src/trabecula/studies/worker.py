"""The one process that screens: it takes jobs in order and ends when the server does.

Started as ``python -m trabecula.studies.worker`` with its task as one line of JSON on standard input, which then
stays open: when it closes, the server is gone.
"""

import gc
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from trabecula.dicom.contents import ListedStudy, without_words
from trabecula.errors import Refusal, TrabeculaError, fault, place_of, refusal
from trabecula.recipes import recipe_named
from trabecula.report.masthead import Masthead, Review
from trabecula.screening import studies_in
from trabecula.studies.folders import SLICES, Folders
from trabecula.studies.jobs import Task, screen_study, unfold, write_correction
from trabecula.studies.logs import log_nothing_but_ours
from trabecula.studies.orders import orders_from
from trabecula.studies.packing import drop, packed_upload
from trabecula.studies.result import result_from
from trabecula.studies.room import DISK_FULL, is_full
from trabecula.studies.sentences import cannot
from trabecula.studies.store import Store, choice_of
from trabecula.studies.tables import Job, Study, open_database

IDLE_SECONDS = 0.2
TELL_EVERY_SECONDS = 0.25
LOG = logging.getLogger("trabecula.studies.worker")  # run as a program, it is called __main__

OUT_OF_MEMORY = refusal("scan-too-large-for-memory")


def main() -> None:
    """Work until the server is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the server too, which ends this
    log_nothing_but_ours("worker")
    orders = orders_from(sys.stdin.readline())
    threading.Thread(target=_end_with_server, daemon=True).start()
    _keep_within(orders.limits.worker_bytes)
    os.nice(5)  # pages come first
    folders = Folders(orders.data)
    tempfile.tempdir = str(folders.work)  # unpacked archives stay in the private folder
    store = Store(open_database(orders.database))
    try:
        _work(store, folders, orders.recipe)
    except SQLAlchemyError as error:
        if not is_full(error):
            raise
        LOG.error("the database's disk has no room")
        sys.exit(DISK_FULL)  # what is under way waits for the next worker


def _work(store: Store, folders: Folders, recipe: str | None) -> None:
    while True:
        job = store.take_job()
        if job is None:
            time.sleep(IDLE_SECONDS)
            continue
        started = time.monotonic()
        outcome = _do(job, store, folders, recipe)
        gc.collect()
        LOG.info("job %d %s after %.1f s", job.id, outcome, time.monotonic() - started)


def _do(job: Job, store: Store, folders: Folders, recipe: str | None) -> str:
    """One job, whatever it brings; the exception's own words are never told, they may quote a patient's header."""
    study = store.study(job.study_id)
    if study is None:
        return "removed"
    try:
        _carry_out(job, study, store, folders, recipe)
        return "done"
    except Exception as error:
        if isinstance(error, SQLAlchemyError) and is_full(error):
            raise  # how the job ended could not be written down either
        state, code, message = _ending(job, study, error)
    if job.version == 0:
        store.unfolded(job.study_id)
    elif job.version == 1:
        offered = _offered(study, folders) if code == "several-studies" else ()
        store.end_without_result(job.id, state, code, message, offered)
    else:
        store.files_failed(job.study_id, job.version, f"{message} [{code}]")
    return f"{state} [{code}]"


def _ending(job: Job, study: Study, error: Exception) -> tuple[str, str, str]:
    """State, code and sentence of a study whose job ended with an exception."""
    if is_full(error):
        error = cannot("disk-full.result")
    if isinstance(error, TrabeculaError):
        return ("refused" if isinstance(error, Refusal) else "failed"), error.code, error.told(study.language)
    if isinstance(error, MemoryError):
        return "refused", OUT_OF_MEMORY.code, OUT_OF_MEMORY.told(study.language)
    LOG.error("job %d: %s in %s", job.id, type(error).__name__, place_of(error.__traceback__))
    return "failed", "defect", fault(error).told(study.language)


def _offered(study: Study, folders: Folders) -> tuple[ListedStudy, ...]:
    """The studies in an upload that holds several, to choose among; none where they cannot be listed."""
    try:
        found = studies_in(folders.study(study.id) / study.given)
    except (TrabeculaError, OSError, MemoryError):
        return ()
    return tuple(without_words(one) for one in found)  # the database holds no identifier


def _carry_out(job: Job, study: Study, store: Store, folders: Folders, recipe: str | None) -> None:
    folder = folders.study(study.id)
    task = Task(folder, folder / study.given, study.deidentify, study.language, choice_of(study), _head(study))
    if job.version == 1:
        store.keep_first(job.id, screen_study(task, recipe_named(study.recipe or recipe), _Told(store, job.id)))
        if study.given == SLICES and (packed := packed_upload(task.given, folders.work)) is not None:
            store.give(study.id, packed.name)
            drop(task.given)
        return
    if job.version == 0:
        unfold(task)
        store.unfolded(study.id)
        return
    version = store.version(study.id, job.version)
    if version is None:
        return
    reviewed = Review.CONFIRMED if version.confirmed else Review.CORRECTED
    head = replace(task.head, review=reviewed, reviewer=version.made_by, reviewed_on=version.made_utc[:10])
    task, kept = replace(task, head=head), result_from(version.assessment, version.names)
    made = write_correction(
        task, kept, version.number, recipe_named(kept.assessment.recipe), version.drawn, version.pending
    )
    if version.pending:
        store.keep_measured(study.id, version.number, made)
    else:
        store.keep_files(study.id, version.number, made)


def _head(study: Study) -> Masthead:
    """What the report calls the scan: by the label that somebody here gave it, and by nothing of its headers."""
    return Masthead(label=study.label, deidentified=study.deidentify)


class _Told:
    """Progress into the database, not oftener than a page would show it."""

    def __init__(self, store: Store, job_id: int) -> None:
        self.store, self.job_id = store, job_id
        self.stage, self.at = "", 0.0

    def __call__(self, stage: str, progress: float) -> None:
        if stage == self.stage and time.monotonic() - self.at < TELL_EVERY_SECONDS:
            return
        self.stage, self.at = stage, time.monotonic()
        self.store.tell_progress(self.job_id, stage, progress)


def _end_with_server() -> None:
    while sys.stdin.read(4096):
        pass
    os._exit(0)  # in the middle of anything: unfinished work is put back when the server starts again


def _keep_within(memory_bytes: int) -> None:
    """Let a scan that is too large fail by itself instead of bringing the machine down (Linux only)."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


if __name__ == "__main__":
    main()
