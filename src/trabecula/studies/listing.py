"""The list of studies: what is looked for, in which order, and what there is to choose from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from trabecula.studies.tables import Study

SORTS: dict[str, tuple[Any, ...]] = {
    "received": (Study.number,),
    "label": (func.lower(Study.label),),
    "state": (Study.state, Study.standing),
    "category": (Study.category,),
    "bmd": (Study.quantity, Study.density),  # densities of two kinds are never in one order
    "age": (Study.age_years,),
    "scanner": (Study.scanner,),
}
ACTIVE = ("queued", "running")
STANDINGS = ("to-check", "checked", "signed", "sent")
"""What has become of a result, as far as people are concerned."""

ENDED = ("refused", "failed", "cancelled")
STATES = ("active", *STANDINGS, *ENDED)
"""What the list can be narrowed to."""

ANY_DOUBT, NO_DOUBT = "any", "none"


@dataclass(frozen=True)
class Sought:
    """Which studies, in which order. What is empty asks for nothing; days are moments in UTC."""

    words: str = ""
    state: str = ""
    category: str = ""
    doubt: str = ""  # any, none, or a reason code
    scanner: str = ""
    since_utc: str = ""
    before_utc: str = ""
    sort: str = "received"
    descending: bool = True
    by: str | None = None  # only what this user sent

    @property
    def narrowed(self) -> bool:
        return any((self.words, self.state, self.category, self.doubt, self.scanner, self.since_utc, self.before_utc))


ANY = Sought()
"""All of them, the newest first."""


def chosen(sought: Sought) -> Select[Study]:
    """The query for all of them, in order."""
    query = select(Study).where(*sent_by(sought.by))
    for word in sought.words.lower().split():
        within = (Study.label, Study.state, Study.standing, Study.code, Study.category, Study.doubts, Study.scanner)
        query = query.where(or_(*(func.lower(column).like(holding(word), escape="\\") for column in within)))
    query = _of_state(query, sought.state)
    if sought.category:
        query = query.where(Study.category == sought.category)
    if sought.doubt == ANY_DOUBT:
        query = query.where(Study.doubts != "")
    elif sought.doubt == NO_DOUBT:
        query = query.where(Study.doubts == "", Study.latest > 0)
    elif sought.doubt:
        named = Study.doubts.like(holding(f" {sought.doubt} "), escape="\\")
        query = query.where(or_(named, Study.code == sought.doubt))
    if sought.scanner:
        query = query.where(Study.scanner == sought.scanner)
    if sought.since_utc:
        query = query.where(Study.received_utc >= sought.since_utc)
    if sought.before_utc:
        query = query.where(Study.received_utc < sought.before_utc)
    columns = SORTS.get(sought.sort, SORTS["received"])
    order: list[Any] = []
    for column in columns:
        order += [column.is_(None), column.desc() if sought.descending else column.asc()]
    return query.order_by(*order, Study.number.desc())


def sent_by(user: str | None) -> tuple[ColumnElement[bool], ...]:
    """Keeps to what a user sent; to nothing for None."""
    return () if user is None else (Study.received_by == user,)


def holding(text: str) -> str:
    """A pattern for ``LIKE`` that holds the text as it is, with a backslash before what has a meaning there."""
    return "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def page_of(session: Session, sought: Sought, first: int, count: int) -> tuple[Sequence[Study], int]:
    """Some of them from the ``first``, and how many there are."""
    query = chosen(sought)
    total = session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    return session.scalars(query.offset(first).limit(count)).all(), total


def beside(session: Session, sought: Sought, study_id: str) -> tuple[str | None, str | None]:
    """What comes before and after a study in the list."""
    ids = list(session.scalars(chosen(sought).with_only_columns(Study.id)))
    if study_id not in ids:
        return None, None
    at = ids.index(study_id)
    return (ids[at - 1] if at else None), (ids[at + 1] if at + 1 < len(ids) else None)


def choices(session: Session, by: str | None = None) -> dict[str, list[tuple[str, int]]]:
    """Scanners and reason codes that occur, with how often."""
    scanners: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for scanner, doubts, code in session.execute(select(Study.scanner, Study.doubts, Study.code).where(*sent_by(by))):
        scanners.update([scanner] if scanner else [])
        codes.update([*doubts.split(), *([code] if code else [])])
    return {"scanners": sorted(scanners.items()), "codes": sorted(codes.items())}


def _of_state(query: Select[Study], state: str) -> Select[Study]:
    if state == "active":
        return query.where(Study.state.in_(ACTIVE))
    if state in STANDINGS:
        return query.where(Study.state == "done", Study.standing == state)
    return query.where(Study.state == state) if state in ENDED else query
