"""Runs an ONNX network on the CPU with OpenVINO, after its bytes were held against the manifest's sha256.

``weights/manifest.json`` names each network's file, hash, input, and how it was trained. Nothing is ever unpickled.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trabecula.errors import Defect

WEIGHTS = Path(__file__).parent / "weights"


@cache
def manifest() -> dict[str, dict[str, Any]]:
    """What is known of each network that is shipped, by name.

    Raises:
        Defect: the manifest is missing or cannot be read.
    """
    try:
        entries: dict[str, dict[str, Any]] = json.loads((WEIGHTS / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise Defect(
            "weights-missing", f"The weights manifest cannot be read ({error}). Install Trabecula again."
        ) from error
    return entries


def weight_hashes(names: tuple[str, ...]) -> dict[str, str]:
    """The sha256 of each named network, for the run record."""
    return {name: about(name)["sha256"] for name in names}


def about(name: str) -> dict[str, Any]:
    """The manifest's entry of a network.

    Raises:
        Defect: there is none.
    """
    entry = manifest().get(name)
    if entry is None:
        raise Defect("weights-missing", f"No weights named {name} are in the manifest. Install Trabecula again.")
    return entry


class Network:
    """One network, compiled for a fixed input shape."""

    def __init__(self, name: str, shape: tuple[int, ...], precision: str = "f32") -> None:
        """Loads and compiles ``name``; ``precision`` bf16 only where it was shown to change nothing that matters.

        Raises:
            Defect: the file is missing, or its hash is not the manifest's.
        """
        import openvino

        entry = about(name)
        path = WEIGHTS / entry["file"]
        try:
            content = path.read_bytes()
        except OSError as error:
            raise Defect(
                "weights-missing", f"The weights file {path.name} cannot be read. Install Trabecula again."
            ) from error
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise Defect(
                "weights-corrupted",
                f"The weights file {path.name} is not the one that was tested. Install Trabecula again.",
            )
        core = openvino.Core()
        model = core.read_model(content)
        model.reshape(list(shape))
        self.compiled = core.compile_model(
            model, "CPU", {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        )

    def __call__(self, image: NDArray[np.float32]) -> list[NDArray[Any]]:
        """Every output, in the order of the ONNX file, for one input of the compiled shape."""
        results = self.compiled([np.ascontiguousarray(image, np.float32)])
        return [np.array(results[output]) for output in self.compiled.outputs]


@cache
def network(name: str, shape: tuple[int, ...], precision: str = "f32") -> Network:
    """A network that stays compiled for the life of the process."""
    return Network(name, shape, precision)
