"""What every part of a report needs to speak a language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trabecula.messages import DEFAULT_LANGUAGE, Fact, Phrase, joined, likely, messages
from trabecula.quantity import Category, Quantity
from trabecula.records import Assessment, Reason

TEMPLATES = Path(__file__).parent / "templates"

RESEARCH_ONLY = messages(DEFAULT_LANGUAGE)["research-only"]
NO_RULING_OUT = messages(DEFAULT_LANGUAGE)["no-ruling-out"]


@dataclass(frozen=True)
class Words:
    """An assessment and the language in which it is told."""

    assessment: Assessment
    language: str = DEFAULT_LANGUAGE

    def say(self, key: str, **facts: Fact) -> str:
        return Phrase(key, facts).told(self.language)

    def several(self, words: Sequence[str]) -> str:
        """Words with the language's separator between them; "none" where there are none."""
        return self.say("list", words=tuple(words))

    def joined(self, words: Sequence[str]) -> str:
        """Words as they stand in a sentence: "L1 and L2"."""
        return joined(words).told(self.language)

    def sentences(self, said: Sequence[str]) -> str:
        """Sentences one after another."""
        return self.say("sentence-separator").join(one for one in said if one)

    def reasons(self, reasons: Sequence[Reason]) -> list[tuple[str, str]]:
        """Code and sentence of each."""
        return [(reason.code, reason.told(self.language)) for reason in reasons]

    def category(self, category: Category) -> str:
        """A category as it stands alone."""
        return self.say(f"category-{category}")

    def either(self, categories: Sequence[Category], opening: bool = False) -> str:
        """Categories of which each may be: "osteopenia or normal"; ``opening`` a line of its own."""
        first, *others = categories
        told = self.category(first) if opening else self.say(f"word-{first}")
        for other in others:
            told = self.say("or", first=told, last=self.say(f"word-{other}"))
        return told

    def share(self, share: float) -> str:
        """A probability."""
        return likely(share).told(self.language)

    def named(self, facts: Mapping[str, str]) -> list[tuple[str, str]]:
        """Facts under their names in this language."""
        return [(self.say(key), value) for key, value in facts.items()]


def templates() -> Environment:
    """The pages' templates; whatever a header says stays text."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def unit_shown(quantity: Quantity) -> str:
    """The unit with its exponent raised."""
    return quantity.unit.replace("cm3", "cm³").replace("cm2", "cm²")
