"""What was trained is what screening runs: an export in half precision gives the same answers through OpenVINO."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

from trabecula.errors import Defect
from trabecula.inference import Network
from trabecula.networks.anatomynet import AnatomyNet
from trabecula.networks.unet import BodySegmenter
from trabecula.training import parity
from trabecula.training.export import DetectorForExport, export, halve
from trabecula.view import Classes, View
from trabecula.weights import INSTEAD, catalogue, weights_named

VIEW = View((8, 10, 12), (1.5, 1.5, 1.5), (0.0, 400.0))
HEAD = Classes(("background", "cortical", "trabecular"))


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose networks are used instead of those shipped."""
    folder = tmp_path / "weights"
    monkeypatch.setenv(INSTEAD, str(folder))
    catalogue.cache_clear()
    yield folder
    catalogue.cache_clear()


def write(network: nn.Module, image: Tensor, path: Path, **about: str) -> dict[str, Any]:
    return export(network, [image], path, VIEW, HEAD, about)


def tiny() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv3d(1, 12, 3, padding=1), nn.BatchNorm3d(12), nn.LeakyReLU(0.01), nn.Conv3d(12, 3, 1)
    ).eval()


@torch.no_grad()
def test_an_exported_network_answers_as_the_trained_one(weights: Path) -> None:
    network, image = tiny(), torch.rand(1, 1, 8, 10, 12)
    write(network, image, weights / "tiny.onnx", trained_by="a test")
    (scores,) = Network(weights_named("tiny"), tuple(image.shape))(image.numpy())
    np.testing.assert_allclose(scores, network(image).numpy(), atol=1e-2)


@torch.no_grad()
def test_anatomynet_survives_half_precision_and_another_shape(weights: Path) -> None:
    torch.manual_seed(0)
    network = AnatomyNet().eval()
    write(network, torch.rand(1, 1, 16, 16, 16), weights / "anatomy.onnx")
    image = torch.rand(1, 1, 8, 24, 32)
    (scores,) = Network(weights_named("anatomy"), tuple(image.shape))(image.numpy())
    truth = network(image).numpy()
    assert np.abs(truth).max() > 0.05
    np.testing.assert_allclose(scores, truth, atol=1e-2)


def test_the_manifest_vouches_for_the_file_and_keeps_the_others(weights: Path) -> None:
    for name in ("one", "two"):
        write(tiny(), torch.rand(1, 1, 4, 4, 4), weights / f"{name}.onnx", trained_by=name)
    entries = json.loads((weights / "manifest.json").read_text())
    assert set(entries) == {"one", "two"}
    for name, entry in entries.items():
        content = (weights / entry["file"]).read_bytes()
        assert entry["file"] == f"{name}.onnx"
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)
        assert entry["trained_by"] == name
    assert {path.name for path in weights.iterdir()} == {"one.onnx", "two.onnx", "manifest.json"}


def test_large_weights_are_halved_and_small_ones_kept(weights: Path) -> None:
    network = nn.Sequential(nn.Linear(40, 20), nn.Linear(20, 3)).eval()
    write(network, torch.rand(1, 40), weights / "linear.onnx")
    kinds = {t.name.split(".")[0]: set() for t in onnx.load(weights / "linear.onnx").graph.initializer}
    for tensor in onnx.load(weights / "linear.onnx").graph.initializer:
        large = np.prod(tensor.dims) >= 256
        assert (tensor.data_type == TensorProto.FLOAT16) == large, tensor.name
        kinds[tensor.name.split(".")[0]].add(large)
    assert kinds["0"] == {True, False}


def test_halving_twice_changes_nothing_more(weights: Path) -> None:
    write(nn.Linear(40, 20).eval(), torch.rand(1, 40), weights / "linear.onnx")
    model = onnx.load(weights / "linear.onnx")
    assert halve(onnx.load(weights / "linear.onnx")).SerializeToString() == model.SerializeToString()


class OneBox(nn.Module):
    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        peak = images[0].amax()
        return [
            {"labels": (peak * 3).reshape(1), "scores": peak.reshape(1), "boxes": images[0][:, :1, :4].flatten(0, 1)}
        ]


def test_a_detector_gives_boxes_labels_scores_in_this_order() -> None:
    image = torch.arange(24.0).reshape(1, 4, 6) / 24
    boxes, labels, scores = DetectorForExport(OneBox())(image)
    torch.testing.assert_close(boxes, image[:, 0, :4])
    torch.testing.assert_close(labels, scores * 3)


@torch.no_grad()
def test_the_entry_carries_view_head_and_how_far_the_file_is_from_the_network(weights: Path) -> None:
    entry = write(tiny(), torch.rand(1, 1, 8, 10, 12), weights / "tiny.onnx", figures="none")
    found = weights_named("tiny")
    assert (found.view, found.head, found.folder) == (VIEW, HEAD, weights)
    assert found.training["figures"] == "none"
    assert entry["parity"]["largest_difference"] <= 1e-5 < entry["parity"]["largest_difference_half_precision"] < 1e-2
    assert weights_named("house-finder").folder != weights  # what is not there is what is shipped


class Forgetful(nn.Module):
    """Answers otherwise where it is traced."""

    def forward(self, image: Tensor) -> Tensor:
        return image * (2.0 if torch.jit.is_tracing() else 2.01)


def test_a_file_that_answers_otherwise_is_not_kept(weights: Path) -> None:
    with pytest.raises(Defect) as refused:
        write(Forgetful(), torch.rand(1, 1, 4, 4, 4), weights / "off.onnx")
    assert refused.value.code == "export-differs"
    assert not list(weights.iterdir())


@torch.no_grad()
def test_the_reference_runs_what_openvino_runs(tmp_path: Path) -> None:
    """What stands in on a machine without OpenVINO, on a network of strided, transposed and padded convolutions."""
    torch.manual_seed(1)
    network = BodySegmenter((16, 16, 24), (4, 6, 8)).eval()
    image = torch.rand(1, 1, 16, 16, 24)
    path = tmp_path / "body.onnx"
    export(network, [image], path, VIEW, HEAD, {})
    (one,), (other,) = parity._reference(path)(image.numpy()), parity.runner(path, tuple(image.shape))[1](image.numpy())
    assert np.abs(one).max() > 0.05
    np.testing.assert_allclose(one, other, atol=1e-5)
