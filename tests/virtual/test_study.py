"""A virtual study is held against pydicom, against the standard (dciodvfy), and against itself."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from trabecula.errors import WrongUsage
from trabecula.flow.read import read
from trabecula.virtual.machines import MACHINES
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.study import StudyHeader, header_of, write_dicom
from trabecula.virtual.subject import sample_subject
from trabecula.volume import Volume

HEADER = StudyHeader(sex="F", age_years=67.4, slice_thickness_mm=2.5)


def tilted_affine(angle_deg: float = 20.0) -> np.ndarray:
    """Axes turned about x; spacing 2.5, 0.9, 0.7 mm; (z, y, x) index to (x, y, z) mm."""
    sine, cosine = np.sin(np.radians(angle_deg)), np.cos(np.radians(angle_deg))
    affine = np.eye(4)
    affine[:3, 0] = 2.5 * np.array([0, -sine, cosine])
    affine[:3, 1] = 0.9 * np.array([0, cosine, sine])
    affine[:3, 2] = 0.7 * np.array([1, 0, 0])
    affine[:3, 3] = (-151.123456789, -90.5, 1234.56789)
    return affine


@pytest.fixture
def volume() -> Volume:
    hu = np.random.default_rng(7).normal(50, 600, (5, 12, 16)).clip(-1024, 3071).astype(np.float32)
    return Volume(hu, tilted_affine())


def read_back(folder: Path) -> list[pydicom.Dataset]:
    return sorted((pydicom.dcmread(path) for path in folder.iterdir()), key=lambda d: int(d.InstanceNumber))


@pytest.mark.parametrize("angle_deg", [0.0, 20.0])
def test_every_voxel_comes_back_in_its_place(volume: Volume, tmp_path: Path, angle_deg: float) -> None:
    volume = Volume(volume.hu, tilted_affine(angle_deg))
    write_dicom(volume, tmp_path / "ct", seed=3, header=HEADER)

    slices = read_back(tmp_path / "ct")
    hu = np.stack([d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in slices])
    np.testing.assert_array_equal(hu, np.rint(volume.hu))
    for z, d in enumerate(slices):
        along_columns, along_rows = np.split(np.array(d.ImageOrientationPatient, float), 2)
        row_mm, column_mm = map(float, d.PixelSpacing)
        for y, x in ((0, 0), (11, 0), (0, 15), (11, 15)):
            place = np.array(d.ImagePositionPatient, float) + y * row_mm * along_rows + x * column_mm * along_columns
            np.testing.assert_allclose(place, volume.to_lps(np.array([z, y, x])), atol=1e-6)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("position", "contrast"), [("HFS", None), ("FFS", "Iodine")])
def test_the_standard_finds_no_error(
    volume: Volume, tmp_path: Path, machine: str, position: str, contrast: str | None
) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed: run tools/apt.sh")
    header = replace(
        HEADER,
        machine=MACHINES[machine],
        kernel=MACHINES[machine].kernels[0],
        patient_position=position,
        contrast_agent=contrast,
    )
    write_dicom(volume, tmp_path / "ct", seed=3, header=header)

    for path in (tmp_path / "ct").iterdir():
        verdict = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        said = verdict.stdout + verdict.stderr
        assert "CTImage" in said
        assert "Error" not in said
        assert verdict.returncode == 0


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("position", ["HFS", "FFS"])
def test_our_own_reader_gives_the_same_scan(tmp_path: Path, machine: str, position: str) -> None:
    z, y, x = np.mgrid[:16, :48, :64]
    noise = np.random.default_rng(8).normal(0, 12, z.shape)
    hu = np.where(((y - 24) / 20) ** 2 + ((x - 30) / 28) ** 2 < 1, 40 + noise, -1000.0)
    hu[3:12, 26:36, 25:37] += 350
    given = Volume(hu.astype(np.float32), tilted_affine(0.0))
    header = replace(HEADER, machine=MACHINES[machine], kernel=MACHINES[machine].kernels[1], patient_position=position)
    write_dicom(given, tmp_path / "ct", seed=3, header=header)

    scan = read(tmp_path / "ct")
    np.testing.assert_array_equal(scan.volume.hu, np.rint(given.hu))
    np.testing.assert_allclose(scan.volume.affine, given.affine, atol=1e-6)
    assert scan.acquisition.manufacturer == MACHINES[machine].manufacturer
    assert scan.acquisition.kernel == MACHINES[machine].kernels[1]
    assert (scan.acquisition.patient_sex, scan.acquisition.patient_age_years) == ("F", 67)
    assert (scan.acquisition.tube_voltage_kvp, scan.acquisition.slice_thickness_mm) == (120, 2.5)
    assert scan.acquisition.contrast_agent is None
    assert scan.reasons == ()


@pytest.mark.parametrize(
    ("seed", "protocol", "manufacturer", "kernel"),
    [
        (0, Protocol(psf_fwhm_mm=1.4), "GE MEDICAL SYSTEMS", "SOFT"),
        (1, Protocol(psf_fwhm_mm=0.9), "SIEMENS", "B40f"),
        (2, Protocol(psf_fwhm_mm=0.6, edge_overshoot=0.2), "TOSHIBA", "FC30"),
    ],
)
def test_a_header_tells_of_the_scan_it_belongs_to(
    seed: int, protocol: Protocol, manufacturer: str, kernel: str
) -> None:
    subject = replace(sample_subject(seed), phase="portal")
    header = header_of(subject, replace(protocol, kvp=100, thickness_mm=3.0))
    assert (header.machine.manufacturer, header.kernel) == (manufacturer, kernel)
    assert (header.sex, header.age_years) == (subject.sex, subject.age_years)
    assert (header.tube_voltage_kvp, header.slice_thickness_mm) == (100, 3)
    assert header.contrast_agent == "Iodine"
    assert header_of(replace(subject, phase="none"), protocol).contrast_agent is None


def test_the_files_say_that_nobody_was_scanned(volume: Volume, tmp_path: Path) -> None:
    write_dicom(volume, tmp_path / "ct", seed=41, header=HEADER)
    for d in read_back(tmp_path / "ct"):
        assert (d.PatientID, str(d.PatientName)) == ("VIRTUAL-41", "Virtual^Patient")
        assert (d.PatientSex, d.PatientAge, d.ImageComments) == ("F", "067Y", "Simulated; not a patient")
        assert (d.Manufacturer, d.ConvolutionKernel, d.KVP, d.SliceThickness) == ("SIEMENS", "B40f", 120, 2.5)
        assert "ContrastBolusAgent" not in d


def test_the_same_seed_gives_the_same_files(volume: Volume, tmp_path: Path) -> None:
    for name in ("once", "again"):
        write_dicom(volume, tmp_path / name, seed=3, header=HEADER)
    once, again = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("once", "again"))
    assert once == again
    assert len(once) == 5


def test_uids_tell_studies_and_series_apart(volume: Volume, tmp_path: Path) -> None:
    write_dicom(volume, tmp_path / "soft", seed=3, header=HEADER)
    write_dicom(volume, tmp_path / "sharp", seed=3, header=replace(HEADER, kernel="B70f"))
    write_dicom(volume, tmp_path / "other", seed=4, header=HEADER)
    soft, sharp, other = (read_back(tmp_path / name) for name in ("soft", "sharp", "other"))

    assert len({d.SOPInstanceUID for d in (*soft, *sharp, *other)}) == 15
    assert soft[0].StudyInstanceUID == sharp[0].StudyInstanceUID != other[0].StudyInstanceUID
    assert soft[0].FrameOfReferenceUID == sharp[0].FrameOfReferenceUID != other[0].FrameOfReferenceUID
    assert len({d.SeriesInstanceUID for d in (*soft, *sharp, *other)}) == 3
    assert all(d.SOPInstanceUID.is_valid and d.SOPInstanceUID.startswith("2.25.") for d in soft)


def test_an_occupied_folder_is_left_alone(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "letter.txt").write_text("mine")
    with pytest.raises(WrongUsage, match="already holds something"):
        write_dicom(volume, tmp_path / "ct", seed=3, header=HEADER)
    assert [p.name for p in tmp_path.rglob("*")] == ["ct", "letter.txt"]


def test_a_failed_write_leaves_nothing(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WrongUsage, match="cannot be written"):
        write_dicom(volume, tmp_path / "file" / "ct", seed=3, header=HEADER)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_skewed_rows_are_no_dicom(volume: Volume, tmp_path: Path) -> None:
    affine = volume.affine.copy()
    affine[0, 1] += 0.1
    with pytest.raises(ValueError, match="right angles"):
        write_dicom(Volume(volume.hu, affine), tmp_path / "ct", seed=3, header=HEADER)
    assert list(tmp_path.iterdir()) == []
