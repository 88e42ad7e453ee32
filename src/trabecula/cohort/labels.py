"""Which vertebra a number in a mask is: the numberings of other programs and data sets, and a site's own."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import NAMED_LEVELS, UNKNOWN_LEVELS, USUAL_LEVELS, Level
from trabecula.errors import wrong_usage
from trabecula.volume import Float32

HIGHEST_LABEL = 65535

UNNAMED = frozenset(level.verse_id for level in UNKNOWN_LEVELS)
"""What vertebrae without a name have in the regions that Trabecula writes."""


@dataclass(frozen=True)
class Labels:
    """VerSe ids by label. ``alone``: such masks hold nothing but vertebrae, so that any other label is a mistake."""

    verse_ids: Mapping[int, int]
    alone: bool = False

    def to_verse(self, mask: Float32, name: str) -> NDArray[np.uint8]:
        """A mask's labels as VerSe ids; what names no vertebra becomes 0.

        Raises:
            WrongUsage: ``mask-numbering``: there are labels that this numbering does not have.
        """
        whole = np.clip(np.rint(mask), 0, HIGHEST_LABEL).astype(np.uint16)
        there = np.zeros(HIGHEST_LABEL + 1, bool)
        there[whole] = True
        unknown = sorted({int(label) for label in np.flatnonzero(there)} - {0, *self.verse_ids, *UNNAMED})
        if self.alone and unknown:
            raise wrong_usage("mask-numbering", name=name, labels=unknown, known=tuple(LABELS))
        table = np.zeros(HIGHEST_LABEL + 1, np.uint8)
        for label, verse_id in self.verse_ids.items():
            table[label] = verse_id
        return np.asarray(table[whole])


def _from_below(first: int, levels: tuple[Level, ...]) -> dict[int, int]:
    """Labels that count up from the lowest vertebra, as TotalSegmentator's do."""
    return {first + i: level.verse_id for i, level in enumerate(reversed(levels))}


LABELS: dict[str, Labels] = {
    "verse": Labels({level.verse_id: level.verse_id for level in NAMED_LEVELS}, alone=True),
    # Numbered as VerSe is, from C1 to L5. Nothing is read into 25, which is told both as L6 and as the sacrum.
    "ctspine1k": Labels({level.verse_id: level.verse_id for level in USUAL_LEVELS if level is not Level.S1}),
    # Task "total", version 2: from S1 26 and L5 27 up to C1 50.
    "totalsegmentator": Labels(_from_below(26, USUAL_LEVELS)),
    # Version 1: from L5 18 up to C1 41; it has no S1.
    "totalsegmentator1": Labels(_from_below(18, USUAL_LEVELS[:-1])),
}
"""The numberings that are known by name."""


def read_labels(path: Path) -> Labels:
    """A site's own numbering: a CSV file of the columns ``label`` and ``level``, such as ``7,L1``.

    Raises:
        WrongUsage: ``labels-unusable``, with the line that cannot be used.
    """
    levels = {level.value: level.verse_id for level in NAMED_LEVELS}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise wrong_usage("labels-unusable", name=path.name) from error
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in text.partition("\n")[0] else ",")
    found: dict[int, int] = {}
    for row in rows:
        cell, level = (row.get("label") or "").strip(), (row.get("level") or "").strip()
        if not cell.isascii() or not cell.isdigit() or not 0 < int(cell) <= HIGHEST_LABEL or level not in levels:
            raise wrong_usage("labels-unusable.line", line=rows.line_num, name=path.name)
        if int(cell) in found:
            raise wrong_usage("labels-unusable.twice", name=path.name, label=cell)
        found[int(cell)] = levels[level]
    if not found:
        raise wrong_usage("labels-unusable.empty", name=path.name)
    return Labels(found)
