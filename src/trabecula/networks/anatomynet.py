"""AnatomyNet: a 3-D U-Net of squeeze-and-excitation residual blocks that halves the resolution only once.

After Zhu et al., Med Phys 2019;46:576-89, as Niu 2023 uses it: 28 channels behind a stride-2 stem, stages of 30, 32
and 34, a decoder that mirrors them, one transposed convolution, and the raw image joined again before the last layers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SqueezeExcite(nn.Module):
    """Weighs channels by what the whole volume holds; the bottleneck keeps 15/16 of them, as in AnatomyNet's code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels * 15 // 16
        self.weigh = nn.Sequential(
            nn.Linear(channels, hidden), nn.LeakyReLU(0.01), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:  # (B, C, D, H, W)
        weight: Tensor = self.weigh(x.mean((2, 3, 4)))
        return x * weight[:, :, None, None, None]


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions, squeeze-and-excitation, and a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = _convolve(inputs, outputs)
        self.second = nn.Sequential(nn.Conv3d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs))
        self.excite = SqueezeExcite(outputs)
        self.shortcut = (
            nn.Identity()
            if inputs == outputs
            else nn.Sequential(nn.Conv3d(inputs, outputs, 1, bias=False), nn.BatchNorm3d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = functional.leaky_relu(self.excite(self.second(self.first(x))) + self.shortcut(x), 0.01)
        return out


class AnatomyNet(nn.Module):
    """Scores of each class for each voxel: (B, 1, D, H, W) in 0 to 1, sides even, to (B, classes, D, H, W)."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.stem = _convolve(1, 28, stride=2)
        self.down1, self.down2, self.down3 = _stage(28, 30), _stage(30, 32), _stage(32, 34)
        self.up3, self.up2, self.up1 = _stage(34 + 32, 32), _stage(32 + 30, 30), _stage(30 + 28, 28)
        self.grow = nn.ConvTranspose3d(28, 28, 2, stride=2)
        self.last = nn.Sequential(_convolve(28 + 1, 14), nn.Conv3d(14, classes, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        x0 = self.stem(image)  # (B, 28, D/2, H/2, W/2)
        x1 = self.down1(x0)
        x2 = self.down2(x1)
        x = self.down3(x2)
        x = self.up3(torch.cat([x, x2], 1))
        x = self.up2(torch.cat([x, x1], 1))
        x = self.up1(torch.cat([x, x0], 1))
        scores: Tensor = self.last(torch.cat([self.grow(x), image], 1))
        return scores


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(ResidualBlock(inputs, outputs), ResidualBlock(outputs, outputs))


def _convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm3d(outputs), nn.LeakyReLU(0.01)
    )
