"""Rods found and read, certificates and profiles that may not be used."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trabecula.errors import WrongUsage
from trabecula.flow.calibrate.asynchronous import Profile, Profiles, file_name
from trabecula.flow.calibrate.certificate import Certificate, Rod, read_certificate
from trabecula.flow.calibrate.phantom import read_phantom
from trabecula.records import Acquisition

MODEL_3 = (
    *((-51.83, 1012.25), (-53.40, 1056.95), (58.88, 1103.57)),
    *((157.05, 1119.52), (375.83, 923.20)),
)
"""K2HPO4 and water of the example on a Mindways certificate, mg/cm3."""

LIQUID = Certificate("Model 3", "", tuple(Rod(*values) for values in MODEL_3))
SOLID = Certificate("ESP-like", "", tuple(Rod(mineral, None) for mineral in (0.0, 50.0, 100.0, 200.0)))
SCANNER = Acquisition(
    "dicom", manufacturer="SIEMENS", model="Force", station="CT1", tube_voltage_kvp=120.0, kernel="Br40d"
)


def write(path: Path, rods: tuple[tuple[float, float], ...] = MODEL_3) -> Path:
    text = "\n".join(f"[[rods]]\nk2hpo4_mg_cm3 = {k}\nwater_mg_cm3 = {w}" for k, w in rods)
    path.write_text(f'name = "Model 3"\n{text}\n', encoding="utf-8")
    return path


def draw_rods(scene: Any, hu: list[float], back_mm: float = 115.0, step_mm: float = 34.0, flip: bool = False) -> None:
    pad = (np.abs(scene.back - back_mm) < 15) & (np.abs(scene.left) < 110)
    scene.hu[pad] = 15
    for n, value in enumerate(reversed(hu) if flip else hu):
        scene.tube(step_mm * (n - (len(hu) - 1) / 2), back_mm, 9.0, value)


def liquid_hu(slope: float, offset: float) -> list[float]:
    """What rods read on a scanner whose line is HU = slope BMD + offset (the relation of Mindways' users)."""
    return [water + (slope + 0.2174) * mineral + offset - 999.6 for mineral, water in MODEL_3]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("line", [(1.42, 0.0), (1.9, -6.0), (1.2, 9.0)])
def test_rods_under_the_back_are_found_and_give_the_line(scene: Any, line: tuple[float, float], flip: bool) -> None:
    draw_rods(scene, liquid_hu(*line), flip=flip)
    found = read_phantom(scene.volume, scene.middles(), LIQUID, 120.0)
    assert found is not None
    assert (found.slope_hu_cm3_mg, found.offset_hu) == pytest.approx(line, abs=0.5, rel=0.01)
    assert found.misfit_hu < 3 and len(found.rod_hu) == 5


def test_rods_are_found_in_a_phantom_scanned_alone(scene: Any) -> None:
    scene.hu[:] = -1000
    draw_rods(scene, liquid_hu(1.38, 2.0), back_mm=20.0)
    found = read_phantom(scene.volume, None, LIQUID, 120.0)
    assert found is not None and found.slope_hu_cm3_mg == pytest.approx(1.38, rel=0.01)


def test_a_scan_without_rods_or_with_cut_ones_gives_no_line(scene: Any) -> None:
    assert read_phantom(scene.volume, scene.middles(), LIQUID, 120.0) is None
    draw_rods(scene, liquid_hu(1.42, 0.0))
    cut = replace(scene.volume, hu=scene.volume.hu[:, :, :108])  # the densest rod is cut by the view
    assert read_phantom(cut, scene.middles(), LIQUID, 120.0) is None


def test_rods_that_lie_on_no_line_give_none(scene: Any) -> None:
    hu = liquid_hu(1.42, 0.0)
    hu[2] += 90
    draw_rods(scene, hu)
    assert read_phantom(scene.volume, scene.middles(), LIQUID, 120.0) is None


def test_a_solid_phantoms_line_is_brought_to_k2hpo4() -> None:
    slope, offset, _ = SOLID.line(np.array([5.0, 75.0, 145.0, 285.0]), 80.0)
    assert (slope, offset) == pytest.approx((1.4 / 0.86, 5.0))  # Goodsitt 1992


def test_a_certificate_is_read(tmp_path: Path) -> None:
    found = read_certificate(write(tmp_path / "phantom.toml"))
    assert found.rods == LIQUID.rods and found.liquid and found.name == "Model 3"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "phantom-without-values"),
        ("[[rods]]\nk2hpo4_mg_cm3 = 1.0\n" * 3, "phantom-without-values"),  # water is missing
        ("[[rods]]\nhydroxyapatite_mg_cm3 = '50'\n" * 3, "phantom-without-values"),
        ("[[rods]]\nhydroxyapatite_mg_cm3 = 100.0\n" * 3, "phantom-values-alike"),
        ("[[rods]]\nhydroxyapatite_mg_cm3 = 5e4\n" * 3, "phantom-value-impossible"),
        ("[[rods]]\nhydroxyapatite_mg_cm3 = nan\n" * 3, "phantom-without-values"),
        ("rods = 3", "phantom-without-values"),
        ("[[rods", "phantom-file-unreadable"),
    ],
)
def test_a_file_without_the_certificates_values_is_refused(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "phantom.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WrongUsage) as refused:
        read_certificate(path)
    assert refused.value.code == code
    with pytest.raises(WrongUsage):
        read_certificate(tmp_path / "missing.toml")


def profile(slope: float) -> Profile:
    return Profile("2026-01-01", "Model 3", slope, 1.0, 0.5, 300.0)


def test_a_profile_holds_for_its_own_scanner_and_mode_alone(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path)
    assert profiles.find(SCANNER) is None
    profiles.keep(SCANNER, profile(1.40))
    found = profiles.find(SCANNER)
    assert found is not None and found.rung(0.95).slope_hu_cm3_mg == pytest.approx(1.33)
    for other in ({"station": "CT2"}, {"tube_voltage_kvp": 100.0}, {"kernel": "Br64d"}, {"model": "Flash"}):
        assert profiles.find(replace(SCANNER, **other)) is None


def test_a_scanner_that_drifts_leaves_its_chart_and_is_not_used(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path)
    for slope in (1.400, 1.404, 1.398, 1.402, 1.401):
        assert profiles.keep(SCANNER, profile(slope)).in_control
    chart = profiles.keep(SCANNER, profile(1.47))
    assert chart.limits is not None and chart.limits[1] < 1.47 and not chart.in_control
    assert profiles.find(SCANNER) is None
    assert len(chart.profiles) == 6


@pytest.mark.parametrize("lacking", ["station", "kernel", "tube_voltage_kvp", "manufacturer"])
def test_a_phantom_scan_without_the_scanners_headers_is_not_kept(tmp_path: Path, lacking: str) -> None:
    with pytest.raises(WrongUsage) as refused:
        Profiles(tmp_path).keep(replace(SCANNER, **{lacking: None}), profile(1.4))
    assert refused.value.code == "profile-needs-headers"


@pytest.mark.parametrize("text", ["", "[]", '{"scans": []}', '{"scans": [{"slope_hu_cm3_mg": 1.4}]}', "{"])
def test_a_damaged_profile_is_refused(tmp_path: Path, text: str) -> None:
    profiles = Profiles(tmp_path)
    profiles.keep(SCANNER, profile(1.4))
    next(tmp_path.glob("*.json")).write_text(text, encoding="utf-8")
    with pytest.raises(WrongUsage) as refused:
        profiles.find(SCANNER)
    assert refused.value.code == "profile-damaged"


def test_another_scanners_profile_under_this_ones_name_is_refused(tmp_path: Path) -> None:
    profiles, other = Profiles(tmp_path), replace(SCANNER, station="CT2")
    profiles.keep(SCANNER, Profile("2026-01-01", "pad", 1.50, 2.0, 0.3, 200.0))
    (mine,) = tmp_path.iterdir()
    mine.rename(tmp_path / file_name(other))
    with pytest.raises(WrongUsage) as refused:
        profiles.find(other)
    assert refused.value.code == "profile-of-another-scanner"
