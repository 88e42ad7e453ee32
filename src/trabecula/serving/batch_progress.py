"""How far a batch is, as a person at a terminal watches it: studies, studies an hour, time left."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trabecula.batch.rows import Asked, Row
from trabecula.batch.run import left
from trabecula.batch.studies import Item
from trabecula.messages import Fact, Phrase, messages

TELL_EVERY_SECONDS = 60.0


class Watched:
    """Counts rows as they come; where nobody looks at a bar it says a line a minute."""

    def __init__(self, total: int, todo: int, bar: Progress | None, console: Console | None, language: str) -> None:
        self.total, self.todo, self.bar, self.console = total, todo, bar, console
        self.language = language
        self.started = self.told_at = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.task = None if bar is None else bar.add_task(messages(language)["batch-studies"], total=todo, rate="")

    def __call__(self, done: int, row: Row) -> None:
        self.counts[str(row["state"])] += 1
        now = time.monotonic()
        rate = Phrase("batch-rate", {"number": 3600 * done / max(now - self.started, 1e-3)})
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=done, rate=rate.told(self.language))
        elif self.console is not None and now - self.told_at > TELL_EVERY_SECONDS:
            self.told_at = now
            minutes = (self.todo - done) * (now - self.started) / done / 60
            facts: dict[str, Fact] = {"done": done, "todo": self.todo, "rate": rate, "minutes": minutes}
            self.console.print(Phrase("batch-progress", facts).told(self.language), style="dim")

    def tell(self, sentence: Phrase) -> None:
        """What concerns many studies at once, on stderr."""
        (self.console or Console(stderr=True)).print(sentence.told(self.language), highlight=False, soft_wrap=True)

    def said(self) -> str:
        """What came of this run, in a line."""
        before = self.total - self.todo
        words = [Phrase(f"batch-{state}", {"number": number}) for state, number in sorted(self.counts.items())]
        words += [Phrase("batch-before", {"number": before})] if before else []
        facts = {"total": self.total, "words": tuple(words) or Phrase("batch-nothing")}
        return Phrase("batch-said", facts).told(self.language)


@contextmanager
def watched(items: Sequence[Item], out: Path, asked: Asked, shown: bool, language: str) -> Iterator[Watched]:
    """Progress on stderr; nothing where it is not wanted."""
    total, todo = len({one.key for one in items}), left(items, out, asked)
    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield Watched(total, todo, None, console if shown else None, language)
        return
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[rate]}"), TimeRemainingColumn()),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield Watched(total, todo, bar, console, language)
