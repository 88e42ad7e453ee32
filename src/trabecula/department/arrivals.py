"""Which studies come just now, who brings them, and whether what was brought is whole."""

import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from trabecula.department.ledger import Ledger, Received
from trabecula.department.logs import warn
from trabecula.department.rules import Rules
from trabecula.errors import place_of


@dataclass
class Coming:
    """A study that comes just now: how many bring it, and when its last instance came."""

    bringers: int = 0
    last: float = field(default_factory=time.monotonic)


class Arrivals:
    """Kept of every association, and of every study that is fetched: each is a bringer."""

    def __init__(self, rules: Rules, ledger: Ledger) -> None:
        self.rules, self.ledger = rules, ledger
        self.started = time.monotonic()
        self.instances = self.bytes = 0
        self._coming: dict[str, Coming] = {}
        self._brought: dict[Hashable, dict[str, bool]] = {}  # whether any of it was new
        self._incomplete: set[Hashable] = set()  # those of which an instance was refused
        self._lock = threading.Lock()
        self.ending = False

    def coming(self, key: str) -> bool:
        """Whether somebody is bringing the study."""
        with self._lock:
            return key in self._coming and self._coming[key].bringers > 0

    def quiet(self, study: Received) -> bool:
        """Whether nothing has come of a study for long enough.

        Where the node itself was ended while it came, its sender has to notice, and is given time to come again.
        """
        node = self.rules.node
        with self._lock:
            known = self._coming.get(study.key)
        if known is not None:
            return time.monotonic() - known.last >= node.quiet_seconds
        waited = node.interrupted_seconds if study.coming else node.quiet_seconds
        return time.monotonic() - self.started >= waited

    def begun(self, bringer: Hashable, key: str, sender: str) -> None:
        """Writes down that a study comes, before anything of it is kept; nothing is remembered where that fails."""
        with self._lock:
            brought = self._brought.setdefault(bringer, {})
            if key in brought:
                return
            brought[key] = False
            self._coming.setdefault(key, Coming()).bringers += 1
        try:
            self.ledger.receiving(key, sender)
        except SQLAlchemyError:
            with self._lock:
                del brought[key]
                self._coming[key].bringers -= 1
            raise

    def kept(self, bringer: Hashable, key: str, new: bool, size: int) -> None:
        """An instance of ``size`` bytes is on the disk; ``new`` where it was not there before."""
        with self._lock:
            self._coming[key].last = time.monotonic()
            self._brought[bringer][key] |= new
            self.instances += 1
            self.bytes += size

    def refused(self, bringer: Hashable) -> None:
        """An instance was not taken: the study is not whole when its bringer goes on."""
        with self._lock:
            self._incomplete.add(bringer)

    def ended(self, bringer: Hashable, broke_off: str = "") -> None:
        """What was brought is whole, but where its bringer ``broke_off`` (a code) or an instance was refused.

        What is not whole is quarantined unless it was here before.
        """
        with self._lock:
            brought, incomplete = self._brought.pop(bringer, {}), bringer in self._incomplete
            self._incomplete.discard(bringer)
        code = "instance-refused" if incomplete else broke_off
        for key, new in brought.items():
            while not self.ending:
                try:
                    self._study_ended(key, new, code)
                    break
                except SQLAlchemyError as error:  # a full disk, say: it is not forgotten that a sender broke off
                    warn("step-failed", code=type(error).__name__, place=place_of(error.__traceback__))
                    time.sleep(self.rules.retry.first_seconds)

    def _study_ended(self, key: str, new: bool, code: str) -> None:
        with self._lock:
            last = self._coming[key].bringers == 1
        if not code:
            self.ledger.resume(key)
        elif new:
            self.ledger.quarantine(key)
            warn("study-quarantined", code=code)
        self.ledger.came(key, new, last)
        with self._lock:
            self._coming[key].bringers -= 1
            self._coming[key].last = time.monotonic()

    def forget(self, key: str) -> None:
        """The study is whole: nothing needs to be remembered of how it came."""
        with self._lock:
            if key in self._coming and self._coming[key].bringers == 0:
                del self._coming[key]
