"""Lines of text broken between words to fit a terminal."""

import re
import shutil
import sys
from typing import TextIO

from rich.cells import cell_len

HAN = "\u3000-\u9fff\uff00-\uffef"
CLOSING = "\u3001\u3002\uff0c\uff1a\uff1b\uff09"
PIECE = re.compile(rf"\s*(?:[{HAN}]|[^\s{HAN}]+)[{CLOSING}]*")
"""What a line is made of: words with the space before them, Chinese letters one by one, each with what closes it."""


def wrapped(text: str, width: int | None = None, stream: TextIO | None = None) -> str:
    """Text whose lines fit, each going on under its own last column; no word is broken.

    ``width`` is that of the terminal where None is given; where ``stream``, standard output if None, is a pipe or a
    file, lines stay whole.
    """
    if width is None:
        if not (stream or sys.stdout).isatty():
            return text
        width = shutil.get_terminal_size().columns
    return "\n".join(part for line in text.split("\n") for part in _broken(line, width))


def _broken(line: str, width: int) -> list[str]:
    """A line in parts of at most ``width`` columns. What stands before its last wide space is not broken: a table."""
    before = max((found.end() for found in re.finditer(r"^\s+| {2,}", line)), default=0)
    hang = " " * cell_len(line[:before])
    if cell_len(line) <= width or len(hang) > width / 2:
        return [line]
    parts = [line[:before]]
    for piece in PIECE.findall(line[before:]):
        if cell_len(parts[-1] + piece) > width and parts[-1].strip() and parts[-1] != line[:before]:
            parts.append(hang + piece.lstrip())
        else:
            parts[-1] += piece
    return parts
