"""The node as one process: it receives, keeps the queue going, answers, and says how it is."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from trabecula import __version__
from trabecula.department.arrivals import Arrivals
from trabecula.department.commitment import Commitments
from trabecula.department.deliver import Courier, require_usable
from trabecula.department.desk import Desk
from trabecula.department.fetch import Fetcher
from trabecula.department.intake import Intake
from trabecula.department.ledger import Ledger
from trabecula.department.logs import log_lines, tell, warn
from trabecula.department.rules import Rules
from trabecula.department.spool import Spool
from trabecula.department.watch import Figures, Watch, Watched, free_mib, registry_of, writable
from trabecula.errors import WrongUsage
from trabecula.studies.folders import Folders
from trabecula.studies.lock import locked
from trabecula.studies.orders import Orders
from trabecula.studies.store import Store
from trabecula.studies.supervisor import Supervisor
from trabecula.studies.tables import open_database

TRY_EVERY_SECONDS = 2.0


@dataclass(frozen=True)
class Place:
    """Where the node keeps what it has: a private folder, and a database (SQLite in the folder where None)."""

    data: Path
    database_url: str | None = None

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data / 'trabecula.sqlite'}"


class Queue:
    """Keeps a worker going, unless the web page does so from the same folder."""

    def __init__(self, place: Place, folders: Folders, store: Store) -> None:
        self.folders, self.store = folders, store
        self.orders = Orders(place.data, place.database, None)
        self.ending = threading.Event()
        self.held: ExitStack | None = None
        self.supervisor: Supervisor | None = None
        self.thread = threading.Thread(target=self._run, name="queue", daemon=True)

    def start(self) -> None:
        self._try()
        self.thread.start()

    def stop(self) -> None:
        self.ending.set()
        self.thread.join(timeout=TRY_EVERY_SECONDS + 1)
        if self.supervisor is not None:
            self.supervisor.stop()
        if self.held is not None:
            self.held.close()

    @property
    def worked(self) -> bool:
        """Whether somebody works on the queue: this process, or the web page that holds the folder."""
        return self.supervisor is None or (self.supervisor.process is not None and self.supervisor.thread.is_alive())

    def _run(self) -> None:
        while self.held is None and not self.ending.wait(TRY_EVERY_SECONDS):
            self._try()

    def _try(self) -> None:
        held = ExitStack()
        try:
            held.enter_context(locked(self.folders.data))
        except WrongUsage:  # the web page holds it, and works on the queue itself
            return
        self.held = held
        self.folders.prepare()
        self.folders.clear_unlisted(lambda study_id: self.store.study(study_id) is not None)
        self.supervisor = Supervisor(self.orders, self.store)
        self.supervisor.start()
        tell("worker-kept-here")


class Printing:
    """Whether reports can be printed here, without which nothing can be answered; found out beside the start.

    In a process of its own: what sets text takes much memory, which the node does not need again.
    """

    def __init__(self, language: str) -> None:
        self.language, self.why_not = language, "not known yet"
        self.thread = threading.Thread(target=self._run, name="printing", daemon=True)

    def _run(self) -> None:
        program = f"from trabecula.studies.jobs import unprintable; print(unprintable({self.language!r}) or '')"
        found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        self.why_not = found.stdout.strip() if found.returncode == 0 else "This could not be found out."
        if self.why_not:
            warn("answers-impossible", said=self.why_not)


class Node:
    """Every part of a running node."""

    def __init__(self, rules: Rules, place: Place) -> None:
        self.rules, self.place = rules, place
        self.folders = Folders(place.data)
        self.spool = Spool(place.data)
        self.spool.prepare()
        engine = open_database(place.database, place.data / "backups")
        self.store, self.ledger = Store(engine), Ledger(engine)
        self.ledger.begin_again()
        commitments = Commitments(rules, self.spool, place.data)
        commitments.prepare()
        self.arrivals = Arrivals(rules, self.ledger)
        self.intake = Intake(rules, self.spool, self.arrivals, commitments)
        self.desk = Desk(rules, self.spool, self.ledger, self.store, self.folders, self.intake)
        self.couriers = [Courier(one, rules, self.ledger, self.folders) for one in rules.destination]
        self.fetchers = [Fetcher(one, rules, self.spool, self.arrivals) for one in rules.source]
        self.queue = Queue(place, self.folders, self.store)
        self.printing = Printing(rules.node.language)
        registry = registry_of(Figures(self.ledger, self._live, self.store.typical_seconds))
        watched = Watched(self._alive, self._ready, registry)
        self.watch = Watch(watched, rules.node.health_host, rules.node.health_port)

    def start(self) -> None:
        self.queue.start()
        self.printing.thread.start()
        self.desk.start()
        for courier in self.couriers:
            courier.start()
        for fetcher in self.fetchers:
            fetcher.start()
        host, port = self.intake.start()
        health = self.watch.start()
        tell("node-started", version=__version__, title=self.rules.node.title, host=host, port=port, health_port=health)

    def stop(self) -> None:
        self.arrivals.ending = True  # what is under way waits for its senders
        self.intake.stop()
        for fetcher in self.fetchers:
            fetcher.ending.set()
        for fetcher in self.fetchers:
            fetcher.stop()
        self.desk.stop()
        for courier in self.couriers:
            courier.stop()
        self.queue.stop()
        self.watch.stop()
        tell("node-ended")

    def _alive(self) -> Mapping[str, bool]:
        couriers = all(one.thread.is_alive() for one in self.couriers)
        fetchers = all(one.thread.is_alive() for one in self.fetchers)
        return {
            "listening": self.intake.running,
            "desk": self.desk.thread.is_alive(),
            "couriers": couriers,
            "fetchers": fetchers,
        }

    def _ready(self) -> Mapping[str, bool]:
        room = free_mib(self.place.data) >= self.rules.node.free_disk_mib
        return {
            **self._alive(),
            "database": self._database_answers(),
            "disk": room and writable(self.place.data),
            "worker": self.queue.worked,
            "steps": self.desk.works,
            "printing": not self.printing.why_not,
        }

    def _database_answers(self) -> bool:
        try:
            with self.store.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    def _live(self) -> Mapping[str, float]:
        server = self.intake.server
        return {
            "associations": self.intake.associations,
            "instances_received": self.arrivals.instances,
            "bytes_received": self.arrivals.bytes,
            "message_bytes_held": 0 if server is None else server.memory.held_bytes,
            "commitments_waiting": self.desk.commitments.waiting(),
            "destinations_unreachable": sum(not one.reachable for one in self.couriers),
            "sources_unreachable": sum(not one.reachable for one in self.fetchers),
            "disk_free_bytes": free_mib(self.place.data) * 2**20,
        }


def run_node(rules: Rules, place: Place) -> None:
    """Runs until it is asked to end.

    Raises:
        WrongUsage: the folder is in use, an address or a certificate cannot be used.
    """
    log_lines()
    for destination in rules.destination:
        require_usable(destination)
    with locked(place.data / "node"):
        node = Node(rules, place)
        tempfile.tempdir = os.fspath(node.spool.arriving)  # what comes in is whole and on the same disk when it is kept
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        node.start()
        ended.wait()
        node.stop()
