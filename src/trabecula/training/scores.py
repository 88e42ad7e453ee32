"""Figures of a network on validation batches: by these a checkpoint is kept and the manifest says how well it does."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

IOU, SURE = 0.5, 0.5
"""A box counts from these on: overlap with the true one, and score."""


def device_of(network: nn.Module) -> torch.device:
    """Where a network's weights lie."""
    return next(network.parameters()).device


def dice_scores(
    network: nn.Module, batches: Sequence[tuple[Tensor, Tensor]], names: tuple[str, ...]
) -> dict[str, float]:
    """Mean Dice of each class of ``names`` but the first, over the samples that show it, and the mean of these."""
    found: dict[int, list[float]] = {}
    for image, label in batches:
        image, label = image.to(device_of(network)), label.to(device_of(network))
        answer = network(image).argmax(1)
        for one, true in zip(answer, label, strict=True):
            for index in range(1, int(label.max()) + 1):
                if (true == index).any():
                    shared = ((one == index) & (true == index)).sum()
                    total = (one == index).sum() + (true == index).sum()
                    found.setdefault(index, []).append(float(2 * shared / total))
    means = {f"dice_{names[index]}": float(np.mean(values)) for index, values in sorted(found.items())}
    return {"dice": float(np.mean(list(means.values()))) if means else float("nan"), **means}


def naming_scores(
    network: nn.Module, batches: Sequence[tuple[Tensor, Tensor, Tensor]], loss: Callable[[nn.Module, Any], Tensor]
) -> dict[str, float]:
    """The mean loss, the share of voxels of named bodies that are named right, the mean squared error of nearness."""
    right = total = 0
    errors, all_losses = [], []
    for image, near, names in batches:
        image, near, names = (part.to(device_of(network)) for part in (image, near, names))
        scores = network(image).float()
        named = names >= 0
        right += int(((scores[:, 1:].argmax(1) == names) & named).sum())
        total += int(named.sum())
        errors.append(float(((scores[:, 0].sigmoid() - near) ** 2).mean()))
        all_losses.append(float(loss(network, (image, near, names))))
    return {
        "loss": float(np.mean(all_losses)),
        "names_right": right / total if total else float("nan"),
        "middle_error": float(np.mean(errors)),
    }


def number_scores(
    network: nn.Module, batches: Sequence[tuple[Tensor, Tensor]], answer: Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """Mean absolute error, bias and SD of the error, in the unit of what ``answer`` makes of a network's scores."""
    errors = [(answer(network(image.to(device_of(network))).float().cpu()) - true).numpy() for image, true in batches]
    error = np.concatenate(errors)
    return {
        "mean_absolute_error": float(np.abs(error).mean()),
        "bias": float(error.mean()),
        "error_sd": float(error.std(ddof=1)) if error.size > 1 else float("nan"),
    }


def category_scores(network: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """The mean cross-entropy, the share of right categories, and the mean share of each true category (recall)."""
    scores = torch.cat([network(image.to(device_of(network))).float().cpu() for image, _ in batches])
    true = torch.cat([label for _, label in batches])
    right = scores.argmax(1) == true
    recalls = [float(right[true == one].float().mean()) for one in true.unique()]
    return {
        "cross_entropy": float(functional.cross_entropy(scores, true)),
        "accuracy": float(right.float().mean()),
        "recall": float(np.mean(recalls)),
    }


def detection_scores(network: nn.Module, batches: Sequence[tuple[list[Tensor], list[Any]]]) -> dict[str, float]:
    """Recall and precision of boxes with the right name, and their mean."""
    hits = found = true = 0
    for images, targets in batches:
        answers = network([image.to(device_of(network)) for image in images])
        for answer, target in zip(answers, targets, strict=True):
            sure = (answer["scores"] > SURE).cpu()
            boxes, labels = answer["boxes"].cpu()[sure], answer["labels"].cpu()[sure]
            overlap = _overlap(boxes, target["boxes"]) * (labels[:, None] == target["labels"][None])
            found, true = found + len(boxes), true + len(target["boxes"])
            hits += int((overlap > IOU).any(0).sum())
    recall, precision = hits / max(true, 1), hits / max(found, 1)
    return {"recall": recall, "precision": min(1.0, precision), "recall_and_precision": (recall + precision) / 2}


def _overlap(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes (N, 4) and (M, 4), x0 y0 x1 y1: (N, M)."""
    low = torch.maximum(one[:, None, :2], other[None, :, :2])
    high = torch.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    size = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (one, other)]
    return torch.as_tensor(shared / (size[0][:, None] + size[1][None] - shared).clamp(min=1e-6))
