"""The U-Net as published, in two dimensions (Ronneberger, MICCAI 2015) and in three (Çiçek, MICCAI 2016).

Two convolutions of side 3 with ReLU on every step, max-pooling by 2 between steps, transposed convolutions by 2 on the
way back, each joined to what its step left. In three dimensions there is batch normalisation, and the channels double
before pooling; here both have it, and borders are padded, so that the answer is as large as the image. Widths are ours:
two CPU cores run them.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

PLANES_WIDTHS = (16, 32, 64, 128, 256)
"""A fourth of Ronneberger's 64 to 1024, with his five steps."""

VOLUME_WIDTHS = (12, 24, 48, 96)
"""A fifth of Çiçek's 64 to 512, with his four steps."""


class UNet(nn.Module):
    """Scores of ``outputs`` classes for every place: (B, inputs, ...) to (B, outputs, ...), sides multiples of 2^steps.

    ``dimensions`` is 2 or 3; ``widths`` are the channels of each step, finest first.
    """

    def __init__(self, dimensions: int, outputs: int, widths: tuple[int, ...], inputs: int = 1) -> None:
        super().__init__()
        self.dimensions = dimensions
        into = (inputs, *widths[:-1])
        self.down = nn.ModuleList(self._step(a, b) for a, b in zip(into, widths, strict=True))
        self.pool = (nn.MaxPool2d if dimensions == 2 else nn.MaxPool3d)(2)
        grow = nn.ConvTranspose2d if dimensions == 2 else nn.ConvTranspose3d
        self.grow = nn.ModuleList(grow(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(self._step(2 * a, a) for a in widths[:-1])
        self.last = self._convolution(widths[0], outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        passed: list[Tensor] = []
        x = image
        for index, step in enumerate(self.down):
            x = step(self.pool(x) if index else x)
            passed.append(x)
        for grow, up, skip in zip(reversed(self.grow), reversed(self.up), reversed(passed[:-1]), strict=True):
            x = up(torch.cat([grow(x), skip], 1))
        return torch.as_tensor(self.last(x))

    def _convolution(self, inputs: int, outputs: int, side: int) -> nn.Module:
        kind = nn.Conv2d if self.dimensions == 2 else nn.Conv3d
        return kind(inputs, outputs, side, padding=side // 2, bias=side == 1)

    def _step(self, inputs: int, outputs: int) -> nn.Sequential:
        """Two convolutions; in three dimensions the first of the way down gives half of the channels (Çiçek)."""
        norm = nn.BatchNorm2d if self.dimensions == 2 else nn.BatchNorm3d
        doubled = self.dimensions == 3 and outputs > inputs
        middle = max(outputs // 2, 4) if doubled else outputs
        first = self._convolution(inputs, middle, 3), norm(middle), nn.ReLU()
        return nn.Sequential(*first, self._convolution(middle, outputs, 3), norm(outputs), nn.ReLU())
