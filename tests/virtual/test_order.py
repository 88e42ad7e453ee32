"""A cohort that is ordered: whole folders, exact truth, resumed and never mixed."""

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from tblib import pickling_support

from trabecula import __version__
from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.lock import one_run
from trabecula.virtual.order import Order, simulate
from trabecula.virtual.store import claimed, make_missing

ORDER = Order(seed=7, protocol="abdomen-thick", format="nifti")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("order") / "cohort"
    assert simulate(ORDER, 1, out, 1, lambda done: None) == 1
    return out


def test_the_truth_is_that_of_the_image(cohort: Path) -> None:
    subject = cohort / "subject-000007"
    truth = json.loads((subject / "truth.json").read_text())
    hu = np.asarray(nib.load(subject / "ct.nii.gz").dataobj)
    regions = np.asarray(nib.load(subject / "trabecular.nii.gz").dataobj)
    vertebrae = np.asarray(nib.load(subject / "vertebrae.nii.gz").dataobj)
    qct = np.asarray(nib.load(subject / "qct_regions.nii.gz").dataobj)
    assert truth["simulated"] is True
    assert (vertebrae[regions > 0] == regions[regions > 0]).all()
    assert (regions[qct > 0] == qct[qct > 0]).mean() > 0.9  # thick slices keep further from the end plates
    line = truth["qct"]
    for level in (Level.T12, Level.L1, Level.L2):
        true = truth["levels"][level]
        expected_hu = true["bmd_k2hpo4"] * line["slope_hu_cm3_mg"] + line["offset_hu"] + truth["marrow_enhancement_hu"]
        # Bone hardens the beam that it is seen in, which a phantom's line does not know.
        assert hu[regions == level.verse_id].mean() == pytest.approx(0.97 * expected_hu, abs=12)
        assert true["in_view"] is True
        assert true["cut_by_view"] is False
        read = hu[qct == level.verse_id].mean()
        assert line["bmd_k2hpo4"][level] == pytest.approx(
            (read - line["offset_hu"]) / line["slope_hu_cm3_mg"], abs=0.02
        )
    assert 0.3 < truth["dxa"]["areal_bmd_g_cm2"] < 1.5
    assert truth["rescan"] is None
    assert set(truth["other_vertebrae"]) >= {"T10", "S1"}


def test_the_place_in_the_patient_is_kept(cohort: Path) -> None:
    subject = cohort / "subject-000007"
    truth = json.loads((subject / "truth.json").read_text())
    image = nib.load(subject / "trabecular.nii.gz")
    index = np.argwhere(np.asarray(image.dataobj) == Level.L1.verse_id).mean(axis=0)
    x, y, z = nib.affines.apply_affine(image.affine, index)
    assert np.allclose([-x, -y, z], truth["levels"]["L1"]["centre_lps_mm"], atol=4)


def test_what_is_there_is_not_made_again(cohort: Path) -> None:
    seen: list[int] = []
    before = (cohort / "subject-000007" / "ct.nii.gz").stat().st_mtime_ns
    assert simulate(ORDER, 1, cohort, 1, seen.append) == 0
    assert seen == [1]
    assert (cohort / "subject-000007" / "ct.nii.gz").stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_bytes(cohort: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    simulate(ORDER, 1, again, 1, lambda done: None)
    for name in ("ct.nii.gz", "vertebrae.nii.gz", "trabecular.nii.gz", "qct_regions.nii.gz"):
        first, second = (np.asarray(nib.load(c / "subject-000007" / name).dataobj) for c in (cohort, again))
        assert np.array_equal(first, second)
    first_truth, second_truth = ((c / "subject-000007" / "truth.json").read_bytes() for c in (cohort, again))
    assert first_truth == second_truth


@pytest.mark.parametrize(
    ("order", "number", "code"),
    [
        (ORDER, 0, "nothing-ordered"),
        (Order(protocol="brain"), 1, "unknown-protocol"),
        (Order(format="png"), 1, "unknown-format"),
        (Order(rescan="dose"), 1, "unknown-rescan"),
    ],
)
def test_a_wrong_order_leaves_nothing(order: Order, number: int, code: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage) as caught:
        simulate(order, number, tmp_path / "cohort", 1, lambda done: None)
    assert caught.value.code == code
    assert not (tmp_path / "cohort").exists()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("sun")
    with pytest.raises(WrongUsage) as caught:
        simulate(ORDER, 1, tmp_path, 1, lambda done: None)
    assert caught.value.code == "output-not-empty"
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.txt"]


def test_another_order_does_not_go_into_the_same_folder(cohort: Path) -> None:
    with pytest.raises(WrongUsage) as caught:
        simulate(Order(seed=8, protocol="abdomen-thick", format="nifti"), 1, cohort, 1, lambda done: None)
    assert caught.value.code == "other-cohort"


def test_a_second_scan_lies_beside_the_first(tmp_path: Path) -> None:
    order = Order(seed=7, protocol="abdomen-thick", format="dicom", rescan="voltage")
    assert simulate(order, 1, tmp_path / "cohort", 1, lambda done: None) == 1
    folder = tmp_path / "cohort" / "subject-000007"
    truth = json.loads((folder / "truth.json").read_text())
    assert truth["rescan"]["what"] == "voltage"
    headers = [
        pydicom.dcmread(next(ct.iterdir()), stop_before_pixels=True) for ct in (folder / "ct", folder / "rescan/ct")
    ]
    assert headers[0].PatientID == headers[1].PatientID
    assert headers[0].StudyInstanceUID != headers[1].StudyInstanceUID
    assert float(headers[0].KVP) == truth["protocol"]["kvp"]
    assert float(headers[1].KVP) == truth["rescan"]["protocol"]["kvp"] != truth["protocol"]["kvp"]
    assert (folder / "rescan" / "trabecular.nii.gz").exists()
    assert set(truth["rescan"]["levels"]) == set(truth["levels"])


def test_flipped_axes_stand_in_the_affine_and_nothing_else_changes(tmp_path: Path) -> None:
    from trabecula.virtual.store import write_nifti
    from trabecula.volume import Grid, Orientation

    array = np.random.default_rng(0).integers(0, 100, (4, 6, 8)).astype(np.int16)
    affine = Grid.axial((3.0, -5.0, 40.0), array.shape, (2.0, 0.7, 0.8)).affine
    for name, flips in (("plain", (False, False, False)), ("flipped", (True, False, True))):
        write_nifti(array, affine, Orientation(flips=flips), tmp_path / f"{name}.nii.gz")
    plain, flipped = (nib.load(tmp_path / f"{name}.nii.gz") for name in ("plain", "flipped"))
    assert nib.aff2axcodes(plain.affine) == ("L", "P", "S")
    assert nib.aff2axcodes(flipped.affine) == ("R", "P", "I")
    same = (nib.as_closest_canonical(image) for image in (plain, flipped))
    one, other = same
    np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(other.dataobj))
    np.testing.assert_allclose(one.affine, other.affine)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB, mounted; only root can."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here: run as root, with the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("format_", ["nifti", "dicom"])
