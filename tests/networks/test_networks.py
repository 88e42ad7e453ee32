"""The networks have the layers, the size and the outputs that their papers describe."""

import pytest
import torch
from torch import nn

from trabecula.anatomy import LEVELS
from trabecula.networks.anatomynet import AnatomyNet, SqueezeExcite
from trabecula.networks.axial_cnn import AxialCnn
from trabecula.networks.densenet import Bottleneck, DenseNet3d, densenet121_planes, slim_densenet3d
from trabecula.networks.fasterrcnn import CANVAS, CLASSES, ResidualPyramid, vertebra_detector
from trabecula.networks.plain_unet import PLANES_WIDTHS, VOLUME_WIDTHS, UNet
from trabecula.networks.vbnet import BLOCKS, VBNet
from trabecula.networks.vbnet import Bottleneck as VBottleneck
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


def test_densenet_of_planes_is_121_layers_on_as_many_channels() -> None:
    network = densenet121_planes(1, 9)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) + 1 == 121  # and one linear layer
    assert convolutions[0].in_channels == 9 and network.classifier.out_features == 1
    assert [len(getattr(network.features, f"denseblock{i}")) for i in (1, 2, 3, 4)] == [6, 12, 24, 16]
    assert parameters(network) == pytest.approx(6.97e6, rel=0.01)


@torch.no_grad()
def test_the_slim_densenet_has_half_the_growth_and_fewer_bottlenecks() -> None:
    network = slim_densenet3d(3)
    blocks = [m for m in network.modules() if isinstance(m, Bottleneck)]
    assert len(blocks) == 32 and blocks[0].layers[-1].out_channels == 16
    assert parameters(network) == pytest.approx(1.27e6, rel=0.01)
    assert network.eval()(torch.rand(2, 1, 48, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize(("dimensions", "widths", "poolings"), [(2, PLANES_WIDTHS, 4), (3, VOLUME_WIDTHS, 3)])
@torch.no_grad()
def test_the_u_net_halves_as_often_as_published_and_joins_each_step(
    dimensions: int, widths: tuple[int, ...], poolings: int
) -> None:
    network = UNet(dimensions, 3, widths).eval()
    shape = (2, 1, *(32,) * dimensions)
    assert network(torch.rand(shape)).shape == (2, 3, *shape[2:])
    assert len(network.grow) == poolings and all(g.stride == (2,) * dimensions for g in network.grow)
    three = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Conv3d) and m.kernel_size[0] == 3]
    assert len(three) == 2 * (2 * poolings + 1)
    for step, width in zip(network.up, widths, strict=False):
        assert step[0].in_channels == 2 * width  # what was grown and what was passed by


def test_in_three_dimensions_channels_double_before_the_pooling() -> None:
    network = UNet(3, 3, VOLUME_WIDTHS)
    for step, width in zip(network.down, VOLUME_WIDTHS, strict=True):
        assert (step[0].out_channels, step[3].out_channels) == (width // 2, width)


@torch.no_grad()
def test_vbnet_has_its_bottlenecks_on_four_steps() -> None:
    network = VBNet(3).eval()
    assert network(torch.rand(1, 1, 32, 16, 48)).shape == (1, 3, 32, 16, 48)
    assert len(network.down) == len(network.up) == len(BLOCKS) == 4
    assert [sum(isinstance(m, VBottleneck) for m in step) for step in network.down] == [1, 2, 3, 3]
    inner = [m.layers[1][0] for m in network.modules() if isinstance(m, VBottleneck)]
    assert all(conv.kernel_size == (3, 3, 3) for conv in inner)
    assert inner[0].out_channels == max(4, 24 // 4)


@torch.no_grad()
def test_the_axial_network_gives_one_number_an_image() -> None:
    network = AxialCnn().eval()
    assert network(torch.rand(5, 1, 128, 96)).shape == (5, 1)
    assert sum(isinstance(m, nn.MaxPool2d) for m in network.modules()) == 6
    assert parameters(network) == pytest.approx(0.38e6, rel=0.02)


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
