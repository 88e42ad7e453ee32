"""Tissues' Hounsfield units: round trips, and the order that physics demands."""

from itertools import pairwise

import numpy as np
import pytest

from trabecula.virtual.attenuation import (
    TABLE,
    BoneScale,
    behind,
    bmd_ha_from_qct,
    qct_bmd,
    trabecular_hu,
    yellow_shift_hu,
)


@pytest.mark.parametrize("yellow", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("bmd", [0.0, 40.0, 120.0, 250.0])
def test_qct_reads_what_the_mixture_was_made_for(bmd: float, yellow: float) -> None:
    assert qct_bmd(trabecular_hu(bmd_ha_from_qct(bmd, yellow), yellow, 120)) == pytest.approx(bmd, abs=1e-9)


def test_a_mixture_by_hand() -> None:
    # 120 kVp: 0.5 * (-52.4 - 20) + 0.5 * 10.1 + 1.544 * 100
    assert trabecular_hu(100.0, 0.5, 120) == pytest.approx(123.2, abs=0.1)
    assert qct_bmd(142.57) == pytest.approx(100.0, abs=0.01)


def test_fatty_marrow_hides_mineral() -> None:
    assert trabecular_hu(100, 0.8, 120) < trabecular_hu(100, 0.2, 120)
    # QCT itself drops about 4 mg/cm3 for 10% more yellow marrow; ours by 82 HU * 0.1 / 1.422 = 5.8 mg/cm3.
    drop = qct_bmd(trabecular_hu(100, 0.5, 120)) - qct_bmd(trabecular_hu(100, 0.6, 120))
    assert 3 < drop < 7


def test_what_absorbs_by_its_electrons_falls_with_the_voltage_and_fat_rises() -> None:
    rows = [TABLE[kvp] for kvp in sorted(TABLE)]
    for low, high in pairwise(rows):
        for name in ("bone_slope_ha", "slope_k2hpo4", "iodine", "cortical"):
            assert getattr(low, name) > getattr(high, name)
        assert low.fat < high.fat < 0
        assert low.yellow_marrow < high.yellow_marrow < 0


@pytest.mark.parametrize("kvp", sorted(TABLE))
def test_bone_drawn_at_120_kvp_becomes_the_mixture_of_another_voltage(kvp: int) -> None:
    line = BoneScale.to(behind(kvp, 200.0), 0.4, -30.0)
    for bmd in (0.0, 80.0, 240.0):
        shown = line.slope * trabecular_hu(bmd, 0.4, 120, -30.0) + line.offset_hu
        assert shown == pytest.approx(trabecular_hu(bmd, 0.4, kvp, -30.0))
        assert line.hu_at_120(shown) == pytest.approx(trabecular_hu(bmd, 0.4, 120, -30.0))


def test_a_large_patient_shows_less_bone_and_iodine_and_almost_the_same_fat() -> None:
    small, large = behind(120, 160.0), behind(120, 280.0)
    for name in ("bone_slope_ha", "slope_k2hpo4", "cortical"):
        assert getattr(large, name) / getattr(small, name) == pytest.approx((280 / 160) ** -0.19, abs=0.03)
    assert 0.8 < large.iodine / small.iodine < 0.9
    assert abs(large.fat - small.fat) < 8 and abs(large.red_marrow - small.red_marrow) < 3
    assert behind(120, 200.0) == TABLE[120]


def test_bone_in_the_way_hardens_the_beam() -> None:
    free, hardened = behind(120, 200.0), behind(120, 200.0, bone_ha_g_cm2=1.0)
    assert 0.9 < hardened.bone_slope_ha / free.bone_slope_ha < 0.97
    assert hardened.red_marrow < free.red_marrow


@pytest.mark.parametrize(("kvp", "k2hpo4"), [(80, 1.906), (100, 1.596), (120, 1.422), (140, 1.308)])
def test_the_computed_slopes_are_near_those_of_phantoms(kvp: int, k2hpo4: float) -> None:
    assert TABLE[kvp].slope_k2hpo4 == pytest.approx(k2hpo4, rel=0.015)


def test_people_differ_in_their_yellow_marrow() -> None:
    shifts = [yellow_shift_hu(seed) for seed in range(400)]
    assert np.mean(shifts) == pytest.approx(-20, abs=2.5)
    assert np.std(shifts) == pytest.approx(15, abs=1.5)
    assert yellow_shift_hu(7) == shifts[7]
