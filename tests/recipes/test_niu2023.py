"""The recipe holds the paper's numbers, and screens a virtual CT whose truth is known."""

import json
from pathlib import Path

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.flow.document import AssessmentDocument
from trabecula.flow.report import report
from trabecula.recipes import DEFAULT, RECIPES
from trabecula.recipes.niu2023 import CROP, DENSITY, LEVELS, PAPER, TRAINING, niu2023
from trabecula.records import Acquisition, Assessment, Regions, Scan, Spine
from trabecula.screen import screen
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.subject import sample_subject
from trabecula.volume import Orientation

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
    assert LEVELS == (Level.T12, Level.L1, Level.L2)
    assert CROP.window_hu == PAPER["window_level_width_hu"]
    assert TRAINING["focal_loss_alpha_gamma"] == PAPER["focal_loss_alpha_gamma"]
    # The field of the paper's crop: 105 x 154 x 150 mm.
    field_mm = np.array(CROP.shape) * CROP.spacing_mm
    assert (field_mm >= np.array([150, 154, 105]) * 0.75).all()
    # AnatomyNet halves once, DenseNet five times.
    assert all(side % 2 == 0 for side in CROP.shape)
    assert all(side >= 32 for side in DENSITY.shape)
    # One vertebra fits into what the density network sees.
    assert (np.array(DENSITY.shape) * DENSITY.spacing_mm >= (40, 45, 60)).all()


def test_the_window_of_the_density_network_clips_no_trabecular_bone() -> None:
    level, width = DENSITY.window_hu
    assert level - width / 2 <= -150  # fatty marrow of the old
    assert level + width / 2 >= 1.906 * 300  # the last bin at 80 kVp
    assert DENSITY.bins_mg_cm3[0] <= 20
    assert DENSITY.bins_mg_cm3[1] >= 250


def test_recipes_are_found_by_their_names() -> None:
    assert DEFAULT in RECIPES
    for name, make in RECIPES.items():
        assert make().name == name
    assert "10.21037/qims-22-1438" in niu2023().source


def test_the_papers_crop_is_an_option_that_the_run_record_tells() -> None:
    assert niu2023().settings["crop_centre"] == "spine"
    paper = niu2023(centre="paper")
    assert paper.settings["crop_centre"] == "paper"
    assert paper.segment.keywords["crop"].centre == "paper"  # type: ignore[attr-defined]
    json.dumps(paper.settings)


@pytest.fixture(scope="module")
def ct() -> VirtualCt:
    """A person of 110 mg/cm3 from T10 to L4 in 5 mm slices."""
    protocol = Protocol(pixel_mm=0.9, thickness_mm=5.0, increment_mm=5.0, noise_hu=10.0)
    return scan_patient(sample_subject(900_104, 110.0), protocol, Level.T10, Level.L4)


@pytest.fixture(scope="module")
def scan(ct: VirtualCt) -> Scan:
    return Scan(ct.volume, Orientation(), Acquisition("nifti", tube_voltage_kvp=120.0, slice_thickness_mm=5.0))


@pytest.fixture(scope="module")
def spine(scan: Scan) -> Spine:
    return niu2023().localise(scan)


@pytest.fixture(scope="module")
def regions(scan: Scan, spine: Spine) -> Regions:
    return niu2023().segment(scan, spine)


@pytest.fixture(scope="module")
def assessment(scan: Scan) -> Assessment:
    stages: list[str] = []
    result = screen(scan, niu2023(), stages.append)
    assert stages == ["localise", "segment", "measure", "diagnose"]
    return result


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
        vertebra = assessment.densities.find(level)
        assert vertebra is not None
        assert vertebra.bmd_mg_cm3 == pytest.approx(ct.bmd[level], abs=BMD_MG_CM3)
        assert vertebra.mean_hu == pytest.approx(
            float(ct.volume.hu[assessment.regions.labels == level.verse_id].mean()), abs=0.01
        )
    truth = (ct.bmd[Level.L1] + ct.bmd[Level.L2]) / 2
    assert assessment.diagnosis.bmd_mg_cm3 == pytest.approx(truth, abs=BMD_MG_CM3)
    assert assessment.diagnosis.levels_used == (Level.L1, Level.L2)


def test_the_run_record_says_what_ran(assessment: Assessment) -> None:
    run = assessment.run
    assert run["recipe"] == assessment.recipe == "niu2023"
    assert set(run["weights_sha256"]) == {"niu2023-localiser", "niu2023-segmenter", "niu2023-densitometer"}
    assert all(len(sha) == 64 for sha in run["weights_sha256"].values())
    assert set(run["seconds"]) == {"localise", "segment", "measure", "diagnose"}
    assert all(seconds >= 0 for seconds in run["seconds"].values())


def test_an_assessment_comes_back_from_its_json(assessment: Assessment, tmp_path: Path) -> None:
    report(assessment, tmp_path / "out")
    text = (tmp_path / "out" / "assessment.json").read_text(encoding="utf-8")
    back = AssessmentDocument.model_validate_json(text)
    assert json.loads(back.to_json()) == json.loads(text)
    assert [v.level for v in back.vertebrae] == [str(v.level) for v in assessment.densities.vertebrae]
    for written, measured in zip(back.vertebrae, assessment.densities.vertebrae, strict=True):
        assert written.bmd_mg_cm3 == pytest.approx(measured.bmd_mg_cm3, abs=0.01)
        assert written.centroid_lps_mm == pytest.approx(measured.centroid_lps_mm, abs=0.01)
        assert [(r.code, r.message) for r in written.reasons] == [(r.code, r.message) for r in measured.reasons]
    assert back.diagnosis.category == assessment.diagnosis.category
    assert sum(back.diagnosis.probabilities.values()) == pytest.approx(1, abs=1e-3)
    assert back.run["weights_sha256"] == assessment.run["weights_sha256"]
