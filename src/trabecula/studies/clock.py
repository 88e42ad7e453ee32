"""Moments as they are kept: ISO 8601 in UTC, to the second, so that they sort as text."""

from datetime import UTC, datetime


def now_utc() -> str:
    """Now, as it is kept."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def seconds_since(started_utc: str) -> float | None:
    """How long ago that was."""
    if not started_utc:
        return None
    return (datetime.now(UTC) - datetime.fromisoformat(started_utc)).total_seconds()
