"""Trained networks to ONNX with int8 weights, each with a manifest entry that carries all that use takes."""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from trabecula.training.answers import BOUNDS, answers_apart, within
from trabecula.training.compact import compact, kinds_of
from trabecula.training.parity import Compared, compare, require_same
from trabecula.view import Head, View, head_entry, view_entry
from trabecula.weights import MANIFEST


class DetectorForExport(nn.Module):
    """A detector as a graph of one image: (1, H, W) in; boxes, labels and scores out."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.detector([image])[0]
        return found["boxes"], found["labels"], found["scores"]


def export(
    network: nn.Module, inputs: Sequence[Tensor], path: Path, view: View, head: Head, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes ``path``, and its entry, named after the file, in the manifest beside it; returns the entry.

    ``inputs`` are what the network is exported with and held against its export on: of one shape, and best what it will
    see. ``about`` is what else the entry tells: figures, how it was trained.

    Raises:
        Defect: ``export-differs``: the file does not answer as the network does. Nothing is left of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_suffix(".f32.onnx")
    network = network.cpu().eval()
    try:
        to_onnx(network, inputs[0], plain)
        same = require_same(network, plain, inputs)
        stored = _smallest(plain, path, head, inputs, same)
    finally:
        for left in path.parent.glob(f"{path.stem}.f32*.onnx"):
            left.unlink()
    entry = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "exported": date.today().isoformat(),
        "input": list(inputs[0].shape),
        "view": view_entry(view),
        "head": head_entry(head),
        "parity": {
            "inputs": len(inputs),
            "runtime": same.runtime,
            "largest_difference": float(f"{same.largest:.3g}"),
            "stored": stored,
        },
        **about,
    }
    enter(path.parent / MANIFEST, path.stem, entry)
    return entry


def to_onnx(network: nn.Module, image: Tensor, path: Path) -> None:
    """A network as a graph of float weights."""
    with warnings.catch_warnings():
        # The exporter warns of constants it traces, and of its age; parity is what is held against.
        warnings.simplefilter("ignore")
        # Faster R-CNN's control flow is beyond the newer exporter.
        torch.onnx.export(network, (image,), str(path), opset_version=17, dynamo=False, input_names=["image"])


def _smallest(plain: Path, path: Path, head: Head, inputs: Sequence[Tensor], same: Compared) -> dict[str, Any]:
    """Stores the network in the least room in which it answers alike; what that is and how far it is off.

    Weights are int8 in as many kinds of layers as may be, float16 elsewhere; failing that, they stay float.
    """
    tried = path.with_suffix(".f32.tried.onnx")
    for kinds in _choices(onnx.load(plain)):
        onnx.save(compact(onnx.load(plain), kinds), tried)
        found = compare(same.expected, tried, inputs)
        apart = answers_apart(head, found.found, same.expected)
        if within(apart):
            tried.rename(path)
            return {
                "int8": list(kinds),
                "elsewhere": "float16",
                # None where a detector gives another number of boxes
                "largest_difference": float(f"{found.largest:.3g}") if np.isfinite(found.largest) else None,
                "answers_apart": {name: float(f"{value:.3g}") for name, value in apart.items()},
                "bounds": {name: BOUNDS[name] for name in apart},
            }
    plain.rename(path)
    return {"int8": [], "elsewhere": "float32"}


def _choices(model: onnx.ModelProto) -> list[tuple[str, ...]]:
    """Which kinds of layers can be int8 together, those first that save the most; none at all is the last."""
    weights = kinds_of(model)
    sets = [one for number in range(len(weights) + 1) for one in combinations(weights, number)]
    return sorted(sets, key=lambda kinds: -sum(weights[kind] for kind in kinds))


def enter(manifest: Path, name: str, entry: Mapping[str, Any]) -> None:
    """The entry in a manifest, beside what else stands there; the file appears whole."""
    entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    entries[name] = dict(entry)
    partial = manifest.with_suffix(".part")
    partial.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.rename(manifest)
