"""The two networks of the house recipe: small strided 3-D U-Nets (after Ronneberger 2015, Çiçek 2016).

Both halve the resolution at once, so that most of the arithmetic falls on an eighth of the voxels: two CPU cores train
them in an hour and run them in a second.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class SpineFinder(nn.Module):
    """Where vertebral bodies are and which: (B, 1, D, H, W), sides multiples of 32, to (B, 1 + names, D/2, H/2, W/2).

    The first channel is the logit of a body's middle, the others are scores of its name, meaningful within a body.
    """

    def __init__(self, names: int = 12, widths: tuple[int, ...] = (24, 48, 72, 96, 128)) -> None:
        super().__init__()
        self.trunk = _Trunk(1, widths)
        self.head = nn.Conv3d(widths[0], 1 + names, 1)

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.head(self.trunk(image))
        return scores


class BodySegmenter(nn.Module):
    """One vertebra, the one in the middle: (B, 1, *shape) in 0 to 1, sides multiples of 8, to scores (B, 3, *shape).

    Classes are the rest, the body's outer part, and its trabecular region. A second channel, nearness to the patch's
    middle, says which body is meant; it is part of the network, so that nobody can forget it.
    """

    nearness: Tensor

    def __init__(self, shape: tuple[int, int, int], widths: tuple[int, ...] = (24, 48, 96)) -> None:
        super().__init__()
        axes = [torch.linspace(-1, 1, n) for n in shape]
        squares = sum((axis**2).reshape([-1 if i == k else 1 for i in range(3)]) for k, axis in enumerate(axes))
        self.register_buffer("nearness", torch.exp(-4 * torch.as_tensor(squares))[None, None])
        self.trunk = _Trunk(2, widths)
        self.grow = nn.ConvTranspose3d(widths[0], 16, 2, stride=2)
        self.last = nn.Sequential(_convolve(16 + 1, 16), nn.Conv3d(16, 3, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        nearness = self.nearness.expand(image.shape[0], -1, -1, -1, -1).to(image.dtype)
        x = self.trunk(torch.cat([image, nearness], 1))
        scores: Tensor = self.last(torch.cat([self.grow(x), image], 1))
        return scores


class _Trunk(nn.Module):
    """Stride-2 stem, then a U-Net whose result is at half the resolution of the image."""

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = _convolve(inputs, widths[0], stride=2)
        self.first = _Block(widths[0], widths[0])
        self.down = nn.ModuleList(nn.Sequential(_convolve(a, b, stride=2), _Block(b, b)) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.join = nn.ModuleList(_Block(2 * a, a) for a in widths[:-1])

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(self.stem(image))
        passed = []
        for down in self.down:
            passed.append(x)
            x = down(x)
        for up, join, skip in zip(reversed(self.up), reversed(self.join), reversed(passed), strict=True):
            x = join(torch.cat([up(x), skip], 1))
        return torch.as_tensor(x)


class _Block(nn.Module):
    """Two 3x3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = _convolve(inputs, outputs)
        self.second = nn.Sequential(nn.Conv3d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs))
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv3d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(self.second(self.first(x)) + self.shortcut(x), 0.01)


def _convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm3d(outputs), nn.LeakyReLU(0.01)
    )
