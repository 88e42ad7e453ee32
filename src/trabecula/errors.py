"""What can go wrong, as exceptions a person can read.

TrabeculaError        carries a stable ``code`` and a sentence; ``exit_code`` 1
  +-- WrongUsage      the command was given wrongly; exit code 2
  +-- Refusal         the input cannot be used; exit code 3
  +-- Defect          ours: weights missing or corrupted; exit code 1
"""

from trabecula.messages import Fact, Phrase


class TrabeculaError(Exception):
    """An expected failure: ``code`` is stable and for programs, ``message`` is for people, in English.

    ``phrase`` is the message by its facts, for other languages; what only a command line can cause has none.
    """

    exit_code = 1

    def __init__(self, code: str, message: str, phrase: Phrase | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.phrase = phrase

    def told(self, language: str) -> str:
        """The sentence in a language of ``messages.LANGUAGES``, in English where there is no other."""
        return self.message if self.phrase is None else self.phrase.told(language)

    def __reduce__(self) -> tuple[type["TrabeculaError"], tuple[str, str]]:
        # Errors come back from worker processes; an exception is else rebuilt from its message alone.
        return type(self), (self.code, self.message)


class WrongUsage(TrabeculaError):
    """The program was called in a way it cannot follow."""

    exit_code = 2


class Refusal(TrabeculaError):
    """The input is unfit: no number may come from it."""

    exit_code = 3


def refusal(key: str, **facts: Fact) -> Refusal:
    """The refusal that the message files hold under ``key``; its code is what stands before a dot."""
    phrase = Phrase(key, facts)
    return Refusal(key.partition(".")[0], phrase.told(), phrase)


class Defect(TrabeculaError):
    """The installation is at fault, not the input."""
