"""A reference that a network learns from is asked for before hours are spent: a code and a sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.cohort.case import Case, Cohort, Known, Split
from trabecula.cohort.drawn import Drawn
from trabecula.cohort.files import Files
from trabecula.cohort.read import read_cohort
from trabecula.errors import WrongUsage
from trabecula.quantity import CATEGORIES, VBMD_HA
from trabecula.recipes import RECIPES
from trabecula.training import run
from trabecula.training.fit import read_fitting, require_fitting
from trabecula.training.needs import AREAL_BMD, OUTLINES, density_of, require_brought
from trabecula.training.run import Wanted, train_recipe
from trabecula.training.samples import spine, torso
from trabecula.training.samples.shards import save
from trabecula.training.tasks import MODULES, task_for
from trabecula.view import Bins, Classes, Number
from trabecula.weights import FOLDER, MANIFEST

L1, L2, L3 = Level.L1, Level.L2, Level.L3


def table(*known: Known) -> Cohort:
    """A site's cases, of which so much is known, the last of them for validation."""
    cases = [
        Case(
            f"c{at}",
            f"p{at}",
            Files(Path(f"c{at}.nii.gz"), {}),
            one,
            Split.VALIDATION if at == len(known) - 1 else Split.TRAIN,
        )
        for at, one in enumerate(known)
    ]
    return Cohort("site", "digest", tuple(cases))


def refused(recipe: str, weights: str, cohort: Cohort, out: Path) -> WrongUsage:
    with pytest.raises(WrongUsage) as found:
        train_recipe(recipe, cohort, out, Wanted("small", only=(weights,)), print)
    assert not out.exists()
    return found.value


@pytest.mark.parametrize(
    ("recipe", "weights", "known", "words"),
    [
        ("niu2023", "niu2023-densitometer", Known(sex="F"), "QCT of a vertebra"),
        ("niu2023", "niu2023-densitometer", Known(density={L1: 90.0}, quantity=VBMD_HA), "K2HPO4"),
        ("fang2021", "fang2021-densitometer", Known(density={Level.T12: 90.0}), "any of L1, L2, L3, L4"),
        ("pan2024", "pan2024-classifier", Known(density={L1: 90.0}), "L1 and L2"),
        ("peng2023", "peng2023-classifier", Known(density={L1: 90.0}, quantity=VBMD_HA), "K2HPO4"),
        ("yasaka2020", "yasaka2020-reader", Known(density={L1: 90.0}), "dxa_g_cm2"),
    ],
)
def test_a_cohort_without_the_reference_begins_nothing(
    recipe: str, weights: str, known: Known, words: str, tmp_path: Path
) -> None:
    found = refused(recipe, weights, table(known, known, known), tmp_path / "out")
    assert found.code == "reference-missing"
    assert words in found.message and weights in found.message


def test_one_class_absent_begins_nothing(tmp_path: Path) -> None:
    known = [Known(density={L1: bmd, L2: bmd}) for bmd in (60.0, 150.0, 160.0, 100.0)]  # the last is not trained on
    found = refused("pan2024", "pan2024-classifier", table(*known), tmp_path / "out")
    assert found.code == "class-empty"
    assert "osteopenia" in found.message


def test_nothing_is_asked_of_virtual_patients_before_they_are_drawn() -> None:
    for given in ("virtual:3", "like:pan2024:0.01"):
        cases = read_cohort(given, judging=False).cases
        for name in ("niu2023-densitometer", "pan2024-classifier", "yasaka2020-reader"):
            task = task_for(name)
            assert task.needs is not None
            require_brought(task.needs, name, task.head, cases[:2], cases[2:])


def test_a_shard_without_the_reference_is_left_out_and_said(tmp_path: Path) -> None:
    cases = tuple(Case(name, name, Drawn(0), Known()) for name in ("with", "without"))
    task, told = task_for("niu2023-densitometer"), []
    folder = run._shards_of(task, tmp_path)
    folder.mkdir(parents=True)
    for case, rows in zip(cases, ([[20, 90.0]], []), strict=True):
        save(run.shard_path(folder, case), {"bmd": np.array(rows, np.float32).reshape(-1, 2)})
    left_out: list[run.LeftOut] = []
    paths = run._usable(task, cases, tmp_path, left_out, told.append)
    assert paths == (run.shard_path(folder, cases[0]),)
    assert [one.error.code for one in left_out] == ["reference-missing"]
    assert "without" in str(told[0])


