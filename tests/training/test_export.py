"""What was trained is what screening runs: an export in half precision gives the same answers through OpenVINO."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

from trabecula import inference
from trabecula.inference import Network
from trabecula.networks.anatomynet import AnatomyNet
from trabecula.training.export import DetectorForExport, export, halve

pytestmark = [
    # The exporter for control flow is the older one, and says so.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(inference, "WEIGHTS", tmp_path)
    inference.manifest.cache_clear()
    yield tmp_path
    inference.manifest.cache_clear()


def tiny() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv3d(1, 12, 3, padding=1), nn.BatchNorm3d(12), nn.LeakyReLU(0.01), nn.Conv3d(12, 3, 1)
    ).eval()


@torch.no_grad()
def test_an_exported_network_answers_as_the_trained_one(weights: Path) -> None:
    network, image = tiny(), torch.rand(1, 1, 8, 10, 12)
    export(network, image, weights / "tiny.onnx", {"trained_by": "a test"})
    (scores,) = Network("tiny", tuple(image.shape))(image.numpy())
    np.testing.assert_allclose(scores, network(image).numpy(), atol=1e-2)


@torch.no_grad()
def test_anatomynet_survives_half_precision_and_another_shape(weights: Path) -> None:
    torch.manual_seed(0)
    network = AnatomyNet().eval()
    export(network, torch.rand(1, 1, 16, 16, 16), weights / "anatomy.onnx", {})
    image = torch.rand(1, 1, 8, 24, 32)
    (scores,) = Network("anatomy", tuple(image.shape))(image.numpy())
    truth = network(image).numpy()
    assert np.abs(truth).max() > 0.05
    np.testing.assert_allclose(scores, truth, atol=1e-2)


def test_the_manifest_vouches_for_the_file_and_keeps_the_others(weights: Path) -> None:
    for name in ("one", "two"):
        export(tiny(), torch.rand(1, 1, 4, 4, 4), weights / f"{name}.onnx", {"trained_by": name})
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
    export(network, torch.rand(1, 40), weights / "linear.onnx", {})
    kinds = {t.name.split(".")[0]: set() for t in onnx.load(weights / "linear.onnx").graph.initializer}
    for tensor in onnx.load(weights / "linear.onnx").graph.initializer:
        large = np.prod(tensor.dims) >= 256
        assert (tensor.data_type == TensorProto.FLOAT16) == large, tensor.name
        kinds[tensor.name.split(".")[0]].add(large)
    assert kinds["0"] == {True, False}


def test_halving_twice_changes_nothing_more(weights: Path) -> None:
    export(nn.Linear(40, 20).eval(), torch.rand(1, 40), weights / "linear.onnx", {})
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
