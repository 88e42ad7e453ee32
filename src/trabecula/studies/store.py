"""What the server and its worker write down and look up: every change is one transaction."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from trabecula.dicom.contents import UNCHOSEN, Choice
from trabecula.errors import WrongUsage
from trabecula.messages import Fact, Phrase
from trabecula.quantity import CATEGORIES, Category
from trabecula.records import Assessment, Effect
from trabecula.records.codec import plain
from trabecula.records.doubts import reach, weighed
from trabecula.studies import listing
from trabecula.studies.audit import What, note
from trabecula.studies.clock import now_utc, seconds_since
from trabecula.studies.listing import ACTIVE, ANY, SORTS, Sought
from trabecula.studies.queue import Queue, held, number_of, require_ct
from trabecula.studies.result import Result
from trabecula.studies.sentences import wrong
from trabecula.studies.tables import Act, Job, Study, Version

__all__ = ["ACTIVE", "SORTS", "Store", "Upload", "now_utc", "seconds_since"]
SIGNED, SENT = "signed", "sent"
"""What is done with a version; the standing that it gives its study."""


OF_NODE = "node:"
"""Before the title of whoever sent a study by DICOM: no user's name begins so, so that it is nobody's own."""

Still = Callable[[Session], bool]
"""Whether what a removal rests on holds at the moment of the removal, in its transaction."""


def always(session: Session) -> bool:
    """Of a removal that somebody asks for."""
    return True


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
    choice: Choice = UNCHOSEN


class Store(Queue):
    """The database as everybody else sees it. Rows are handed out detached: changing one changes nothing."""

    def seen_by(self, user: str) -> "Store":
        """The same for somebody who sees nothing but what they sent."""
        return Store(self.engine, user, self.who)

    def used_by(self, who: str) -> "Store":
        """The same for somebody whose name stands in the audit trail beside what they change."""
        return Store(self.engine, self.only, who)

    def _mine(self, sought: Sought) -> Sought:
        return replace(sought, by=self.only)

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
                study_chosen=upload.choice.study or None,
                series_chosen=upload.choice.series or None,
                state="queued",
            )
            session.add(study)
            session.flush()
            study.label = study.label or unlabelled(study)
            session.add(Job(study_id=study.id, version=1))
            note(session, self.who or upload.by, What.UPLOADED, study.number)
        return study

    def ids(self) -> set[str]:
        """The names of all studies."""
        with self._session() as session:
            return set(session.scalars(select(Study.id)))

    def study(self, study_id: str) -> Study | None:
        with self._session() as session:
            return session.scalar(select(Study).where(Study.id == study_id, *listing.sent_by(self.only)))

    def found(self, ids: Sequence[str]) -> dict[str, Study]:
        """Of these names, the studies that there are."""
        if not ids:
            return {}
        with self._session() as session:
            studies = session.scalars(select(Study).where(Study.id.in_(ids), *listing.sent_by(self.only)))
            return {study.id: study for study in studies}

    def studies(self, sought: Sought = ANY, first: int = 0, count: int = 50) -> tuple[Sequence[Study], int]:
        """One page of the list, and how many there are."""
        with self._session() as session:
            return listing.page_of(session, self._mine(sought), first, count)

    def beside(self, sought: Sought, study_id: str) -> tuple[str | None, str | None]:
        """What comes before and after a study in the list."""
        with self._session() as session:
            return listing.beside(session, self._mine(sought), study_id)

    def choices(self) -> dict[str, list[tuple[str, int]]]:
        """Scanners and reason codes that occur, with how often."""
        with self._session() as session:
            return listing.choices(session, self.only)

    def with_result(self, but: str, most: int) -> Sequence[Study]:
        """The newest studies that have a result, but for one."""
        query = select(Study).where(Study.latest > 0, Study.id != but, *listing.sent_by(self.only))
        with self._session() as session:
            return session.scalars(query.order_by(Study.number.desc()).limit(most)).all()

    def ended_without_result(self) -> list[tuple[str, int]]:
        """How many studies were refused or failed, by reason code, the most frequent first."""
        query = (
            select(Study.code, func.count()).where(Study.code != "", *listing.sent_by(self.only)).group_by(Study.code)
        )
        with self._session() as session:
            return [(code, count) for code, count in session.execute(query.order_by(func.count().desc(), Study.code))]

    def all_versions(self) -> list[tuple[Study, list[Version]]]:
        """Every study that has a result with all its versions, in order."""
        query = select(Study, Version).join(Version, Version.study_id == Study.id).where(*listing.sent_by(self.only))
        found: dict[int, tuple[Study, list[Version]]] = {}
        with self._session() as session:
            for study, version in session.execute(query.order_by(Study.number, Version.number)):
                found.setdefault(study.number, (study, []))[1].append(version)
        return list(found.values())

    def typical_seconds(self) -> float | None:
        """How long a study takes here, by the last ones; None where there is none."""
        query = select(Study.seconds).where(Study.seconds.is_not(None)).order_by(Study.number.desc()).limit(9)
        with self._session() as session:
            known = sorted(seconds for seconds in session.scalars(query) if seconds is not None)
        return known[len(known) // 2] if known else None

    def revision(self) -> str:
        """Another text whenever a study comes, begins, ends or goes."""
        query = select(Study.state, Study.standing, func.count(), func.max(Study.number), func.sum(Study.latest))
        query = query.where(*listing.sent_by(self.only)).group_by(Study.state, Study.standing)
        with self._session() as session:
            return str(sorted(map(tuple, session.execute(query).all())))

    def rename(self, study_id: str, label: str) -> None:
        with self._session() as session, session.begin():
            session.execute(update(Study).where(Study.id == study_id).values(label=label))
            note(session, self.who, What.RENAMED, number_of(session, study_id))

    def give(self, study_id: str, given: str) -> None:
        """The upload lies under another name in the study's folder."""
        with self._session() as session, session.begin():
            session.execute(update(Study).where(Study.id == study_id).values(given=given))

    def remove(self, study_id: str, still: Still = always) -> bool:
        """Forget a study and all its versions, unless the worker is at it just now, or it is ``still`` no more."""
        with self._session() as session, session.begin():
            study = held(session, study_id)
            if study is None or not still(session):
                return False
            session.execute(delete(Job).where(Job.study_id == study_id, Job.started_utc == ""))
            if session.scalar(select(Job.id).where(Job.study_id == study_id)) is not None:
                session.rollback()
                return False
            note(session, self.who, What.REMOVED, study.number)
            for table in (Act, Version):
                session.execute(delete(table).where(table.study_id == study_id))
            session.execute(delete(Study).where(Study.id == study_id))
        return True

    def remove_ct(self, study_id: str, still: Still = always) -> bool:
        """The study goes on without its CT, unless it is in the queue, or ``still`` no more; nothing of it is corrected
        any more.
        """
        with self._session() as session, session.begin():
            study = held(session, study_id)
            waits = select(Job.id).where(Job.study_id == study_id)
            if study is None or not still(session) or session.scalar(waits) is not None:
                return False
            study.ct_removed_utc = now_utc()
            note(session, self.who, What.REMOVED_CT, study.number)
        return True

    # Versions

    def acts(self, study_id: str) -> Sequence[Act]:
        """Who signed or sent which version, in order."""
        with self._session() as session:
            return session.scalars(select(Act).where(Act.study_id == study_id).order_by(Act.id)).all()

    def act(self, study_id: str, version: int, what: str, by: str, doubts_seen: bool = False) -> None:
        """Somebody signed or sent a version; one that is doubted only by whoever has ``doubts_seen``, which is kept.

        Raises:
            WrongUsage: there is a newer version meanwhile, a region of it is not measured yet, or it is doubted.
        """
        with self._session() as session, session.begin():
            study = held(session, study_id)
            kept = session.get(Version, (study_id, version))
            if study is None or kept is None or study.latest != version:
                raise meanwhile(session, study_id)
            if kept.pending:
                raise wrong("region-waits")
            doubted = bool(study.doubts) and not (what == SENT and study.standing in (SIGNED, SENT))
            if doubted and not doubts_seen:
                raise wrong("doubts-unseen", label=study.label, codes=tuple(study.doubts.split()))
            study.standing = what
            about = {"study_id": study_id, "version": version, "what": what, "doubts_seen": doubted}
            session.add(Act(**about, made_by=by, made_utc=now_utc()))
            note(session, by, What(what), study.number, version, **({"doubts_seen": True} if doubted else {}))

    def versions(self, study_id: str) -> Sequence[Version]:
        query = select(Version).join(Study, Study.id == Version.study_id).where(*listing.sent_by(self.only))
        with self._session() as session:
            return session.scalars(query.where(Version.study_id == study_id).order_by(Version.number)).all()

    def version(self, study_id: str, number: int) -> Version | None:
        query = select(Version).join(Study, Study.id == Version.study_id).where(*listing.sent_by(self.only))
        with self._session() as session:
            return session.scalar(query.where(Version.study_id == study_id, Version.number == number))

    def keep_first(self, job_id: int, result: Result) -> None:
        """The program's own result is there: the study is done, unless it was cancelled meanwhile."""
        said = result.assessment.scan.acquisition
        scanner = " ".join(word for word in (said.manufacturer, said.model) if word)
        patient = {"sex": said.patient_sex, "age_years": said.patient_age_years, "scanner": scanner}
        with self._session() as session, session.begin():
            job = session.get(Job, job_id)
            if job is None:
                return
            study_id, patient["seconds"] = job.study_id, seconds_since(job.started_utc)
            session.delete(job)
            session.execute(delete(Version).where(Version.study_id == study_id, Version.number == 1))
            session.add(_version(study_id, 1, "Trabecula", 0, (), result, "ready"))
            session.execute(
                update(Study)
                .where(Study.id == study_id)
                .values(state="done", stage="done", progress=1.0, standing="to-check", **patient, **_shown(result, 1))
            )

    def keep_correction(
        self,
        study_id: str,
        based_on: int,
        by: str,
        changes: Sequence[Fact],
        result: Result,
        seen: int | None = None,
        drawn: int = 0,
        pending: str = "",
        confirmed: bool = False,
    ) -> int:
        """A new version on top; its files are written by the worker. Returns its number.

        ``seen`` is the newest version that the reader knew of. ``pending`` is a level whose region is new and which the
        worker will measure anew; ``drawn`` is the version whose regions this one has.

        Raises:
            WrongUsage: another reader has kept a version meanwhile, or the CT or the study was removed.
        """
        with self._session() as session, session.begin():
            study = held(session, study_id)
            if study is None:
                raise wrong("study-gone")
            require_ct(study)
            newest = session.scalar(select(func.max(Version.number)).where(Version.study_id == study_id)) or 0
            if seen is not None and newest > seen:
                raise meanwhile(session, study_id)
            number = newest + 1
            made = _version(study_id, number, by, based_on, changes, result, "pending")
            made.drawn, made.pending, made.confirmed = number if pending else drawn, pending, confirmed
            session.add(made)
            values = {**_shown(result, number), "standing": "checked"}
            session.execute(update(Study).where(Study.id == study_id).values(**values))
            session.add(Job(study_id=study_id, version=number))
            did = What.OUTLINED if pending else What.CONFIRMED if confirmed else What.CORRECTED
            note(session, by, did, study.number, number)
        return number

    def require_newest(self, study_id: str, seen: int | None) -> None:
        """Raises WrongUsage where a version is newer than the one that a reader knew of."""
        with self._session() as session:
            newest = session.scalar(select(func.max(Version.number)).where(Version.study_id == study_id)) or 0
            if seen is not None and newest > seen:
                raise meanwhile(session, study_id)

    def keep_measured(self, study_id: str, number: int, result: Result) -> None:
        """A version whose new region has been measured; its files are there too."""
        with self._session() as session, session.begin():
            latest = select(Study.latest).where(Study.id == study_id)
            if session.scalar(latest) == number:
                session.execute(update(Study).where(Study.id == study_id).values(**_shown(result, number)))
            session.execute(
                update(Version).where(Version.study_id == study_id, Version.number == number).values(pending="")
            )
        self.keep_files(study_id, number, result)

    def keep_files(self, study_id: str, number: int, result: Result) -> None:
        """The files of a correction are there."""
        notes = json.dumps(list(result.notes))
        self._end_files(study_id, number, files="ready", assessment=result.assessment_json, notes=notes)

    def write_again(self, study_id: str, number: int) -> bool:
        """Files that could not be written are tried once more; whether they could not."""
        with self._session() as session, session.begin():
            study = held(session, study_id)
            version = session.get(Version, (study_id, number))
            if study is None or study.ct_removed_utc or version is None or version.files != "failed":
                return False
            version.files, version.notes = "pending", "[]"
            session.add(Job(study_id=study_id, version=number))
        return True

    def files_failed(self, study_id: str, number: int, why: str) -> None:
        """The files of a correction could not be written; what was corrected stays."""
        self._end_files(study_id, number, files="failed", notes=json.dumps([why]))

    def _end_files(self, study_id: str, number: int, **values: str) -> None:
        with self._session() as session, session.begin():
            session.execute(
                update(Version).where(Version.study_id == study_id, Version.number == number).values(**values)
            )
            session.execute(delete(Job).where(Job.study_id == study_id, Job.version == number))


