"""The rows of an evaluation: what was found in each case and what was true, with what it was found by.

Tables, plots and pages are made of rows alone. A row carries its run: rows of another are neither resumed nor shown.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import trabecula
from trabecula.cohort.case import Cohort
from trabecula.errors import wrong_usage
from trabecula.recipe import Recipe
from trabecula.records.codec import plain
from trabecula.weights import weights_named

NOT_READING = ("serving", "studies", "export", "report", "training", "evaluation", "messages", "networks", "realism")
"""Rooms of the package that cannot change what is read from a scan."""


@dataclass(frozen=True)
class Run:
    """What rows were made by: rows of two different runs never stand in one table."""

    recipe: str
    settings: str  # sha256 of the recipe's stages and their settings
    weights: Mapping[str, str]  # sha256 by name
    version: str
    code: str  # sha256 of the source that screening and simulating run through
    cohort: str
    cohort_digest: str
    simulated: bool
    family: str | None
    generator: str | None


@dataclass(frozen=True)
class VertebraRow:
    """One vertebra: the reference and what was read in its place; None where it is not known or was not found.

    ``called`` is the name it was given. ``off_mm`` is how far along the spine it was found from where it is; None where
    the cohort does not say where it is, and then it counts as found where its name was given.
    """

    level: str
    called: str | None
    reference: float | None
    value: float | None
    withheld: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    off_mm: float | None = None
    dice: float | None = None
    mean_hu: float | None = None
    true_mean_hu: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)  # of a classifier, by category

    @property
    def found(self) -> bool:
        return self.called is not None

    @property
    def named(self) -> bool:
        return self.called is not None and not self.called.startswith("unknown")


@dataclass(frozen=True)
class CaseRow:
    """One scan. ``refused`` is a code where nothing could be read.

    ``value`` was measured, ``reference`` is what it is held against; ``basis`` is what the category was read from, a
    ``records.Basis``. ``true_category`` is that of the reference by the recipe's own cuts.
    """

    run: Run
    case: str
    patient: str
    refused: str | None = None
    quantity: str | None = None
    value: float | None = None
    reference: float | None = None
    category: str = "undetermined"
    true_category: str | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    vertebrae: tuple[VertebraRow, ...] = ()
    invented: tuple[str, ...] = ()  # measured where no vertebra is
    reasons: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    basis: str | None = None


def run_of(recipe: Recipe, cohort: Cohort) -> Run:
    """What rows of a recipe on a cohort are made by."""
    settings = json.dumps(plain(recipe.settings), sort_keys=True)
    return Run(
        recipe.name,
        hashlib.sha256(settings.encode()).hexdigest(),
        {name: weights_named(name).sha256 for name in recipe.weights},
        trabecula.__version__,
        code_digest(),
        cohort.name,
        cohort.digest,
        cohort.simulated,
        cohort.family,
        cohort.generator,
    )


@cache
def code_digest() -> str:
    """The sha256 of all source that can change a reading: a version alone does not tell two working copies apart."""
    root = Path(trabecula.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] not in NOT_READING:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def to_line(row: CaseRow) -> str:
    """A row as one line of JSON: every digit of every number, so that rows read back give the same figures."""
    return json.dumps(_exact(asdict(row)), ensure_ascii=False, allow_nan=False)


def _exact(value: Any) -> Any:
    """As JSON knows it; None for what is no finite number."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _exact(item) for key, item in value.items()}
    return [_exact(item) for item in value] if isinstance(value, list | tuple) else value


def read_rows(path: Path, run: Run | None = None) -> list[CaseRow]:
    """The rows of a file, none where there is no file; a last line that was cut off is left out.

    Raises:
        WrongUsage: ``other-run`` where a row was made by another run than ``run``, or than the first row where that is
            not given; ``rows-damaged`` where a line is no row.
    """
    if not path.exists():
        return []
    rows: list[CaseRow] = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if number == len(lines):  # after the last line break: nothing, or what a killed run had begun
            break
        try:
            row = _row(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise wrong_usage("rows-damaged", line=number, path=str(path)) from error
        run = run or row.run
        _require_same(row.run, run, path)
        rows.append(row)
    return rows


def _require_same(found: Run, run: Run, path: Path) -> None:
    differing = [one.name for one in fields(Run) if getattr(found, one.name) != getattr(run, one.name)]
    if differing:
        raise wrong_usage("other-run", path=str(path), fields=differing, recipe=found.recipe, version=found.version)


def _row(told: dict[str, Any]) -> CaseRow:
    vertebrae = tuple(
        VertebraRow(**{name: _tuple(value) for name, value in one.items()}) for one in told.pop("vertebrae")
    )
    run = Run(**told.pop("run"))
    return CaseRow(run=run, vertebrae=vertebrae, **{name: _tuple(value) for name, value in told.items()})


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
