"""The network that counts: a strided 3-D U-Net over the whole torso that answers questions about every body."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trabecula.networks.unet import SpineFinder

Folded = Mapping[str, tuple[Tensor, Tensor]]
"""Convolutions by name, each a weight and a bias into which its batch normalisation was folded."""


def body_counter(channels: int) -> SpineFinder:
    """A U-Net from (B, 1, D, H, W), sides multiples of 32, to (B, channels, D/2, H/2, W/2), the first one the middles.

    At 3 mm its coarsest voxel is 96 mm wide and its view spans the patch: ribs, neck and sacrum inform each body.
    """
    return SpineFinder(names=channels - 1)


def start_from_folded(network: nn.Module, folded: Folded, plain: Mapping[str, Tensor], image: Tensor) -> int:
    """Starts from an exported network of the same trunk; returns the number of convolutions taken.

    An export folds batch normalisation into the convolution before it. Here each normalisation is set, by one pass of
    ``image``, to pass on what the folded convolution gave. ``plain`` are weights that stand as they are in training.
    """
    state = network.state_dict()
    pairs = [(name, norm) for name, norm in _normalised(network) if _fits(state, f"{name}.weight", folded.get(name))]
    taken = {f"{name}.weight": folded[name][0] for name, _ in pairs}
    taken |= {name: value for name, value in plain.items() if name in state and state[name].shape == value.shape}
    network.load_state_dict(taken, strict=False)
    hooks = [norm.register_forward_pre_hook(_passing_on(folded[name][1])) for name, norm in pairs]
    training = network.training
    network.eval()
    with torch.no_grad():
        network(image)
    network.train(training)
    for hook in hooks:
        hook.remove()
    return len(taken)


def _fits(state: Mapping[str, Tensor], name: str, given: tuple[Tensor, Tensor] | None) -> bool:
    return given is not None and state[name].shape == given[0].shape


def _normalised(network: nn.Module) -> list[tuple[str, _BatchNorm]]:
    """The name of each convolution that a batch normalisation follows, and that normalisation."""
    return [
        (f"{name}.{index}", norm)
        for name, module in network.named_modules()
        if isinstance(module, nn.Sequential)
        for index, (before, norm) in enumerate(pairwise(module))
        if isinstance(before, nn.Conv3d) and isinstance(norm, _BatchNorm)
    ]


def _passing_on(bias: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    """A hook that sets a batch normalisation to add ``bias`` to its input, whose statistics become its own."""

    def hook(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, _BatchNorm)
        axes = [0, *range(2, inputs[0].ndim)]
        mean, variance = inputs[0].mean(axes), inputs[0].var(axes)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean + bias)

    return hook
