"""Files that nobody vouches for: what libraries raise on them, and keeping what they print to ourselves."""

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

MALFORMED = (
    ValueError,
    KeyError,
    AttributeError,
    TypeError,
    IndexError,
    ArithmeticError,
    EOFError,
    OSError,
    RuntimeError,  # with RecursionError and NotImplementedError; codecs raise it too
    MemoryError,
    struct.error,
    zlib.error,
)
"""What file libraries raise on damaged or hostile bytes."""


@contextmanager
def muted(logger_name: str) -> Iterator[None]:
    """Libraries warn and log with the offending value in the text, which may be a name or a number of the patient."""
    logger = logging.getLogger(logger_name)
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before
