"""What every recipe keeps to, whoever wrote it: named, whole, honest in its run record, careful without a spine."""

import json
import pickle
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.errors import Refusal
from trabecula.quantity import Category
from trabecula.recipe import Recipe
from trabecula.recipes import DEFAULT, RECIPES, recipe_named
from trabecula.recipes.listing import LISTING, listing
from trabecula.records import Assessment
from trabecula.records.codec import decode, encode, plain
from trabecula.screening import STAGES, screen_to_folder
from trabecula.virtual.cohort import VirtualCt
from trabecula.weights import catalogue, weights_named

ROOT = Path(__file__).resolve().parents[2]
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())


@every_recipe
def test_it_is_found_by_its_name_and_says_what_it_follows(recipe: Recipe) -> None:
    assert recipe_named(recipe.name) is recipe
    assert recipe.source.strip() and recipe.name == recipe.name.strip().lower()
    assert recipe_named(None) is RECIPES[DEFAULT]


@every_recipe
def test_its_weights_are_shipped_and_whole(recipe: Recipe) -> None:
    assert recipe.weights and set(recipe.weights) <= set(catalogue())
    for name in recipe.weights:
        assert weights_named(name).content()


@every_recipe
def test_it_names_levels_that_there_are(recipe: Recipe) -> None:
    assert recipe.levels and all(isinstance(level, Level) and level.is_named for level in recipe.levels)


@every_recipe
def test_its_stages_are_frozen_and_go_to_other_processes(recipe: Recipe) -> None:
    assert all(is_dataclass(stage) and stage.__dataclass_params__.frozen for stage in recipe.stages.values())
    assert pickle.loads(pickle.dumps(recipe)) == recipe


@every_recipe
def test_its_settings_hold_every_field_of_every_stage(recipe: Recipe) -> None:
    settings = json.loads(json.dumps(plain(recipe.settings), allow_nan=False))
    for name, stage in recipe.stages.items():
        assert settings[name]["kind"] == type(stage).__name__
        assert {one.name for one in fields(stage)} < set(settings[name])


def test_they_are_listed_without_anything_heavy() -> None:
    program = (
        "import sys, runpy; sys.argv = ['trabecula', 'recipes']\n"
        "try: runpy.run_module('trabecula.serving.cli', run_name='trabecula.serving.cli')['main']()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "print('loaded', *{name.partition('.')[0] for name in sys.modules})"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *listed, loaded = ran.stdout.splitlines()
    assert [line.split()[0] for line in listed if line and not line.startswith(" ")] == list(RECIPES)
    assert [line for line in listed if line.endswith("(default)")] == [f"{DEFAULT} (default)"]
    assert not {"torch", "numpy", "scipy", "openvino", "highdicom", "matplotlib"} & set(loaded.split())


def test_their_list_is_what_they_say() -> None:
    assert json.loads(LISTING.read_text(encoding="utf-8")) == listing(), "run python tools/recipes.py"


@every_recipe
def test_every_figure_stands_in_the_document_it_names(recipe: Recipe) -> None:
    listed = next(one for one in listing() if one["recipe"] == recipe.name)
    for figure in (*listed["simulated"], *listed["real"]):
        text = " ".join((ROOT / figure["where"]).read_text(encoding="utf-8").split())
        assert figure["value"] in text, figure


@pytest.fixture(scope="module", params=RECIPES.values(), ids=RECIPES.keys())
def screened(
    request: pytest.FixtureRequest, virtual_nifti: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Recipe, Assessment, Path]:
    """A virtual patient screened with each recipe, as the command line does it."""
    recipe: Recipe = request.param
    assessment, page = screen_to_folder(virtual_nifti, tmp_path_factory.mktemp("out") / "result", recipe)
    return recipe, assessment, page


@pytest.mark.slow
def test_a_virtual_patient_gets_a_result(screened: tuple[Recipe, Assessment, Path], virtual: VirtualCt) -> None:
    recipe, assessment, page = screened
    told = json.loads((page.parent / "assessment.json").read_text(encoding="utf-8"))
    assert (told["schema"], told["recipe"]) == ("trabecula.assessment/1", recipe.name)
    assert told["diagnosis"]["category"] in [category.value for category in Category]
    named = [Level(one["level"]) for one in told["vertebrae"] if Level(one["level"]).is_named]
    assert set(named) <= set(recipe.levels)
    assert page.stat().st_size > 10_000
    for one in assessment.readings.vertebrae:
        joint = assessment.readings.joint  # of an image that it shares, a vertebra may have no answer of its own
        shared = joint is not None and one.level in joint.levels
        assert one.withheld == (one.density is None and one.probabilities is None and not shared)
        if one.density is not None:
            low, high = one.density.interval
            assert low <= one.density.value <= high
    # A crop at fixed columns misses a spine that lies elsewhere: then it says so, and tells no category.
    found = {level for level in virtual.bmd if level in recipe.levels} & set(named)
    assert found or not assessment.diagnosis.determined


@pytest.mark.slow
def test_its_run_record_says_what_was_done(screened: tuple[Recipe, Assessment, Path]) -> None:
    recipe, _, page = screened
    run = json.loads((page.parent / "assessment.json").read_text(encoding="utf-8"))["run"]
    assert run["settings"] == json.loads(json.dumps(plain(recipe.settings)))
    assert run["weights_sha256"] == {name: weights_named(name).sha256 for name in recipe.weights}
    stages = [stage for stage in STAGES if stage in ("read", "report") or stage in recipe.stages]
    assert list(run["seconds"]) == stages
    assert sorted(run["files"]) == sorted(
        path.relative_to(page.parent).as_posix() for path in page.parent.rglob("*") if path.is_file()
    )


@pytest.mark.slow
def test_its_result_comes_back_from_json(screened: tuple[Recipe, Assessment, Path]) -> None:
    _, assessment, _ = screened
    told = encode(assessment)
    assert encode(decode(json.loads(json.dumps(told)))) == told


@pytest.mark.slow
@every_recipe
def test_where_there_is_no_spine_there_is_no_category(recipe: Recipe, tmp_path: Path, water_nifti: Path) -> None:
    try:
        assessment, _ = screen_to_folder(water_nifti, tmp_path / "out", recipe)
    except Refusal as refused:
        assert refused.code and refused.line("zh").isprintable()
    else:
        assert not assessment.diagnosis.determined


@pytest.fixture(scope="module")
def water_nifti(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cylinder of water in air, 240 mm long: a phantom that nobody should be told the density of."""
    import nibabel as nib

    x, y, z = np.ogrid[:96, :96, :80]
    noise = np.random.default_rng(0).normal(0, 15, (96, 96, 80))
    hu = np.where((x - 48) ** 2 + (y - 48) ** 2 < 40**2, 0, -1000) + 0 * z + noise
    path = tmp_path_factory.mktemp("water") / "water.nii.gz"
    nib.save(nib.Nifti1Image(hu.astype(np.int16), np.diag([3.0, 3.0, 3.0, 1.0])), path)
    return path
