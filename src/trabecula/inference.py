"""Runs an ONNX network on the CPU with OpenVINO, after its bytes were held against the manifest's sha256."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trabecula.weights import INSTEAD, Weights, catalogue, weights_named


@cache
def core() -> Any:
    """The one OpenVINO of a process.

    Each sets an alternate signal stack for its thread and unmaps it when it goes, putting back the one it found. Of two
    that go in the order they came, the second puts back the unmapped stack of the first, and the next signal that
    Python handles (Ctrl+C, the end of a child process) kills the process.

    Raises:
        ModuleNotFoundError: OpenVINO is not installed.
    """
    import openvino

    return openvino.Core()


class Network:
    """One network, compiled for a fixed input shape."""

    def __init__(self, weights: Weights, shape: tuple[int, ...], precision: str = "f32") -> None:
        """Loads and compiles; ``precision`` bf16 only where it was shown to change nothing that matters.

        Raises:
            Defect: the file is missing, or its hash is not the manifest's.
        """
        model = core().read_model(weights.content())
        model.reshape(list(shape))
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        # OpenVINO does not ask the environment: two workers of one thread each would run two threads each.
        if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(threads) > 0:
            settings["INFERENCE_NUM_THREADS"] = int(threads)
        self.compiled = core().compile_model(model, "CPU", settings)

    def __call__(self, image: NDArray[np.float32]) -> list[NDArray[Any]]:
        """Every output, in the order of the ONNX file, for one input of the compiled shape."""
        results = self.compiled([np.ascontiguousarray(image, np.float32)])
        return [np.array(results[output]) for output in self.compiled.outputs]


@cache
def network(name: str, shape: tuple[int, ...], precision: str = "f32") -> Network:
    """A network by its name in the manifest, which stays compiled for the life of the process.

    Raises:
        Defect: there is none of this name, or its file is not the one that was tested.
    """
    return Network(weights_named(name), shape, precision)


def use_instead(folder: Path) -> None:
    """Runs the networks of a folder instead of those shipped, here and in the processes that are started from here."""
    os.environ[INSTEAD] = str(folder.resolve())
    for cached in (catalogue, network):
        cached.cache_clear()
