"""What networks are trained to make small."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def in_order(image: Tensor) -> Tensor:
    """The same image with its channels last in memory, which convolutions on a CPU are fastest with."""
    last = torch.channels_last if image.ndim == 4 else torch.channels_last_3d
    return image.contiguous(memory_format=last)


def segmentation(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy and Dice of an image's voxels."""
    image, label = batch
    return dice_cross_entropy(network(in_order(image)).float(), label)


def classification(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy of an image's category."""
    image, label = batch
    return functional.cross_entropy(network(in_order(image)).float(), label)


def regression(network: nn.Module, batch: tuple[Tensor, Tensor], scale: float) -> Tensor:
    """The error of an image's number, which the network gives times ``scale``."""
    image, truth = batch
    return number_error(network(in_order(image)), truth, scale)


def dice_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy plus one minus the foreground's mean soft Dice; scores (B, C, ...), labels (B, ...)."""
    cross_entropy = functional.cross_entropy(scores, labels)
    probability = scores.softmax(1)
    truth = functional.one_hot(labels, scores.shape[1]).movedim(-1, 1).to(probability.dtype)
    axes = (0, *range(2, scores.ndim))
    overlap = 2 * (probability * truth).sum(axes) + 1
    dice = overlap / (probability.sum(axes) + truth.sum(axes) + 1)
    return cross_entropy + 1 - dice[1:].mean()


def soft_bins(bmd_mg_cm3: Tensor, centres: Tensor) -> Tensor:
    """A density as weights on its two neighbouring bins (B, bins), so that their expectation is the density itself."""
    step = centres[1] - centres[0]
    return (1 - (bmd_mg_cm3[:, None] - centres[None]).abs() / step).clamp(min=0)


def focal(scores: Tensor, target: Tensor, alpha: float = 0.6, gamma: float = 2.0) -> Tensor:
    """The alpha-balanced focal loss of Niu 2023's appendix, over soft targets (B, C)."""
    log_p = scores.log_softmax(1)
    return -(alpha * target * (1 - log_p.exp()) ** gamma * log_p).sum(1).mean()


def expected_value(scores: Tensor, centres: Tensor) -> Tensor:
    """The expectation over the bins, in their unit (B,)."""
    return torch.as_tensor((scores.softmax(1) * centres).sum(1))


def number_error(numbers: Tensor, truth: Tensor, scale: float) -> Tensor:
    """The error of regressed numbers (B, 1), the truth (B,) times ``scale``: its square within 0.05, then itself."""
    return functional.smooth_l1_loss(numbers[:, 0].float(), scale * truth, beta=0.05)


def regressed(numbers: Tensor, scale: float) -> Tensor:
    """What regressed numbers (B, 1) say, in their quantity's unit (B,)."""
    return numbers[:, 0] / scale
