"""What was exported can be trained on: it answers as its file does, and what cannot be brought back is a sentence."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from trabecula.cohort.labels import LABELS
from trabecula.cohort.read import read_cohort
from trabecula.errors import WrongUsage
from trabecula.networks.anatomynet import AnatomyNet
from trabecula.networks.densenet import DenseNet3d
from trabecula.networks.unet import BodySegmenter
from trabecula.training.export import export
from trabecula.training.fit import use_instead
from trabecula.training.loop import Judge, Schedule, load_weights, train
from trabecula.training.restore import restore
from trabecula.training.run import Wanted, train_recipe
from trabecula.training.start import SHIPPED, begin, starts
from trabecula.training.tasks import task_for
from trabecula.view import Classes, View
from trabecula.weights import FOLDER, INSTEAD, catalogue, weights_named

VIEW = View((16, 16, 16), (1.5, 1.5, 1.5), (0.0, 400.0))
HEAD = Classes(("background", "cortical", "trabecular"))


def mixed() -> nn.Module:
    """A convolution with a bias, norms that fold and one that cannot, a slope by name, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.PReLU(),
        nn.BatchNorm2d(8),
        nn.ConvTranspose2d(8, 6, 2, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 2),
    )


def lived_in(network: nn.Module) -> nn.Module:
    """A network whose statistics and weights are none that a new one has."""
    torch.manual_seed(7)
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(0.3 * torch.randn_like(tensor))
    return network.eval()


def in_whole_numbers(path: Path) -> bytes:
    """The file with the weights of its convolutions as int8, a scale for each output channel."""
    model = onnx.load(path)
    used = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    made = {output for node in model.graph.node for output in node.output}
    for tensor in [one for one in model.graph.initializer if one.name in used - made]:
        weights = numpy_helper.to_array(tensor)
        scale = (np.abs(weights).reshape(len(weights), -1).max(1) / 127).astype(np.float32)
        whole = np.rint(weights / scale.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.int8)
        names = [f"{tensor.name}.int8", f"{tensor.name}.scale"]
        model.graph.initializer.append(numpy_helper.from_array(scale, names[1]))
        model.graph.node.insert(0, helper.make_node("DequantizeLinear", names, [tensor.name], axis=0))
        tensor.CopyFrom(numpy_helper.from_array(whole, names[0]))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path.read_bytes()


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: AnatomyNet(), (1, 1, 8, 8, 8)),
        (lambda: BodySegmenter((16, 16, 16), (4, 6, 8)), (1, 1, 16, 16, 16)),
        (lambda: DenseNet3d(5, blocks=(2, 1), growth=4), (1, 1, 32, 32, 32)),
        (mixed, (1, 1, 8, 8)),
    ],
)
@torch.no_grad()
def test_a_network_comes_back_from_its_file(make: type[nn.Module], shape: tuple[int, ...], tmp_path: Path) -> None:
    trained, image = lived_in(make()), torch.rand(shape)
    export(trained, [image], tmp_path / "it.onnx", VIEW, HEAD, {})
    again = make().eval()
    assert (again(image) - trained(image)).abs().max() > 0.05
    restore(again, (tmp_path / "it.onnx").read_bytes(), image)
    torch.testing.assert_close(again(image), trained(image), atol=0.02, rtol=0.02)  # float16 weights


@torch.no_grad()
def test_int8_weights_come_back_too(tmp_path: Path) -> None:
    network, image = lived_in(mixed()), torch.rand(1, 1, 8, 8)
    export(network, [image], tmp_path / "it.onnx", VIEW, HEAD, {})
    again = mixed().eval()
    restore(again, in_whole_numbers(tmp_path / "it.onnx"), image)
    torch.testing.assert_close(again(image), network(image), atol=0.02, rtol=0.02)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (AnatomyNet(classes=4), "differ"),
        (nn.Sequential(nn.Conv3d(1, 28, 3, stride=2, padding=1, bias=False)), "layers of the file"),
        (nn.Sequential(AnatomyNet(), nn.Conv3d(3, 3, 1)), "no counterpart"),
        (nn.Sequential(AnatomyNet(), nn.GroupNorm(1, 3)), "1.weight first"),
    ],
)
def test_another_network_is_not_filled_with_what_does_not_fit(other: nn.Module, words: str, tmp_path: Path) -> None:
    image = torch.rand(1, 1, 8, 8, 8)
    export(AnatomyNet().eval(), [image], tmp_path / "it.onnx", VIEW, HEAD, {})
    with pytest.raises(ValueError, match=words):
        restore(other, (tmp_path / "it.onnx").read_bytes(), image)


@pytest.mark.parametrize(
    "weights",
    [
        "house-segmenter",
        "niu2023-densitometer",
        pytest.param("niu2023-segmenter", marks=pytest.mark.slow),
        pytest.param("house-counter", marks=pytest.mark.slow),
        pytest.param("house-finder", marks=pytest.mark.slow),
    ],
)
def test_the_shipped_networks_can_be_trained_on(weights: str) -> None:
    task = task_for(weights)
    before = task.network()
    network = begin(task, starts(SHIPPED, (task,))[weights])  # holds both against each other
    assert not torch.equal(next(before.parameters()), next(network.parameters()))


