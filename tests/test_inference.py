"""Weights are what the manifest says, or nothing runs; nothing is ever unpickled."""

import ast
import hashlib
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from trabecula import inference
from trabecula.errors import Defect

SMALL = (1, 1, 16, 24, 32)
NAME = "niu2023-segmenter"
SOURCES = sorted(Path(inference.__file__).parent.rglob("*.py"))


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the shipped manifest and one network, to be spoilt."""
    shutil.copy(inference.WEIGHTS / "manifest.json", tmp_path)
    shutil.copy(inference.WEIGHTS / f"{NAME}.onnx", tmp_path)
    monkeypatch.setattr(inference, "WEIGHTS", tmp_path)
    for cached in (inference.manifest, inference.network):
        cached.cache_clear()
    yield tmp_path
    for cached in (inference.manifest, inference.network):
        cached.cache_clear()


def refused(action: Callable[[], object]) -> Defect:
    with pytest.raises(Defect) as failure:
        action()
    assert failure.value.exit_code == 1
    return failure.value


@pytest.mark.usefixtures("weights")
def test_the_shipped_network_runs_at_any_shape_it_was_compiled_for() -> None:
    network = inference.network(NAME, SMALL)
    image = np.random.default_rng(0).random(SMALL, np.float32)
    (scores,) = network(image)
    assert scores.shape == (1, 3, *SMALL[2:])
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, network(image)[0])
    assert np.abs(scores - network(1 - image)[0]).max() > 1e-3
    assert inference.network(NAME, SMALL) is network


@pytest.mark.usefixtures("weights")
def test_results_outlive_the_next_call() -> None:
    network = inference.network(NAME, SMALL)
    (first,) = network(np.zeros(SMALL, np.float32))
    kept = first.copy()
    network(np.ones(SMALL, np.float32))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.usefixtures("weights")
def test_an_image_that_is_not_contiguous_is_read_in_its_own_order() -> None:
    network = inference.network(NAME, SMALL)
    image = np.random.default_rng(0).random(SMALL, np.float32)
    mirrored = image[..., ::-1]
    np.testing.assert_array_equal(network(mirrored)[0], network(mirrored.copy())[0])


def test_one_changed_byte_is_corruption(weights: Path) -> None:
    path = weights / f"{NAME}.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    failure = refused(lambda: inference.network(NAME, SMALL))
    assert failure.code == "weights-corrupted"
    assert path.name in failure.message
    assert str(weights) not in failure.message


def test_a_truncated_file_is_corruption(weights: Path) -> None:
    path = weights / f"{NAME}.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    assert refused(lambda: inference.network(NAME, SMALL)).code == "weights-corrupted"


def test_a_missing_file(weights: Path) -> None:
    (weights / f"{NAME}.onnx").unlink()
    failure = refused(lambda: inference.network(NAME, SMALL))
    assert failure.code == "weights-missing"
    assert f"{NAME}.onnx" in failure.message


@pytest.mark.usefixtures("weights")
def test_an_unknown_name() -> None:
    for action in (lambda: inference.network("nobody", SMALL), lambda: inference.weight_hashes(("nobody",))):
        failure = refused(action)
        assert failure.code == "weights-missing"
        assert "nobody" in failure.message


@pytest.mark.parametrize("content", [None, "", "{", "\x00"])
def test_a_manifest_that_cannot_be_read(weights: Path, content: str | None) -> None:
    (weights / "manifest.json").unlink()
    if content is not None:
        (weights / "manifest.json").write_text(content)
    assert refused(inference.manifest).code == "weights-missing"


def test_a_pickle_in_the_place_of_the_weights_is_never_opened(weights: Path) -> None:
    trace = weights / "executed"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (trace,)

    path = weights / f"{NAME}.onnx"
    path.write_bytes(pickle.dumps(Payload()))
    assert refused(lambda: inference.network(NAME, SMALL)).code == "weights-corrupted"
    entries = json.loads((weights / "manifest.json").read_text())
    entries[NAME]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (weights / "manifest.json").write_text(json.dumps(entries))
    inference.manifest.cache_clear()
    with pytest.raises(RuntimeError):  # vouched for, and still no network
        inference.network(NAME, SMALL)
    assert not trace.exists()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_source_loads_a_pickle(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & {"pickle", "dill", "joblib", "shelve"}
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "") not in {"pickle", "dill", "joblib", "shelve"}
        elif isinstance(node, ast.Call):
            assert ast.unparse(node.func) != "torch.load"
            assert not [k for k in node.keywords if k.arg == "allow_pickle" and ast.unparse(k.value) != "False"]


def test_every_shipped_file_is_the_one_the_manifest_vouches_for() -> None:
    entries = inference.manifest()
    assert entries
    for entry in entries.values():
        content = (inference.WEIGHTS / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert len(content) == entry["bytes"]
    assert {path.name for path in inference.WEIGHTS.glob("*.onnx")} == {entry["file"] for entry in entries.values()}
    assert inference.weight_hashes(tuple(entries)) == {name: entry["sha256"] for name, entry in entries.items()}
