"""Trabecula reads the bone density that is already in any CT."""

__version__ = "0.1.0"  # written out: asking the installed metadata costs --help a quarter of its time