def test_the_detector_is_said_not_to_come_back() -> None:
    task = task_for("niu2023-localiser")
    with pytest.raises(WrongUsage, match=r"niu2023-localiser cannot be gone on from.*--only") as refused:
        begin(task, starts(SHIPPED, (task,))["niu2023-localiser"])
    assert refused.value.code == "weights-not-restorable"


def test_a_folder_without_the_weights_or_with_others_is_a_sentence(tmp_path: Path) -> None:
    task = task_for("house-segmenter")
    with pytest.raises(WrongUsage, match="holds no weights") as refused:
        starts(str(tmp_path), (task,))
    assert refused.value.code == "start-missing"
    export(AnatomyNet().eval(), [torch.rand(1, 1, 8, 8, 8)], tmp_path / "weights" / "other.onnx", VIEW, HEAD, {})
    with pytest.raises(WrongUsage, match="only of other") as refused:
        starts(str(tmp_path), (task,))
    assert refused.value.code == "start-missing"
    export(
        AnatomyNet().eval(), [torch.rand(1, 1, 8, 8, 8)], tmp_path / "weights" / f"{task.weights}.onnx", VIEW, HEAD, {}
    )
    with pytest.raises(WrongUsage, match="sees or answers something else") as refused:
        starts(str(tmp_path), (task,))
    assert refused.value.code == "weights-misfit"


def still(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (network(batch[0]) - batch[1]).pow(2).mean()


def test_going_on_keeps_the_statistics_and_the_start_where_nothing_beats_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    start = {name: value.clone() for name, value in network.state_dict().items()}
    batch = (5 + torch.randn(8, 3), torch.zeros(8, 1))
    schedule = Schedule(steps=20, learning_rate=0.05, warmup=2, bf16=False, judge_every=10, continued=True)
    # The first look is the best: what the network was like before the first step.
    values = iter((1.0, 3.0, 2.0))
    judge = Judge(lambda one: {"error": next(values)}, "error", lambda new, old: old is None or new < old)
    train(network, iter([batch] * 20), still, schedule, tmp_path, judge=judge, tell=lambda line: None)
    assert torch.equal(network[1].running_mean, start["1.running_mean"])
    assert not torch.equal(network[0].weight, start["0.weight"])
    kept = load_weights(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)), tmp_path)
    assert torch.equal(kept[0].weight, start["0.weight"])  # type: ignore[index]
    looks = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(one["step"], one["kept"]) for one in looks if "kept" in one] == [(0, True), (10, False), (20, False)]


@pytest.fixture
def as_shipped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever is used instead of the shipped weights is forgotten afterwards."""
    monkeypatch.setenv(INSTEAD, "")
    catalogue.cache_clear()
    yield
    catalogue.cache_clear()


@pytest.mark.slow
@pytest.mark.usefixtures("as_shipped")
def test_a_sites_own_cts_train_the_shipped_network_on_and_are_screened_with_it(simulated: Path, tmp_path: Path) -> None:
    table = tmp_path / "site.csv"
    rows = ["case,path,bodies_mask,trabecular_mask,labels"]
    own = {verse_id: label for label, verse_id in LABELS["totalsegmentator"].verse_ids.items()}
    for folder in sorted(simulated.glob("subject-*")):
        masks = []
        for kind in ("bodies", "trabecular"):
            mask = nib.load(folder / f"{kind}.nii.gz")
            numbers = np.vectorize(lambda label: own.get(label, 0), otypes=[np.uint8])(np.asarray(mask.dataobj))
            masks.append(tmp_path / f"{folder.name}-{kind}.nii.gz")
            nib.save(nib.Nifti1Image(numbers, mask.affine), masks[-1])
        rows.append(f"{folder.name},{folder / 'ct.nii.gz'},{masks[0].name},{masks[1].name},totalsegmentator")
    table.write_text("\n".join(rows) + "\n")
    cohort, only = read_cohort(str(table), judging=False), ("house-segmenter",)
    for start, out in ((SHIPPED, tmp_path / "first"), (str(tmp_path / "first"), tmp_path / "second")):
        wanted = Wanted("small", only=only, steps=2, start=start)
        entry = train_recipe("house", cohort, out, wanted, lambda line: None)["house-segmenter"]
        assert entry["start"]["given"] == start
        assert entry["schedule"]["continued"]
        assert (entry["data"]["trained_on"], entry["data"]["judged_by"]) == (1, 1)
        looks = [json.loads(line) for line in (out / "house-segmenter" / "log.jsonl").read_text().splitlines()]
        assert looks[0]["step"] == 0
        assert looks[0]["validation"]["dice"] > 0.6  # the shipped network, before the first step
    assert entry["start"]["sha256"] == sha256(tmp_path / "first" / "house-segmenter" / "weights.safetensors")
    use_instead(tmp_path / "second" / "weights")
    assert weights_named("house-segmenter").folder == tmp_path / "second" / "weights"
    assert weights_named("house-finder").folder == FOLDER


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
