"""What the server and its worker write down and look up: every change is one transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, delete, func, or_, select, update
from sqlalchemy.orm import Session

from trabecula.studies.result import Result
from trabecula.studies.tables import Job, Study, Version

SORTS = {
    "received": Study.number,
    "label": Study.label,
    "state": Study.state,
    "category": Study.category,
    "bmd": Study.density,
    "age": Study.age_years,
}
ACTIVE = ("queued", "running")


def now_utc() -> str:
    """Now, as it is kept."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Upload:
    """A complete upload, not yet in the queue. An empty label becomes "Study N"."""

    id: str
    given: str
    label: str
    by: str
    deidentify: bool
    language: str
    recipe: str | None = None


class Store:
    """The database as everybody else sees it. Rows are handed out detached: changing one changes nothing."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def _session(self) -> Session:
        return Session(self.engine, expire_on_commit=False)

    # Studies

    def enqueue(self, upload: Upload) -> Study:
        """The upload takes its place at the end of the queue."""
        with self._session() as session, session.begin():
            study = Study(
                id=upload.id,
                label=upload.label,
                given=upload.given,
                received_utc=now_utc(),
                received_by=upload.by,
                deidentify=upload.deidentify,
                language=upload.language,
                recipe=upload.recipe,
                state="queued",
            )
            session.add(study)
            session.flush()
            study.label = study.label or f"Study {study.number}"
            session.add(Job(study_id=study.id, version=1))
        return study

    def study(self, study_id: str) -> Study | None:
        with self._session() as session:
            return session.scalar(select(Study).where(Study.id == study_id))

    def studies(
        self, sort: str = "received", descending: bool = True, words: str = "", first: int = 0, count: int = 50
    ) -> tuple[Sequence[Study], int]:
        """One page of the list, and how many there are; ``words`` must stand in label, state, code or category."""
        chosen = select(Study)
        for word in words.lower().split():
            pattern = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            chosen = chosen.where(
                or_(
                    *(
                        func.lower(column).like(pattern, escape="\\")
                        for column in (Study.label, Study.state, Study.code, Study.category)
                    )
                )
            )
        column = SORTS.get(sort, Study.number)
        order = (column.is_(None), column.desc() if descending else column.asc(), Study.number.desc())
        with self._session() as session:
            total = session.scalar(select(func.count()).select_from(chosen.subquery())) or 0
            return session.scalars(chosen.order_by(*order).offset(first).limit(count)).all(), total

    def latest_assessments(self) -> list[tuple[Study, dict[str, Any]]]:
        """Every study that has a result, with what its newest version's assessment.json says."""
        query = (
            select(Study, Version.assessment)
            .join(Version, (Version.study_id == Study.id) & (Version.number == Study.latest))
            .order_by(Study.number)
        )
        with self._session() as session:
            return [(study, json.loads(assessment)) for study, assessment in session.execute(query)]

    def ended_without_result(self) -> list[tuple[str, int]]:
        """How many studies were refused or failed, by reason code, the most frequent first."""
        query = select(Study.code, func.count()).where(Study.code != "").group_by(Study.code)
        with self._session() as session:
            return [(code, count) for code, count in session.execute(query.order_by(func.count().desc(), Study.code))]

    def active(self) -> list[tuple[Study, int]]:
        """Every study that waits or runs, in the order of the queue, and how many jobs come before it."""
        first = (Job.version == 1).asc()
        query = select(Study, Job).join(Job, Job.study_id == Study.id).order_by(Job.started_utc == "", first, Job.id)
        with self._session() as session:
            jobs = session.execute(query).all()
        return [(study, place) for place, (study, job) in enumerate(jobs) if job.version == 1]

    def ahead_of(self, study_id: str) -> int:
        """How many jobs the worker will do before this study's."""
        return next((place for study, place in self.active() if study.id == study_id), 0)

    def revision(self) -> str:
        """Another text whenever a study comes, begins, ends or goes."""
        query = select(Study.state, func.count(), func.max(Study.number), func.sum(Study.latest))
        with self._session() as session:
            return str(sorted(map(tuple, session.execute(query.group_by(Study.state)).all())))

    def rename(self, study_id: str, label: str) -> None:
        with self._session() as session, session.begin():
            session.execute(update(Study).where(Study.id == study_id).values(label=label))

    def remove(self, study_id: str) -> bool:
        """Forget a study and all its versions, unless the worker is at it just now."""
        with self._session() as session, session.begin():
            busy = session.scalar(select(Job.id).where(Job.study_id == study_id, Job.started_utc != ""))
            if busy is not None:
                return False
            for table in (Job, Version):
                session.execute(delete(table).where(table.study_id == study_id))
            session.execute(delete(Study).where(Study.id == study_id))
        return True

    # Versions

    def versions(self, study_id: str) -> Sequence[Version]:
        with self._session() as session:
            return session.scalars(select(Version).where(Version.study_id == study_id).order_by(Version.number)).all()

    def version(self, study_id: str, number: int) -> Version | None:
        with self._session() as session:
            return session.get(Version, (study_id, number))

    def keep_first(self, study_id: str, result: Result) -> None:
        """The program's own result is there: the study is done."""
        said = result.assessment.scan.acquisition
        patient = {"sex": said.patient_sex, "age_years": said.patient_age_years}
        with self._session() as session, session.begin():
            session.execute(delete(Version).where(Version.study_id == study_id, Version.number == 1))
            session.add(_version(study_id, 1, "Trabecula", 0, (), result, "ready"))
            session.execute(
                update(Study)
                .where(Study.id == study_id)
                .values(state="done", stage="done", progress=1.0, **patient, **_shown(result, 1))
            )
            session.execute(delete(Job).where(Job.study_id == study_id, Job.version == 1))

    def keep_correction(self, study_id: str, based_on: int, by: str, changes: Sequence[str], result: Result) -> int:
        """A new version on top; its files are written by the worker. Returns its number."""
        with self._session() as session, session.begin():
            newest = session.scalar(select(func.max(Version.number)).where(Version.study_id == study_id)) or 0
            number = newest + 1
            session.add(_version(study_id, number, by, based_on, changes, result, "pending"))
            session.execute(update(Study).where(Study.id == study_id).values(**_shown(result, number)))
            session.add(Job(study_id=study_id, version=number))
        return number

    def keep_files(self, study_id: str, number: int, result: Result) -> None:
        """The files of a correction are there."""
        notes = json.dumps(list(result.notes))
        self._end_files(study_id, number, files="ready", assessment=result.assessment_json, notes=notes)

    def files_failed(self, study_id: str, number: int, why: str) -> None:
        """The files of a correction could not be written; what was corrected stays."""
        self._end_files(study_id, number, files="failed", notes=json.dumps([why]))

    def _end_files(self, study_id: str, number: int, **values: str) -> None:
        with self._session() as session, session.begin():
            session.execute(
                update(Version).where(Version.study_id == study_id, Version.number == number).values(**values)
            )
            session.execute(delete(Job).where(Job.study_id == study_id, Job.version == number))

    # The queue

    def take_job(self) -> Job | None:
        """The next job, marked as begun. There is one worker, so that nobody else takes it."""
        with self._session() as session, session.begin():
            waiting = select(Job).where(Job.started_utc == "").order_by((Job.version == 1), Job.id)
            job = session.scalar(waiting.limit(1))
            if job is None:
                return None
            job.started_utc, job.attempts = now_utc(), job.attempts + 1
            if job.version == 1:
                session.execute(update(Study).where(Study.id == job.study_id).values(state="running", stage="read"))
        return job

    def tell_progress(self, study_id: str, stage: str, progress: float) -> None:
        with self._session() as session, session.begin():
            session.execute(update(Study).where(Study.id == study_id).values(stage=stage, progress=progress))

    def end_without_result(self, study_id: str, state: str, code: str, message: str) -> None:
        """A scan was ``refused``, or screening it ``failed``."""
        with self._session() as session, session.begin():
            session.execute(
                update(Study).where(Study.id == study_id).values(state=state, stage="", code=code, message=message)
            )
            session.execute(delete(Job).where(Job.study_id == study_id, Job.version == 1))

    def running_jobs(self) -> Sequence[Job]:
        with self._session() as session:
            return session.scalars(select(Job).where(Job.started_utc != "")).all()

    def put_back(self, job_id: int) -> None:
        """A job whose worker is gone waits again, at its old place."""
        with self._session() as session, session.begin():
            job = session.get(Job, job_id)
            if job is None:
                return
            job.started_utc = ""
            if job.version == 1:
                session.execute(
                    update(Study).where(Study.id == job.study_id).values(state="queued", stage="", progress=0.0)
                )


def _version(
    study_id: str, number: int, by: str, based_on: int, changes: Sequence[str], result: Result, files: str
) -> Version:
    return Version(
        study_id=study_id,
        number=number,
        made_utc=now_utc(),
        made_by=by,
        based_on=based_on,
        changes=json.dumps(list(changes)),
        assessment=result.assessment_json,
        names=result.names_json,
        files=files,
        notes=json.dumps(list(result.notes)),
    )


def _shown(result: Result, number: int) -> dict[str, Any]:
    """What the list of studies shows of a result."""
    diagnosis, density = result.assessment.diagnosis, result.assessment.diagnosis.density
    return {
        "category": diagnosis.category.value,
        "density": None if density is None else density.value,
        "quantity": None if density is None else density.quantity.key,
        "latest": number,
    }
