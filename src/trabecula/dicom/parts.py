"""Headers read by counting: a few MB of them can hold millions of elements or items, each of which costs many times its
length in memory."""

import io
from pathlib import Path

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import read_sequence
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from trabecula.formats.budget import Budget

DEFER_BYTES = 64 * 2**10
"""Longer values stay in the file until they are asked for, so that a folder of series does not fill the memory."""

COUNTED_AT_ONCE, READS_PER_CHECK = 1_000, 20_000
FUNCTIONAL_GROUPS = tuple(Tag(name) for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"))
PIXEL_GROUP = 0x7FE0


class Counted:
    """Counts reads for an input's budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self.reads = budget, 0

    def count(self) -> None:
        """One more.

        Raises:
            OverBudget: they are too many, or cost too much.
        """
        self.reads += 1
        if self.reads % COUNTED_AT_ONCE == 0:
            self._budget.parts(COUNTED_AT_ONCE)
        if self.reads % READS_PER_CHECK == 0:
            self._budget.check()


class CountedFile(io.BufferedReader):
    """A file of headers; ``reads`` beyond ``most`` end it."""

    def __init__(self, path: Path, budget: Budget, most: int | None = None) -> None:
        super().__init__(io.FileIO(str(path)))  # pydicom opens it anew by this name, for long values
        self._counted, self._most = Counted(budget), most

    @property
    def ended(self) -> bool:
        """Whether reading was given up at ``most``."""
        return self._most is not None and self._counted.reads > self._most

    def read(self, size: int | None = -1, /) -> bytes:
        self._counted.count()
        if self.ended:
            raise ValueError("more elements than asked for")  # pydicom passes over an EOFError
        return super().read(size)


class _CountedBytes(io.BytesIO):
    def __init__(self, value: bytes, counted: Counted) -> None:
        super().__init__(value)
        self._counted = counted

    def read(self, size: int | None = -1, /) -> bytes:
        self._counted.count()
        return super().read(size)


def bounded(dataset: Dataset, path: Path, budget: Budget) -> Dataset:
    """The dataset with its functional groups parsed, and without other long values but the pixels.

    pydicom parses a sequence of known length when it is asked for, however many items that makes.

    Raises:
        OverBudget: they are too many.
    """
    for tag in FUNCTIONAL_GROUPS:
        if tag in dataset:
            _parse(dataset, tag, path, Counted(budget), depth=2)
    for tag in list(dataset.keys()):
        if tag.group != PIXEL_GROUP and _is_long(dataset, tag):
            if _vr(dataset, tag) == "SQ":  # that a lookup table is there tells enough
                dataset[tag] = DataElement(tag, "SQ", [])
            else:
                del dataset[tag]
    return dataset


def has_items(dataset: Dataset, keyword: str) -> bool:
    """Whether a sequence is there and not empty, without parsing it."""
    element = dataset.get_item(keyword, keep_deferred=True)
    return bool(element.length if isinstance(element, RawDataElement) else element is not None and element.value)


def _parse(dataset: Dataset, tag: BaseTag, path: Path, counted: Counted, depth: int) -> None:
    """Parses a sequence in place, and the sequences in its items."""
    element = dataset.get_item(tag, keep_deferred=True)
    if isinstance(element, RawDataElement):
        value = _value(element, path)
        file = _CountedBytes(value, counted)
        items = read_sequence(file, element.is_implicit_VR, element.is_little_endian, len(value), ["iso8859"])
        element = dataset[tag] = DataElement(tag, "SQ", items)
    if depth == 1 or not isinstance(element.value, Sequence):
        return
    for item in element.value:
        for inner in list(item.keys()):
            if _vr(item, inner) == "SQ":
                _parse(item, inner, path, counted, depth - 1)
            elif _is_long(item, inner):
                del item[inner]


def _value(element: RawDataElement, path: Path) -> bytes:
    if element.value is not None or not element.length:
        return bytes(element.value or b"")
    with path.open("rb") as file:
        file.seek(element.value_tell)
        return file.read(element.length)


def _is_long(dataset: Dataset, tag: BaseTag) -> bool:
    element = dataset.get_item(tag, keep_deferred=True)
    return isinstance(element, RawDataElement) and element.length > DEFER_BYTES


def _vr(dataset: Dataset, tag: BaseTag) -> str:
    """What kind an element is; implicit ones by the dictionary."""
    element = dataset.get_item(tag, keep_deferred=True)
    if element.VR not in (None, "UN"):
        return str(element.VR)
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"
