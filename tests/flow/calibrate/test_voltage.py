"""HU to density, against numbers worked by hand."""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.flow.calibrate import voltage
from trabecula.flow.calibrate.voltage import VoltageCalibration, to_reference_voltage
from trabecula.quantity import VBMD_K2HPO4
from trabecula.records import Acquisition, Calibration, Regions, Scan, Spine, VertebraRegion
from trabecula.virtual import attenuation
from trabecula.volume import Grid, Orientation, Volume

SPACING_MM = (4.0, 2.0, 2.0)
HEIGHTS_MM = {Level.T12: 66.0, Level.L1: 33.0, Level.L2: 0.0, Level.L3: -33.0}


def scan_of(blood_hu: float = 40.0, kvp: float | None = 120.0, **acquired: Any) -> tuple[Scan, Regions]:
    """Soft tissue with a tube of blood before the spine, left of its middle, and four regions without a voxel."""
    grid = Grid.axial((0.0, 0.0, 0.0), (60, 80, 80), SPACING_MM)
    hu = np.full(grid.shape, 30, np.float32)
    x_mm, y_mm = (axis * 2.0 - 79.0 for axis in np.indices(grid.shape[1:])[::-1])
    hu[:, np.hypot(x_mm - 12, y_mm + 38) < 11] = blood_hu
    volume = Volume(hu, grid.affine)
    middles = tuple(VertebraRegion(level, 0.9, (0.0, 0.0, z), 9000.0) for level, z in HEIGHTS_MM.items())
    scan = Scan(volume, Orientation(), Acquisition("dicom", tube_voltage_kvp=kvp, **acquired))
    return scan, Regions(np.zeros(volume.shape, np.uint8), middles)


def calibrated(*given: Any, **acquired: Any) -> Calibration:
    scan, regions = scan_of(*given, **acquired)
    return VoltageCalibration()(scan, Spine((), 40.0), regions)


def by_voltage(kvp: float | None) -> Calibration:
    return calibrated(kvp=kvp)


@pytest.mark.parametrize(
    ("kvp", "hu", "bmd_mg_cm3"),
    [(80, 190.6, 100), (100, 127.68, 80), (120, 170.64, 120), (140, 261.6, 200), (120, -14.22, -10), (120, 0, 0)],
)
def test_density_by_hand(kvp: float, hu: float, bmd_mg_cm3: float) -> None:
    line = by_voltage(kvp)
    assert line.density(hu) == pytest.approx(bmd_mg_cm3, abs=1e-6)
    assert (str(line.rung), line.quantity) == ("tube-voltage default", VBMD_K2HPO4)
    assert line.facts["tube_voltage_kvp"] == kvp


def test_between_two_voltages_the_slope_lies_midway() -> None:
    assert by_voltage(110).slope_hu_cm3_mg == pytest.approx((1.596 + 1.422) / 2)


def test_an_unknown_voltage_is_taken_for_120_and_says_so() -> None:
    assert by_voltage(None).slope_hu_cm3_mg == by_voltage(120).slope_hu_cm3_mg
    assert str(by_voltage(None).rung) == "120 kVp assumed"


@pytest.mark.parametrize("kvp", [80, 95, 100, 120, 133, 140])
def test_bone_is_brought_to_120_kvp(kvp: float) -> None:
    hu = 150 * by_voltage(kvp).slope_hu_cm3_mg
    assert by_voltage(120).density(hu * by_voltage(kvp).hu_factor) == pytest.approx(150, abs=0.05)
    assert (to_reference_voltage(kvp) < 1) == (kvp < 120)


def test_no_correction_where_the_voltage_is_not_known() -> None:
    assert to_reference_voltage(None) == by_voltage(None).hu_factor == 1.0


@pytest.mark.parametrize("kvp", list(attenuation.TABLE))
def test_the_virtual_scanner_and_the_calibration_agree_within_5_hu(kvp: int) -> None:
    for bmd in (0.0, 80.0, 120.0, 200.0):
        virtual_hu = attenuation.TABLE[kvp].slope_k2hpo4 * bmd
        line = by_voltage(kvp)
        assert virtual_hu == pytest.approx(line.slope_hu_cm3_mg * bmd + line.offset_hu, abs=5)


def test_neither_is_made_from_the_other() -> None:
    for module, other in ((voltage, "virtual"), (attenuation, "calibrat")):
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


def test_unenhanced_blood_adds_nothing() -> None:
    plain = calibrated(40.0)
    assert (plain.contrast_rise, plain.reasons) == (0.0, ())
    assert plain.facts["blood_hu"] == pytest.approx(40, abs=3)


@pytest.mark.parametrize(
    ("blood_hu", "agent", "says"),
    [(140.0, None, "blood"), (140.0, "Iohexol", "blood"), (40.0, "Iohexol", "header")],
)
def test_contrast_medium_is_seen_in_the_blood_or_the_header(blood_hu: float, agent: str | None, says: str) -> None:
    enhanced = calibrated(blood_hu, contrast_agent=agent)
    (doubt,) = enhanced.reasons
    assert doubt.phrase is not None and doubt.phrase.key == f"contrast-medium.{says}"
    assert enhanced.contrast_rise == pytest.approx(26.7 / 1.422)
    assert enhanced.density(142.2) == calibrated(40.0).density(142.2)  # said, not taken off


def test_without_regions_the_header_alone_tells() -> None:
    scan, _ = scan_of(140.0)
    unseen = VoltageCalibration()(scan, Spine((), 40.0), None)
    assert (unseen.contrast_rise, unseen.facts["blood_hu"]) == (0.0, None)
    told, _ = scan_of(140.0, contrast_agent="Iohexol")
    assert [one.code for one in VoltageCalibration()(told, Spine((), 40.0), None).reasons] == ["contrast-medium"]
