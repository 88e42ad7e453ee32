"""The networks have the layers, the size and the outputs that their papers describe."""

import pytest
import torch
from torch import nn

from trabecula.anatomy import LEVELS
from trabecula.networks.anatomynet import AnatomyNet, SqueezeExcite
from trabecula.networks.densenet import DenseNet3d
from trabecula.networks.fasterrcnn import CANVAS, CLASSES, ResidualPyramid, vertebra_detector
from trabecula.view import Classes
from trabecula.weights import weights_named


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("shape", [(16, 16, 16), (8, 24, 32)])
@torch.no_grad()
def test_anatomynet_scores_every_voxel(shape: tuple[int, int, int]) -> None:
    assert AnatomyNet().eval()(torch.rand(2, 1, *shape)).shape == (2, 3, *shape)
    assert AnatomyNet(classes=5).eval()(torch.rand(1, 1, *shape)).shape == (1, 5, *shape)


def test_anatomynet_is_as_small_as_published() -> None:
    assert parameters(AnatomyNet()) == pytest.approx(0.75e6, rel=0.05)


def test_anatomynet_halves_the_resolution_once() -> None:
    network = AnatomyNet()
    assert sum(1 for m in network.modules() if isinstance(m, nn.Conv3d) and m.stride != (1, 1, 1)) == 1
    assert not [m for m in network.modules() if isinstance(m, nn.MaxPool3d | nn.AvgPool3d)]


@torch.no_grad()
def test_anatomynet_sees_the_raw_image_again_before_its_last_layers() -> None:
    network = AnatomyNet().eval()
    for parameter in network.grow.parameters():
        parameter.zero_()
    a, b = (network(torch.full((1, 1, 8, 8, 8), value)) for value in (0.0, 1.0))
    assert (a - b).abs().max() > 1e-4


@torch.no_grad()
def test_squeeze_and_excitation_only_weighs_channels() -> None:
    x = torch.randn(2, 6, 4, 4, 4)
    ratio = SqueezeExcite(6)(x) / x
    assert ((ratio > 0) & (ratio < 1)).all()
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1, :1].expand_as(ratio))


def test_densenet_has_121_layers() -> None:
    network = DenseNet3d(31)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv3d)]
    linear = [m for m in network.modules() if isinstance(m, nn.Linear)]
    assert (len(convolutions), len(linear)) == (120, 1)
    assert len(convolutions) == 1 + 2 * (6 + 12 + 24 + 16) + 3
    assert linear[0].in_features == 1024
    assert parameters(network) == pytest.approx(11.3e6, rel=0.01)


@pytest.mark.parametrize("shape", [(32, 32, 32), (40, 48, 64)])
@torch.no_grad()
def test_densenet_scores_a_volume(shape: tuple[int, int, int]) -> None:
    small = DenseNet3d(31, blocks=(1, 1, 1, 1), growth=4).eval()
    assert small(torch.rand(2, 1, *shape)).shape == (2, 31)


@torch.no_grad()
def test_densenet_121_runs_at_its_smallest_input() -> None:
    scores = DenseNet3d(31).eval()(torch.rand(1, 1, 32, 32, 32))
    assert scores.shape == (1, 31)
    assert torch.isfinite(scores).all()


@torch.no_grad()
def test_the_pyramid_has_stride_4() -> None:
    (features,) = ResidualPyramid()(torch.rand(1, 1, 64, 96)).values()
    assert features.shape == (1, 64, 16, 24)


@torch.no_grad()
def test_the_detector_gives_boxes_within_the_projection() -> None:
    torch.manual_seed(0)
    (found,) = vertebra_detector().eval()([torch.rand(1, *CANVAS)])
    assert len(found["boxes"]) == len(found["labels"]) == len(found["scores"]) > 0
    assert found["boxes"].shape[1] == 4
    assert (found["boxes"] >= 0).all()
    assert (found["boxes"][:, 0::2] <= CANVAS[1]).all()
    assert (found["boxes"][:, 1::2] <= CANVAS[0]).all()
    assert found["labels"].min() >= 1
    assert found["labels"].max() <= len(LEVELS)


def test_the_detector_learns_from_small_images_without_resizing_them() -> None:
    torch.manual_seed(0)
    network = vertebra_detector().train()
    target = {"boxes": torch.tensor([[30.0, 40.0, 55.0, 58.0]]), "labels": torch.tensor([5])}
    image = torch.zeros(1, 96, 96)
    image[0, 40:58, 30:55] = 1
    losses = network([image], [target])
    assert set(losses) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    total = torch.stack(list(losses.values())).sum()
    assert torch.isfinite(total)
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert network.transform([image], [target])[0].image_sizes == [(96, 96)]


def test_training_and_screening_use_one_canvas_and_one_list_of_levels() -> None:
    shipped = weights_named("niu2023-localiser")
    rows, _, columns = shipped.view.shape
    assert (rows, columns) == CANVAS
    assert isinstance(shipped.head, Classes) and shipped.head.names == ("background", *LEVELS)
    assert len(shipped.head.names) == CLASSES
