"""A site's table as a cohort: a CSV file with a row a scan. docs/cohorts.md says what each column holds."""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from trabecula.anatomy import NAMED_LEVELS, Level
from trabecula.cohort.case import CONTRAST, MASKS, BadRow, Case, Cohort, Known, Split
from trabecula.cohort.files import Files
from trabecula.cohort.labels import LABELS, Labels, read_labels
from trabecula.errors import WrongUsage, wrong_usage
from trabecula.messages import Phrase, joined
from trabecula.quantity import VBMD_HA, VBMD_K2HPO4, Quantity

MATERIALS: dict[str, Quantity] = {"K2HPO4": VBMD_K2HPO4, "HA": VBMD_HA}

QCT_LIMITS_MG_CM3 = (0.0, 400.0)
"""What is denser than 400 is no trabecular bone; what is not above 0 was not measured."""

DXA_LIMITS_G_CM2 = (0.2, 2.5)
AGE_LIMITS_YEARS = (0.0, 130.0)
VOLTAGE_LIMITS_KVP = (60.0, 160.0)

REQUIRED = ("case", "path")
QCT = {f"qct_{level.value}": level for level in NAMED_LEVELS}
COLUMNS = (
    *REQUIRED,
    "patient",
    *(f"{kind}_mask" for kind in MASKS),
    "labels",
    *QCT,
    "qct_material",
    "dxa_g_cm2",
    "scanner",
    "site",
    "part",
    "split",
    "sex",
    "age",
    "kvp",
    CONTRAST,
    "numbering",
    "findings",
)
"""Every column that there may be, in any order; only those of ``REQUIRED`` must be there."""

T = TypeVar("T")


