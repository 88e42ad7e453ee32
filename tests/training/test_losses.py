"""Losses by hand: what is zero for a perfect answer and falls for a better one."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from trabecula.training.losses import dice_cross_entropy, expected_value, focal, soft_bins

CENTRES = torch.linspace(0.0, 300.0, 31)


@pytest.mark.parametrize("bmd", [0.0, 3.0, 80.0, 119.9, 155.5, 300.0])
def test_the_expectation_of_soft_bins_is_the_density(bmd: float) -> None:
    weights = soft_bins(torch.tensor([bmd]), CENTRES)
    assert weights.shape == (1, 31)
    assert weights.sum().item() == pytest.approx(1, abs=1e-5)
    assert (weights @ CENTRES).item() == pytest.approx(bmd, abs=1e-2)
    assert (weights > 1e-6).sum() <= 2
    assert expected_value((weights + 1e-12).log(), CENTRES).item() == pytest.approx(bmd, abs=0.05)


def scores_of(target: Tensor, confidence: float) -> Tensor:
    return target * confidence


def test_focal_by_hand() -> None:
    scores, target = torch.log(torch.tensor([[0.25, 0.75]])), torch.tensor([[0.0, 1.0]])
    by_hand = -0.6 * (1 - 0.75) ** 2 * torch.log(torch.tensor(0.75))
    assert focal(scores, target).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_focal_is_never_negative_and_zero_for_a_perfect_answer() -> None:
    torch.manual_seed(0)
    target = one_hot(torch.randint(0, 31, (20,)), 31).float()
    assert focal(torch.randn(20, 31), target).item() > 0
    assert focal(scores_of(target, 60.0), target).item() == pytest.approx(0, abs=1e-9)
    assert torch.isfinite(focal(-200 * target, target))


def test_focal_falls_for_a_better_answer_and_spends_itself_on_the_hard_ones() -> None:
    target = one_hot(torch.tensor([3]), 31).float()
    values = [focal(scores_of(target, c), target).item() for c in (-2.0, 0.0, 2.0, 4.0, 8.0)]
    assert values == sorted(values, reverse=True)
    easy, plain = (focal(scores_of(target, 6.0), target, gamma=g).item() for g in (2.0, 0.0))
    assert easy < 0.05 * plain


def test_dice_and_cross_entropy_fall_for_a_better_answer() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 6, 6, 6))
    target = one_hot(labels, 3).movedim(-1, 1).float()
    values = [dice_cross_entropy(scores_of(target, c), labels).item() for c in (-1.0, 0.0, 1.0, 3.0, 30.0)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(0, abs=1e-3)
    assert values[0] > 1


def test_a_missed_foreground_costs_though_it_is_small() -> None:
    labels = torch.zeros((1, 20, 20, 20), dtype=torch.long)
    labels[0, :3, :3, :3] = 2
    nothing = torch.zeros(1, 3, 20, 20, 20)
    nothing[:, 0] = 20
    right = 20 * one_hot(labels, 3).movedim(-1, 1).float()
    assert dice_cross_entropy(nothing, labels) - dice_cross_entropy(right, labels) > 0.4


def test_every_loss_can_be_descended() -> None:
    scores = torch.randn(4, 31, requires_grad=True)
    bmd = torch.tensor([20.0, 80.0, 130.0, 250.0])
    (focal(scores, soft_bins(bmd, CENTRES)) + (expected_value(scores, CENTRES) - bmd).abs().mean()).backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert scores.grad.abs().sum() > 0
