"""The language of the command line: that of ``--language``, else of ``TRABECULA_LANGUAGE``, else the machine's own."""

import sys
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from itertools import pairwise

from trabecula.messages import DEFAULT_LANGUAGE, LANGUAGES, Fact, Phrase
from trabecula.serving.wrapping import wrapped

OPTION, VARIABLE = "--language", "TRABECULA_LANGUAGE"
LOCALES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Where POSIX looks for a language; the first that is set counts."""

_SPOKEN = ContextVar("spoken", default=DEFAULT_LANGUAGE)


def speak(language: str) -> None:
    """From here on in this language, if it is known; a command that knows its own says so as soon as it does."""
    if language in LANGUAGES:
        _SPOKEN.set(language)


def spoken() -> str:
    """The language that is spoken."""
    return _SPOKEN.get()


def say(key: str, /, **facts: Fact) -> str:
    """A phrase of the message files in the language that is spoken."""
    return Phrase(key, facts).told(spoken())


def tell(text: str) -> None:
    """Prints to people beside the result, on stderr, and breaks no word."""
    print(wrapped(text, stream=sys.stderr), file=sys.stderr, flush=True)


def language_asked(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The language to begin with; it is wanted before the command line is understood, which may fail."""
    given = [after for before, after in pairwise(arguments) if before == OPTION]
    given += [one.partition("=")[2] for one in arguments if one.startswith(f"{OPTION}=")]
    known = next((one for one in (*reversed(given), environment.get(VARIABLE, "")) if one in LANGUAGES), None)
    if known is not None:
        return known
    locale = next((environment[name] for name in LOCALES if environment.get(name)), "")
    language = locale.partition(".")[0].partition("_")[0].lower()
    return language if language in LANGUAGES else DEFAULT_LANGUAGE
