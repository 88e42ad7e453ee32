"""Many studies one after another: a folder each, a table of all, and on with it where it was stopped."""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from trabecula import __version__
from trabecula.causes import cause_of
from trabecula.errors import Defect, Refusal, TrabeculaError, fault, wrong_usage
from trabecula.lock import one_run
from trabecula.messages import Phrase, messages
from trabecula.quantity import QUANTITIES
from trabecula.report.folder import LITTER
from trabecula.serving.door import Door
from trabecula.serving.terminal import printable, progress_shown, table
from trabecula.serving.wrapping import wrapped

TABLE, LOCK = "studies.csv", ".lock"


@dataclass(frozen=True)
class Row:
    """One study: where its result is, and what it says or why there is none. ``study`` tells it again on the next run.

    ``order`` are the options it was screened with, in short.
    """

    folder: str
    input: str
    study: str
    order: str
    state: str  # done, refused or failed
    category: str = ""
    candidates: str = ""
    bmd: str = ""
    unit: str = ""
    low: str = ""
    high: str = ""
    levels: str = ""
    check_first: str = ""
    code: str = ""
    message: str = ""

    @property
    def has_result(self) -> bool:
        return self.state == "done"


def studies_in(folders: Sequence[Path]) -> list[Path]:
    """Every file or folder in these, by name.

    Raises:
        WrongUsage: one of them is no folder, or holds nothing.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise wrong_usage("no-folder-of-studies", path=str(folder))
        inside = sorted(one for one in folder.iterdir() if not one.name.startswith(".") and one.name not in LITTER)
        if not inside:
            raise wrong_usage("no-folder-of-studies.empty", path=str(folder))
        found += inside
    return found


class Many:
    """Results in numbered folders of ``out``, which name nobody, beside ``studies.csv``.

    Raises:
        WrongUsage: ``out`` holds something else, or cannot be written.
    """

    def __init__(self, door: Door, out: Path) -> None:
        self.door, self.out, self.table = door, out, out / TABLE
        self.rows = {row.study: row for row in _read(self.table)}
        others = not self.rows and out.exists() and (not out.is_dir() or {*out.iterdir()} - {out / LOCK})
        if others:
            raise wrong_usage("output-not-empty", path=str(out))
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise wrong_usage("output-unwritable", path=str(out), cause=cause_of(error)) from error

    def screen(self, studies: Sequence[Path]) -> list[Row]:
        """A row for each study; those that are there with the same options are not screened again.

        Raises:
            WrongUsage: another run writes into the same folder; its results would stand under our numbers.
        """
        with one_run(self.out, LOCK):
            self.rows = {row.study: row for row in _read(self.table)}
            return self._screen(studies)

    def _screen(self, studies: Sequence[Path]) -> list[Row]:
        rows = []
        with progress_shown(self.door.shown, self.door.language) as progress:
            for number, study in enumerate(studies):
                key = hashlib.sha256(str(study.resolve()).encode()).hexdigest()[:16]
                kept = self.rows.get(key)
                if kept is None or not self._stands(kept):
                    folder = self._next() if kept is None else kept.folder

                    def told(stage: str, share: float, at: int = number) -> None:
                        progress(f"{at + 1}/{len(studies)}: {stage}", (at + share) / len(studies))

                    kept = self._screened(study, key, folder, told)
                    self.rows[key] = kept
                    self._write()
                rows.append(kept)
        return rows

    def told(self, rows: Sequence[Row]) -> str:
        """The table for people, and where it is."""
        language = self.door.language
        text = messages(language)
        heads = ["", text["result"], text["density"], text["interval-name"], text["check-first"].rstrip(":：")]
        lines = [[row.folder, *self._cells(row)] for row in rows]
        refused = [
            f"  {row.folder}  {text['refused' if row.state == 'refused' else 'failed']} [{row.code}]: {row.message}"
            for row in rows
            if not row.has_result
        ]
        end = Phrase(
            "studies-at", {"done": sum(row.has_result for row in rows), "of": len(rows), "path": str(self.table)}
        )
        use = f"{text['research-only']}{text['sentence-separator']}{text['no-ruling-out']}"
        said = [table(heads, lines), *(["", *refused] if refused else []), "", use, end.told(language)]
        return wrapped("\n".join(printable(line) for part in said for line in part.split("\n")))

    def json_of(self, rows: Sequence[Row]) -> str:
        """The rows for programs."""
        return json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False)

    def _cells(self, row: Row) -> list[str]:
        text = messages(self.door.language)
        if not row.has_result:
            return [text["refused" if row.state == "refused" else "failed"], "-", "-", row.code]
        candidates = row.candidates.split()
        said = " / ".join(text[f"word-{one}"] for one in candidates) or row.category
        interval = text["range"].format(low=row.low, high=row.high) if row.low else "-"
        return [said, f"{row.bmd} {row.unit}" if row.bmd else "-", interval, row.check_first or "-"]

    def _screened(self, study: Path, key: str, folder: str, progress: Any) -> Row:
        named = "" if self.door.asked.wanted.deidentify else str(study)
        about: dict[str, str] = {"folder": folder, "input": named, "study": key, "order": self._order}
        try:
            self.door.carry_out(study, self.out / folder, progress)
            return Row(**about, state="done", **_facts(json.loads(self.door.json_of(self.out / folder))))
        except (Refusal, Defect) as error:
            return _without(about, error, error.told(self.door.language))
        except TrabeculaError:  # a wrong option or a full disk is the same for all that follow
            raise
        except Exception as error:
            return _without(about, fault(error), fault(error).told(self.door.language))

    @property
    def _order(self) -> str:
        asked = self.door.asked
        options = {**asdict(asked), "version": __version__}
        text = json.dumps(options, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _stands(self, row: Row) -> bool:
        """Whether a result is there and was made with these options; what was refused is tried again."""
        return row.has_result and row.order == self._order and self.door.record(self.out / row.folder).is_file()

    def _next(self) -> str:
        taken = [int(row.folder) for row in self.rows.values() if row.folder.isdecimal()]
        return f"{max(taken, default=0) + 1:04d}"

    def _write(self) -> None:
        beside = self.table.with_suffix(".part")
        try:
            with beside.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, [one.name for one in fields(Row)])
                writer.writeheader()
                writer.writerows(asdict(row) for row in sorted(self.rows.values(), key=lambda row: row.folder))
            beside.replace(self.table)
        except OSError as error:
            raise wrong_usage("output-unwritable.kept", path=str(self.out), cause=cause_of(error)) from error


def _read(path: Path) -> list[Row]:
    """The rows of an earlier run; none where there is no table of ours."""
    names = [one.name for one in fields(Row)]
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            return [Row(**row) for row in reader] if reader.fieldnames == names else []
    except (OSError, UnicodeDecodeError, csv.Error, TypeError):
        return []


def _facts(told: dict[str, Any]) -> dict[str, str]:
    """What a row says of a result: of one recipe, or the category of each of several."""
    if "recipes" in told:
        said = {row["recipe"]: row.get("category") or row["refused"]["code"] for row in told["recipes"]}
        agree = {True: "recipes-agree", False: "recipes-disagree", None: ""}[told["agree"]]
        return {"category": "; ".join(f"{name} {one}" for name, one in said.items()), "check_first": agree}
    diagnosis, first = told["diagnosis"], told["check_first"]
    facts = {
        "category": diagnosis["category"],
        "candidates": " ".join(diagnosis["candidates"]),
        "levels": " ".join(diagnosis["levels_used"]),
        "check_first": "" if first is None else first["code"],
    }
    density = diagnosis["density"]
    if density is not None:
        quantity = QUANTITIES[density["quantity"]]
        low, high = (f"{end:.{max(0, quantity.digits - 1)}f}" for end in density["interval"])
        facts |= {"bmd": quantity.shown(density["value"]), "unit": quantity.unit, "low": low, "high": high}
    return facts


def _without(about: dict[str, str], error: TrabeculaError, message: str) -> Row:
    state = "refused" if isinstance(error, Refusal) else "failed"
    return Row(**about, state=state, code=error.code, message=message)
