"""Which line a scan is read by, and what is said of it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.errors import Refusal
from trabecula.flow.calibrate.asynchronous import Profile, Profiles
from trabecula.flow.calibrate.beam import Beam, at_energies, energies_kev, slope_at_energy
from trabecula.flow.calibrate.certificate import Certificate, Rod
from trabecula.flow.calibrate.ladder import LadderCalibration
from trabecula.flow.calibrate.tissues import effective_energy, tissues_rung
from trabecula.quantity import VBMD_K2HPO4
from trabecula.records import Acquisition, Calibration, Regions, Scan, Spine, VertebraBox, VertebraRegion
from trabecula.volume import Orientation

LEVELS = (Level.L3, Level.L2, Level.L1, Level.T12)
PHANTOM = Certificate("pad", "", tuple(Rod(mineral, None) for mineral in (0.0, 75.0, 150.0, 225.0)))


def scan_of(scene: Any, kvp: float | None = 120.0, **acquired: Any) -> tuple[Scan, Regions]:
    middles = scene.middles()
    regions = tuple(
        VertebraRegion(level, 0.9, tuple(middle), 9000.0) for level, middle in zip(LEVELS, middles, strict=True)
    )
    scan = Scan(scene.volume, Orientation(), Acquisition("dicom", tube_voltage_kvp=kvp, **acquired))
    return scan, Regions(np.zeros(scene.shape, np.uint8), regions)


def calibrated(scene: Any, stage: LadderCalibration | None = None, **said: Any) -> Calibration:
    scan, regions = scan_of(scene, **said)
    return (stage or LadderCalibration())(scan, Spine((), 75.0), regions)


@pytest.mark.parametrize("kvp", [80.0, 100.0, 120.0, 140.0])
def test_the_line_is_that_of_voltage_and_size(scene: Any, kvp: float) -> None:
    line = calibrated(scene, kvp=kvp)
    beam = Beam(kvp, line.facts["water_path_mm"])
    assert line.slope_hu_cm3_mg == pytest.approx(beam.slope_k2hpo4, rel=0.01)
    assert 140 < line.facts["water_path_mm"] < 222
    assert (line.quantity, line.slope_range, line.contrast_rise) == (VBMD_K2HPO4, None, pytest.approx(0, abs=0.5))
    assert line.density(100 * line.slope_hu_cm3_mg + line.offset_hu) == pytest.approx(100 - line.contrast_rise)
    assert str(line.rungs[0].name) == str(line.rung) and len(line.rungs) == 2


def test_an_unknown_voltage_covers_80_to_140(scene: Any) -> None:
    line, known = calibrated(scene, kvp=None), calibrated(scene)
    assert line.slope_hu_cm3_mg == known.slope_hu_cm3_mg and "assumed" in str(line.rung)
    value = line.density(140.0)
    low, high = line.interval(value, 3.0)
    for kvp in (80, 100, 120, 140):
        assert low < 140.0 / Beam(kvp, line.facts["water_path_mm"]).slope_k2hpo4 < high
    narrow = known.interval(value, 3.0)
    assert high - low > 1.5 * (narrow[1] - narrow[0])


def test_the_rods_of_a_phantom_in_the_scan_come_first(scene: Any) -> None:
    scene.hu[(np.abs(scene.back - 115) < 15) & (np.abs(scene.left) < 90)] = 15
    for n, mineral in enumerate((0.0, 75.0, 150.0, 225.0)):
        scene.tube(36.0 * (n - 1.5), 115.0, 9.0, 3.0 + 1.30 * mineral)
    line = calibrated(scene, LadderCalibration(PHANTOM))
    assert "phantom" in str(line.rung)
    ratio = 0.86 + (120 - 80) / 60 * (0.81 - 0.86)
    assert line.slope_hu_cm3_mg == pytest.approx(1.30 / ratio, rel=0.01)
    assert line.systematic_sd_fraction < calibrated(scene).systematic_sd_fraction
    assert len(line.rungs) == 3 and line.facts["rungs_differ_fraction"] > 0


@pytest.mark.parametrize("rods", [0, 3])
def test_a_phantom_whose_rods_are_not_all_in_view_is_refused(scene: Any, rods: int) -> None:
    scene.hu[(np.abs(scene.back - 115) < 15) & (np.abs(scene.left) < 90)] = 15
    for n, mineral in list(enumerate((0.0, 75.0, 150.0, 225.0)))[:rods]:
        scene.tube(36.0 * (n - 1.5), 115.0, 9.0, 3.0 + 1.30 * mineral)
    with pytest.raises(Refusal) as refused:
        calibrated(scene, LadderCalibration(PHANTOM))
    assert refused.value.code == "phantom-rods-missing"


def test_a_profile_of_the_same_scanner_is_brought_to_the_patients_size(scene: Any, tmp_path: Any) -> None:
    said = {"manufacturer": "GE", "station": "CT1", "kernel": "SOFT"}
    profiles = Profiles(tmp_path)
    assert "profile-missing" in [
        one.code for one in calibrated(scene, LadderCalibration(None, profiles), **said).reasons
    ]
    scan, _ = scan_of(scene, **said)
    profiles.keep(scan.acquisition, Profile("2026-01-01", "pad", 1.50, 2.0, 0.3, 350.0))
    line = calibrated(scene, LadderCalibration(None, profiles), **said)
    expected = 1.50 * Beam(120, line.facts["water_path_mm"]).slope_k2hpo4 / Beam(120, 350).slope_k2hpo4
    assert line.slope_hu_cm3_mg == pytest.approx(expected, rel=0.01)
    assert line.slope_hu_cm3_mg > 1.5  # the phantom was larger than the patient


def test_contrast_medium_is_said_and_taken_off(scene: Any) -> None:
    scene.tube(10, -34, 11, 160.0)
    scene.tube(-20, -30, 10, 140.0)
    line = calibrated(scene)
    assert [one.code for one in line.reasons] == ["contrast-medium"]
    assert line.facts["contrast_phase"] == "portal" and line.facts["blood_hu"] == pytest.approx(160, abs=5)
    assert line.contrast_rise == pytest.approx(18 / line.slope_hu_cm3_mg, rel=0.2)
    assert line.as_scanned(150.0) - line.density(150.0) == pytest.approx(line.contrast_rise)
    low, high = line.interval(100.0, 0.0)
    assert high - low > 2 * 1.96 * line.contrast_rise_sd


def test_the_bodies_of_the_spine_do_where_nothing_is_outlined(scene: Any) -> None:
    scan, _ = scan_of(scene)
    box = VertebraBox(Level.L1, 0.9, (30.0, 38.0), (64.0, 86.0), 75.0)
    assert LadderCalibration()(scan, Spine((box,), 75.0), None).facts["water_path_mm"] > 120
    nothing = LadderCalibration()(scan, Spine((), 75.0), None)
    assert nothing.slope_hu_cm3_mg > 0 and nothing.facts == {"tube_voltage_kvp": 120.0}


def test_a_body_cut_off_by_the_view_is_taken_for_a_usual_one(scene: Any) -> None:
    scan, regions = scan_of(scene)
    near = replace(scan, volume=replace(scan.volume, hu=np.maximum(scan.volume.hu, 40.0)))
    line = LadderCalibration()(near, Spine((), 75.0), regions)
    assert "size-unknown" in [one.code for one in line.reasons] and line.facts["water_path_mm"] is None
    assert line.systematic_sd_fraction > calibrated(scene).systematic_sd_fraction


def test_the_effective_energy_explains_the_tissues() -> None:
    """HU of ICRU tissues at 70 keV lead back to it, and to its slope."""
    read = {
        name: float(np.interp(70.0, energies_kev(), at_energies(name)))
        for name in ("air", "subcutaneous_fat", "muscle")
    }
    found = effective_energy(read)
    assert found is not None and found.kev == pytest.approx(70, abs=6) and found.misfit_hu < 3
    rung = tissues_rung(found)
    assert rung.slope_hu_cm3_mg == pytest.approx(slope_at_energy(70.0), rel=0.08)
    assert rung.slope_sd_fraction > 0.08  # people differ: the tissues say less than a known voltage
    del read["air"]
    assert effective_energy(read) is None
