"""What a run of the program leaves."""

from collections.abc import Callable
from typing import NamedTuple


class Run(NamedTuple):
    code: int
    out: str
    err: str


Program = Callable[..., Run]
