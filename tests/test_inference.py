"""Networks run at the shape they were compiled for, and the same weights give the same answer."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trabecula import inference
from trabecula.errors import Defect
from trabecula.inference import Network, network
from trabecula.weights import weights_named

SMALL = (1, 1, 16, 24, 32)
NAME = "niu2023-segmenter"
UNPICKLE = {"pickle", "dill", "joblib", "shelve"}
SOURCES = sorted(Path(inference.__file__).parent.rglob("*.py"))


def test_the_shipped_network_runs_at_any_shape_it_was_compiled_for() -> None:
    run = network(NAME, SMALL)
    image = np.random.default_rng(0).random(SMALL, np.float32)
    (scores,) = run(image)
    assert scores.shape == (1, 3, *SMALL[2:])
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, run(image)[0])
    assert np.abs(scores - run(1 - image)[0]).max() > 1e-3
    assert network(NAME, SMALL) is run


def test_a_process_of_one_thread_runs_on_one_and_answers_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).random(SMALL, np.float32)
    answers = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        run = Network(weights_named(NAME), SMALL)
        assert str(run.compiled.get_property("INFERENCE_NUM_THREADS")) == threads
        answers.append(run(image)[0])
    np.testing.assert_array_equal(*answers)


def test_networks_that_went_leave_a_process_that_survives_a_signal() -> None:
    script = f"""
import os, signal
from trabecula.inference import Network, network
from trabecula.weights import weights_named
signal.signal(signal.SIGUSR1, lambda *told: print("handled"))
first = Network(weights_named("{NAME}"), {SMALL})
second = Network(weights_named("{NAME}"), {SMALL})
del first
del second
os.kill(os.getpid(), signal.SIGUSR1)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (told.returncode, told.stdout, told.stderr) == (0, "handled\n", "")


def test_results_outlive_the_next_call() -> None:
    run = network(NAME, SMALL)
    (first,) = run(np.zeros(SMALL, np.float32))
    kept = first.copy()
    run(np.ones(SMALL, np.float32))
    np.testing.assert_array_equal(first, kept)


def test_an_image_that_is_not_contiguous_is_read_in_its_own_order() -> None:
    run = network(NAME, SMALL)
    mirrored = np.random.default_rng(0).random(SMALL, np.float32)[..., ::-1]
    np.testing.assert_array_equal(run(mirrored)[0], run(mirrored.copy())[0])


def test_no_network_has_an_unknown_name() -> None:
    with pytest.raises(Defect, match="nobody") as failure:
        network("nobody", SMALL)
    assert failure.value.code == "weights-missing"


def test_no_source_loads_a_pickle() -> None:
    assert [found for path in SOURCES for found in pickles(path)] == []


def pickles(path: Path) -> list[str]:
    """Where a source could unpickle: an import of what does, torch.load, or numpy told to allow it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            bad = bool({alias.name.partition(".")[0] for alias in node.names} & UNPICKLE)
        elif isinstance(node, ast.ImportFrom):
            bad = (node.module or "").partition(".")[0] in UNPICKLE
        elif isinstance(node, ast.Call):
            allowed = [k for k in node.keywords if k.arg == "allow_pickle" and ast.unparse(k.value) != "False"]
            bad = ast.unparse(node.func) == "torch.load" or bool(allowed)
        else:
            continue
        if bad:
            found.append(f"{path.name}:{node.lineno}")
    return found
