"""What the node knows of each study: how far it came, each time it was taken, and each answer until it is accepted.

The tables stand beside those of ``studies`` in one database. They hold no identifier: a study is a number and the
hash of its UID. Every change is one transaction, so that the node can be killed at any moment.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, ForeignKey, delete, func, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from trabecula.studies.audit import What, note
from trabecula.studies.tables import NUMBERED, Study

SCREENED = ("answering", "settled", "unanswered")
"""Takes that are the page's studies, with which they go."""


class NodeBase(DeclarativeBase):
    """The node's own tables."""


class Received(NodeBase):
    """A study that somebody sent.

    States: receiving, taking (its files are being looked at; whatever comes meanwhile makes it receiving again), whole,
    quarantined (its sender broke off).
    """

    __tablename__ = "node_studies"
    __table_args__ = NUMBERED

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(unique=True)
    sender: Mapped[str]  # a title of the rules
    state: Mapped[str] = mapped_column(index=True)
    since: Mapped[float]
    changed: Mapped[float]
    coming: Mapped[bool] = mapped_column(default=False)  # an association that brings it has not ended yet
    released_by: Mapped[str] = mapped_column(default="")  # who let it out of quarantine


class Take(NodeBase):
    """One delivery of a study as it was taken to be screened; late slices make the next one.

    States: planned, queued, answering, settled (all answers accepted), unanswered (a person has to look), left-out,
    removed (the study was removed on the page, and the CT here with it).
    """

    __tablename__ = "node_takes"
    __table_args__ = NUMBERED

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    study: Mapped[int] = mapped_column(ForeignKey("node_studies.number"), index=True)
    number: Mapped[int]
    digest: Mapped[str]
    store_id: Mapped[str]  # the study's id in the queue
    rule: Mapped[str]
    recipe: Mapped[str | None]
    destinations: Mapped[str]  # JSON
    objects: Mapped[str]  # JSON: which kinds of object are answered
    files: Mapped[str]  # JSON: names of the instances taken
    state: Mapped[str] = mapped_column(index=True)
    code: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(default="")
    taken: Mapped[float]
    ended: Mapped[float] = mapped_column(default=0.0)


class Answer(NodeBase):
    """One object for one destination; it waits until that has accepted it."""

    __tablename__ = "node_answers"
    __table_args__ = NUMBERED

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    take: Mapped[int] = mapped_column(ForeignKey("node_takes.id"), index=True)
    destination: Mapped[str] = mapped_column(index=True)
    file: Mapped[str]  # in the result's folder of DICOM objects
    accepted: Mapped[float] = mapped_column(default=0.0)
    attempts: Mapped[int] = mapped_column(default=0)
    due: Mapped[float] = mapped_column(default=0.0)
    code: Mapped[str] = mapped_column(default="")  # why the last try failed


@dataclass(frozen=True)
class Planned:
    """What is to be screened, and what becomes of the result."""

    digest: str
    store_id: str
    rule: str
    recipe: str | None
    destinations: Sequence[str]
    objects: Sequence[str]
    files: Sequence[str]


