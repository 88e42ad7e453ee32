"""Rows as they come, safe on disk: a batch that is killed goes on from here, and its tables are made of it."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trabecula.batch.rows import COLUMNS, REAL, TEXT, Row
from trabecula.causes import cause_of
from trabecula.errors import WrongUsage, wrong_usage

if TYPE_CHECKING:
    import pyarrow as pa

JOURNAL, CSV, PARQUET, PAGE = "rows.jsonl", "studies.csv", "studies.parquet", "index.html"
MADE = (CSV, PARQUET, PAGE)
OURS = {JOURNAL, "results", "incoming", "lock", *MADE, *(f"{name}.part" for name in MADE)}
ORDER = "order"


class Journal:
    """``rows.jsonl``: a line a row. A line that a kill has cut off is dropped when the batch goes on.

    Raises:
        WrongUsage: the folder holds something else, or cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.path = out, out / JOURNAL
        try:
            foreign = sorted(one.name for one in out.iterdir() if one.name not in OURS) if out.exists() else []
            if foreign:
                raise wrong_usage("output-not-empty.entries", path=str(out), number=len(foreign))
            out.mkdir(parents=True, exist_ok=True)
            self._mend()
            self.file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise wrong_usage("output-unwritable", path=str(out), cause=cause_of(error)) from error

    def _mend(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            back = min(size, 2**20)
            file.seek(size - back)
            end = file.read(back).rfind(b"\n")
            file.truncate(size - back + end + 1)

    def keep(self, rows: Sequence[tuple[Row, str]]) -> None:
        """Writes rows, each with the order it was made by; they are on the disk when this returns.

        Raises:
            WrongUsage: the disk is full.
        """
        try:
            for row, order in rows:
                self.file.write(json.dumps({**row, ORDER: order}, ensure_ascii=True) + "\n")
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            raise unwritable(self.out, error) from error

    def close(self) -> None:
        with suppress(OSError):  # what a full disk did not take is written once more, and was told
            self.file.close()

    def known(self, order: str) -> set[str]:
        """Keys of the studies whose row stands: done or refused, by the same order. What failed is tried again."""
        found: dict[str, bool] = {}
        for row in self._lines():
            found[str(row["key"])] = row[ORDER] == order and row["state"] in ("done", "refused")
        return {key for key, stands in found.items() if stands}

    def numbers(self) -> dict[str, int]:
        """The number under which each study's row, and its result folder, stands."""
        return {str(row["key"]): int(row["number"]) for row in self._lines()}

    def _lines(self) -> Iterator[dict[str, Any]]:
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def schema() -> "pa.Schema":
    """The columns as Parquet holds them."""
    import pyarrow as pa

    kinds = {TEXT: pa.string(), REAL: pa.float64()}
    return pa.schema([(name, kinds.get(kind, pa.int64())) for name, kind in COLUMNS.items()])


def table_of(path: Path, keys: Sequence[str]) -> "pa.Table":
    """The newest row of each study of the batch, in its order, with scans that were there before told as such."""
    import pyarrow as pa
    import pyarrow.json as read

    wanted = schema().append(pa.field(ORDER, pa.string()))
    options = read.ParseOptions(explicit_schema=wanted, unexpected_field_behavior="ignore")
    table = read.read_json(path, read.ReadOptions(block_size=16 * 2**20), options)
    newest = {key: at for at, key in enumerate(table["key"].to_pylist())}
    table = table.take([newest[key] for key in dict.fromkeys(keys) if key in newest]).select(list(COLUMNS))
    return _with_duplicates(table)


def _with_duplicates(table: "pa.Table") -> "pa.Table":
    """Of several rows of one scan, by its UIDs, the first stands; the others say which, and count nowhere."""
    import pyarrow as pa

    first: dict[str, int] = {}
    states, codes, messages = (table[name].to_pylist() for name in ("state", "code", "message"))
    for at, (scan, number) in enumerate(zip(table["scan"].to_pylist(), table["number"].to_pylist(), strict=True)):
        if scan is None or states[at] != "done":
            continue
        if scan in first:
            states[at], codes[at] = "duplicate", "scan-repeated"
            messages[at] = f"The same scan, by its UIDs, as study {first[scan]}."
        else:
            first[scan] = number
    for name, column in (("state", states), ("code", codes), ("message", messages)):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(column, pa.string()))
    return table


def write_tables(table: "pa.Table", page: str, out: Path) -> None:
    """studies.csv, studies.parquet and index.html, each whole or not at all.

    Raises:
        WrongUsage: the disk is full.
    """
    import pyarrow.csv as csv
    import pyarrow.parquet as parquet

    beside = {name: out / f"{name}.part" for name in MADE}
    try:
        csv.write_csv(table, beside[CSV])
        parquet.write_table(table, beside[PARQUET])
        beside[PAGE].write_text(page, encoding="utf-8")
        for name, written in beside.items():
            written.replace(out / name)
    except OSError as error:
        for written in beside.values():
            written.unlink(missing_ok=True)
        raise unwritable(out, error) from error


def unwritable(out: Path, error: OSError) -> WrongUsage:
    """The disk is full, or fails; rows that were kept are."""
    return wrong_usage("output-unwritable.kept", path=str(out), cause=cause_of(error))
