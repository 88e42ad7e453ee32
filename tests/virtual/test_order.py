"""A cohort that is ordered: whole folders, exact truth, resumed and never mixed."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.virtual.order import Order, simulate

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
    assert truth["simulated"] is True
    for level in (Level.T12, Level.L1, Level.L2):
        expected_hu = truth["levels"][level]["bmd_k2hpo4"] * 1.422 * truth["protocol"]["slope"]
        assert hu[regions == level.verse_id].mean() == pytest.approx(
            expected_hu + truth["protocol"]["offset_hu"], abs=12
        )


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
    for name in ("ct.nii.gz", "trabecular.nii.gz"):
        first, second = (np.asarray(nib.load(c / "subject-000007" / name).dataobj) for c in (cohort, again))
        assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("order", "number", "code"),
    [
        (ORDER, 0, "nothing-ordered"),
        (Order(protocol="brain"), 1, "unknown-protocol"),
        (Order(format="png"), 1, "unknown-format"),
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