class Ledger:
    """The node's book. Rows are handed out detached: changing one changes nothing."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def begin_again(self) -> None:
        """What an earlier run was at, or was receiving when it ended, is looked at again."""
        with self._session() as session, session.begin():
            under_way = (Received.state == "taking") | ((Received.state == "whole") & Received.coming)
            session.execute(update(Received).where(under_way).values(state="receiving"))
            broken_off = update(Received).where(Received.state == "quarantined", Received.coming)
            session.execute(broken_off.values(coming=False))

    def _session(self) -> Session:
        return Session(self.engine, expire_on_commit=False)

    # Studies

    def receiving(self, key: str, sender: str) -> None:
        """A study begins to come, or comes again."""
        now = time.time()
        with self._session() as session, session.begin():
            known = session.scalar(select(Received).where(Received.key == key))
            if known is None:
                session.add(Received(key=key, sender=sender, state="receiving", since=now, changed=now, coming=True))
                return
            known.coming = True
            if known.state in ("whole", "taking"):
                known.state, known.changed = "receiving", now

    def came(self, key: str, new: bool, last: bool) -> None:
        """An association that brought it has ended, the ``last`` or not; ``new`` if with what was not here before."""
        with self._session() as session, session.begin():
            if new:  # somebody may have begun to look at what was here
                again = update(Received).where(Received.key == key, Received.state.in_(("whole", "taking")))
                session.execute(again.values(state="receiving", changed=time.time()))
            if last:
                session.execute(update(Received).where(Received.key == key).values(coming=False))

    def quarantine(self, key: str) -> None:
        """Its sender broke off: what came is kept, and waits for the rest or for a person."""
        self._turn(key, "quarantined", ("receiving", "taking", "whole"))

    def resume(self, key: str) -> None:
        """It was sent again to its end, so that nothing is wanting any more."""
        self._turn(key, "receiving", ("quarantined",))

    def take(self, key: str) -> None:
        """Its files will be looked at: to be said before they are listed."""
        self._turn(key, "taking", ("receiving",))

    def whole(self, key: str) -> None:
        """There is nothing to be screened in it."""
        self._turn(key, "whole", ("taking",))

    def _turn(self, key: str, state: str, before: Sequence[str]) -> None:
        with self._session() as session, session.begin():
            turned = update(Received).where(Received.key == key, Received.state.in_(before))
            session.execute(turned.values(state=state, changed=time.time()))

    def release(self, number: int, by: str) -> bool:
        """A person lets a quarantined study be screened as it is."""
        with self._session() as session, session.begin():
            freed = update(Received).where(Received.number == number, Received.state == "quarantined")
            done = bool(session.execute(freed.values(state="receiving", released_by=by)).rowcount)  # type: ignore[attr-defined]
            if done:
                note(session, by, What.RELEASED, received=number)
        return done

    def studies(self, *states: str) -> Sequence[Received]:
        """Those in any of the states, in the order they came; all where none is named."""
        query = select(Received).order_by(Received.number)
        with self._session() as session:
            return session.scalars(query.where(Received.state.in_(states)) if states else query).all()

    # Takes

    def plan(self, study: Received, planned: Planned) -> bool:
        """The study is whole and will be screened; False where that very delivery has been taken already."""
        return self._take(study, planned, "planned", "", "")

    def leave_out(self, study: Received, digest: str, code: str, message: str) -> bool:
        """The study is whole and is not screened."""
        return self._take(study, Planned(digest, "", "", None, (), (), ()), "left-out", code, message)

    def _take(self, study: Received, planned: Planned, state: str, code: str, message: str) -> bool:
        with self._session() as session, session.begin():
            own = update(Received).where(Received.number == study.number, Received.state == "taking")
            session.execute(own.values(state="whole", changed=time.time(), released_by=""))
            takes = select(Take).where(Take.study == study.number).order_by(Take.number.desc())
            before = session.scalars(takes).first()
            if before is not None and before.digest == planned.digest and before.state != "removed":
                return False
            session.add(
                Take(
                    study=study.number,
                    number=1 if before is None else before.number + 1,
                    digest=planned.digest,
                    store_id=planned.store_id,
                    rule=planned.rule,
                    recipe=planned.recipe,
                    destinations=json.dumps(list(planned.destinations)),
                    objects=json.dumps(list(planned.objects)),
                    files=json.dumps(list(planned.files)),
                    state=state,
                    code=code,
                    message=message,
                    taken=time.time(),
                    ended=time.time() if state == "left-out" else 0.0,
                )
            )
        return True

    def takes(self, *states: str) -> Sequence[tuple[Take, Received]]:
        query = select(Take, Received).join(Received, Received.number == Take.study).order_by(Take.id)
        with self._session() as session:
            found = session.execute(query.where(Take.state.in_(states)) if states else query).all()
        return [(take, study) for take, study in found]

    def queued(self, take: int) -> None:
        self._end(take, "planned", "queued")

    def answer(self, take: Take, files: Sequence[str]) -> None:
        """The result is there: each file goes to each destination, written down in one go."""
        with self._session() as session, session.begin():
            turned = update(Take).where(Take.id == take.id, Take.state == "queued").values(state="answering")
            if not session.execute(turned).rowcount:  # type: ignore[attr-defined]
                return
            for destination in json.loads(take.destinations):
                session.add_all(Answer(take=take.id, destination=destination, file=file) for file in files)

    def unanswered(self, take: int, code: str, message: str) -> None:
        """There is nothing to answer with, or it shall not be answered."""
        self._end(take, "queued", "unanswered", code, message)

    def removed_studies(self) -> Sequence[tuple[Take, Received]]:
        """Takes whose study somebody removed from the queue's database, where nothing more of it comes just now."""
        query = (
            select(Take, Received)
            .join(Received, Received.number == Take.study)
            .outerjoin(Study, Study.id == Take.store_id)
            .where(Take.state.in_(SCREENED), Study.id.is_(None), Received.state == "whole", ~Received.coming)
        )
        with self._session() as session:
            found = session.execute(query.order_by(Take.id)).all()
        return [(take, study) for take, study in found]

    def kept_otherwise(self, take: Take) -> bool:
        """Whether another delivery of the same study is still there."""
        others = select(func.count()).where(Take.study == take.study, Take.id != take.id)
        with self._session() as session:
            return bool(session.scalar(others.where(Take.state.in_(("planned", "queued", *SCREENED)))))

    def unchanged(self, study: Received) -> bool:
        """Whether nothing of a study has come since it was handed out."""
        with self._session() as session:
            now = session.get(Received, study.number)
            return now is not None and (now.state, now.changed, now.coming) == (study.state, study.changed, False)

    def removed(self, take: Take) -> None:
        """It is noted that the study is gone; what is not answered yet never will be."""
        with self._session() as session, session.begin():
            session.execute(delete(Answer).where(Answer.take == take.id, Answer.accepted == 0.0))
            session.execute(update(Take).where(Take.id == take.id).values(state="removed"))

    def _end(self, take: int, before: str, state: str, code: str = "", message: str = "") -> None:
        ended = 0.0 if state == "queued" else time.time()
        with self._session() as session, session.begin():
            turned = update(Take).where(Take.id == take, Take.state == before)
            session.execute(turned.values(state=state, code=code, message=message, ended=ended))

    # Answers

    def due(self, destination: str) -> tuple[Answer, Take] | None:
        """The next object that a destination should be tried with."""
        query = (
            select(Answer, Take)
            .join(Take, Take.id == Answer.take)
            .where(Answer.destination == destination, Answer.accepted == 0.0, Answer.due <= time.time())
        )
        with self._session() as session:
            row = session.execute(query.order_by(Answer.due, Answer.id).limit(1)).first()
        return None if row is None else (row[0], row[1])

    def accept(self, answer: Answer) -> None:
        """The destination has it; the study is settled with its last answer."""
        with self._session() as session, session.begin():
            done = update(Answer).where(Answer.id == answer.id)
            session.execute(done.values(accepted=time.time(), attempts=answer.attempts + 1, code=""))
            sent = select(Study.number).join(Take, Take.store_id == Study.id).where(Take.id == answer.take)
            facts = {"destination": answer.destination, "file": answer.file}
            note(session, "node", What.ANSWERED, session.scalar(sent), 1, **facts)
            left = select(func.count()).where(Answer.take == answer.take, Answer.accepted == 0.0)
            if not session.scalar(left):
                settled = update(Take).where(Take.id == answer.take, Take.state == "answering")
                session.execute(settled.values(state="settled", ended=time.time()))

    def postpone(self, answer: Answer, code: str, seconds: float) -> None:
        """The destination did not take it: all that waits for it waits that long, so that nobody is flooded."""
        with self._session() as session, session.begin():
            tried = update(Answer).where(Answer.id == answer.id)
            session.execute(tried.values(attempts=answer.attempts + 1, code=code))
            waiting = update(Answer).where(Answer.destination == answer.destination, Answer.accepted == 0.0)
            session.execute(waiting.values(due=time.time() + seconds))

    def refused(self, answer: Answer, code: str, seconds: float) -> None:
        """The destination answers but will not have this object: the others go on."""
        with self._session() as session, session.begin():
            tried = update(Answer).where(Answer.id == answer.id)
            session.execute(tried.values(attempts=answer.attempts + 1, code=code, due=time.time() + seconds))

    def answers(self, take: int) -> Sequence[Answer]:
        with self._session() as session:
            return session.scalars(select(Answer).where(Answer.take == take).order_by(Answer.id)).all()

    # Figures

    def counts(self) -> dict[tuple[str, str], int]:
        """How many there are: of studies and takes by state, of answers by destination."""
        with self._session() as session:
            studies = session.execute(select(Received.state, func.count()).group_by(Received.state)).all()
            takes = session.execute(select(Take.state, func.count()).group_by(Take.state)).all()
            waiting = select(Answer.destination, func.count()).where(Answer.accepted == 0.0)
            answers = session.execute(waiting.group_by(Answer.destination)).all()
            taken = select(Answer.destination, func.count()).where(Answer.accepted > 0.0)
            accepted = session.execute(taken.group_by(Answer.destination)).all()
        told = {("study", state): number for state, number in studies}
        told |= {("take", state): number for state, number in takes}
        told |= {("waiting", name): number for name, number in answers}
        return told | {("accepted", name): number for name, number in accepted}
