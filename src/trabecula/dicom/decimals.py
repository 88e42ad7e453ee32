"""Numbers of DICOM headers, also where a program wrote them in its country's way or left something behind them.

A decimal string is read from its bytes: "0,703125" is 0.703125, NULs and a unit after a number are passed over. What
is no number at all is as good as missing.
"""

import re
from typing import Any

from pydicom import Dataset
from pydicom.dataelem import RawDataElement

_DECIMAL = re.compile(
    rb"\s*([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?)[\s\0]*(?:mm|HU|kVp?)?[\s\0]*", re.IGNORECASE
)


def decimals(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Every number of a decimal string or any other number; empty where there is none."""
    try:
        item = dataset.get_item(keyword)
        if isinstance(item, RawDataElement) and item.VR in (None, "DS", "UN", "LO", "SH", "LT", "ST", "CS"):
            return _parsed(bytes(item.value or b""))
        value = dataset.get(keyword)
    except (ValueError, TypeError, NotImplementedError):
        return ()
    return _numbers(value)


def decimal(dataset: Dataset, keyword: str) -> float | None:
    """The first number of a header, or None."""
    found = decimals(dataset, keyword)
    return found[0] if found else None


def has_decimal_comma(dataset: Dataset, keywords: tuple[str, ...]) -> bool:
    """Whether one of these decimal strings is written with a comma."""
    items = (dataset.get_item(keyword) for keyword in keywords)
    return any(isinstance(item, RawDataElement) and b"," in bytes(item.value or b"") for item in items)


def _parsed(raw: bytes) -> tuple[float, ...]:
    found = [_DECIMAL.fullmatch(part) for part in raw.split(b"\\")]
    if not all(found):
        return ()
    return _finite(float(match.group(1).replace(b",", b".")) for match in found if match)


def _numbers(value: Any) -> tuple[float, ...]:
    if value is None or value == "":
        return ()
    parts = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    try:
        return _finite(float(str(part).replace(",", ".")) for part in parts)
    except ValueError:
        return ()


def _finite(values: Any) -> tuple[float, ...]:
    numbers = tuple(values)
    return numbers if all(abs(number) < float("inf") for number in numbers) else ()
