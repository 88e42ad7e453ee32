"""The networks that are shipped: each an ONNX file and its manifest entry, which carries all that using it takes.

``manifest.json`` names each network's file, sha256, view, head, error and how it was trained. Nothing is unpickled.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from trabecula.errors import defect
from trabecula.view import Head, View, head_from, view_from

FOLDER = Path(__file__).parent
INSTEAD = "TRABECULA_WEIGHTS"
"""The environment variable that names a folder with a manifest of its own: what stands in it is used instead."""

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Weights:
    """One network as the manifest has it. ``error_sd`` is its simulated error's SD, in its quantity's unit."""

    name: str
    file: str
    sha256: str
    view: View
    head: Head
    error_sd: float | None = None
    training: Mapping[str, Any] = field(default_factory=dict, repr=False)
    folder: Path = field(default=FOLDER, repr=False)

    def content(self) -> bytes:
        """The ONNX file's bytes, held against the manifest's hash.

        Raises:
            Defect: the file is missing, or its hash is not the manifest's.
        """
        path = self.folder / self.file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise defect("weights-missing", name=path.name) from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise defect("weights-corrupted", name=path.name)
        return content


@cache
def catalogue() -> dict[str, Weights]:
    """Every network that is shipped, by name, and instead of it what ``TRABECULA_WEIGHTS`` holds of that name.

    Raises:
        Defect: a manifest is missing, is no JSON, or an entry lacks what using its network takes.
    """
    instead = os.environ.get(INSTEAD)
    return read_manifest(FOLDER) | (read_manifest(Path(instead)) if instead else {})


def read_manifest(folder: Path) -> dict[str, Weights]:
    """The networks of a folder, by name.

    Raises:
        Defect: its manifest is missing, is no JSON, or an entry lacks what using its network takes.
    """
    try:
        entries = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {name: weights_from(name, entry, folder) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise defect("weights-missing.manifest", kind=type(error).__name__) from error


def weights_from(name: str, entry: Mapping[str, Any], folder: Path = FOLDER) -> Weights:
    """A network from its manifest entry.

    Raises:
        KeyError, TypeError, ValueError: it lacks a file, hash, view or head, or has another than there are.
    """
    known = {"file", "sha256", "view", "head", "error_sd"}
    return Weights(
        name,
        str(entry["file"]),
        str(entry["sha256"]),
        view_from(entry["view"]),
        head_from(entry["head"]),
        None if entry.get("error_sd") is None else float(entry["error_sd"]),
        {key: value for key, value in entry.items() if key not in known},
        folder,
    )


def weights_named(name: str) -> Weights:
    """A network by its name.

    Raises:
        Defect: there is none.
    """
    found = catalogue().get(name)
    if found is None:
        raise defect("weights-missing.name", name=name)
    return found
