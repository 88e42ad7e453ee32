"""What can go wrong, as exceptions a person can read.

TrabeculaError        carries a stable ``code`` and a sentence; ``exit_code`` 1
  +-- WrongUsage      the command was given wrongly; exit code 2
  +-- Refusal         the input cannot be used; exit code 3
  +-- Defect          ours: weights missing or corrupted; exit code 1
"""


class TrabeculaError(Exception):
    """An expected failure: ``code`` is stable and for programs, ``message`` is for people."""

    exit_code = 1

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class WrongUsage(TrabeculaError):
    """The program was called in a way it cannot follow."""

    exit_code = 2


class Refusal(TrabeculaError):
    """The input is unfit: no number may come from it."""

    exit_code = 3


class Defect(TrabeculaError):
    """The installation is at fault, not the input."""
