"""The default recipe on a virtual CT whose truth is known and on real CTs whose levels were marked by hand."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from trabecula.anatomy import MEASURED_LEVELS, Level
from trabecula.flow.find import WINDOW_SLICES
from trabecula.flow.read import read
from trabecula.recipes import DEFAULT, RECIPES
from trabecula.recipes.house import FINDER, PATCH, house
from trabecula.records import Acquisition, Assessment, Scan
from trabecula.screen import screen
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.subject import sample_subject
from trabecula.volume import Orientation

# Generous: what no trained network may miss, not what a good one reaches.
CENTROID_MM, DICE, HU, BMD_MG_CM3 = 6.0, 0.8, 15.0, 25.0
IN_VIEW = (Level.T11, Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)


def test_it_is_the_default() -> None:
    assert DEFAULT == "house"
    assert RECIPES[DEFAULT]().name == "house"
    assert house().settings["levels"] == list(MEASURED_LEVELS)


def test_the_networks_fit_their_inputs() -> None:
    assert FINDER.columns % 32 == 0 and WINDOW_SLICES % 64 == 0
    assert all(side % 8 == 0 for side in PATCH.shape)
    # The largest L5, 60 x 45 x 35 mm and tilted, fits.
    assert (np.array(PATCH.shape) * PATCH.spacing_mm >= (60, 60, 75)).all()


@pytest.fixture(scope="module")
def ct() -> VirtualCt:
    """A person of 110 mg/cm3 from T9 to the sacrum in 3 mm slices."""
    protocol = Protocol(pixel_mm=0.9, thickness_mm=3.0, increment_mm=3.0, noise_hu=10.0)
    return scan_patient(sample_subject(900_104, 110.0), protocol, Level.T9, Level.S1)


@pytest.fixture(scope="module")
def assessment(ct: VirtualCt) -> Assessment:
    return screen(Scan(ct.volume, Orientation(), Acquisition("nifti", tube_voltage_kvp=120.0)), house())


def test_every_level_in_view_is_named_and_has_its_middle(ct: VirtualCt, assessment: Assessment) -> None:
    for level in IN_VIEW:
        box = assessment.spine.find(level)
        assert box is not None, level
        middle = ct.volume.to_lps(assessment.spine.middle(box))
        assert np.linalg.norm(middle - ct.subject.vertebra(level).centre_lps_mm) < 10
    heights = [box.centre_zx[0] for box in assessment.spine.vertebrae]
    assert heights == sorted(heights, reverse=True)
    assert assessment.spine.reasons == ()


@pytest.mark.parametrize("level", IN_VIEW)
def test_its_trabecular_bone_is_outlined_and_measured(ct: VirtualCt, assessment: Assessment, level: Level) -> None:
    found, truth = assessment.regions.labels == level.verse_id, ct.trabecular == level.verse_id
    density = assessment.densities.find(level)
    assert density is not None
    assert np.linalg.norm(np.subtract(density.centroid_lps_mm, ct.subject.vertebra(level).centre_lps_mm)) < CENTROID_MM
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > DICE
    assert density.mean_hu == pytest.approx(float(ct.volume.hu[truth].mean()), abs=HU)
    assert density.bmd_mg_cm3 == pytest.approx(ct.bmd[level], abs=BMD_MG_CM3)


def test_nothing_else_is_labelled(assessment: Assessment) -> None:
    assert set(np.unique(assessment.regions.labels)) == {0, *(level.verse_id for level in IN_VIEW)}


def test_real_cts_are_named_as_a_reader_named_them() -> None:
    folder = os.environ.get("TRABECULA_REAL_CT")
    if not folder:
        pytest.skip("TRABECULA_REAL_CT does not name the folder of real CTs")
    cases = json.loads((Path(folder) / "reference.json").read_text())["cases"]
    judged = {name: case for name, case in cases.items() if case.get("expect", "result") == "result"}
    assert judged
    for name, case in judged.items():
        scan = read(Path(folder) / case["path"])
        regions = house().segment(scan, house().localise(scan))
        found = {v.level.value: v.centroid_lps_mm for v in regions.vertebrae}
        for level in case["judge"]:
            assert level in found, (name, level, list(found))
            off_mm = np.linalg.norm(np.subtract(found[level], case["levels"][level]["centroid_lps_mm"]))
            assert off_mm < 8, (name, level, off_mm)
