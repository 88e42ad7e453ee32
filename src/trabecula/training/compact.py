"""Weights that take less room: int8 with a scale for each output channel, or float16; brought back to float on loading.

The graph stays the same: a ``DequantizeLinear`` or a ``Cast`` stands between what is stored and what is computed with,
both of the ONNX standard, so that any runtime runs the file in float as before.
"""

from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

AT_LEAST = 256
"""Tensors of fewer values stay as they are: there is nothing to be saved."""

KINDS = {"Conv": 0, "ConvTranspose": 1}
"""The kinds of layers whose weights can be int8, and the axis of their outputs; what else is large is float16.

Not those of matrix products: where these are int8, OpenVINO rounds what is multiplied with them to int8 as well, which
put a layer of 40 inputs off by .4%.
"""


def compact(model: onnx.ModelProto, kinds: Iterable[str] = KINDS) -> onnx.ModelProto:
    """Stores large weights as int8 in layers of these kinds, and as float16 everywhere else; changes ``model``."""
    wanted, users = frozenset(kinds), _users(model.graph)
    back = []
    for tensor in list(model.graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < AT_LEAST:
            continue
        axis = _channel_axis(tensor, users.get(tensor.name, []), wanted)
        if axis is None:
            stored = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}.half")
            back.append(helper.make_node("Cast", [stored.name], [tensor.name], to=TensorProto.FLOAT))
        else:
            values, scale = quantised(numpy_helper.to_array(tensor), axis)
            stored = numpy_helper.from_array(values, f"{tensor.name}.int8")
            scales = numpy_helper.from_array(scale, f"{tensor.name}.scale")
            model.graph.initializer.append(scales)
            back.append(helper.make_node("DequantizeLinear", [stored.name, scales.name], [tensor.name], axis=axis))
        tensor.CopyFrom(stored)
    for node in reversed(back):
        model.graph.node.insert(0, node)
    onnx.checker.check_model(model)
    return model


def quantised(weights: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights as whole numbers from -127 to 127, and what one is worth in each channel, that is, along ``axis``."""
    others = tuple(one for one in range(weights.ndim) if one != axis)
    largest = np.abs(weights).max(axis=others)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    shape = [1] * weights.ndim
    shape[axis] = -1
    return np.rint(weights / scale.reshape(shape)).clip(-127, 127).astype(np.int8), scale


def expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Stores float16 weights that are cast back on loading as float again; changes ``model``."""
    halves = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    for node in [one for one in model.graph.node if one.op_type == "Cast" and one.input[0] in halves]:
        half = halves[node.input[0]]
        half.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(half).astype(np.float32), node.output[0]))
        model.graph.node.remove(node)
    onnx.checker.check_model(model)
    return model


def kinds_of(model: onnx.ModelProto) -> dict[str, int]:
    """The kinds of layers whose weights can be int8, and how many weights they have, most first."""
    users, found = _users(model.graph), dict.fromkeys(KINDS, 0)
    for tensor in model.graph.initializer:
        for kind in KINDS:
            if _channel_axis(tensor, users.get(tensor.name, []), frozenset((kind,))) is not None:
                found[kind] += int(np.prod(tensor.dims))
    return {kind: found[kind] for kind in sorted(KINDS, key=lambda one: -found[one]) if found[kind]}


def _users(graph: onnx.GraphProto) -> dict[str, list[tuple[NodeProto, int]]]:
    """Every use of every value: the node, and its place among the node's inputs. Those in branches count too."""
    found: dict[str, list[tuple[NodeProto, int]]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            found.setdefault(name, []).append((node, place))
        for attribute in node.attribute:
            if attribute.HasField("g"):
                for name, uses in _users(attribute.g).items():
                    found.setdefault(name, []).extend(uses)
    return found


def _channel_axis(tensor: TensorProto, users: list[tuple[NodeProto, int]], kinds: frozenset[str]) -> int | None:
    """Which axis of a layer's weights is that of its outputs; None where they are not the weights of such layers."""
    axes = {KINDS[node.op_type] if node.op_type in kinds and at == 1 else None for node, at in users}
    large = tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= AT_LEAST
    return axes.pop() if large and len(axes) == 1 else None
