"""The recipe holds the paper's numbers, and screens a virtual CT whose truth is known."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.errors import Defect, WrongUsage
from trabecula.line import screen
from trabecula.messages import Phrase
from trabecula.quantity import Category, Measurement
from trabecula.recipes import DEFAULT, RECIPES, recipe_named
from trabecula.recipes.exclusions import EXCLUSIONS, WHOLE_IMAGES
from trabecula.recipes.niu2023 import NIU2023, NIU2023_FIXED_CROP, PAPER
from trabecula.records import (
    Acquisition,
    Assessment,
    Calibration,
    Readings,
    Regions,
    Scan,
    Spine,
    VertebraReading,
)
from trabecula.records.codec import decode, to_json
from trabecula.view import Bins
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.subject import sample_subject
from trabecula.volume import Orientation
from trabecula.weights import weights_named

LEVELS = (Level.T12, Level.L1, Level.L2)
CROP = weights_named("niu2023-segmenter").view
DENSITY = weights_named("niu2023-densitometer").view

# Generous: what no trained network may miss, not what a good one reaches.
CENTROID_MM, DICE, HU, BMD_MG_CM3 = 8.0, 0.7, 20.0, 25.0


def test_the_settings_of_the_paper() -> None:
    assert PAPER["crop_voxels_xyz"] == (150, 220, 120)
    assert (PAPER["crop_columns"], PAPER["crop_rows"]) == ((180, 330), (200, 420))
    assert PAPER["crop_slices_beyond_vertebrae"] == 5
    assert PAPER["window_level_width_hu"] == (0, 400)
    assert PAPER["densenet"] == {"growth": 32, "compression": 0.5, "blocks": (6, 12, 24, 16)}
    assert PAPER["focal_loss_alpha_gamma"] == (0.6, 2.0)
    assert "3e-5" in str(PAPER["optimiser"])
    assert "16/33" in str(PAPER["optimiser"])
    assert PAPER["bands_mg_cm3"] == (80, 120)


def test_what_is_kept_of_them() -> None:
    assert NIU2023.levels == LEVELS
    assert CROP.window_hu == PAPER["window_level_width_hu"]
    # The field of the paper's crop: 105 x 154 x 150 mm.
    assert (CROP.size_mm >= np.array([150, 154, 105]) * 0.75).all()
    # AnatomyNet halves once, DenseNet five times.
    assert all(side % 2 == 0 for side in CROP.shape)
    assert all(side >= 32 for side in DENSITY.shape)
    # One vertebra fits into what the density network sees.
    assert (DENSITY.size_mm >= (40, 45, 60)).all()


def test_the_window_of_the_density_network_clips_no_trabecular_bone() -> None:
    level, width = DENSITY.window_hu
    assert level - width / 2 <= -150  # fatty marrow of the old
    assert level + width / 2 >= 1.906 * 300  # the last bin at 80 kVp
    bins = weights_named("niu2023-densitometer").head
    assert isinstance(bins, Bins)
    assert bins.first <= 20 and bins.last >= 250


def test_recipes_are_found_by_their_names() -> None:
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe_named(name) is recipe
    assert recipe_named(None) is RECIPES[DEFAULT]
    assert "10.21037/qims-22-1438" in NIU2023.source
    with pytest.raises(WrongUsage, match="niu2023") as refused:
        recipe_named("nobody")
    assert refused.value.code == "unknown-recipe"


def test_every_recipe_excludes_by_the_same_checks() -> None:
    assert {recipe.exclude for recipe in RECIPES.values() if recipe.segment is not None} == {EXCLUSIONS}
    # Who outlines nothing has no region to be checked; gaps and metal are.
    assert {recipe.exclude for recipe in RECIPES.values() if recipe.segment is None} == {WHOLE_IMAGES}


def test_the_papers_crop_is_a_recipe_that_the_run_record_tells() -> None:
    assert NIU2023.settings["segment"]["crop"] == "spine"
    assert NIU2023_FIXED_CROP.settings["segment"]["crop"] == "paper"
    assert NIU2023_FIXED_CROP.settings["paper"] == PAPER
    assert replace(NIU2023_FIXED_CROP, name="niu2023", segment=NIU2023.segment) == NIU2023


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_record_tells_every_stage_with_its_settings(name: str) -> None:
    recipe = RECIPES[name]
    settings = json.loads(json.dumps(recipe.settings))
    kinds = {stage: type(made).__name__ for stage, made in recipe.stages.items()}
    assert {stage: settings[stage]["kind"] for stage in kinds} == kinds
    checks = recipe.exclude.checks  # type: ignore[attr-defined]
    assert [one["kind"] for one in settings["exclude"]["checks"]] == [type(check).__name__ for check in checks]
    told = json.dumps(settings)
    assert all(f'"{name}"' in told for name in recipe.weights)


def test_weights_and_levels_are_read_off_the_stages() -> None:
    assert NIU2023.weights == ("niu2023-localiser", "niu2023-segmenter", "niu2023-densitometer")
    whole_images = replace(NIU2023, segment=None, measure=WholeImages(LEVELS, "niu2023-densitometer"))
    assert whole_images.weights == ("niu2023-localiser", "niu2023-densitometer")
    assert whole_images.levels == LEVELS
    assert "segment" not in whole_images.stages


@dataclass(frozen=True)
class WholeImages:
    """A stage that looks at whole images: it has the levels that a segmenter has elsewhere."""

    levels: tuple[Level, ...]
    weights: str

    def __call__(self, scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
        assert regions is None
        at = tuple(
            VertebraReading(one.level, (0.0, 0.0, 0.0), 12000.0, 140.0, 40.0, Measurement(100.0, (80.0, 120.0)))
            for one in spine.vertebrae
            if one.level in self.levels
        )
        return Readings(at, Phrase("nothing"))


@pytest.fixture(scope="module")
def ct() -> VirtualCt:
    """A person of 110 mg/cm3 from T10 to L4 in 5 mm slices."""
    protocol = Protocol(pixel_mm=0.9, thickness_mm=5.0, increment_mm=5.0, noise_hu=10.0)
    return scan_patient(sample_subject(900_104, 110.0), protocol, Level.T10, Level.L4)


@pytest.fixture(scope="module")
def scan(ct: VirtualCt) -> Scan:
    return Scan(ct.volume, Orientation(), Acquisition("nifti", tube_voltage_kvp=120.0, slice_thickness_mm=5.0))


@pytest.fixture(scope="module")
def assessment(scan: Scan) -> Assessment:
    stages: list[str] = []
    result = screen(scan, NIU2023, stages.append)
    assert stages == ["localise", "segment", "calibrate", "measure", "exclude", "diagnose"]
    return result


@pytest.fixture(scope="module")
def spine(assessment: Assessment) -> Spine:
    return assessment.spine


@pytest.fixture(scope="module")
def regions(assessment: Assessment) -> Regions:
    assert assessment.regions is not None
    return assessment.regions


@pytest.mark.parametrize("level", LEVELS)
def test_a_vertebra_is_found_and_rightly_named(ct: VirtualCt, spine: Spine, level: Level) -> None:
    box = spine.find(level)
    assert box is not None
    x, y, z = ct.subject.vertebra(level).centre_lps_mm
    middle = ct.volume.to_lps(np.array([box.centre_zx[0], spine.body_y, box.centre_zx[1]]))
    np.testing.assert_allclose(middle[[0, 2]], (x, z), atol=CENTROID_MM)
    assert middle[1] == pytest.approx(y, abs=20)  # the crop is 168 mm deep
    assert 0 < box.confidence <= 1


def test_vertebrae_are_told_cranial_first(spine: Spine) -> None:
    heights = [box.centre_zx[0] for box in spine.vertebrae]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("level", LEVELS)
def test_its_trabecular_bone_is_found(ct: VirtualCt, regions: Regions, level: Level) -> None:
    found, truth = regions.labels == level.verse_id, ct.trabecular == level.verse_id
    (region,) = (v for v in regions.vertebrae if v.level is level)
    assert np.linalg.norm(np.subtract(region.centroid_lps_mm, ct.subject.vertebra(level).centre_lps_mm)) < CENTROID_MM
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > DICE
    assert ct.volume.hu[found].mean() == pytest.approx(float(ct.volume.hu[truth].mean()), abs=HU)
    assert region.reasons == ()


def test_nothing_but_the_wanted_levels_is_labelled(regions: Regions) -> None:
    assert set(np.unique(regions.labels)) <= {0, *(level.verse_id for level in LEVELS)}
    assert regions.labels.dtype == np.uint8


def test_the_whole_chain_gives_a_density_near_the_truth(ct: VirtualCt, assessment: Assessment) -> None:
    for level in LEVELS:
        vertebra = assessment.readings.find(level)
        assert vertebra is not None and vertebra.density is not None
        assert vertebra.density.value == pytest.approx(ct.bmd[level], abs=BMD_MG_CM3)
        plain_mean = float(ct.volume.hu[assessment.labels == level.verse_id].mean())
        assert vertebra.mean_hu == pytest.approx(plain_mean, abs=0.01)
    truth = (ct.bmd[Level.L1] + ct.bmd[Level.L2]) / 2
    assert assessment.diagnosis.density is not None
    assert assessment.diagnosis.density.value == pytest.approx(truth, abs=BMD_MG_CM3)
    assert assessment.diagnosis.levels_used == (Level.L1, Level.L2)


def test_the_run_record_says_what_ran(assessment: Assessment) -> None:
    run = assessment.run
    assert run["recipe"] == assessment.recipe == "niu2023"
    assert run["weights_sha256"] == {name: weights_named(name).sha256 for name in NIU2023.weights}
    assert set(run["seconds"]) == {"localise", "segment", "calibrate", "measure", "exclude", "diagnose"}
    assert all(seconds >= 0 for seconds in run["seconds"].values())
    assert run["settings"] == NIU2023.settings


def test_an_assessment_comes_back_from_its_json(assessment: Assessment) -> None:
    text = to_json(assessment)
    back = decode(json.loads(text))
    assert to_json(back) == text
    assert back.diagnosis.category is assessment.diagnosis.category
    assert sum(back.diagnosis.probabilities.values()) == pytest.approx(1, abs=1e-3)
    for kept, measured in zip(back.readings.vertebrae, assessment.readings.vertebrae, strict=True):
        assert kept.density == measured.density
        assert kept.centroid_lps_mm == pytest.approx(measured.centroid_lps_mm, abs=0.01)
        assert kept.reasons == measured.reasons


def test_a_system_that_looks_at_whole_images_is_screened_without_a_segmenter(scan: Scan, spine: Spine) -> None:
    recipe = replace(NIU2023, localise=lambda scan: spine, segment=None, measure=WholeImages(LEVELS, "nobody"))
    stages: list[str] = []
    with pytest.raises(Defect, match="nobody"):  # whose weights are not shipped
        screen(scan, recipe, stages.append)
    assert stages == ["localise", "calibrate", "measure", "exclude", "diagnose"]
    shipped = replace(recipe, measure=WholeImages(LEVELS, "niu2023-densitometer"))
    found = screen(scan, shipped)
    assert (found.regions, found.diagnosis.category) == (None, Category.OSTEOPENIA)
    assert list(found.run["weights_sha256"]) == ["niu2023-densitometer"]
