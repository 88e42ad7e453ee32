"""What is told to people, in their language: one TOML file for each, of the same keys and the same placeholders.

A ``Phrase`` is a key and the facts its sentence is made of, so that it can be told in any language long after it was
found. A key with a dot is one of several sentences for what stands before the dot: ``thick-slices.voxels``.

``{number:slice|slices}`` writes the word that agrees with a number, or with how many words a list has: the forms stand
in the order of ``plural-form``, a rule of the language in the words of gettext (``n != 1``).
``{share:likely}`` writes a probability.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from gettext import c2py
from pathlib import Path
from string import Formatter
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
        return messages(language)[self.key].format_map({name: _Told(f, language) for name, f in self.facts.items()})

    def __str__(self) -> str:
        return self.told()


def likely(share: float) -> Phrase:
    """A probability in whole percent; what is not certain is told as neither 0% nor 100%."""
    if share < 0.005 or share >= 0.995:
        return Phrase("percent-least" if share < 0.5 else "percent-most")
    return Phrase("percent", {"share": share})


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


def in_turn(sentences: Sequence[Phrase]) -> Phrase:
    """Sentences one after another."""
    return reduce(lambda before, after: Phrase("in-turn", {"before": before, "after": after}), sentences)


@cache
def outline(code: str, language: str = DEFAULT_LANGUAGE) -> str:
    """What a reason code says, with an ellipsis for each fact: its first sentence; empty where there is none."""
    told = messages(language)
    sentence = next((text for key, text in told.items() if key.partition(".")[0] == code), "")
    parts = []
    for words, name, how, _ in Formatter().parse(sentence):
        parts += [words, how.split("|")[-1] if how and "|" in how else "" if name is None else "…"]
    return "".join(parts)


@cache
def plural_form(language: str) -> Callable[[int], int]:
    """Which of its forms a word takes with a number, from 0."""
    return c2py(messages(language)["plural-form"])


class _Told:
    """A fact where a sentence names it: itself, or one of several words by how many it is."""

    def __init__(self, fact: Fact, language: str) -> None:
        self.fact, self.language = fact, language

    def __str__(self) -> str:
        return format(self)

    def __format__(self, how: str) -> str:
        if how == "likely" and isinstance(self.fact, float | int):
            return likely(self.fact).told(self.language)
        if "|" in how:
            return how.split("|")[plural_form(self.language)(_count(self.fact))]
        return format(_shown(self.fact, self.language), how)


def _count(fact: Fact) -> int:
    """How many a number or a list of words is; one of anything else."""
    if isinstance(fact, Phrase):
        words = {"list": ("words",), "and": ("first", "last")}.get(fact.key, ())
        return sum(_count(fact.facts[name]) for name in words) if words else 1
    if isinstance(fact, str):
        return 1
    return len(fact) if isinstance(fact, Sequence) else abs(round(fact))


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
