"""The result folder: keys of the contract, regions the right way round, all of it or nothing."""

import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image, ImageColor

from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.flow.read import read
from trabecula.formats.given import volume_from_given
from trabecula.messages import Phrase
from trabecula.palette import colour_of
from trabecula.quantity import Category
from trabecula.records import (
    Assessment,
    Basis,
    Calibration,
    Diagnosis,
    Readings,
    Reason,
    Regions,
    Spine,
    VertebraReading,
)
from trabecula.report.folder import report, require_writable
from trabecula.volume import Orientation

Blocks = Callable[..., Assessment]
RESULT_FILES = {
    *("assessment.json", "regions.nii.gz", "report.html", "sagittal.png", "coronal.png"),
    *("axial-T12.png", "axial-L1.png", "axial-L2.png"),
}
NOTHING = Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, ())


def written(folder: Path) -> dict[str, Any]:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    loaded: dict[str, Any] = json.loads((folder / "assessment.json").read_text(), parse_constant=no_constant)
    return loaded


def test_the_contract_to_the_key(blocks: Blocks, tmp_path: Path) -> None:
    page = report(blocks(), tmp_path / "deep" / "out")
    out = tmp_path / "deep" / "out"
    assert page == out / "report.html"
    assert {path.name for path in out.iterdir()} == RESULT_FILES
    found = written(out)
    assert {"schema", "recipe", "scan", "vertebrae", "diagnosis", "calibration", "reasons", "run"} <= set(found)
    assert found["schema"] == "trabecula.assessment/1"
    about = {
        name: found["diagnosis"][name] for name in ("category", "bmd_mg_cm3", "bmd_interval_mg_cm3", "levels_used")
    }
    assert about == {
        "category": "osteopenia",
        "bmd_mg_cm3": 104.76,
        "bmd_interval_mg_cm3": [90.0, 119.5],
        "levels_used": ["L1", "L2"],
    }
    assert found["diagnosis"]["probabilities"] == {"osteopenia": 0.95}
    t12, l1, _ = found["vertebrae"]
    assert (t12["measurable"], t12["bmd_mg_cm3"], t12["bmd_interval_mg_cm3"]) == (False, None, None)
    assert [(one["code"], one["message"], one["effect"]) for one in t12["reasons"]] == [
        ("metal", "T12 holds metal.", "withhold")
    ]
    assert (l1["measurable"], l1["bmd_interval_mg_cm3"]) == (True, [90.0, 119.5])
    assert l1["mean_hu"] == pytest.approx(150, abs=0.1)
    assert [(one["code"], one["message"]) for one in found["reasons"]] == [("thick-slices", "Slices are thick.")]
    assert found["calibration"]["slope_hu_cm3_mg"] == 1.422
    assert found["run"]["settings"] == {"window": [0, None]}
    assert set(found["run"]["files"]) == RESULT_FILES
    assert found["run"]["seconds"]["report"] > 0


@pytest.mark.parametrize(
    ("source", "orientation"),
    [
        ("nifti", Orientation((2, 1, 0), (False, False, True))),
        ("nifti", Orientation((1, 2, 0), (True, True, False))),
        ("dicom", Orientation()),
        ("dicom", Orientation((0, 2, 1), (True, False, False))),
    ],
)
def test_regions_lie_on_the_grid_as_given(
    blocks: Blocks, tmp_path: Path, source: str, orientation: Orientation
) -> None:
    made = blocks(source, orientation)
    report(made, tmp_path / "out")
    image = nib.load(tmp_path / "out" / "regions.nii.gz")
    given = made.scan.orientation.undo(made.labels)
    assert image.get_data_dtype() == np.uint8
    assert image.shape == (given.shape[::-1] if source == "dicom" else given.shape)
    found = np.asarray(image.dataobj)
    for vertebra in made.readings.vertebrae:
        ras = image.affine[:3, :3] @ np.argwhere(found == vertebra.level.verse_id).mean(axis=0) + image.affine[:3, 3]
        assert ras * [-1, -1, 1] == pytest.approx(np.asarray(vertebra.centroid_lps_mm), abs=1e-3)
    back, _ = volume_from_given(found, np.diag([-1.0, -1, 1, 1]) @ image.affine)
    assert np.array_equal(back.hu, made.labels)


