"""Vessels and organs about a spine, and the phase that they tell."""

from typing import Any

import numpy as np
import pytest

from trabecula.flow.calibrate import vessels
from trabecula.flow.calibrate.around import surroundings
from trabecula.flow.calibrate.organs import kidney_hu, liver_hu
from trabecula.flow.calibrate.phase import RISE_HU, Phase, judge, read_organs
from trabecula.flow.calibrate.vessels import find_aorta, find_cava


def organs(scene: Any, aorta: float, cava: float, kidney: float, liver: float) -> None:
    scene.ball((-75, -30, 50), (40, 50, 75), liver)
    for side in (-1, 1):
        scene.ball((side * 58, 2, 30), (22, 22, 50), kidney)
    scene.tube(10, -34, 11, aorta)
    scene.tube(-20, -30, 10, cava)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_both_vessels_are_read_from_any_stretch_of_spine(scene: Any, count: int) -> None:
    organs(scene, 160.0, 110.0, 55.0, 55.0)
    around = surroundings(scene.volume, scene.middles(count))
    aorta = find_aorta(around)
    cava = find_cava(around, aorta)
    assert aorta is not None and aorta.hu == pytest.approx(160, abs=6)
    assert cava is not None and cava.hu == pytest.approx(110, abs=6)


def test_an_aorta_that_winds_and_is_lined_with_plaques_is_followed(scene: Any) -> None:
    winding = 12 + 10 * np.sin(np.arange(scene.shape[0]) * 4.0 / 40)
    scene.tube(winding, -36, 11, 104.0)
    for z in range(10, 60, 12):
        scene.hu[z : z + 2, 54:58, 80:86] = 900
    aorta = find_aorta(surroundings(scene.volume, scene.middles()))
    assert aorta is not None and aorta.hu == pytest.approx(104, abs=6)
    assert aorta.length_mm > 100


