"""Which studies a batch is of: what a folder holds, or what a table of paths names."""

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trabecula.errors import TrabeculaError, wrong_usage
from trabecula.report.folder import LITTER

PATH, NAME, STUDY, SERIES = "path", "name", "study", "series"
KNOWN = (PATH, NAME, STUDY, SERIES)


class Untaken(TrabeculaError):
    """A study's files cannot be had; code and sentence are those of who tried."""


@dataclass(frozen=True)
class Item:
    """One study: its place in the batch, what it is called there, and where it lies."""

    number: int  # from 1
    name: str
    path: str
    study: str = ""  # which of several in it, as for ``screen``
    series: str = ""
    source: str = ""  # the archive it comes from
    local: str = ""  # where its files lie, once they are fetched from there
    trouble: tuple[str, str] = ("", "")  # code and sentence, where they cannot be had

    @property
    def key(self) -> str:
        """Tells the study again when the batch goes on."""
        told = "\n".join((self.path, self.study, self.series))
        return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def items_in(given: Path) -> list[Item]:
    """The studies in a folder by name, or those of a table, in order.

    Raises:
        WrongUsage: there is nothing such, the folder is empty, or the table cannot be read.
    """
    if given.is_dir():
        found = sorted(one for one in given.iterdir() if not one.name.startswith(".") and one.name not in LITTER)
        if not found:
            raise wrong_usage("batch-empty", path=str(given))
        return [Item(number, one.name, str(one.resolve())) for number, one in enumerate(found, 1)]
    if not given.is_file():
        raise wrong_usage("batch-missing", path=str(given))
    return list(_rows(given))


def _rows(table: Path) -> Iterator[Item]:
    try:
        text = table.read_bytes().decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text), delimiter=";" if ";" in text.partition("\n")[0] else ",", strict=True)
        heads = [head.strip().lower() for head in next(reader, [])]
        if PATH not in heads or len(set(heads)) < len(heads):
            raise wrong_usage("batch-table-wrong.columns", name=table.name, column=PATH, others=KNOWN[1:])
        number = 0
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            number += 1
            told = dict(zip(heads, (cell.strip() for cell in cells), strict=False))
            path = told.get(PATH, "")
            # A row without a path is a study that is missing, and is told among the rows.
            place = str((table.parent / path).resolve()) if path else ""
            yield Item(number, told.get(NAME, "") or str(number), place, told.get(STUDY, ""), told.get(SERIES, ""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise wrong_usage("batch-table-wrong", name=table.name) from error
    if number == 0:
        raise wrong_usage("batch-empty.table", name=table.name)
