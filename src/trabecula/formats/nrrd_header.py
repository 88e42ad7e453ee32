"""The header of an NRRD: lines of "field: value" up to an empty one (teem.sourceforge.net/nrrd/format.html)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MAGIC = b"NRRD000"
MAX_AXES = 16  # NRRD_DIM_MAX

TYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(kind)
    for kind, names in {
        "i1": ("signed char", "int8", "int8_t"),
        "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
        "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
        "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
        "i4": ("int", "signed int", "int32", "int32_t"),
        "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
        "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
        "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
        "f4": ("float",),
        "f8": ("double",),
    }.items()
    for name in names
}


@dataclass(frozen=True)
class Header:
    """What stands in it, by field; ``sizes`` counts along each axis, the fastest first."""

    fields: Mapping[str, str]
    sizes: tuple[int, ...]

    def text(self, field: str) -> str:
        """A field's value, empty where it is not there; the format spells some fields without their space."""
        return self.fields.get(field) or self.fields.get(field.replace(" ", ""), "")

    def vectors(self, field: str) -> list[list[float] | None]:
        """A field's "(1,0,0) none (0, 1, 0)" as numbers, None for none. Blanks after commas are common."""
        found = re.findall(r"\(([^()]*)\)|(none)", self.text(field))
        return [None if none else [float(number) for number in numbers.split(",")] for numbers, none in found]


def header_of(head: bytes) -> tuple[Header, int]:
    """The header at the beginning of a file, and where the data begin that follow it.

    Raises:
        ValueError: it is no NRRD header.
    """
    found = re.search(rb"\r?\n\r?\n", head)
    end = len(head) if found is None else found.end()
    first, *lines = head[:end].decode("utf-8", "replace").splitlines()
    if not first.startswith(MAGIC.decode()):
        raise ValueError("no NRRD")
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            fields.setdefault(name.strip().lower(), value.lstrip("=").strip())
    sizes = tuple(int(number) for number in fields["sizes"].split())
    if int(fields["dimension"]) != len(sizes) or not 1 <= len(sizes) <= MAX_AXES:
        raise ValueError("dimension")
    return Header(fields, sizes), end