def read_table(path: Path) -> Cohort:
    """The cases of a table; rows that cannot be used stand in ``bad`` with their line and every reason.

    Paths are relative to the table's folder. The file is UTF-8, with commas or semicolons.

    Raises:
        WrongUsage: the file cannot be read, a column is missing, unknown or there twice, or one patient is in two
            splits (``leakage``).
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise wrong_usage("table-unreadable", path=str(path)) from error
    reader = csv.reader(io.StringIO(text), delimiter=";" if ";" in text.partition("\n")[0] else ",")
    heads = [head.strip() for head in next(reader, [])]
    _require_columns(heads, path)
    cases: list[Case] = []
    bad: list[BadRow] = []
    lines: dict[str, int] = {}
    places: dict[str, dict[Split, int]] = defaultdict(dict)
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        row = _Row(dict(zip(heads, (cell.strip() for cell in cells), strict=False)), path.parent)
        if len(cells) != len(heads):
            row.problems.append(wrong_usage("cells-missing", cells=len(cells), columns=len(heads)))
        case = row.case()
        if (patient := row.cells.get("patient") or row.cells.get("case")) and case.split is not None:
            places[patient].setdefault(case.split, reader.line_num)
        if case.name in lines:
            row.problems.append(wrong_usage("case-repeated", line=lines[case.name]))
        lines.setdefault(case.name, reader.line_num)
        if row.problems:
            bad += [BadRow(reader.line_num, problem) for problem in row.problems]
        else:
            cases.append(case)
    _require_apart(places, path)
    return Cohort(path.name, hashlib.sha256(content).hexdigest(), tuple(cases), bad=tuple(bad), given=path.name)


def _require_columns(heads: list[str], path: Path) -> None:
    missing = [name for name in REQUIRED if name not in heads]
    unknown = [name for name in heads if name not in COLUMNS]
    twice = sorted({name for name in heads if heads.count(name) > 1})
    if missing:
        raise wrong_usage("table-columns", name=path.name, columns=missing)
    if unknown:
        raise wrong_usage("table-columns.unknown", name=path.name, columns=unknown)
    if twice:
        raise wrong_usage("table-columns.twice", name=path.name, columns=twice)


def _require_apart(places: Mapping[str, Mapping[Split, int]], path: Path) -> None:
    """Refuses a table in which one patient is in two splits; names lines, not the patient."""
    leaks = [where for where in places.values() if len(where) > 1]
    if leaks:
        places_told = [
            joined([Phrase("split-on-line", {"split": str(split), "line": line}) for split, line in where.items()])
            for where in leaks
        ]
        raise wrong_usage("leakage", name=path.name, places=places_told)


class _Row:
    """A row's cells by column; what is wrong with them is collected, so that all of it is told at once."""

    def __init__(self, cells: Mapping[str, str], folder: Path) -> None:
        self.cells = cells
        self.folder = folder
        self.problems: list[WrongUsage] = []

    def case(self) -> Case:
        name = self.take("case", str) or ""
        if not name:
            self.problems.append(wrong_usage("case-unnamed"))
        masks = {kind: path for kind in MASKS if (path := self.take(f"{kind}_mask", self._file)) is not None}
        ct = self.take("path", self._file)
        if ct is None and not self.cells.get("path"):
            self.problems.append(wrong_usage("path-missing"))
        files = Files(ct or Path(), masks, self.take("labels", self._labels) or LABELS["verse"])
        split = self.take("split", _among("split", {one.value: one for one in Split}))
        known = self._known()
        return Case(name, self.cells.get("patient") or name, files, known, None if split is None else Split(split))

    def take(self, column: str, read: Callable[[str], T]) -> T | None:
        """A cell as ``read`` makes it; None where it is empty or cannot be used."""
        cell = self.cells.get(column, "")
        if not cell:
            return None
        try:
            return read(cell)
        except WrongUsage as error:
            self.problems.append(error)
            return None

    def _known(self) -> Known:
        qct = {
            level: value
            for column, level in QCT.items()
            if (value := self.take(column, _number(column, "mg/cm3", QCT_LIMITS_MG_CM3))) is not None
        }
        scanner, site, sex = self.take("scanner", str), self.take("site", str), self.take("sex", _sex)
        named = {"scanner": scanner, "site": site, "sex": sex}
        named |= {name: self.take(name, str) for name in ("part", CONTRAST)}
        return Known(
            sex=sex,
            age_years=self.take("age", _number("age", "years", AGE_LIMITS_YEARS)),
            scanner=scanner,
            site=site,
            tube_voltage_kvp=self.take("kvp", _number("kvp", "kVp", VOLTAGE_LIMITS_KVP)),
            density=qct,
            quantity=MATERIALS[self.take("qct_material", _among("qct_material", MATERIALS)) or "K2HPO4"],
            areal_bmd_g_cm2=self.take("dxa_g_cm2", _number("dxa_g_cm2", "g/cm2", DXA_LIMITS_G_CM2)),
            findings=self.take("findings", _findings) or {},
            numbering=self.take("numbering", str),
            groups={name: value for name, value in named.items() if value is not None},
        )

    def _labels(self, cell: str) -> Labels:
        """A numbering by its name, or a file of the site's own."""
        if cell.endswith(".csv"):
            return read_labels(self._file(cell))
        return LABELS[_among("labels", LABELS)(cell)]

    def _file(self, cell: str) -> Path:
        path = self.folder / cell
        if not path.exists():
            raise wrong_usage("file-missing", path=cell)
        return path


def _among(column: str, choices: Mapping[str, object]) -> Callable[[str], str]:
    def read(cell: str) -> str:
        if cell not in choices:
            raise wrong_usage("cell-unknown", column=column, cell=cell, choices=tuple(choices))
        return cell

    return read


def _number(column: str, unit: str, limits: tuple[float, float]) -> Callable[[str], float]:
    def read(cell: str) -> float:
        try:
            value = float(cell)
        except ValueError:
            value = float("nan")
        if not limits[0] < value <= limits[1]:
            raise wrong_usage("number-unusable", column=column, cell=cell, least=limits[0], most=limits[1], unit=unit)
        return value

    return read


def _sex(cell: str) -> str:
    if cell.upper() not in ("F", "M"):
        raise wrong_usage("cell-unknown.sex", cell=cell)
    return cell.upper()


def _findings(cell: str) -> dict[Level, tuple[str, ...]]:
    """``L1:fracture+cement L3:metal`` as findings by level."""
    names = {level.value: level for level in NAMED_LEVELS}
    found: dict[Level, tuple[str, ...]] = {}
    for one in cell.split():
        level, _, what = one.partition(":")
        if level not in names or not what:
            raise wrong_usage("cell-unknown.findings", cell=one)
        found[names[level]] = tuple(what.split("+"))
    return found
