"""HU to density, against numbers worked by hand."""

import ast
from pathlib import Path

import pytest

import trabecula.calibration as calibration
from trabecula.calibration import by_voltage, to_reference_voltage
from trabecula.virtual import attenuation


@pytest.mark.parametrize(
    ("kvp", "hu", "bmd_mg_cm3"),
    [(80, 190.6, 100), (100, 127.68, 80), (120, 170.64, 120), (140, 261.6, 200), (120, -14.22, -10), (120, 0, 0)],
)
def test_density_by_hand(kvp: float, hu: float, bmd_mg_cm3: float) -> None:
    line = by_voltage(kvp)
    assert line.bmd_mg_cm3(hu) == pytest.approx(bmd_mg_cm3, abs=1e-6)
    assert (str(line.rung), line.material) == ("tube-voltage default", "K2HPO4")


def test_between_two_voltages_the_slope_lies_midway() -> None:
    assert by_voltage(110).slope_hu_cm3_mg == pytest.approx((1.596 + 1.422) / 2)


def test_an_unknown_voltage_is_taken_for_120_and_says_so() -> None:
    assert by_voltage(None).slope_hu_cm3_mg == by_voltage(120).slope_hu_cm3_mg
    assert str(by_voltage(None).rung) == "120 kVp assumed"


@pytest.mark.parametrize("kvp", [80, 95, 100, 120, 133, 140])
def test_bone_is_brought_to_120_kvp(kvp: float) -> None:
    hu = 150 * by_voltage(kvp).slope_hu_cm3_mg
    assert by_voltage(120).bmd_mg_cm3(hu * to_reference_voltage(kvp)) == pytest.approx(150)
    assert (to_reference_voltage(kvp) < 1) == (kvp < 120)


def test_no_correction_where_the_voltage_is_not_known() -> None:
    assert to_reference_voltage(None) == 1.0


@pytest.mark.parametrize("kvp", list(attenuation.TABLE))
def test_the_virtual_scanner_and_the_calibration_agree_within_5_hu(kvp: int) -> None:
    for bmd in (0.0, 80.0, 120.0, 200.0):
        virtual_hu = attenuation.TABLE[kvp].slope_k2hpo4 * bmd
        line = by_voltage(kvp)
        assert virtual_hu == pytest.approx(line.slope_hu_cm3_mg * bmd + line.offset_hu, abs=5)


def test_neither_is_made_from_the_other() -> None:
    for module, other in ((calibration, "virtual"), (attenuation, "calibration")):
        tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
        imported = [
            name
            for node in ast.walk(tree)
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
        ]
        assert not [name for name in imported if other in name]
