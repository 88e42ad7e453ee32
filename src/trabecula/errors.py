"""What can go wrong, as exceptions a person can read.

TrabeculaError        the machine cannot (a full disk, say): a stable ``code`` and a sentence; exit code 1
  +-- WrongUsage      the command was given wrongly; exit code 2
  +-- Refusal         the input cannot be used; exit code 3
  +-- Defect          ours: weights missing or corrupted; exit code 1

Each is made by the function below that is named for it, from a key of the message files and the facts of its sentence.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar

from trabecula.messages import DEFAULT_LANGUAGE, LANGUAGES, Fact, Phrase, messages


class TrabeculaError(Exception):
    """An expected failure: ``code`` is stable and for programs, ``message`` is for people, in English.

    ``phrase`` is the message by its facts, for other languages; one that was kept as text has none.
    """

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "failed"
    """The key of what the message files call this kind of failure."""

    def __init__(self, code: str, message: str, phrase: Phrase | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.phrase = phrase

    def told(self, language: str) -> str:
        """The sentence in a language of ``messages.LANGUAGES``, in English where there is no other."""
        return self.message if self.phrase is None else self.phrase.told(language)

    def line(self, language: str = DEFAULT_LANGUAGE) -> str:
        """Kind, code and sentence as one printable line; in English where the language, or the sentence in it, is
        not known."""
        spoken = DEFAULT_LANGUAGE if self.phrase is None or language not in LANGUAGES else language
        sentence = "".join(letter if letter.isprintable() else "?" for letter in self.told(spoken))
        return f"{messages(spoken)[self.kind]} [{self.code}]: {sentence}"

    @property
    def coded(self) -> Phrase:
        """Code and sentence, to stand in another sentence."""
        return Phrase("coded", {"code": self.code, "said": self.phrase or self.message})

    def __reduce__(self) -> tuple[type["TrabeculaError"], tuple[str, str, Phrase | None]]:
        # Errors come back from worker processes; an exception is else rebuilt from its message alone.
        return type(self), (self.code, self.message, self.phrase)


class WrongUsage(TrabeculaError):
    """The program was called in a way it cannot follow."""

    exit_code = 2
    kind = "wrong-usage"


class Refusal(TrabeculaError):
    """The input is unfit: no number may come from it."""

    exit_code = 3
    kind = "refused"


class Defect(TrabeculaError):
    """The installation is at fault, not the input."""

    kind = "defect"


def wrong_usage(key: str, /, **facts: Fact) -> WrongUsage:
    """The wrong usage that the message files hold under ``key``; its code is what stands before a dot."""
    return WrongUsage(*_told(key, facts))


def refusal(key: str, /, **facts: Fact) -> Refusal:
    """The same for an input that cannot be used."""
    return Refusal(*_told(key, facts))


def failure(key: str, /, **facts: Fact) -> TrabeculaError:
    """The same for what the machine, or another one, cannot."""
    return TrabeculaError(*_told(key, facts))


def defect(key: str, /, **facts: Fact) -> Defect:
    """The same for an installation that is at fault."""
    return Defect(*_told(key, facts))


def _told(key: str, facts: Mapping[str, Fact]) -> tuple[str, str, Phrase]:
    phrase = Phrase(key, facts)
    return key.partition(".")[0], phrase.told(), phrase


def require_language(language: str) -> None:
    """Raises WrongUsage where there is no file of messages for a language."""
    if language not in LANGUAGES:
        raise wrong_usage("unknown-language", name=language, choices=LANGUAGES)


def fault(error: BaseException) -> Defect:
    """A failure that nobody foresaw. Its own words are left out: they may quote a patient's header."""
    return defect("defect.unforeseen", kind=type(error).__name__, place=place_of(error.__traceback__))


def place_of(trace: TracebackType | None) -> str:
    """Where in our own code an exception came from: module and line, and nothing of what was in them."""
    place = "unknown place"
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").startswith("trabecula."):
            place = f"{trace.tb_frame.f_globals['__name__']}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place
