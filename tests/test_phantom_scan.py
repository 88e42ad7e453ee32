"""From a scan of a phantom alone to a patient's calibration, through the door and the command line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from toys.phantoms import certificate, phantom_scan, with_station
from trabecula.errors import Refusal, WrongUsage
from trabecula.recipes import recipe_named
from trabecula.screening import calibrate_scanner, with_phantoms
from trabecula.serving.cli import app
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Grid, Volume


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


def test_a_spine_phantom_is_read_alone_and_lies_under_nobody(tmp_path: Path) -> None:
    esp = tmp_path / "esp.toml"
    inserts = "".join(f"[[rods]]\nhydroxyapatite_mg_cm3 = {mg}\n" for mg in (50, 100, 200))
    esp.write_text(f'name = "ESP"\nstacked = true\n{inserts}', encoding="utf-8")
    with pytest.raises(WrongUsage) as refused:
        with_phantoms(recipe_named("house"), esp, None)
    assert refused.value.code == "phantom-scanned-alone"
    with pytest.raises(Refusal) as missing:  # rods side by side are no column of vertebrae
        calibrate_scanner(phantom_scan(tmp_path), esp, tmp_path / "profiles")
    assert missing.value.code == "phantom-rods-missing" and not (tmp_path / "profiles").exists()
    grid = Grid.axial((0.0, 0.0, 0.0), (55, 110, 160), (2.0, 2.0, 2.0))
    z, y, x = np.indices(grid.shape) * 2.0
    radius = np.hypot(y - 129, x - 159)
    hu = np.where(((x - 159) / 140) ** 2 + ((y - 109) / 90) ** 2 < 1, 0.0, -1000.0)
    for n, mg in enumerate((50.0, 100.0, 200.0)):
        inside = (z >= 35 * n + 2) & (z < 35 * n + 27)
        hu[inside & (radius < 18)] = 1.35 * mg
    hu += np.random.default_rng(0).normal(0, 6, grid.shape)
    header = StudyHeader(sex="O", age_years=0, slice_thickness_mm=2.0)
    write_dicom(Volume(hu.astype(np.float32), grid.affine), tmp_path / "esp", seed=3, header=header)
    for path in (tmp_path / "esp").iterdir():
        with_station(path)
    (profile,) = calibrate_scanner(tmp_path / "esp", esp, tmp_path / "profiles").profiles
    assert profile.slope_hu_cm3_mg == pytest.approx(1.35 / 0.8267, rel=0.01)


def test_a_table_whose_ages_do_not_rise_is_wrong_usage_before_anything_is_read(tmp_path: Path) -> None:
    table = tmp_path / "clinic.csv"
    table.write_text("sex,age_years,mean_mg_cm3,sd_mg_cm3\nF,60,120,26\nF,40,160,30\n", encoding="utf-8")
    told = CliRunner().invoke(app, ["screen", str(tmp_path), "--out", str(tmp_path / "o"), "--reference", str(table)])
    assert told.exit_code == 2 and not (tmp_path / "o").exists()


def test_a_recipe_takes_a_phantom_and_its_settings_say_so(tmp_path: Path) -> None:
    house = recipe_named("house")
    assert with_phantoms(house, None, None) is house
    made = with_phantoms(house, certificate(tmp_path), tmp_path)
    assert made.settings["calibrate"]["phantom"]["name"] == "Model 3"
    other = replace(house, calibrate=lambda scan, spine, regions: None)
    with pytest.raises(WrongUsage):
        with_phantoms(other, certificate(tmp_path), None)
