"""From a scan of a phantom alone to a patient's calibration, through the door and the command line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from trabecula.errors import Refusal, WrongUsage
from trabecula.recipes import recipe_named
from trabecula.screening import calibrate_scanner, with_phantoms
from trabecula.serving.cli import app
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Grid, Volume

RODS = ((-51.83, 1012.25), (-53.40, 1056.95), (58.88, 1103.57), (157.05, 1119.52), (375.83, 923.20))
HEADER = StudyHeader(sex="O", age_years=0, slice_thickness_mm=4.0)


def certificate(folder: Path) -> Path:
    text = "".join(f"[[rods]]\nk2hpo4_mg_cm3 = {k}\nwater_mg_cm3 = {w}\n" for k, w in RODS)
    path = folder / "model3.toml"
    path.write_text(f'name = "Model 3"\nserial = "0"\n{text}', encoding="utf-8")
    return path


def phantom_scan(folder: Path, slope: float = 1.38, with_rods: bool = True, name: str = "scan") -> Path:
    """A torso of water on a pad with five rods, as DICOM."""
    grid = Grid.axial((0.0, 0.0, 0.0), (24, 150, 170), (4.0, 2.0, 2.0))
    _, y, x = np.indices(grid.shape)
    back, left = (y - 60.0) * 2, (x - 84.5) * 2
    hu = np.full(grid.shape, -1000, np.float32)
    hu[(left / 120) ** 2 + (back / 80) ** 2 < 1] = 0
    hu[(np.abs(back - 100) < 15) & (np.abs(left) < 100)] = 15
    for n, (mineral, water) in enumerate(RODS if with_rods else ()):
        rod = np.hypot(back - 100, left - 34 * (n - 2)) < 9
        hu[rod] = water + (slope + 0.2174) * mineral + 2.0 - 999.6
    hu += np.random.default_rng(0).normal(0, 6, grid.shape).astype(np.float32)
    write_dicom(Volume(hu, grid.affine), folder / name, seed=int(slope * 1000), header=HEADER)
    for path in (folder / name).iterdir():
        _with_station(path)
    return folder / name


def _with_station(path: Path) -> None:
    import pydicom

    made = pydicom.dcmread(path)
    made.StationName = "CT1"
    made.save_as(path)


def test_a_phantom_alone_makes_its_scanners_profile(tmp_path: Path) -> None:
    chart = calibrate_scanner(phantom_scan(tmp_path), certificate(tmp_path), tmp_path / "profiles")
    (profile,) = chart.profiles
    assert (profile.slope_hu_cm3_mg, profile.offset_hu) == pytest.approx((1.38, 2.0), abs=0.6, rel=0.01)
    assert 105 < profile.path_mm < 160 and profile.phantom == "Model 3 0"


def test_a_scan_without_the_rods_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        calibrate_scanner(phantom_scan(tmp_path, with_rods=False), certificate(tmp_path), tmp_path / "profiles")
    assert refused.value.code == "phantom-rods-missing" and not (tmp_path / "profiles").exists()


def test_the_command_keeps_a_chart_over_time_and_tells_a_drift(tmp_path: Path) -> None:
    values, kept = certificate(tmp_path), tmp_path / "profiles"
    for n, slope in enumerate((1.380, 1.384, 1.378, 1.381, 1.50)):
        scan = phantom_scan(tmp_path, slope, name=f"scan-{n}")
        told = CliRunner().invoke(app, ["calibrate", str(scan), "--phantom", str(values), "--profiles", str(kept)])
        assert told.exit_code == 0, told.output
    assert "OUT OF CONTROL" in told.output and told.output.count("Model 3") == 5


@pytest.mark.parametrize("text", ["", 'name = "ESP"', "[[rods]]\nk2hpo4_mg_cm3 = 50.0"])
def test_a_phantom_without_its_certificates_values_is_wrong_usage(tmp_path: Path, text: str) -> None:
    empty = tmp_path / "empty.toml"
    empty.write_text(text, encoding="utf-8")
    told = CliRunner().invoke(app, ["screen", str(tmp_path), "--out", str(tmp_path / "out"), "--phantom", str(empty)])
    assert told.exit_code == 2 and not (tmp_path / "out").exists()


def test_a_recipe_takes_a_phantom_and_its_settings_say_so(tmp_path: Path) -> None:
    house = recipe_named("house")
    assert with_phantoms(house, None, None) is house
    made = with_phantoms(house, certificate(tmp_path), tmp_path)
    assert made.settings["calibrate"]["phantom"]["name"] == "Model 3"
    other = replace(house, calibrate=lambda scan, spine, regions: None)
    with pytest.raises(WrongUsage):
        with_phantoms(other, certificate(tmp_path), None)
