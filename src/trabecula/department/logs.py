"""The node's log: a line of JSON for each event, with numbers of ours and titles of the rules, never an identifier."""

import logging
import os

from trabecula.studies.logs import FORMAT, log_nothing_but_ours

LOG = logging.getLogger("trabecula.department")


def log_lines() -> None:
    """Structured lines on standard error, of the worker too, and nothing of other libraries: those quote headers."""
    os.environ[FORMAT] = "json"
    log_nothing_but_ours("node")


def tell(event: str, **facts: str | int | float) -> None:
    """An event that is as it should be."""
    LOG.info(event, extra={"facts": facts})


def warn(event: str, **facts: str | int | float) -> None:
    """An event that somebody should look at."""
    LOG.warning(event, extra={"facts": facts})
