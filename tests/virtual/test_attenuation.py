"""Tissues' Hounsfield units: round trips, and the order that physics demands."""

from itertools import pairwise

import pytest

from trabecula.virtual.attenuation import TABLE, bmd_ha_from_qct, qct_bmd, trabecular_hu


@pytest.mark.parametrize("yellow", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("bmd", [0.0, 40.0, 120.0, 250.0])
def test_qct_reads_what_the_mixture_was_made_for(bmd: float, yellow: float) -> None:
    assert qct_bmd(trabecular_hu(bmd_ha_from_qct(bmd, yellow), yellow, 120)) == pytest.approx(bmd, abs=1e-9)


def test_a_mixture_by_hand() -> None:
    # 120 kVp: 0.5 * (-52 - 20) + 0.5 * 10 + 1.54 * 100
    assert trabecular_hu(100.0, 0.5, 120) == pytest.approx(123.0)
    assert qct_bmd(142.2) == pytest.approx(100.0)


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
