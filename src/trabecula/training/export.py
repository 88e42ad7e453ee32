"""Trained networks to ONNX with half-precision weights, each with a manifest entry that carries all that use takes."""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from trabecula.training.parity import difference, require_same
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

    ``inputs`` are what the network is exported with and held against its export on. ``about`` is what else the entry
    tells: figures, how it was trained.

    Raises:
        Defect: ``export-differs``: the file does not answer as the network does. Nothing is left of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    plain, halved = path.with_suffix(".f32.onnx"), path.with_suffix(".f16.onnx")
    network = network.cpu().eval()
    try:
        with warnings.catch_warnings():
            # The exporter warns of constants it traces, and of its age; parity is what is held against.
            warnings.simplefilter("ignore")
            # Faster R-CNN's control flow is beyond the newer exporter.
            torch.onnx.export(network, (inputs[0],), str(plain), opset_version=17, dynamo=False, input_names=["image"])
        same = require_same(network, plain, inputs)
        onnx.save(halve(onnx.load(plain)), halved)
        half = difference(network, halved, inputs)
        halved.rename(path)
    finally:
        for left in (plain, halved):
            left.unlink(missing_ok=True)
    entry = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "exported": date.today().isoformat(),
        "input": list(inputs[0].shape),
        "view": view_entry(view),
        "head": head_entry(head),
        "parity": {
            "inputs": same.inputs,
            "runtime": same.runtime,
            "largest_difference": float(f"{same.largest:.3g}"),
            # None where a detector gives another number of boxes
            "largest_difference_half_precision": float(f"{half.largest:.3g}") if np.isfinite(half.largest) else None,
        },
        **about,
    }
    _enter(path.parent / MANIFEST, path.stem, entry)
    return entry


def _enter(manifest: Path, name: str, entry: Mapping[str, Any]) -> None:
    """The entry in a manifest, beside what else stands there; the file appears whole."""
    entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    entries[name] = dict(entry)
    partial = manifest.with_suffix(".part")
    partial.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.rename(manifest)


def halve(model: onnx.ModelProto, at_least: int = 256) -> onnx.ModelProto:
    """Stores weights of ``at_least`` values as float16, cast back on loading: half the size, the same graph."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < at_least:
            continue
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}.half")
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
        tensor.CopyFrom(half)
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    onnx.checker.check_model(model)
    return model