def test_what_a_case_belongs_to_follows_what_is_judged() -> None:
    known = Known(density={L1: 70.0, L2: 100.0, L3: 200.0})  # the mean of L1 and L2 is 85
    single, mean = density_of((L1, L2)), density_of((L1, L2), together=True)
    assert single.classes is not None and single.classes(known) == {"osteoporosis", "osteopenia"}
    assert mean.classes is not None and mean.classes(known) == {"osteopenia"}
    assert not mean.known(Known(density={L1: 70.0})) and single.known(Known(density={L1: 70.0}))
    assert AREAL_BMD.known(Known(areal_bmd_g_cm2=0.9)) and not AREAL_BMD.known(known)
    assert not AREAL_BMD.shard({"abmd": np.array(np.nan)})


CLASSIFIER = Classes(tuple(category.value for category in CATEGORIES))


def test_a_classifiers_head_names_every_category() -> None:
    require_fitting(RECIPES["pan2024"], "pan2024-classifier", CLASSIFIER)
    with pytest.raises(WrongUsage, match="osteopenia") as found:
        require_fitting(RECIPES["pan2024"], "pan2024-classifier", Classes(("normal", "osteoporosis")))
    assert found.value.code == "weights-misfit"


@pytest.mark.parametrize("head", [Bins(0, 300, 31, "vbmd-ha"), Bins(0, 2, 31, "abmd"), Number(), CLASSIFIER])
def test_a_number_of_another_quantity_fits_no_recipe(head: Bins | Number | Classes) -> None:
    with pytest.raises(WrongUsage, match=r"needs Bins\(vbmd-k2hpo4\)") as found:
        require_fitting(RECIPES["niu2023"], "niu2023-densitometer", head)
    assert found.value.code == "weights-misfit"


def test_a_folder_of_weights_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    recipe = RECIPES["niu2023"]
    with pytest.raises(WrongUsage) as found:
        read_fitting(recipe, tmp_path)
    assert found.value.code == "weights-unreadable"
    entries = json.loads((FOLDER / MANIFEST).read_text())
    name = "house-segmenter"
    shutil.copy(FOLDER / f"{name}.onnx", tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps({name: entries[name]}))
    with pytest.raises(WrongUsage, match="house-segmenter is run by the recipe niu2023") as found:
        read_fitting(recipe, tmp_path)
    assert found.value.code == "weights-foreign"
    assert set(read_fitting(RECIPES["house"], tmp_path)) == {name}
    with (tmp_path / f"{name}.onnx").open("ab") as file:
        file.write(b"more")
    with pytest.raises(WrongUsage) as found:
        read_fitting(RECIPES["house"], tmp_path)
    assert found.value.code == "weights-unreadable"


def test_regions_alone_teach_a_density_and_no_outline(simulated: Path) -> None:
    (whole, _) = read_cohort(str(simulated), judging=False).cases
    files = whole.source
    assert isinstance(files, Files)
    regions = replace(whole, source=replace(files, mask_files={"trabecular": files.mask_files["trabecular"]}))
    shard = spine.KIND.of(regions)
    assert (shard["body"] == shard["trabecular"]).all()
    assert density_of().shard({**shard, "enhanced": np.array(False)})
    assert not OUTLINES.shard(shard)
    assert OUTLINES.shard(spine.KIND.of(whole))
    with pytest.raises(WrongUsage) as found:
        torso.KIND.of(regions)  # nothing stands in for the bodies that the finder learns
    assert found.value.code == "mask-missing"


@pytest.mark.parametrize("weights", [name for name in MODULES if name.endswith("segmenter")])
def test_whoever_outlines_bodies_asks_for_them(weights: str) -> None:
    assert task_for(weights).needs is OUTLINES


@pytest.mark.parametrize(("phase", "taught"), [("none", True), ("portal", False)])
def test_no_density_is_learnt_from_an_enhanced_scan(simulated: Path, phase: str, taught: bool) -> None:
    (case, _) = read_cohort(str(simulated), judging=False).cases
    case = replace(case, known=replace(case.known, groups={"contrast": phase}))
    shard = spine.KIND.of(case)
    for need in (density_of(), AREAL_BMD):
        assert need.known(case.known) is taught
        assert need.shard(shard) is taught
    assert OUTLINES.shard(shard)  # bone has the same outline
