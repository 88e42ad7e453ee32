"""Archives that the node asks for new studies: each by a thread of its own, so that a slow one holds up no other.

A study is fetched when its archive told of the same number of instances twice in a row, and again when CT instances
have come since. Its files are put into the spool together, as if a peer had sent them.
"""

import json
import shutil
import threading
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from trabecula.archives.address import Search, WebAddress
from trabecula.archives.dicomweb import DicomWeb
from trabecula.archives.trouble import OF_THE_WHOLE, disk_full, not_retrieved
from trabecula.department.arrivals import Arrivals
from trabecula.department.logs import tell, warn
from trabecula.department.rules import Rules, Source
from trabecula.department.spool import Spool, key_of, write_safely
from trabecula.department.transport import MIB
from trabecula.dicom.files import open_dataset
from trabecula.dicom.headers import written
from trabecula.errors import Refusal, TrabeculaError, place_of
from trabecula.formats.budget import Budget
from trabecula.formats.damage import muted
from trabecula.messages import Phrase


@dataclass(frozen=True)
class Seen:
    """What an archive had of a study when it was last fetched: instances of any kind as it tells, and CT instances."""

    told: int | None
    slices: int


class Fetcher:
    """Asks one archive, until it is told to end."""

    def __init__(self, source: Source, rules: Rules, spool: Spool, arrivals: Arrivals) -> None:
        self.source, self.rules, self.spool, self.arrivals = source, rules, spool, arrivals
        self.archive = archive_of(source)
        self.book = spool.folder.parent / "fetched" / f"{key_of(source.name)}.json"
        self.seen = self._read()
        self.growing: dict[str, int | None] = {}  # what was told of a study when it was last listed
        self.failed: dict[str, tuple[int, float]] = {}  # how often, and when to try again
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"fetcher {source.name}", daemon=True)
        self.reachable = True

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.ending.set()
        self.thread.join(timeout=10)

    def _run(self) -> None:
        while not self.ending.is_set():
            try:
                self.once()
                self.reachable = True
            except TrabeculaError as error:
                self.reachable = False
                warn("source-unreachable", source=self.source.name, code=error.code)
            except Exception as error:  # a full disk, say: told, and tried again
                code, place = type(error).__name__, place_of(error.__traceback__)
                warn("fetching-failed", source=self.source.name, code=code, place=place)
            self.ending.wait(self.source.every_seconds)

    def once(self) -> None:
        """Lists what the archive has, and fetches what is new and no longer grows.

        Raises:
            TrabeculaError: the archive as a whole cannot be asked; what was fetched stays.
        """
        found = self.archive.listed(search_of(self.source))
        listed = {key_of(study): told for study, told in found.items()}
        self.seen = {key: seen for key, seen in self.seen.items() if key in listed}
        for study, told in found.items():
            key = key_of(study)
            known, failed = self.seen.get(key), self.failed.get(key)
            settled = key in self.growing and self.growing[key] == told
            nothing_new = known is not None and told is not None and known.told == told
            if self.ending.is_set() or nothing_new or not settled or (failed and failed[1] > time.monotonic()):
                continue
            try:
                self.seen[key] = Seen(told, self._fetch(study, key))
                self.failed.pop(key, None)
            except TrabeculaError as error:
                if error.code in OF_THE_WHOLE or error.code == "disk-full":
                    raise
                attempts = 1 + (failed[0] if failed else 0)
                self.failed[key] = attempts, time.monotonic() + self.rules.retry.after(attempts)
                warn("study-not-fetched", source=self.source.name, code=error.code, attempts=attempts)
            else:
                self._write()
        self.growing = listed
        self._write()

    def _fetch(self, study: str, key: str) -> int:
        """Brings the CT instances that are not here; how many the archive has."""
        there = self.archive.instances(study)
        slices = sum(len(one) for one in there.values())
        known = self.seen.get(key)
        if known is not None and known.slices == slices:  # what came is no CT: our own answers, say
            return slices
        here = {path.stem for path in self.spool.files(key)}
        wanted = {name for one in there.values() for name in one if key_of(name) not in here}
        series = [uid for uid, names in there.items() if names & wanted]
        if not wanted:
            return slices
        if shutil.disk_usage(self.spool.folder).free < self.rules.node.free_disk_mib * MIB:
            raise disk_full(self.source.name)
        folder = self.spool.arriving / f"fetched-{key_of(self.source.name)}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            self.archive.fetch_series(study, series, folder)
            arrived = self._arrived(folder, study, wanted)
            if arrived.keys() < wanted:
                missing = Phrase("slices-not-sent", {"number": len(wanted) - len(arrived), "of": len(wanted)})
                raise not_retrieved(self.source.name, missing)
            self._keep(arrived, key)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        tell("study-fetched", source=self.source.name, instances=len(arrived))
        return slices

    def _arrived(self, folder: Path, study: str, wanted: set[str]) -> dict[str, Path]:
        """What was asked for among what came, by its UID."""
        found: dict[str, Path] = {}
        files = sorted(folder.iterdir())
        with muted("pydicom"), Budget(len(files)) as budget:
            for path in files:
                try:
                    dataset = open_dataset(path, budget)
                except Refusal:
                    continue
                if dataset is None or written(dataset, "StudyInstanceUID") != study:
                    continue
                if (name := written(dataset, "SOPInstanceUID")) in wanted:
                    found[name] = path
        return found

    def _keep(self, arrived: dict[str, Path], key: str) -> None:
        """Into the spool, as one delivery; where that breaks off it is begun again at the next look."""
        self.arrivals.begun(self, key, self.source.name)
        broke_off = "source-broke-off"
        try:
            for name, path in arrived.items():
                self.arrivals.kept(self, key, self.spool.keep(path, key, key_of(name)), path.stat().st_size)
            broke_off = ""
        finally:
            self.arrivals.ended(self, broke_off)

    def _read(self) -> dict[str, Seen]:
        try:
            told = json.loads(self.book.read_bytes())
            return {key: Seen(one[0], one[1]) for key, one in told.items()}
        except (OSError, ValueError, LookupError, AttributeError, TypeError):
            return {}  # what is here already is not fetched again: it is looked for in the spool

    def _write(self) -> None:
        self.book.parent.mkdir(mode=0o700, exist_ok=True)
        write_safely(self.book, {key: (one.told, one.slices) for key, one in self.seen.items()})


def archive_of(source: Source) -> DicomWeb:
    """The archive of a source.

    Raises:
        WrongUsage: a certificate or the file with the Authorization header cannot be used.
    """
    secret = None if source.authorization_file is None else Path(source.authorization_file)
    return DicomWeb(WebAddress(source.name, source.dicomweb, source.seconds_silent, secret, source.tls))


def search_of(source: Source) -> Search:
    """Studies with a CT of today and of the days before."""
    first = date.today() - timedelta(days=source.days - 1)
    return Search(f"{first:%Y%m%d}-", source.description)
