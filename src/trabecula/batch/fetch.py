"""Studies fetched from archives ahead of the workers, each source by a thread of its own: a slow one holds up no other.

Disk is bounded: no more studies lie there than are ready, under way, and being fetched.
"""

import errno
import queue
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from trabecula.archives.address import Archive
from trabecula.archives.trouble import OF_THE_WHOLE, disk_full
from trabecula.batch.sources import Source, archive_of
from trabecula.batch.studies import Item, items_in
from trabecula.errors import TrabeculaError, fault
from trabecula.messages import Phrase, in_turn

SILENT_IN_A_ROW = 2
"""After as many studies an archive that does not answer is asked for no more in this run."""

INCOMING = "incoming"
_END = None


def listed(source: Source, number: int) -> list[Item]:
    """The studies of an archive as items from ``number`` on; one that says why where it cannot be listed."""
    try:
        found = source.studies
        if not found:
            with archive_of(source) as archive:
                found = archive.studies(source.search)
    except TrabeculaError as error:
        return [Item(number, source.name, source.name, source=source.name, trouble=(error.code, error.message))]
    return [
        Item(at, study, f"{source.name}:{study}", study, source=source.name)
        for at, study in enumerate(dict.fromkeys(found), number)
    ]


def items_of(sources: Sequence[Source]) -> list[Item]:
    """The studies of all sources, numbered through; a source that cannot be listed is an item that says why.

    Raises:
        WrongUsage: as ``items_in`` for a folder or a table.
    """
    items: list[Item] = []
    for source in sources:
        if source.path is None:
            items += listed(source, len(items) + 1)
        else:
            items += [replace(one, number=len(items) + at) for at, one in enumerate(items_in(source.path), 1)]
    return items


class Fetching:
    """Items with their files on this machine, as they become ready; ``said`` is told what concerns a whole archive."""

    def __init__(
        self, items: Sequence[Item], sources: Sequence[Source], folder: Path, ahead: int, said: Callable[[Phrase], None]
    ) -> None:
        self.folder, self.said = folder, said
        self.ready: queue.Queue[Item | None] = queue.Queue(max(1, ahead))
        self.ending = threading.Event()
        by_name = {one.name: one for one in sources}
        self.threads = []
        for name in dict.fromkeys(one.source for one in items):
            own = [one for one in items if one.source == name]
            self.threads.append(
                threading.Thread(target=self._run, args=(by_name.get(name), own), name=f"fetch {name}", daemon=True)
            )

    def __enter__(self) -> "Fetching":
        shutil.rmtree(self.folder, ignore_errors=True)  # what a run before this was killed with
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        for thread in self.threads:
            while thread.is_alive():
                with suppress(queue.Empty):
                    self.ready.get_nowait()
                thread.join(timeout=0.1)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __iter__(self) -> Iterator[Item]:
        ended = 0
        while ended < len(self.threads):
            item = self.ready.get()
            if item is _END:
                ended += 1
            else:
                yield item

    def done(self, item: Item) -> None:
        """The files of a study are no longer needed."""
        if item.local:
            shutil.rmtree(item.local, ignore_errors=True)

    def _run(self, source: Source | None, items: Sequence[Item]) -> None:
        try:
            if source is None or source.path is not None:
                for item in items:
                    self._put(item)
            else:
                self._fetch_all(source, items)
        finally:
            self._put(_END)

    def _fetch_all(self, source: Source, items: Sequence[Item]) -> None:
        waiting = list(items)
        try:
            with archive_of(source) as archive:
                silent = 0
                while waiting and silent < SILENT_IN_A_ROW and not self.ending.is_set():
                    item, error = self._fetched(source, archive, waiting.pop(0))
                    silent = silent + 1 if error is not None and error.code in OF_THE_WHOLE else 0
                    if error is not None and silent == SILENT_IN_A_ROW and waiting:
                        self.said(in_turn([_sentence(error), Phrase("archive-given-up", {"number": len(waiting)})]))
                        waiting = [replace(one, trouble=(error.code, error.message)) for one in waiting]
                    self._put(item)
        except Exception as error:  # nothing can be had from it: its port here is taken, say
            known = error if isinstance(error, TrabeculaError) else fault(error)
            self.said(_sentence(known))
            waiting = [replace(one, trouble=(known.code, known.message)) for one in waiting]
        for item in waiting:
            self._put(item)

    def _fetched(self, source: Source, archive: Archive, item: Item) -> tuple[Item, TrabeculaError | None]:
        if item.trouble[0]:
            return item, None
        place = self.folder / f"{item.number:06d}"
        try:
            place.mkdir(parents=True)
            archive.fetch(item.study, place)
        except TrabeculaError as error:
            failed: TrabeculaError = error
        except Exception as error:  # whatever an archive sends is no exception to the other studies
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            failed = disk_full(source.name) if full else fault(error)
        else:
            return replace(item, local=str(place.resolve())), None
        shutil.rmtree(place, ignore_errors=True)
        return replace(item, trouble=(failed.code, failed.message)), failed

    def _put(self, item: Item | None) -> None:
        while not self.ending.is_set():
            with suppress(queue.Full):
                self.ready.put(item, timeout=0.2)
                return


def _sentence(error: TrabeculaError) -> Phrase:
    return error.phrase or Phrase("list", {"words": (error.message,)})
