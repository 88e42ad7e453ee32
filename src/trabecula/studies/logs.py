"""What the server says of itself. Other libraries stay silent: their warnings quote what stands in headers."""

import json
import logging
import os
import warnings
from datetime import UTC, datetime

FORMAT = "TRABECULA_LOG"
"""The environment variable that, when it is ``json``, makes every line of ours JSON, also in the worker."""


class JsonLines(logging.Formatter):
    """A line of JSON for each event; what a caller gives as ``extra={"facts": ...}`` stands in it."""

    def __init__(self, who: str) -> None:
        super().__init__()
        self.who = who

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told = {"at": at, "who": self.who, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(told | getattr(record, "facts", {}), ensure_ascii=True)


def log_nothing_but_ours(who: str) -> None:
    """Our own messages on standard error, and nobody else's."""
    warnings.simplefilter("ignore")
    logging.lastResort = None
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(logging.NullHandler())
    ours = logging.getLogger("trabecula")
    handler = logging.StreamHandler()
    lines = os.environ.get(FORMAT) == "json"
    handler.setFormatter(JsonLines(who) if lines else logging.Formatter(f"%(asctime)s {who} %(message)s"))
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(logging.INFO)
