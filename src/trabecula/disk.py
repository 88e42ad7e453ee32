"""Files that survive a loss of power: nothing is acknowledged before it is safe on the disk."""

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """The file's contents are on the disk when this returns."""
    held = os.open(path, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def sync_folder(folder: Path) -> None:
    """The folder's entries are on the disk when this returns."""
    sync_file(folder)


def sync_tree(folder: Path) -> None:
    """All that is in a folder, at any depth, is on the disk when this returns; the folder's own name is not."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.is_file():
            sync_file(path)
    sync_folder(folder)
