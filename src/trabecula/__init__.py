"""Trabecula reads the bone density that is already in any CT.

    >>> import trabecula
    >>> found = trabecula.screen("path/to/ct")
    >>> print(found.diagnosis.category, found.diagnosis.density)

The names in ``__all__`` are the whole interface for programs; docs/python.md shows them at work. Each is loaded when it
is first asked for, so that importing the package, and ``trabecula --help``, stay quick.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"  # written out: asking the installed metadata costs --help a quarter of its time

__all__ = [
    "Assessment",
    "Category",
    "Defect",
    "Level",
    "Measurement",
    "Refusal",
    "Scan",
    "TrabeculaError",
    "WrongUsage",
    "__version__",
    "compare",
    "load",
    "read",
    "screen",
    "table",
    "values",
    "vertebrae",
    "write",
]

_HOMES = {
    "anatomy": ("Level",),
    "errors": ("Defect", "Refusal", "TrabeculaError", "WrongUsage"),
    "public": ("compare", "load", "read", "screen", "table", "values", "vertebrae", "write"),
    "quantity": ("Category", "Measurement"),
    "records": ("Assessment", "Scan"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"trabecula.{home}"), name)
    raise AttributeError(f"module 'trabecula' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
