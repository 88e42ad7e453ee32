"""From a simulated cohort to weights that OpenVINO runs, with nothing installed but what training takes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trabecula.cohort.read import read_cohort
from trabecula.errors import WrongUsage
from trabecula.inference import Network
from trabecula.lock import one_run
from trabecula.recipes import RECIPES
from trabecula.training import run
from trabecula.training.fit import require_fitting
from trabecula.training.run import Wanted, tasks_of, train_recipe
from trabecula.view import Bins, Classes
from trabecula.weights import read_manifest

BARE = Path(__file__).parent / "bare.py"


def bare(*words: str) -> subprocess.CompletedProcess[str]:
    """The command line where no other package is found."""
    return subprocess.run(
        [sys.executable, BARE, *words], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


@pytest.mark.slow
def test_a_bare_machine_trains_from_a_cohort_to_weights_that_openvino_runs(simulated: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("train", "house", str(simulated), "--out", str(out), "--preset", "small", "--steps", "2")
    words += ("--only", "house-segmenter")
    done = bare(*words)
    assert done.returncode == 0, done.stderr
    found = read_manifest(out / "weights")["house-segmenter"]
    assert found.view.shape == (56, 56, 64)
    assert found.head == Classes(("background", "cortical", "trabecular"))
    facts = found.training
    assert facts["parity"]["runtime"] == "onnx.reference"
    assert facts["parity"]["largest_difference"] <= 1e-3
    assert facts["data"]["cases"] == 2
    assert set(facts["figures"]) == {"on", "dice", "dice_cortical", "dice_trabecular"}
    assert facts["figures"]["on"] == "1 validation cases, simulated"
    assert facts["trained_by"].startswith("trabecula train house simulated")
    shape = (1, 1, *found.view.shape)
    (scores,) = Network(found, shape)(np.random.default_rng(0).random(shape, np.float32))
    assert scores.shape == (1, 3, *found.view.shape)
    assert np.isfinite(scores).all()
    assert (out / "house-segmenter" / "curves.svg").read_text().startswith("<svg")
    assert "validation dice" in (out / "house-segmenter" / "curves.csv").read_text()
    again = bare(*words)
    assert (again.returncode, "training-begun" in again.stderr) == (2, True)
    other = bare(*words, "--resume", "--preset", "full")
    assert (other.returncode, "other-training" in other.stderr) == (2, True)
    # A field of view that ends at T9 shows nothing above T8: the finder would never learn it, and is told so.
    finder = bare(*words[:4], str(tmp_path / "other"), *words[5:-1], "house-finder")
    assert finder.returncode == 2, finder.stderr
    assert "class-empty" in finder.stderr
    assert "above" in finder.stderr


def test_a_recipes_tasks_are_those_of_its_weights() -> None:
    for name in ("house", "niu2023"):
        assert tuple(task.weights for task in tasks_of(name, ())) == RECIPES[name].weights
    assert [task.weights for task in tasks_of("house", ("house-finder",))] == ["house-finder"]
    with pytest.raises(WrongUsage) as refused:
        tasks_of("niu2023", ("house-finder",))
    assert refused.value.code == "not-of-recipe"


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (Wanted(preset="huge"), "unknown-preset"),
        (Wanted(device="abacus"), "unknown-device"),
        (Wanted(only=("house-eye",)), "not-of-recipe"),
    ],
)
def test_what_cannot_be_followed_is_a_sentence_and_nothing_is_begun(tmp_path: Path, wanted: Wanted, code: str) -> None:
    cohort = read_cohort("virtual:3", judging=False)
    with pytest.raises(WrongUsage) as refused:
        train_recipe("house", cohort, tmp_path / "out", wanted, print)
    assert refused.value.code == code
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(WrongUsage) as refused:
        train_recipe("house", read_cohort("virtual:3", judging=False), tmp_path, Wanted(), print)
    assert refused.value.code == "output-not-empty"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_another_cohort_does_not_go_on_with_a_training(tmp_path: Path) -> None:
    cohort = read_cohort("virtual:3", judging=False)
    run._claim(tmp_path / "out", "house", cohort, Wanted())
    run._claim(tmp_path / "out", "house", cohort, Wanted(resume=True))
    for other, wanted, code in (
        (replace(cohort, digest="other"), Wanted(resume=True), "other-training"),
        (cohort, Wanted("small", resume=True), "other-training"),
        (cohort, Wanted(), "training-begun"),
    ):
        with pytest.raises(WrongUsage) as refused:
            run._claim(tmp_path / "out", "house", other, wanted)
        assert refused.value.code == code
    assert json.loads((tmp_path / "out" / "training.json").read_text())["cases"] == 3


def test_a_second_process_does_not_go_on_with_a_training_meanwhile(tmp_path: Path) -> None:
    cohort, wanted = read_cohort("virtual:3", judging=False), Wanted("small", "cpu", ("house-finder",))
    run._claim(tmp_path / "out", "house", cohort, wanted)
    with one_run(tmp_path / "out"), pytest.raises(WrongUsage) as refused:
        train_recipe("house", cohort, tmp_path / "out", replace(wanted, resume=True), lambda said: None)
    assert refused.value.code == "output-in-use"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock", "training.json"]


@pytest.mark.parametrize(
    ("weights", "head", "words"),
    [
        ("house-finder", Classes(("above", "T12", "L1", "L2")), "T8, T9"),
        ("house-segmenter", Classes(("background", "bone")), "cortical, trabecular"),
        ("niu2023-densitometer", Classes(("osteoporosis", "normal")), "needs Bins"),
        ("house-finder", Bins(0, 300, 31), "needs Classes"),
    ],
)
def test_weights_whose_classes_do_not_fit_the_recipe_are_a_sentence(
    weights: str, head: Classes | Bins, words: str
) -> None:
    with pytest.raises(WrongUsage, match=words) as refused:
        require_fitting(RECIPES["house"], weights, head)
    assert refused.value.code == "weights-misfit"


def test_what_is_shipped_fits_its_recipes() -> None:
    from trabecula.weights import weights_named

    for recipe in RECIPES.values():
        for name in recipe.weights:
            require_fitting(recipe, name, weights_named(name).head)
