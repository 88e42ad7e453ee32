"""What networks are trained to make small."""

import torch
from torch import Tensor
from torch.nn import functional


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
