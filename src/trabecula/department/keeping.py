"""What the node keeps of CTs that became no study of the page: left out by a rule, or in quarantine."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.orm import Session

from trabecula.department.ledger import Ledger, Received
from trabecula.department.spool import Spool
from trabecula.studies.audit import What, note

SETTLED_STATES = ("whole", "quarantined")
DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Kept:
    """A received study that was not screened, as the ledger knew it when it was found, and what it takes."""

    study: Received
    idle_days: int
    bytes: int

    @property
    def number(self) -> int:
        """Its number in ``trabecula node --status``."""
        return self.study.number

    @property
    def key(self) -> str:
        return self.study.key


def over_time(ledger: Ledger, spool: Spool, after_days: int, now: float | None = None) -> Iterator[Kept]:
    """Those of which nothing was screened and nothing changed for so many days."""
    at = time.time() if now is None else now
    screened = {study.number for take, study in ledger.takes() if take.state != "left-out"}
    for study in ledger.studies(*SETTLED_STATES):
        idle_days = (at - study.changed) / DAY_SECONDS
        files = [] if study.number in screened or study.coming or idle_days < after_days else spool.files(study.key)
        if files:
            yield Kept(study, int(idle_days), sum(path.stat().st_size for path in files))


def forget(one: Kept, ledger: Ledger, spool: Spool, who: str) -> bool:
    """Removes its CT, which the audit trail tells; False where more of it comes just now, and all of it stays.

    That it came is still known, so that it is not taken for new.
    """

    def more_comes() -> bool:
        if not ledger.unchanged(one.study):
            return True
        # Before it is gone: a kill may leave a line too many in the trail, but nothing removed without one.
        with Session(ledger.engine) as session, session.begin():
            note(session, who, What.REMOVED_CT, received=one.number)
        return False

    return spool.forget_unless(one.key, more_comes)
