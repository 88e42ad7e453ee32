"""A plain convolutional network on one axial image, as Yasaka 2020 reads areal BMD; its layers are ours.

The abstract names a CNN and no layer. Six steps of a convolution of side 3, batch normalisation, ReLU and max-pooling
by 2, then the mean over the image and two linear layers.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 96, 128, 160)


class AxialCnn(nn.Module):
    """A number for an image: (B, 1, H, W), sides at least 64, to (B, 1)."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        steps = (
            nn.Sequential(
                nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)
            )
            for a, b in pairwise((1, *widths))
        )  # fmt: skip
        self.features = nn.Sequential(*steps)
        self.answer = nn.Sequential(nn.Linear(widths[-1], 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, image: Tensor) -> Tensor:
        return torch.as_tensor(self.answer(self.features(image).mean((2, 3))))
