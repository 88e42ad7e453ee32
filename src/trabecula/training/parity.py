"""Does an ONNX file answer as the network it was exported from? Held against each other, and again as it is stored.

OpenVINO runs the file where it is installed, as in use; elsewhere onnx's own reference does, its convolutions by torch,
because in plain Python they would take hours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trabecula.errors import defect
from trabecula.inference import core

TOLERANCE = 1e-3
"""The largest difference of an output, or share of it where it is above 1, that is the same answer."""

Run = Callable[[NDArray[np.float32]], list[NDArray[Any]]]
Outputs = tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Compared:
    """An ONNX file beside its network: the outputs of both for each input, and the largest difference of any.

    It is relative where outputs are above 1, and infinite where they are not of one shape.
    """

    runtime: str
    largest: float
    found: tuple[Outputs, ...]
    expected: tuple[Outputs, ...]


def require_same(network: nn.Module, path: Path, inputs: Sequence[Tensor]) -> Compared:
    """Holds an ONNX file against its network.

    Raises:
        Defect: ``export-differs``: an output differs by more than ``TOLERANCE``.
    """
    found = compare(tuple(outputs_of(network, image) for image in inputs), path, inputs)
    if not found.largest <= TOLERANCE:
        raise defect("export-differs", name=path.name, largest=found.largest, most=TOLERANCE, runtime=found.runtime)
    return found


def compare(expected: tuple[Outputs, ...], path: Path, inputs: Sequence[Tensor]) -> Compared:
    """An ONNX file's answers beside those expected."""
    runtime, run = runner(path, tuple(inputs[0].shape))
    found = tuple(tuple(np.asarray(one) for one in run(image.numpy())) for image in inputs)
    apart = [_apart(*pair) for answers in zip(found, expected, strict=True) for pair in zip(*answers, strict=True)]
    return Compared(runtime, max(apart), found, expected)


@torch.no_grad()
def outputs_of(network: nn.Module, image: Tensor) -> Outputs:
    """What a network answers to an image, as arrays."""
    answers = network(image)
    return tuple(one.numpy() for one in (answers if isinstance(answers, tuple | list) else (answers,)))


def _apart(found: NDArray[Any], true: NDArray[Any]) -> float:
    if found.shape != true.shape:
        return float("inf")
    if not found.size:
        return 0.0
    apart = np.abs(found.astype(np.float64) - true) / np.maximum(1.0, np.abs(true.astype(np.float64)))
    return float(apart.max())


def runner(path: Path, shape: tuple[int, ...]) -> tuple[str, Run]:
    """What runs an ONNX file here, by name, and as a function."""
    try:
        openvino = core()
    except ModuleNotFoundError:
        return "onnx.reference", _reference(path)
    model = openvino.read_model(str(path))
    model.reshape(list(shape))
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(image: NDArray[np.float32]) -> list[NDArray[Any]]:
        results = compiled([np.ascontiguousarray(image, np.float32)])
        return [np.array(results[output]) for output in compiled.outputs]

    return "OpenVINO", run


def _convolutions() -> tuple[Any, ...]:
    """The layers that onnx's reference runs by torch."""
    from onnx.reference.op_run import OpRun

    class Conv(OpRun):
        """A convolution of any dimension, as the ONNX standard has it."""

        op_domain = ""

        def _run(self, x: Any, w: Any, b: Any = None, **settings: Any) -> tuple[Any]:
            begin, end = _pads(settings, x.ndim - 2)
            if begin != end:
                raise NotImplementedError("uneven padding")
            convolve = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)[x.ndim - 3]
            strides, dilations = settings.get("strides"), settings.get("dilations")
            out = convolve(
                _tensor(x),
                _tensor(w),
                None if b is None else _tensor(b),
                tuple(strides) if strides else 1,
                begin,
                tuple(dilations) if dilations else 1,
                int(settings.get("group") or 1),
            )
            return (out.numpy(),)

    class ConvTranspose(OpRun):
        """A transposed convolution of any dimension, as the ONNX standard has it."""

        op_domain = ""

        def _run(self, x: Any, w: Any, b: Any = None, **settings: Any) -> tuple[Any]:
            begin, end = _pads(settings, x.ndim - 2)
            if begin != end:
                raise NotImplementedError("uneven padding")
            grow = (
                nn.functional.conv_transpose1d,
                nn.functional.conv_transpose2d,
                nn.functional.conv_transpose3d,
            )[x.ndim - 3]
            strides, dilations = settings.get("strides"), settings.get("dilations")
            out = grow(
                _tensor(x),
                _tensor(w),
                None if b is None else _tensor(b),
                tuple(strides) if strides else 1,
                begin,
                tuple(settings.get("output_padding") or [0] * (x.ndim - 2)),
                int(settings.get("group") or 1),
                tuple(dilations) if dilations else 1,
            )
            return (out.numpy(),)

    return Conv, ConvTranspose


def _reference(path: Path) -> Run:
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class DequantizeLinear(OpRun):
        """Whole numbers times their channel's scale; the reference knows it only from opset 19 on."""

        op_domain = ""

        def _run(self, x: Any, scale: Any, **settings: Any) -> tuple[Any]:
            shape = [1] * x.ndim
            shape[int(settings["axis"])] = -1
            return (x.astype(np.float32) * scale.reshape(shape),)

    evaluator = ReferenceEvaluator(str(path), new_ops=[*_convolutions(), DequantizeLinear])
    name = onnx.load(path, load_external_data=False).graph.input[0].name
    return lambda image: list(evaluator.run(None, {name: image}))


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array))  # a copy: initializers cannot be written to


def _pads(settings: dict[str, Any], axes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    pads = tuple(settings.get("pads") or [0] * (2 * axes))
    return pads[:axes], pads[axes:]