def unlabelled(study: Study) -> str:
    """What a study is called that was given no label, in the language of its report."""
    return Phrase("web-js-study-of", {"number": study.number}).told(study.language)


def choice_of(study: Study) -> Choice:
    """Which of several studies and series in it is to be read."""
    return Choice(study.study_chosen or "", study.series_chosen or "")


def offered_by(study: Study) -> list[dict[str, Any]]:
    """The studies to choose among, as ``ListedStudy.to_dict`` tells them; none where there is nothing to choose."""
    found: list[dict[str, Any]] = json.loads(study.offered or "[]")
    return found


def _version(
    study_id: str, number: int, by: str, based_on: int, changes: Sequence[Fact], result: Result, files: str
) -> Version:
    return Version(
        study_id=study_id,
        number=number,
        made_utc=now_utc(),
        made_by=by,
        based_on=based_on,
        changes=json.dumps(plain(list(changes))),
        assessment=result.assessment_json,
        names=result.names_json,
        files=files,
        notes=json.dumps(list(result.notes)),
    )


def meanwhile(session: Session, study_id: str) -> WrongUsage:
    """Somebody else was quicker: who, and which version, or that the study is gone."""
    newest = session.scalar(select(Version).where(Version.study_id == study_id).order_by(Version.number.desc()))
    if newest is None:
        return wrong("study-gone")
    return wrong("corrected-meanwhile", by=newest.made_by, number=newest.number)


def doubts_of(assessment: Assessment) -> list[str]:
    """The codes of what makes the result doubtful, the weightiest first; notes are none."""
    found = weighed(assessment)
    said = [*([] if found.first is None else [found.first]), *found.doubts]
    said += [one for vertebra in assessment.readings.vertebrae for one in vertebra.reasons]
    return list(dict.fromkeys(one.code for one in said if one.effect is not Effect.NOTE))


def reach_of(assessment: Assessment) -> list[str]:
    """The categories that the headline names or the interval touches, densest last."""
    diagnosis = assessment.diagnosis
    touched = {*diagnosis.candidates, *reach(diagnosis)}
    return [str(one) for one in (*reversed(CATEGORIES), Category.UNDETERMINED) if one in touched]


def _shown(result: Result, number: int) -> dict[str, Any]:
    """What the list of studies shows of a result."""
    diagnosis, density = result.assessment.diagnosis, result.assessment.diagnosis.density
    codes = doubts_of(result.assessment)
    return {
        "doubts": f" {' '.join(codes)} " if codes else "",
        "category": diagnosis.category.value,
        "reach": " ".join(reach_of(result.assessment)),
        "density": None if density is None else density.value,
        "quantity": None if density is None else density.quantity.key,
        "latest": number,
    }
