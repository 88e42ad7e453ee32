"""The calibration phantom: its certificate, its place under the back, and QCT read by it."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.virtual.attenuation import behind
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.findings import NOTHING
from trabecula.virtual.phantom import RODS, CalibrationLine, calibrate, rod_paths
from trabecula.virtual.qct import as_qct_reads, read_qct
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.subject import Subject, sample_subject
from trabecula.virtual.trunk import back_mm, middle_mm, rod_path_mm, water_path_mm


def plain(seed: int) -> Subject:
    subject = sample_subject(seed)
    return replace(subject, phase="none", spine=tuple(replace(v, findings=NOTHING) for v in subject.spine))


PERSON = plain(22)
PROTOCOL = Protocol(1.2, 3.0, 3.0, noise_hu=12.0, slope=1.05, offset_hu=4.0, phantom=True)


@pytest.fixture(scope="module")
def ct() -> VirtualCt:
    return scan_patient(PERSON, PROTOCOL, Level.T12, Level.L3)


def test_the_line_comes_back_from_its_own_rods() -> None:
    line = CalibrationLine(1.43, -3.2)
    back = calibrate([line.rod_hu(rod) for rod in RODS])
    assert (back.slope_hu_cm3_mg, back.offset_hu) == pytest.approx((1.43, -3.2))
    assert back.bmd_mg_cm3(1.43 * 100 - 3.2) == pytest.approx(100)


def test_a_rod_by_hand() -> None:
    # 1103.57 + (1.422 + 0.2174) * 58.88 - 999.6
    assert CalibrationLine(1.422, 0.0).rod_hu(RODS[2]) == pytest.approx(200.5, abs=0.05)


def test_the_rods_lie_side_by_side_in_the_pad_under_the_back(ct: VirtualCt) -> None:
    paths = rod_paths(PERSON)
    assert len({low[0] for low, _ in paths}) == 5
    line = CalibrationLine(behind(120, rod_path_mm(PERSON), 1.05).slope_k2hpo4, 4.0)
    for rod, (low, high) in zip(RODS, paths, strict=True):
        z, y, x = np.rint(ct.volume.to_index((np.array(low) + high) / 2)).astype(int)
        assert ct.volume.hu[z - 2 : z + 3, y - 3 : y + 4, x - 3 : x + 4].mean() == pytest.approx(
            line.rod_hu(rod), abs=4
        )
        assert low[1] > back_mm(PERSON)
        assert (
            low[2] < PERSON.vertebra(Level.L3).centre_lps_mm[2] < PERSON.vertebra(Level.L1).centre_lps_mm[2] < high[2]
        )


def test_qct_by_the_phantom_undoes_the_scanner(ct: VirtualCt) -> None:
    reading = read_qct(ct)
    assert reading.phantom == "in the scan"
    beam = behind(120, rod_path_mm(PERSON), 1.05)
    assert reading.line.slope_hu_cm3_mg == pytest.approx(beam.slope_k2hpo4, rel=0.01)
    assert reading.line.offset_hu == pytest.approx(4.0, abs=1.5)
    for level in (Level.T12, Level.L1, Level.L2):
        # Bone hardens the beam that it is seen in; the rods under the back are seen without it.
        mineral = ct.truth[level].bmd_qct_region_k2hpo4
        assert 0.94 < reading.bmd_k2hpo4[level] / mineral < 1.06
        assert reading.bmd_k2hpo4[level] == pytest.approx(as_qct_reads(PERSON, mineral), rel=0.02)
        assert reading.bmd_hydroxyapatite[level] / reading.bmd_k2hpo4[level] == pytest.approx(
            beam.slope_k2hpo4 / beam.slope_ha_water
        )


def test_without_a_phantom_in_view_a_perfect_one_is_read() -> None:
    ct = scan_patient(PERSON, replace(PROTOCOL, phantom=False), Level.L1, Level.L2)
    reading = read_qct(ct)
    assert reading.phantom == "ideal"
    assert reading.line.offset_hu == pytest.approx(4.0)
    narrow = replace(PROTOCOL, field_of_view_mm=120.0)
    assert read_qct(scan_patient(PERSON, narrow, Level.L1, Level.L2)).phantom == "ideal"


def test_no_spinous_process_leaves_the_back() -> None:
    for seed in range(60):
        subject = sample_subject(seed)
        for level in (Level.T12, Level.L1, Level.L2, Level.L3, Level.L4):
            v = subject.vertebra(level)
            assert v.centre_lps_mm[1] + v.depth_mean_mm / 2 + v.spinous_mm < back_mm(subject)
        assert back_mm(subject) - middle_mm(subject) == pytest.approx(subject.half_depth_mm)


def test_the_water_path_grows_with_the_trunk_and_less_with_fat() -> None:
    lean, fat = replace(PERSON, fat_mm=8.0), replace(PERSON, fat_mm=45.0)
    assert 0.7 < water_path_mm(fat) / water_path_mm(lean) < 1
    assert np.mean([water_path_mm(sample_subject(seed)) for seed in range(100)]) == pytest.approx(185, abs=15)


def test_dense_bone_reads_less_than_its_mineral_beside_rods_that_do_not_see_it() -> None:
    dense, thin = (replace(sample_subject(22, bmd_mg_cm3=bmd), phase="none") for bmd in (200.0, 50.0))
    lost = [1 - as_qct_reads(person, bmd) / bmd for person, bmd in ((dense, 200.0), (thin, 50.0))]
    assert lost[0] > lost[1] + 0.01
