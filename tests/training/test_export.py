"""What was trained is what screening runs: an export with int8 weights gives the same answers through OpenVINO."""

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
from trabecula.training.compact import compact, expanded
from trabecula.training.export import DetectorForExport, export, to_onnx
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
def test_anatomynet_survives_int8_and_another_shape(weights: Path) -> None:
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


def test_large_convolutions_are_int8_other_large_weights_float16_and_small_ones_kept(weights: Path) -> None:
    network = nn.Sequential(nn.Conv3d(1, 20, 3), nn.Flatten(), nn.Linear(20 * 8, 3)).eval()
    stored = write(network, torch.rand(1, 1, 4, 4, 4), weights / "mixed.onnx")["parity"]["stored"]
    kinds = {tensor.name: tensor for tensor in onnx.load(weights / "mixed.onnx").graph.initializer}
    assert kinds["0.weight.int8"].data_type == TensorProto.INT8
    assert list(kinds["0.weight.scale"].dims) == [20]  # the layer's outputs
    assert kinds["2.weight.half"].data_type == TensorProto.FLOAT16
    assert kinds["0.bias"].data_type == kinds["2.bias"].data_type == TensorProto.FLOAT
    assert (stored["int8"], stored["elsewhere"]) == (["Conv"], "float16")
    assert stored["answers_apart"]["probability"] <= stored["bounds"]["probability"] == 0.01


@torch.no_grad()
@pytest.mark.parametrize("layer", [nn.Conv3d(6, 10, 3), nn.ConvTranspose3d(6, 10, 3)])
def test_a_layers_outputs_err_by_half_a_step_of_their_own_weights(layer: nn.Module, tmp_path: Path) -> None:
    """Outputs of very different size: one scale for all would drown the smaller ones."""
    out_axis = 1 if isinstance(layer, nn.ConvTranspose3d) else 0
    layer.weight.mul_(torch.logspace(-3, 1, 10).reshape([-1 if axis == out_axis else 1 for axis in range(5)]))
    image = torch.rand(1, 6, 5, 5, 5)
    plain, small = tmp_path / "plain.onnx", tmp_path / "small.onnx"
    to_onnx(layer, image, plain)
    onnx.save(compact(onnx.load(plain)), small)
    (found,), (reference,) = (
        run(image.numpy()) for run in (parity.runner(small, tuple(image.shape))[1], parity._reference(small))
    )
    np.testing.assert_allclose(found, reference, rtol=1e-4, atol=1e-5)
    step = layer.weight.abs().amax([axis for axis in range(5) if axis != out_axis]) / 127
    summed = layer.weight.numel() / 10  # so many weights make an output at most, each off by half a step or less
    apart = np.abs(found - layer(image).numpy()).reshape(10, -1).max(axis=1)
    assert (apart > 0).all()
    assert (apart <= step.numpy() / 2 * summed + 1e-5).all()


def test_making_small_twice_changes_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "plain.onnx"
    to_onnx(nn.Conv3d(6, 10, 3), torch.rand(1, 6, 5, 5, 5), path)
    once = compact(onnx.load(path)).SerializeToString()
    assert compact(onnx.load_from_string(once)).SerializeToString() == once


def test_float16_weights_are_made_int8_as_if_they_had_been_float(tmp_path: Path) -> None:
    """As with networks of earlier releases, of which nothing but the file is left."""
    path = tmp_path / "plain.onnx"
    to_onnx(nn.Conv3d(6, 10, 3).half().float(), torch.rand(1, 6, 5, 5, 5), path)
    half = compact(onnx.load(path), ())
    assert {tensor.data_type for tensor in half.graph.initializer} == {TensorProto.FLOAT16, TensorProto.FLOAT}
    found, expected = (
        {tensor.name: tensor.raw_data for tensor in compact(model).graph.initializer}
        for model in (expanded(half), onnx.load(path))
    )
    assert found == expected


class Uneven(nn.Module):
    """A classifier that hangs on weights of a third of the step which its large ones, of no use here, leave to int8."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(2, 40, 3)
        with torch.no_grad():
            self.look.weight[:, 0], self.look.bias[:] = 1.0, 0.0
            self.look.weight[:, 1] = torch.linspace(0.002, 0.003, 40).reshape(-1, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        return 1000 * self.look(image).mean((2, 3))[:, [0, 20, 39]]


def test_layers_whose_rounding_changes_the_answer_stay_float16(weights: Path) -> None:
    image = torch.stack([torch.zeros(12, 12), torch.ones(12, 12)])[None]
    stored = write(Uneven().eval(), image, weights / "uneven.onnx")["parity"]["stored"]
    assert stored["int8"] == []
    assert stored["answers_apart"]["probability"] <= stored["bounds"]["probability"]
    kinds = {tensor.data_type for tensor in onnx.load(weights / "uneven.onnx").graph.initializer}
    assert kinds == {TensorProto.FLOAT16, TensorProto.FLOAT}


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
    assert entry["parity"]["largest_difference"] <= 1e-5 < entry["parity"]["stored"]["largest_difference"] < 1e-2
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
