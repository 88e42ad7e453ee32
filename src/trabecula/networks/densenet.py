"""DenseNet-121-BC: in three dimensions as the appendix of Niu 2023 gives it, slimmer, and on planes (Fang 2021).

Stem 7x7x7 stride 2 and max-pooling 3x3x3 stride 2; dense blocks of 6, 12, 24 and 16 bottlenecks with growth rate 32;
transitions that keep half of the channels; global average pooling and one linear layer.
"""

import torch
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """BN-ReLU-Conv(1) to four times the growth, BN-ReLU-Conv(3) to the growth, joined to the input."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm3d(channels),
            nn.ReLU(),
            nn.Conv3d(channels, 4 * growth, 1, bias=False),
            nn.BatchNorm3d(4 * growth),
            nn.ReLU(),
            nn.Conv3d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], 1)


class DenseNet3d(nn.Module):
    """Scores of ``outputs`` classes for a volume. Input (B, channels, D, H, W), each side at least 32 voxels."""

    def __init__(
        self,
        outputs: int,
        channels: int = 1,
        blocks: tuple[int, ...] = (6, 12, 24, 16),
        growth: int = 32,
        compression: float = 0.5,
    ) -> None:
        super().__init__()
        width = 2 * growth
        layers: list[nn.Module] = [
            nn.Conv3d(channels, width, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(),
            nn.MaxPool3d(3, stride=2, padding=1),
        ]
        for index, depth in enumerate(blocks):
            for _ in range(depth):
                layers.append(Bottleneck(width, growth))
                width += growth
            if index + 1 < len(blocks):
                kept = int(width * compression)
                layers += [nn.BatchNorm3d(width), nn.ReLU(), nn.Conv3d(width, kept, 1, bias=False), _HalvePool()]
                width = kept
        self.features = nn.Sequential(*layers, nn.BatchNorm3d(width), nn.ReLU())
        self.classify = nn.Linear(width, outputs)

    def forward(self, volume: Tensor) -> Tensor:
        pooled = self.features(volume).mean((2, 3, 4))
        scores: Tensor = self.classify(pooled)
        return scores


SLIM_BLOCKS, SLIM_GROWTH = (4, 8, 12, 8), 16
"""Of the systems that name DenseNet without its depth: 1.3 million weights instead of 11."""


def slim_densenet3d(outputs: int) -> DenseNet3d:
    """The same kind of network with half as many bottlenecks and half of the growth."""
    return DenseNet3d(outputs, blocks=SLIM_BLOCKS, growth=SLIM_GROWTH)


def densenet121_planes(outputs: int, planes: int) -> nn.Module:
    """DenseNet-121 in two dimensions (torchvision's) on an image of ``planes`` channels: (B, planes, H, W)."""
    from torchvision.models import densenet121

    network: nn.Module = densenet121(weights=None, num_classes=outputs)
    network.get_submodule("features").conv0 = nn.Conv2d(planes, 64, 7, stride=2, padding=3, bias=False)
    return network


class _HalvePool(nn.Module):
    """Average pooling 2x2x2 stride 2 that leaves a side of one voxel alone."""

    def forward(self, x: Tensor) -> Tensor:
        size = [min(2, side) for side in x.shape[2:]]
        return nn.functional.avg_pool3d(x, size, size)
