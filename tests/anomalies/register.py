"""What an anomaly is, and the list that they enter themselves into."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset

from anomalies.scene import save, scene


class Right(StrEnum):
    """What may be done with an input. ``SAY`` is a result that is right where it is given, with a reason."""

    OK = "OK"
    SAY = "FIX or LIMIT"
    REFUSE = "REFUSE"


@dataclass(frozen=True)
class Anomaly:
    """``make`` writes the input into an empty folder and returns its path."""

    row: int
    name: str
    right: frozenset[Right]
    make: Callable[[Path], Path]


ANOMALIES: list[Anomaly] = []
Make = Callable[[Path], Path]


def anomaly(row: int, *right: Right) -> Callable[[Make], Make]:
    """Enters a maker into the library; its docstring is what it is called."""

    def enter(make: Make) -> Make:
        ANOMALIES.append(Anomaly(row, (make.__doc__ or "").strip().rstrip("."), frozenset(right), make))
        return make

    return enter


OK, SAY, REFUSE = Right.OK, Right.SAY, Right.REFUSE


def edited(folder: Path, edit: Callable[[int, FileDataset], None]) -> Path:
    """The series, each slice edited by its number from the feet."""
    slices = scene().slices()
    with warnings.catch_warnings(), disable_value_validation():  # some edits are what the standard forbids
        warnings.simplefilter("ignore")
        for number, one in enumerate(slices):
            edit(number, one)
        return save(slices, folder / "ct")
