"""Why a file, an address or a setting cannot be used, as a phrase that stands after a colon in a sentence."""

import csv
import errno
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from typing import Any

from trabecula.messages import Fact, Phrase


class Unfit(ValueError):
    """What is wrong, by a key of the message files. Raised by a validator, pydantic tells where it stands."""

    def __init__(self, key: str, **facts: Fact) -> None:
        self.phrase = Phrase(key, facts)
        super().__init__(self.phrase.told())


CAUSES = {
    errno.ENOENT: "cause-missing",
    errno.EACCES: "cause-not-allowed",
    errno.EPERM: "cause-not-allowed",
    errno.EROFS: "cause-read-only",
    errno.ENOSPC: "cause-disk-full",
    errno.EDQUOT: "cause-disk-full",
    errno.EISDIR: "cause-folder",
    errno.ENOTDIR: "cause-no-folder",
    errno.EADDRINUSE: "cause-address-taken",
    errno.EADDRNOTAVAIL: "cause-address-elsewhere",
    errno.ENAMETOOLONG: "cause-name-too-long",
}
"""What the system fails with most often; it tells the others in its own words."""


def cause_of(error: Exception) -> Fact:
    """Why a file, folder or address cannot be used, as it stands after a colon."""
    if isinstance(error, Unfit):
        return error.phrase
    if isinstance(error, tomllib.TOMLDecodeError):
        where = re.search(r"line (\d+), column (\d+)", str(error))
        return Phrase("cause-no-toml", {"line": where[1], "column": where[2]}) if where else Phrase("cause-toml-cut")
    if isinstance(error, UnicodeDecodeError):
        return Phrase("cause-no-utf8")
    if isinstance(error, csv.Error):
        return Phrase("cause-no-csv")
    if isinstance(error, OSError):
        if isinstance(error, socket.gaierror):
            return Phrase("cause-no-host")
        known = CAUSES.get(error.errno or 0)
        if known is not None or not error.errno:
            return Phrase(known or "cause-unknown")
        return os.strerror(error.errno).lower()  # its own text may quote a path
    return str(error)


VALUES = {
    "missing": "value-missing",
    "extra_forbidden": "value-unknown",
    "too_short": "value-too-short",
    "string_too_short": "value-too-short",
    "string_too_long": "value-too-long",
    "literal_error": "value-among",
    "enum": "value-among",
    "greater_than": "value-above",
    "greater_than_equal": "value-least",
    "less_than": "value-below",
    "less_than_equal": "value-most",
    "int": "value-whole",
    "float": "value-number",
    "finite": "value-number",
    "bool": "value-true-or-false",
    "list": "value-list",
    "string": "value-text",
    "model": "value-table",
    "dict": "value-table",
    "path": "value-text",
}
"""The kinds of ``pydantic``'s errors, by their name or the word it begins with."""

LIMITS = ("gt", "ge", "lt", "le", "expected", "min_length", "max_length")


def cause_invalid(found: Mapping[str, Any]) -> Fact:
    """What is wrong with a value in a settings file, by an entry of pydantic's ``errors()``."""
    context = found.get("ctx", {})
    if isinstance(context.get("error"), Unfit):
        return cause_of(context["error"])
    kind = str(found["type"])
    if kind == "string_pattern_mismatch":
        return Phrase("value-pattern", {"limit": str(context.get("pattern", ""))})
    key = VALUES.get(kind) or VALUES.get(kind.partition("_")[0])
    if key is None:
        return str(found["msg"])
    limit = next((context[name] for name in LIMITS if name in context), None)
    if limit is None:
        return Phrase(key)
    return Phrase(key, {"limit": f"{limit:g}" if isinstance(limit, float) else str(limit).replace(" or ", ", ")})
