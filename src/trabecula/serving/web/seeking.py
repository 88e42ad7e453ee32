"""What is looked for in the list of studies, from an address and back into one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from trabecula.quantity import Category
from trabecula.studies.listing import SORTS, STATES, Sought

FIELDS = ("words", "state", "category", "doubt", "scanner", "since", "until", "offset", "sort", "order")
LETTERS = 80


@dataclass(frozen=True)
class Address:
    """The fields of an address that say which studies are listed, and in which order."""

    fields: Mapping[str, str]

    @property
    def sought(self) -> Sought:
        """The same for the database; what is no state, category or day asks for nothing."""
        held, offset = self.fields, _offset(self.fields.get("offset", ""))
        state, category, sort = held.get("state", ""), held.get("category", ""), held.get("sort", "")
        return Sought(
            words=held.get("words", ""),
            state=state if state in STATES else "",
            category=category if category in set(Category) else "",
            doubt=held.get("doubt", ""),
            scanner=held.get("scanner", ""),
            since_utc=_moment(held.get("since", ""), offset),
            before_utc=_moment(held.get("until", ""), offset, days=1),
            sort=sort if sort in SORTS else "received",
            descending=held.get("order") != "up",
        )

    def query(self, **changes: Any) -> str:
        """As it stands behind an address's question mark, with changes."""
        held = {**self.fields, **{name: str(value) for name, value in changes.items()}}
        return urlencode({name: value for name, value in held.items() if value})

    def get(self, name: str) -> str:
        return self.fields.get(name, "")


def address_of(params: Mapping[str, str]) -> Address:
    """What an address asks for; everything in it that is unknown is left out."""
    fields = {name: one_line(params.get(name, ""))[:LETTERS] for name in FIELDS}
    return Address({name: value for name, value in fields.items() if value})


def one_line(text: str) -> str:
    """Text without what cannot be printed."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _offset(minutes: str) -> timedelta:
    """Of the reader's clock from UTC, as browsers tell it: minutes to be added to come to UTC."""
    try:
        return timedelta(minutes=max(-900, min(900, int(minutes))))
    except ValueError:
        return timedelta()


def _moment(day: str, offset: timedelta, days: int = 0) -> str:
    """The begin of a reader's day in UTC; nothing where it is none."""
    try:
        begin = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) + offset + timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    return begin.isoformat(timespec="seconds")
