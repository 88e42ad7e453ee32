"""VB-Net: a V-Net (Milletari 2016) whose residual blocks are bottlenecks, as Peng 2023 segments with.

After Han, Med Image Anal 2019: a stem of 16 channels, four steps down by convolutions of side and stride 2 that double
the channels, blocks of 1, 2, 3 and 3 bottlenecks (1, 3, 1 with a fourth of the channels between), and the same way back
with joined steps. The stem has 12 channels here, for a CPU's sake.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

BLOCKS = (1, 2, 3, 3)
"""Bottlenecks on each step down; one fewer on the way back, at least one."""


class VBNet(nn.Module):
    """Scores of ``outputs`` classes for every voxel of (B, 1, D, H, W), sides multiples of 16."""

    def __init__(self, outputs: int, width: int = 12) -> None:
        super().__init__()
        widths = [width * 2**step for step in range(len(BLOCKS) + 1)]
        self.stem = _convolve(1, width, 3)
        self.down = nn.ModuleList(
            nn.Sequential(_convolve(a, b, 2, stride=2), *(Bottleneck(b) for _ in range(blocks)))
            for a, b, blocks in zip(widths, widths[1:], BLOCKS, strict=False)
        )
        self.grow = nn.ModuleList(_grow(b, a) for a, b in pairwise(widths))
        self.up = nn.ModuleList(
            nn.Sequential(_convolve(2 * a, a, 1), *(Bottleneck(a) for _ in range(max(1, blocks - 1))))
            for a, blocks in zip(widths, BLOCKS, strict=False)
        )
        self.last = nn.Conv3d(width, outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        passed = []
        for down in self.down:
            passed.append(x)
            x = down(x)
        for grow, up, skip in zip(reversed(self.grow), reversed(self.up), reversed(passed), strict=True):
            x = up(torch.cat([grow(x), skip], 1))
        return torch.as_tensor(self.last(x))


class Bottleneck(nn.Module):
    """1x1x1 to a fourth of the channels, 3x3x3, 1x1x1 back, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 4, 4)
        self.layers = nn.Sequential(
            _convolve(channels, inner, 1),
            _convolve(inner, inner, 3),
            nn.Conv3d(inner, channels, 1, bias=False),
            nn.BatchNorm3d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.layers(x))


def _convolve(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    padding = side // 2 if stride == 1 else 0
    convolution = nn.Conv3d(inputs, outputs, side, stride=stride, padding=padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm3d(outputs), nn.ReLU())


def _grow(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose3d(inputs, outputs, 2, stride=2, bias=False), nn.BatchNorm3d(outputs), nn.ReLU()
    )
