"""Weights are what the manifest says, or nothing runs; what a network sees and says stands beside its hash."""

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trabecula import inference, weights
from trabecula.errors import Defect
from trabecula.recipes import RECIPES
from trabecula.view import Bins, Classes, Evidence, Number, View
from trabecula.weights import catalogue, weights_named

SMALL = (1, 1, 16, 24, 32)
NAME = "niu2023-segmenter"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the shipped manifest and one network, to be spoilt."""
    shutil.copy(weights.FOLDER / weights.MANIFEST, tmp_path)
    shutil.copy(weights.FOLDER / f"{NAME}.onnx", tmp_path)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    for cached in (catalogue, inference.network):
        cached.cache_clear()
    yield tmp_path
    for cached in (catalogue, inference.network):
        cached.cache_clear()


def refused(action: Callable[[], object]) -> Defect:
    with pytest.raises(Defect) as failure:
        action()
    assert failure.value.exit_code == 1
    return failure.value


def test_one_changed_byte_is_corruption(folder: Path) -> None:
    path = folder / f"{NAME}.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    failure = refused(lambda: inference.network(NAME, SMALL))
    assert failure.code == "weights-corrupted"
    assert path.name in failure.message
    assert str(folder) not in failure.message


def test_a_truncated_file_is_corruption(folder: Path) -> None:
    path = folder / f"{NAME}.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    assert refused(lambda: inference.network(NAME, SMALL)).code == "weights-corrupted"


def test_a_missing_file(folder: Path) -> None:
    (folder / f"{NAME}.onnx").unlink()
    failure = refused(lambda: inference.network(NAME, SMALL))
    assert failure.code == "weights-missing"
    assert f"{NAME}.onnx" in failure.message


def test_an_unknown_name() -> None:
    failure = refused(lambda: weights_named("nobody"))
    assert failure.code == "weights-missing"
    assert "nobody" in failure.message


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"\x00", b"\xff\xfe", b"[]", b"1", b"null", b'"text"', b'[{"file": 1}]']
)
def test_a_manifest_that_cannot_be_read(folder: Path, content: bytes | None) -> None:
    (folder / weights.MANIFEST).unlink()
    if content is not None:
        (folder / weights.MANIFEST).write_bytes(content)
    assert refused(catalogue).code == "weights-missing"


SPOILT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no object": lambda entry: [],
    "nothing": lambda entry: None,
    "words": lambda entry: "weights",
    **{f"without {key}": lambda entry, key=key: without(entry, key) for key in ("file", "sha256", "view", "head")},
    "view a list": lambda entry: entry | {"view": [1, 2, 3]},
    "view null": lambda entry: entry | {"view": None},
    "view without a shape": lambda entry: entry | {"view": without(entry["view"], "shape")},
    "view with a field of another version": lambda entry: entry | {"view": entry["view"] | {"colour": "red"}},
    "head of an unknown kind": lambda entry: entry | {"head": {"kind": "oracle"}},
    "head of no kind": lambda entry: entry | {"head": {"names": ["a"]}},
    "head whose kind is a list": lambda entry: entry | {"head": {"kind": ["bins"]}},
    "head whose kind is an object": lambda entry: entry | {"head": {"kind": {}}},
    "head with another's field": lambda entry: entry | {"head": {"kind": "classes", "first": 0}},
    "head words": lambda entry: entry | {"head": "bins"},
    "error in words": lambda entry: entry | {"error_sd": "small"},
    "error a list": lambda entry: entry | {"error_sd": [1]},
}


def without(entry: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != key}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_an_entry_that_lacks_what_its_network_takes(folder: Path, spoilt: str) -> None:
    entries = json.loads((folder / weights.MANIFEST).read_text())
    entries[NAME] = SPOILT[spoilt](entries[NAME])
    (folder / weights.MANIFEST).write_text(json.dumps(entries))
    failure = refused(lambda: weights_named(NAME))
    assert failure.code == "weights-missing"
    assert "manifest" in failure.message


def test_a_pickle_in_the_place_of_the_weights_is_never_opened(folder: Path) -> None:
    trace = folder / "executed"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (trace,)

    path = folder / f"{NAME}.onnx"
    path.write_bytes(pickle.dumps(Payload()))
    assert refused(lambda: inference.network(NAME, SMALL)).code == "weights-corrupted"
    entries = json.loads((folder / weights.MANIFEST).read_text())
    entries[NAME]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / weights.MANIFEST).write_text(json.dumps(entries))
    catalogue.cache_clear()
    with pytest.raises(RuntimeError):  # vouched for, and still no network
        inference.network(NAME, SMALL)
    assert not trace.exists()


def test_every_shipped_file_is_the_one_the_manifest_vouches_for() -> None:
    shipped = catalogue()
    assert {path.name for path in weights.FOLDER.glob("*.onnx")} == {one.file for one in shipped.values()}
    assert [len(one.content()) for one in shipped.values()] == [one.training["bytes"] for one in shipped.values()]


def test_every_shipped_network_carries_all_that_its_recipe_takes() -> None:
    assert {name for recipe in RECIPES.values() for name in recipe.weights} == set(catalogue())
    for one in catalogue().values():
        assert isinstance(one.view, View) and len(one.view.shape) == len(one.view.spacing_mm) == 3
        assert one.training["trained_by"] and one.training["data"]
        if isinstance(one.head, Bins | Number):
            assert one.error_sd is not None and one.error_sd > 0
        else:
            assert (isinstance(one.head, Classes) and one.head.names) or isinstance(one.head, Evidence)