@pytest.mark.parametrize("aorta_hu", [42.0, 160.0, 900.0])
def test_the_brightest_level_is_that_of_a_climb_step_by_step(
    scene: Any, aorta_hu: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    organs(scene, aorta_hu, 110.0, 55.0, 55.0)
    scene.hu += np.random.default_rng(0).normal(0, 15, scene.hu.shape).astype(np.float32)
    around = surroundings(scene.volume, scene.middles())
    halved = [find_aorta(around), find_cava(around, None)]

    def climbed(levels: Any, _: bool, key: Any) -> int:
        return next((at for at, level in enumerate(levels) if key(level)), len(levels))

    monkeypatch.setattr(vessels, "bisect_left", climbed)
    for found, step_by_step in zip(halved, [find_aorta(around), find_cava(around, None)], strict=True):
        assert found is not None and step_by_step is not None
        assert (found.hu, found.length_mm) == (step_by_step.hu, step_by_step.length_mm)
        np.testing.assert_array_equal(found.path, step_by_step.path)


def test_bowel_with_contrast_before_the_spine_is_no_vessel(scene: Any) -> None:
    scene.tube(10, -34, 11, 45.0)
    scene.ball((5, -40, 20), (30, 12, 14), 350.0)
    scene.ball((-10, -42, -45), (25, 12, 12), 350.0)
    around = surroundings(scene.volume, scene.middles())
    aorta = find_aorta(around)
    assert aorta is not None and aorta.hu < 65


def test_the_liver_and_kidneys_are_read(scene: Any) -> None:
    organs(scene, 160.0, 140.0, 195.0, 112.0)
    around = surroundings(scene.volume, scene.middles())
    assert liver_hu(around) == pytest.approx(112, abs=6)
    assert kidney_hu(around) == pytest.approx(195, abs=10)


@pytest.mark.parametrize(
    ("phase", "aorta", "cava", "kidney", "liver"),
    [
        (Phase.PLAIN, 42, 42, 50, 57),
        (Phase.ARTERIAL, 290, 95, 160, 66),
        (Phase.PORTAL, 155, 150, 195, 112),
        (Phase.DELAYED, 105, 108, 160, 92),
    ],
)
def test_the_phase_is_told_from_the_image_alone(
    scene: Any, phase: Phase, aorta: float, cava: float, kidney: float, liver: float
) -> None:
    organs(scene, aorta, cava, kidney, liver)
    read = read_organs(surroundings(scene.volume, scene.middles()))
    found = judge(read, 1.0, agent=False)
    assert found.phase is phase
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.enhanced is (phase is not Phase.PLAIN)


def test_a_header_is_believed_less_than_the_blood() -> None:
    plain, enhanced = {"aorta": 44.0, "cava": 45.0}, {"aorta": 150.0, "cava": 145.0}
    assert judge(plain, 1.0, agent=True).phase is Phase.PLAIN
    assert judge(enhanced, 1.0, agent=False).phase is Phase.PORTAL


def test_with_nothing_in_view_the_header_decides_and_the_rise_is_a_mixture() -> None:
    silent, told = judge({}, 1.0, agent=False), judge({}, 1.0, agent=True)
    assert silent.phase is Phase.PLAIN and told.enhanced
    assert 0 < silent.rise_hu < told.rise_hu < RISE_HU[Phase.PORTAL]
    assert silent.rise_sd_hu > 5


def test_an_organ_misread_does_not_decide() -> None:
    organs_hu = {"aorta": 44.0, "cava": 46.0, "liver": 55.0, "kidneys": 340.0}
    assert judge(organs_hu, 1.0, agent=False).phase is Phase.PLAIN


def test_iodine_weighs_more_at_80_kvp() -> None:
    """The same medium adds 1.5 times the HU at 80 kVp, to vessels and marrow alike."""
    at_120 = judge({"aorta": 150.0, "cava": 145.0, "liver": 105.0}, 1.0, agent=True)
    at_80 = judge({"aorta": 46 + 1.5 * 104, "cava": 50 + 1.5 * 95, "liver": 54 + 1.5 * 51}, 1.5, agent=True)
    assert at_80.phase is at_120.phase is Phase.PORTAL
    assert at_80.rise_hu == pytest.approx(1.5 * at_120.rise_hu, rel=0.05)


def test_no_vessel_where_hardly_anything_is_in_view(scene: Any) -> None:
    thin = surroundings(scene.volume, scene.middles(1))
    low = thin.hu[:3]
    cut = type(thin)(low, thin.spacing_mm, thin.left_mm[:3], thin.back_mm[:3], thin.up_mm[:3], thin.middles_mm)
    assert find_aorta(cut) is None


LATE_OR_PORTAL = {"aorta": 128.0, "cava": 130.0, "kidneys": 175.0, "liver": 98.0, "spleen": 98.0}


@pytest.mark.parametrize(("delay_s", "phase"), [(70.0, Phase.PORTAL), (300.0, Phase.DELAYED)])
def test_the_injections_time_decides_between_phases_that_look_alike(delay_s: float, phase: Phase) -> None:
    found = judge(LATE_OR_PORTAL, 1.0, agent=True, delay_s=delay_s)
    assert found.phase is phase
    assert found.probabilities[phase] > judge(LATE_OR_PORTAL, 1.0, agent=True).probabilities[phase]


def test_a_time_makes_no_contrast_medium_where_the_blood_holds_none() -> None:
    """An injector that was armed and never used writes its time all the same."""
    plain = {"aorta": 44.0, "cava": 45.0, "kidneys": 40.0, "liver": 56.0}
    assert judge(plain, 1.0, agent=True, delay_s=75.0).phase is Phase.PLAIN


def test_a_wrong_time_does_not_outvote_the_organs() -> None:
    arterial = {"aorta": 300.0, "cava": 95.0, "kidneys": 165.0, "liver": 66.0, "spleen": 110.0}
    assert judge(arterial, 1.0, agent=True, delay_s=600.0).phase is Phase.ARTERIAL


def test_a_kidney_read_for_the_spleen_does_not_make_a_late_scan_portal() -> None:
    late = {"aorta": 105.0, "cava": 106.0, "kidneys": 150.0, "liver": 94.0, "spleen": 92.0}
    mistaken = {**late, "spleen": 150.0}
    shares = [judge(one, 1.0, agent=True).probabilities[Phase.DELAYED] for one in (late, mistaken)]
    assert shares[0] > 0.5 and shares[1] > shares[0] - 0.15