def test_regions_of_a_real_ct_come_back_on_its_own_grid(
    reading_of: Callable[..., VertebraReading], tmp_path: Path
) -> None:
    if "TRABECULA_REAL_CT" not in os.environ:
        pytest.skip("TRABECULA_REAL_CT does not name the folder of real CTs")
    folder = Path(os.environ["TRABECULA_REAL_CT"])
    scan = read(folder / "totalsegmentator-example" / "example_ct.nii.gz")
    mask = nib.load(folder / "masks" / "totalsegmentator-example.nii.gz")
    labels = np.ascontiguousarray(scan.orientation.apply(np.asarray(mask.dataobj)), np.uint8)
    levels = [level for level in Level if (labels == level.verse_id).any()]
    line = Calibration(Phrase("rung-default"), 1.422, 0.0, 0.07)
    read_off = Readings(tuple(reading_of(level, scan.volume, labels) for level in levels), Phrase("nothing"))
    made = Assessment("by hand", scan, Spine((), 50.0), Regions(labels, ()), line, read_off, NOTHING)
    report(made, tmp_path / "out")
    image = nib.load(tmp_path / "out" / "regions.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), np.asarray(mask.dataobj))
    assert image.affine == pytest.approx(mask.affine, abs=1e-4)
    assert {level.value for level in levels} >= {"L1", "L2"}
    sagittal = np.asarray(Image.open(BytesIO((tmp_path / "out" / "sagittal.png").read_bytes())).convert("RGB"))
    colours = [ImageColor.getrgb(colour_of(level)) for level in (Level.L1, Level.L2)]
    rows = np.flatnonzero(np.any([(sagittal == one).all(axis=2).any(axis=1) for one in colours], axis=0))
    assert np.ptp(rows) / 4 == pytest.approx(2 * 27 + 10, abs=15)  # L1 and L2 are about 64 mm tall together


def test_a_scan_without_any_vertebra_is_still_reported(blocks: Blocks, tmp_path: Path) -> None:
    made = blocks()
    empty = replace(
        made,
        spine=Spine((), 0.0),
        regions=Regions(np.zeros_like(made.labels), ()),
        readings=replace(made.readings, vertebrae=()),
        diagnosis=replace(NOTHING, reasons=(Reason("too-few-vertebrae", "None is in view."),)),
    )
    text = report(empty, tmp_path / "out").read_text()
    assert "Undetermined" in text and "None is in view." in text and "No vertebra could be measured." in text
    diagnosis = written(tmp_path / "out")["diagnosis"]
    assert diagnosis["bmd_mg_cm3"] is None and diagnosis["bmd_interval_mg_cm3"] is None


def test_a_recipe_that_outlines_nothing_is_reported_all_the_same(blocks: Blocks, tmp_path: Path) -> None:
    report(replace(blocks(), regions=None), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == RESULT_FILES
    assert written(tmp_path / "out")["regions"] is None
    image = nib.load(tmp_path / "out" / "regions.nii.gz")
    assert image.shape == (64, 90, 80) and not np.asarray(image.dataobj).any()


def test_a_new_result_takes_the_place_of_the_earlier_one(blocks: Blocks, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    made = blocks()
    report(made, out)
    fewer = replace(made, readings=replace(made.readings, vertebrae=made.readings.vertebrae[1:]))
    report(fewer, out)
    assert {path.name for path in out.iterdir()} == RESULT_FILES - {"axial-T12.png"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_no_result_is_never_replaced(blocks: Blocks, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report(blocks(), out)
    (out / "my notes.txt").write_text("mine")
    with pytest.raises(WrongUsage) as refused:
        report(blocks(), out)
    assert refused.value.code == "output-not-empty"
    assert (out / "my notes.txt").read_text() == "mine"
    (out / "my notes.txt").unlink()
    (out / "assessment.json").write_text('{"schema": "another/1", "run": {"files": ["report.html"]}}')
    with pytest.raises(WrongUsage):
        require_writable(out)
    assert len(list(out.iterdir())) == len(RESULT_FILES)


def test_a_place_that_cannot_be_written_is_found_out_beforehand(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "under", Path("/proc/trabecula")):
        with pytest.raises(WrongUsage) as refused:
            require_writable(out)
        assert refused.value.code == "output-unwritable"
    require_writable(tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failure_leaves_the_earlier_result_and_nothing_else(blocks: Blocks, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report(blocks(), out)
    before = (out / "assessment.json").read_bytes()
    wrong = replace(blocks(), diagnosis=replace(blocks().diagnosis, category="excellent"))
    with pytest.raises((KeyError, ValueError)):
        report(wrong, out)
    with full_disk(), pytest.raises(WrongUsage) as refused:
        report(blocks(), out)
    assert refused.value.code == "output-unwritable"
    with full_disk(), pytest.raises(WrongUsage):
        report(blocks(), tmp_path / "other")
    assert (out / "assessment.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@contextmanager
def full_disk(most_bytes: int = 20_000) -> Iterator[None]:
    """The operating system refuses to let any file grow further, as it does on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
