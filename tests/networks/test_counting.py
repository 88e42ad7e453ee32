"""The network that counts: its shape, and how it starts from an exported trunk."""

from pathlib import Path

import pytest
import torch
from torch import nn

from trabecula.flow.localise.evidence import CHANNELS
from trabecula.networks.counting import body_counter, start_from_folded
from trabecula.training.export import export, folded_convolutions


def settled(network: nn.Module, image: torch.Tensor) -> nn.Module:
    """Batch normalisation with statistics and weights of its own, as after some training."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.3)
    network.train()
    for _ in range(3):
        network(image + 0.1 * torch.rand_like(image))
    return network.eval()


def test_it_answers_every_question_at_half_the_resolution() -> None:
    with torch.no_grad():
        scores = body_counter(CHANNELS).eval()(torch.rand(1, 1, 64, 32, 32))
    assert scores.shape == (1, CHANNELS, 32, 16, 16)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_it_starts_where_an_exported_network_of_the_same_trunk_stands(tmp_path: Path) -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 1, 64, 32, 64)
    old = settled(body_counter(6), image)
    export(old, image, tmp_path / "old.onnx", {})
    folded, plain = folded_convolutions(tmp_path / "old.onnx")
    new = body_counter(CHANNELS)
    assert start_from_folded(new, folded, plain, image) > 30
    new.eval()
    with torch.no_grad():
        kept = old.get_submodule("trunk")(image)
        assert torch.allclose(new.get_submodule("trunk")(image), kept, atol=0.03 * float(kept.abs().max()))
