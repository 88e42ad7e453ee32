"""Exported weights back into the network they came of, so that they can be trained on.

The exporter renames what it folds batch normalisation into, but keeps the order in which layers are called. So the
layers of one pass through the network and the nodes of the ONNX graph are walked together; a normalisation that has no
node was folded into the convolution before it. Parity with the file, checked by the caller, proves the match.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from trabecula.causes import Unfit

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

NODES: dict[str, tuple[type[nn.Module], ...]] = {
    "Conv": CONVOLUTIONS,
    "ConvTranspose": CONVOLUTIONS,
    "Gemm": (nn.Linear,),
    "MatMul": (nn.Linear,),
    "BatchNormalization": NORMS,
    "PRelu": (nn.PReLU,),
}
"""The layers that become a node of each kind."""

UNPACKING = ("Cast", "DequantizeLinear", "Identity", "Mul", "Reshape", "Transpose")
"""Nodes that bring stored weights to float32."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Layer:
    """A node that has weights: its kind, and the weights in the order of its inputs."""

    kind: str
    weights: tuple[Array, ...]


def restore(network: nn.Module, content: bytes, image: Tensor) -> None:
    """Sets every parameter and statistic of ``network`` to what the ONNX file ``content`` holds.

    ``image`` is anything that the network takes: one pass shows in which order its layers are called. A normalisation
    that was folded keeps the fold in its convolution and becomes a shift by the convolution's bias.

    Raises:
        ValueError: the file's layers are not the network's, or one of its parameters stands in no layer that is known
            here; the words say which.
    """
    layers, named = _layers(onnx.load_from_string(content))
    left = _set_named(network, named)
    fold: Array | None = None
    for module in _called(network, image):
        left -= {id(parameter) for parameter in module.parameters()}
        norm = isinstance(module, NORMS)
        if norm and (fold is not None or not layers or layers[0].kind != "BatchNormalization"):
            _set_folded(module, fold)
            fold = None
            continue
        if not layers or not isinstance(module, NODES[layers[0].kind]):
            raise Unfit("restore-layer", layer=type(module).__name__)
        layer = layers.pop(0)
        _set(module, layer)
        fold = (
            layer.weights[1] if not norm and getattr(module, "bias", None) is None and len(layer.weights) > 1 else None
        )
    if layers:
        raise Unfit("restore-layers", number=len(layers))
    if left:
        names = [name for name, parameter in network.named_parameters() if id(parameter) in left]
        raise Unfit("restore-parameters", number=len(names), first=names[0])


@torch.no_grad()
def _called(network: nn.Module, image: Tensor) -> list[nn.Module]:
    """The layers with weights that one pass calls, in order, in evaluation."""
    called: list[nn.Module] = []
    wanted = tuple({kind for kinds in NODES.values() for kind in kinds})
    hooks = [
        module.register_forward_hook(lambda module, given, answer: called.append(module))
        for module in network.modules()
        if isinstance(module, wanted)
    ]
    was_training = network.training
    network.eval()(image)
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return called


def _layers(model: onnx.ModelProto) -> tuple[list[_Layer], dict[str, Array]]:
    """The nodes with weights, in order, and every constant by its name; both as float32."""
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    layers = []
    for node in model.graph.node:
        if node.op_type in UNPACKING and all(name in known for name in node.input):
            inputs = {name: known[name] for name in node.input}
            answers = list(ReferenceEvaluator(node).run(None, inputs))
            known[node.output[0]] = np.asarray(answers[0])
        elif node.op_type in NODES and node.input[1] in known:
            weights = [np.array(known[name], np.float32) for name in node.input[1:]]
            if node.op_type == "MatMul" or (node.op_type == "Gemm" and not _attribute(node, "transB")):
                weights[0] = weights[0].T
            if node.op_type == "PRelu":
                weights[0] = weights[0].ravel()  # stored with an axis for each of the image's
            layers.append(_Layer(node.op_type, tuple(weights)))
    return layers, {name: np.array(value, np.float32) for name, value in known.items()}


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), 0)


@torch.no_grad()
def _set_named(network: nn.Module, named: Mapping[str, Array]) -> set[int]:
    """Sets what the file holds under the network's own name; the ids of the parameters that it does not."""
    for name, mine in (*network.named_parameters(), *network.named_buffers()):
        if name in named and tuple(mine.shape) == named[name].shape:
            mine.copy_(torch.from_numpy(named[name]))
    return {id(parameter) for name, parameter in network.named_parameters() if name not in named}


@torch.no_grad()
def _set(module: nn.Module, layer: _Layer) -> None:
    """A layer's weights as the node has them; a bias that only a folded normalisation gave is left to that one."""
    names = ("weight", "bias", "running_mean", "running_var") if isinstance(module, NORMS) else ("weight", "bias")
    for name, found in zip(names, layer.weights, strict=False):
        mine = getattr(module, name)
        if mine is None:
            continue
        if tuple(mine.shape) != found.shape:
            shapes = ["x".join(map(str, shape)) for shape in (mine.shape, found.shape)]
            raise Unfit("restore-shape", layer=type(module).__name__, name=name, shapes=shapes)
        mine.copy_(torch.from_numpy(found))


@torch.no_grad()
def _set_folded(norm: nn.Module, bias: Array | None) -> None:
    """A normalisation that does what is left of it: nothing but the bias that was folded in with it."""
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0)
    norm.weight.fill_((1 + norm.eps) ** 0.5)
    norm.bias.copy_(torch.zeros_like(norm.bias) if bias is None else torch.from_numpy(bias))
