"""What the server says of itself. Other libraries stay silent: their warnings quote what stands in headers."""

import logging
import warnings


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
    handler.setFormatter(logging.Formatter(f"%(asctime)s {who} %(message)s"))
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(logging.INFO)
