"""Which scan a printed report is of, and who has looked at it."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trabecula.report.words import Words


class Review(StrEnum):
    """What a reader has done with the result."""

    UNREVIEWED = "unreviewed"
    CORRECTED = "corrected"
    CONFIRMED = "confirmed"
    SIGNED = "signed"


@dataclass(frozen=True)
class Masthead:
    """What stands at the head of a report and at the foot of each printed page, and is kept nowhere else.

    Days are written YYYY-MM-DD; None where the input does not tell, or may not. ``label`` is a site's own for the scan.
    """

    label: str | None = None
    accession: str | None = None
    study_number: str | None = None
    study_day: str | None = None
    series_number: str | None = None
    series_day: str | None = None
    review: Review = Review.UNREVIEWED
    reviewer: str | None = None
    reviewed_on: str | None = None
    deidentified: bool = False


UNNAMED = Masthead()


def masthead(head: Masthead, words: Words) -> dict[str, Any]:
    """Names and values, the line that each printed page repeats, and what was left out, as the template takes them."""
    study = _numbered(words, head.study_number, head.study_day)
    series = _numbered(words, head.series_number, head.series_day)
    nameless = None if head.accession or head.deidentified else words.say("scan-unnamed")
    facts = {
        "scan-name": head.label or nameless,
        "accession": head.accession,
        "study-name": study,
        "series-name": series,
        "review": _review(words, head),
    }
    known = {name: value for name, value in facts.items() if value}
    dated = [f"{words.say(name)} {known[name]}" for name in ("study-name", "series-name") if name in known]
    return {
        "facts": words.named(known),
        "line": " · ".join(part for part in ("Trabecula", head.label, head.accession, *dated) if part),
        "left_out": words.say("deidentified-left-out") if head.deidentified else "",
        "page_of": _page_of(words),
    }


def _numbered(words: Words, number: str | None, day: str | None) -> str:
    parts = [*([words.say("numbered", number=number)] if number else []), *([day] if day else [])]
    return words.several(parts) if parts else ""


def _review(words: Words, head: Masthead) -> str:
    if head.review is Review.UNREVIEWED:
        return words.say("review-unreviewed")
    reader = head.reviewer or words.say("a-reader")
    return words.say(
        f"review-{head.review}", reader=words.several([reader, head.reviewed_on or ""][: 1 + bool(head.reviewed_on)])
    )


def _page_of(words: Words) -> str:
    """The value of CSS's ``content`` that numbers a printed page in this language."""
    before, between, after = words.say("page-of", page="\0", pages="\0").split("\0")
    return f"{_string(before)} counter(page) {_string(between)} counter(pages) {_string(after)}"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
