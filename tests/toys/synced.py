"""What has been written through to the disk, as the system was asked: a loss of power would leave this and no more."""

import os
from pathlib import Path

import pytest


class Synced:
    """Files and folders by their inodes, with the size that each had when it was written through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._sizes: dict[int, int] = {}
        really = os.fsync

        def fsync(held: int) -> None:
            really(held)
            seen = os.fstat(held)
            self._sizes[seen.st_ino] = seen.st_size

        monkeypatch.setattr(os, "fsync", fsync)

    def knows(self, path: Path) -> bool:
        """Whether it was written through at least once."""
        return path.stat().st_ino in self._sizes

    def lacks(self, *paths: Path) -> list[str]:
        """Which of these, and of all that is in them, a loss of power could take."""
        inside = [one for path in paths for one in (path, *path.rglob("*"))]
        return [
            one.name
            for one in inside
            if one.stat().st_ino not in self._sizes
            or (one.is_file() and self._sizes[one.stat().st_ino] != one.stat().st_size)
        ]
