"""What waits for the worker and what it is at: every change is one transaction."""

import json
from collections.abc import Sequence

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from trabecula.dicom.contents import Choice, ListedStudy
from trabecula.studies.audit import What, note
from trabecula.studies.clock import now_utc
from trabecula.studies.listing import ENDED
from trabecula.studies.sentences import wrong
from trabecula.studies.tables import Job, Study


class Queue:
    """The studies and corrections that are to be worked on, in order. Rows are handed out detached."""

    def __init__(self, engine: Engine, only: str | None = None, who: str = "") -> None:
        self.engine = engine
        self.only = only  # what is looked up is only what this user sent; everything where None
        self.who = who  # stands in the audit trail beside what is changed

    def _session(self) -> Session:
        return Session(self.engine, expire_on_commit=False)

    def active(self) -> list[tuple[Study, int]]:
        """Every study that waits or runs, in the order of the queue, and how many jobs come before it."""
        first = (Job.version == 1).asc()
        query = select(Study, Job).join(Job, Job.study_id == Study.id).order_by(Job.started_utc == "", first, Job.id)
        with self._session() as session:
            jobs = session.execute(query).all()
        return [
            (study, place)
            for place, (study, job) in enumerate(jobs)
            if job.version == 1 and self.only in (None, study.received_by)
        ]

    def ahead_of(self, study_id: str) -> int:
        """How many jobs the worker will do before this study's."""
        return next((place for study, place in self.active() if study.id == study_id), 0)

    def cancel(self, study_id: str) -> int | None:
        """A study that waits or runs is not screened after all; returns the job that the worker is at, if it is."""
        with self._session() as session, session.begin():
            job = session.scalar(select(Job).where(Job.study_id == study_id, Job.version == 1))
            if job is None:
                return None
            running = job.id if job.started_utc else None
            session.delete(job)
            note(session, self.who, What.CANCELLED, number_of(session, study_id))
            session.execute(update(Study).where(Study.id == study_id).values(state="cancelled", stage="", progress=0.0))
        return running

    def retry(self, study_id: str, recipe: str | None = None) -> bool:
        """A study that ended without a result takes a new place at the end of the queue."""
        with self._session() as session, session.begin():
            study = held(session, study_id)
            if study is None or study.state not in ENDED or study.ct_removed_utc:
                return False
            study.state, study.code, study.message, study.progress = "queued", "", "", 0.0
            study.recipe = recipe or study.recipe
            session.add(Job(study_id=study_id, version=1))
            note(session, self.who, What.RETRIED, study.number)
        return True

    def unfold(self, study_id: str) -> None:
        """The worker shall make the whole CT ready for the viewer, unless it has been told already."""
        with self._session() as session, session.begin():
            study = held(session, study_id)
            known = session.scalar(select(Job.id).where(Job.study_id == study_id, Job.version == 0))
            if known is None and study is not None and not study.ct_removed_utc:
                session.add(Job(study_id=study_id, version=0))

    def unfolding(self, study_id: str) -> bool:
        with self._session() as session:
            known = select(Job.id).where(Job.study_id == study_id, Job.version == 0)
            return session.scalar(known) is not None

    def unfolded(self, study_id: str) -> None:
        with self._session() as session, session.begin():
            session.execute(delete(Job).where(Job.study_id == study_id, Job.version == 0))

    def take_job(self) -> Job | None:
        """The next job, marked as begun. There is one worker, so that nobody else takes it."""
        with self._session() as session, session.begin():
            waiting = select(Job).where(Job.started_utc == "").order_by((Job.version == 1), Job.id)  # people wait
            job = session.scalar(waiting.limit(1))
            if job is None:
                return None
            job.started_utc, job.attempts = now_utc(), job.attempts + 1
            if job.version == 1:
                session.execute(update(Study).where(Study.id == job.study_id).values(state="running", stage="read"))
        return job

    def tell_progress(self, job_id: int, stage: str, progress: float) -> None:
        """How far a job has come; nothing of one that was cancelled, also where its study waits anew."""
        with self._session() as session, session.begin():
            job = session.get(Job, job_id)
            if job is not None:
                session.execute(update(Study).where(Study.id == job.study_id).values(stage=stage, progress=progress))

    def end_without_result(
        self, job_id: int, state: str, code: str, message: str, offered: Sequence[ListedStudy] = ()
    ) -> None:
        """A scan was ``refused``, or screening it ``failed``, unless it was cancelled meanwhile. Where it holds several
        studies, these are ``offered``.
        """
        with self._session() as session, session.begin():
            job = session.get(Job, job_id)
            if job is None:
                return
            session.execute(
                update(Study)
                .where(Study.id == job.study_id)
                .values(state=state, stage="", code=code, message=message, offered=_json_of(offered))
            )
            session.delete(job)

    def choose(self, study_id: str, choice: Choice) -> bool:
        """One of the studies that were offered is to be screened: it takes its place at the end of the queue.

        False where none is offered any more: somebody has chosen already.
        """
        with self._session() as session, session.begin():
            taken = session.execute(
                update(Study)
                .where(
                    *(Study.id == study_id, Study.state == "refused"),
                    *(Study.offered.is_not(None), Study.ct_removed_utc == ""),
                )
                .values(
                    state="queued",
                    code="",
                    message="",
                    offered=None,
                    study_chosen=choice.study or None,
                    series_chosen=choice.series or None,
                )
            )
            if taken.rowcount:  # type: ignore[attr-defined]
                session.add(Job(study_id=study_id, version=1))
                note(session, self.who, What.CHOSE, number_of(session, study_id))
        return bool(taken.rowcount)  # type: ignore[attr-defined]

    def running_jobs(self) -> Sequence[Job]:
        with self._session() as session:
            return session.scalars(select(Job).where(Job.started_utc != "")).all()

    def put_back(self, job_id: int, innocent: bool = False) -> None:
        """A job whose worker is gone waits again, at its old place; ``innocent`` where it was another's fault."""
        with self._session() as session, session.begin():
            job = session.get(Job, job_id)
            if job is None:
                return
            job.started_utc = ""
            job.attempts -= int(innocent)
            if job.version == 1:
                session.execute(
                    update(Study).where(Study.id == job.study_id).values(state="queued", stage="", progress=0.0)
                )


def held(session: Session, study_id: str) -> Study | None:
    """The study, which nobody else gives more to do or removes until the transaction ends; None where there is none.

    The first statement writes, as SQLite's lock and PostgreSQL's on the row begin there: what is read before it may
    have changed when it is acted on.
    """
    session.execute(
        update(Study).where(Study.id == study_id).values(state=Study.state),
        execution_options={"synchronize_session": False},
    )
    return session.scalar(select(Study).where(Study.id == study_id))


def require_ct(study: Study) -> None:
    """Raises WrongUsage where a study's CT was removed, so that nothing of it can be measured or written anew."""
    if study.ct_removed_utc:
        raise wrong("ct-removed", day=study.ct_removed_utc[:10])


def number_of(session: Session, study_id: str) -> int | None:
    """A study's number here; None where there is none any more."""
    return session.scalar(select(Study.number).where(Study.id == study_id))


def _json_of(offered: Sequence[ListedStudy]) -> str | None:
    return json.dumps([one.to_dict() for one in offered], ensure_ascii=False) if offered else None