def test_a_full_disk_is_told_leaves_nothing_half_and_is_taken_up_again(small_disk: Path, format_: str) -> None:
    # Dask does this to a process that imports it: exceptions are sent with their causes and contexts.
    pickling_support.install()
    order, out = replace(ORDER, format=format_), small_disk / "cohort"
    with pytest.raises(WrongUsage) as caught:
        simulate(order, 1, out, 1, lambda done: None)
    assert caught.value.code == "output-unwritable"
    assert "the disk is full" in caught.value.message
    assert str(out) in caught.value.message
    assert sorted(path.name for path in out.iterdir()) == [".lock", "cohort.json"]
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    assert simulate(order, 1, out, 1, lambda done: None) == 1
    assert (out / "subject-000007" / "truth.json").exists()


def test_a_disk_full_at_the_first_byte_leaves_no_order(small_disk: Path) -> None:
    with (small_disk / "filler").open("wb") as file, pytest.raises(OSError, match="No space left"):
        file.write(bytes(2_000_000))
        file.flush()
    out = small_disk / "cohort"
    with pytest.raises(WrongUsage) as caught:
        simulate(ORDER, 1, out, 1, lambda done: None)
    assert caught.value.code == "output-unwritable"
    assert not out.exists() or [path.name for path in out.iterdir()] in ([], [".lock"])


def test_a_subject_left_half_by_a_kill_is_made_anew(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    half = out / ".subject-000007.part"
    half.mkdir(parents=True)
    (half / "ct.nii.gz").write_bytes(b"half")
    (out / "cohort.json").write_text(
        json.dumps({"schema": "trabecula.cohort/1", "version": __version__, **asdict(ORDER)})
    )
    assert simulate(ORDER, 1, out, 1, lambda done: None) == 1
    assert sorted(path.name for path in out.iterdir()) == [".lock", "cohort.json", "subject-000007"]


def test_what_a_kill_left_of_an_order_is_taken_up(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    out.mkdir()
    (out / ".cohort.json.part").write_text("{")  # killed at the first write
    with claimed(out, asdict(ORDER)):
        (out / ".subject-000099.part").mkdir()  # of more than is ordered now
        assert make_missing(out, {}, 1, lambda done: None) == 0
    (out / "subject-000007").mkdir()
    assert simulate(ORDER, 1, out, 1, lambda done: None) == 0
    assert sorted(path.name for path in out.iterdir()) == [".lock", "cohort.json", "subject-000007"]


def test_workers_end_with_a_command_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from trabecula.serving.cli import main; main()", "simulate", "-n", "4"]
    ran = subprocess.Popen([*command, "--out", str(tmp_path / "cohort")], stdout=subprocess.DEVNULL)
    children = Path(f"/proc/{ran.pid}/task/{ran.pid}/children")
    until(lambda: len(children.read_text().split()) >= 2)
    workers = [Path("/proc") / one for one in children.read_text().split()]
    ran.kill()
    ran.wait()
    until(lambda: not any(running(one) for one in workers))


def test_a_second_run_is_told_that_the_folder_is_taken_and_a_killed_one_bars_nobody(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    command = [sys.executable, "-c", "from trabecula.serving.cli import main; main()", "simulate", "--out", str(out)]
    first = subprocess.Popen([*command, "-n", "4"], stdout=subprocess.DEVNULL)
    until(lambda: (out / "cohort.json").exists())
    second = subprocess.run([*command, "-n", "1"], capture_output=True, text=True)
    assert (second.returncode, first.poll()) == (2, None)
    assert f"[output-in-use]: Another run is writing into {out}" in second.stderr
    first.kill()
    first.wait()
    until(lambda: free(out))  # its workers end with it
    with pytest.raises(WrongUsage, match="ordered otherwise"):  # not that it is in use
        simulate(replace(ORDER, seed=3), 1, out, 1, lambda done: None)


def free(out: Path) -> bool:
    try:
        with one_run(out):
            return True
    except WrongUsage:
        return False


def running(process: Path) -> bool:
    """Whether it is there and has not ended, though nobody may have asked how."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    last = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < last, "what was waited for never came"
        time.sleep(0.05)


def test_an_error_keeps_its_code_on_its_way_from_a_worker() -> None:
    back = pickle.loads(pickle.dumps(WrongUsage("some-code", "A sentence.")))
    assert (type(back), back.code, back.message) == (WrongUsage, "some-code", "A sentence.")
