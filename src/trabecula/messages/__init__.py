"""What is told to people, in their language: one TOML file for each, of the same keys and the same placeholders.

A ``Phrase`` is a key and the facts its sentence is made of, so that it can be told in any language long after it was
found. A key with a dot is one of several sentences for what stands before the dot: ``thick-slices.voxels``.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeAlias

FOLDER = Path(__file__).parent
DEFAULT_LANGUAGE = "en"

LANGUAGES: tuple[str, ...] = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))
"""The languages there is a file for."""

Fact: TypeAlias = "str | float | Phrase | Sequence[Fact]"
"""A number, a word that is the same in every language (a name, a header's own text), a phrase, or a list of these."""


@dataclass(frozen=True)
class Phrase:
    """A key of the message files and the facts that fill its placeholders."""

    key: str
    facts: Mapping[str, Fact] = field(default_factory=dict, hash=False)

    def told(self, language: str = DEFAULT_LANGUAGE) -> str:
        """The phrase in a language; numbers are written as its file says."""
        return messages(language)[self.key].format_map({name: _shown(f, language) for name, f in self.facts.items()})

    def __str__(self) -> str:
        return self.told()


@cache
def messages(language: str) -> Mapping[str, str]:
    """Every message of a language by its key; the tables of its file only order it for those who edit it."""
    tables = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    return {key: text for table in tables.values() for key, text in table.items()}


def joined(words: Sequence[Fact]) -> Phrase:
    """Words as they stand in a sentence: "L1, L2 and L3"; "none" where there are none."""
    if len(words) < 2:
        return Phrase("list", {"words": tuple(words)})
    return Phrase("and", {"first": Phrase("list", {"words": tuple(words[:-1])}), "last": words[-1]})


def _shown(fact: Fact, language: str) -> str | float:
    if isinstance(fact, Phrase):
        return fact.told(language)
    if isinstance(fact, str):
        return _level(fact, language)
    if isinstance(fact, Sequence):
        words = messages(language)
        return words["list-separator"].join(str(_shown(one, language)) for one in fact) or words["none"]
    return fact


def _level(word: str, language: str) -> str:
    """An unnamed vertebra ("unknown-2") in words; any other word as it is."""
    number = word.removeprefix("unknown-")
    if number == word or not number.isdecimal():
        return str(word)
    return messages(language)["level-unnamed"].format(number=number)
