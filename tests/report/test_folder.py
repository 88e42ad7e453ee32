"""The result folder: keys of the contract, regions and pictures the right way round, all of it or nothing."""

import json
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.flow import diagnose as bands
from trabecula.flow.document import BANDS_MG_CM3, rounded_bmd
from trabecula.flow.figures import INK, marked, overlays
from trabecula.flow.read import read
from trabecula.flow.report import report, require_writable
from trabecula.formats.given import volume_from_given
from trabecula.messages import LANGUAGES, Phrase
from trabecula.records import (
    Acquisition,
    Assessment,
    Densities,
    Diagnosis,
    Reason,
    Regions,
    Scan,
    Spine,
    VertebraBox,
    VertebraDensity,
    reason,
)
from trabecula.volume import Orientation, Volume

SPACING_MM = (2.5, 1.2, 1.5)
MIDDLES = {Level.T12: (50, 40, 44), Level.L1: (36, 36, 36), Level.L2: (22, 32, 30)}  # bends to the right and back
BODY_MM = (8.0, 11.0, 15.0)  # half axes
RESULT_FILES = {
    *("assessment.json", "regions.nii.gz", "report.html", "sagittal.png", "coronal.png"),
    *("axial-T12.png", "axial-L1.png", "axial-L2.png"),
}


def assessment(source: str = "nifti", orientation: Orientation | None = None, **acquisition: Any) -> Assessment:
    """Three ellipsoids of 150 HU, a leaning spine, in soft tissue; L1 and L2 used, T12 withheld."""
    shape = (64, 90, 80)
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = SPACING_MM
    affine[:, 3] = (-60, -50, 900, 1)
    hu, labels = np.full(shape, 40, np.float32), np.zeros(shape, np.uint8)
    grid = np.indices(shape)
    for level, middle in MIDDLES.items():
        reach = [(g - m) * s / b for g, m, s, b in zip(grid, middle, SPACING_MM, BODY_MM, strict=True)]
        inside = sum(r**2 for r in reach) < 1
        hu[inside], labels[inside] = 150 + 10 * (np.arange(inside.sum()) % 3 - 1), level.verse_id
    volume = Volume(hu, affine)
    vertebrae = tuple(vertebra(level, volume, labels) for level in MIDDLES)
    half_z, half_x = 12 / SPACING_MM[0], 20 / SPACING_MM[2]
    boxes = tuple(
        VertebraBox(v, 0.9, (z - half_z, z + half_z), (x - half_x, x + half_x)) for v, (z, _, x) in MIDDLES.items()
    )
    acquired = Acquisition(source=source, **acquisition)
    return Assessment(
        recipe="blocks",
        scan=Scan(volume, orientation or Orientation(), acquired, (Reason("thick-slices", "Slices are thick."),)),
        spine=Spine(boxes, 36.0),
        regions=Regions(labels, ()),
        densities=Densities(vertebrae, {"rung": "none", "material": "K2HPO4", "slope_hu_cm3_mg": np.float32(1.422)}),
        diagnosis=Diagnosis("osteopenia", 104.76, (90.0, 119.5), {"osteopenia": 0.95}, (Level.L1, Level.L2)),
        run={"version": "0", "seconds": {"read": 1.0}, "settings": {"window": (0, np.nan)}},
    )


def vertebra(level: Level, volume: Volume, labels: np.ndarray[Any, Any]) -> VertebraDensity:
    mask = labels == level.verse_id
    x, y, z = volume.to_lps(np.argwhere(mask).mean(axis=0))
    hu, size = volume.hu[mask], float(mask.sum() * volume.voxel_volume_mm3)
    if level is Level.T12:
        why = (Reason("metal", "T12 holds metal."),)
        return VertebraDensity(level, (x, y, z), size, float(hu.mean()), float(hu.std()), None, None, why)
    return VertebraDensity(level, (x, y, z), size, float(hu.mean()), float(hu.std()), 104.76, (90.0, 119.5))


def written(folder: Path) -> dict[str, Any]:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    loaded: dict[str, Any] = json.loads((folder / "assessment.json").read_text(), parse_constant=no_constant)
    return loaded


def picture(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)


def rows_of(image: np.ndarray[Any, Any], standing: str) -> np.ndarray[Any, Any]:
    return np.flatnonzero((image == INK[standing]).all(axis=2).any(axis=1))


def test_the_contract_to_the_key(tmp_path: Path) -> None:
    page = report(assessment(), tmp_path / "deep" / "out")
    out = tmp_path / "deep" / "out"
    assert page == out / "report.html"
    assert {path.name for path in out.iterdir()} == RESULT_FILES
    found = written(out)
    assert list(found) == ["schema", "recipe", "scan", "vertebrae", "diagnosis", "calibration", "reasons", "run"]
    assert found["schema"] == "trabecula.assessment/1"
    assert [list(vertebra) for vertebra in found["vertebrae"]] == [
        [
            *("level", "centroid_lps_mm", "bmd_mg_cm3", "bmd_interval_mg_cm3", "mean_hu", "sd_hu"),
            *("volume_mm3", "measurable", "reasons"),
        ]
    ] * 3
    assert found["diagnosis"] == {
        "category": "osteopenia",
        "bmd_mg_cm3": 104.76,
        "bmd_interval_mg_cm3": [90.0, 119.5],
        "probabilities": {"osteopenia": 0.95},
        "levels_used": ["L1", "L2"],
    }
    t12, l1, _ = found["vertebrae"]
    assert (t12["measurable"], t12["bmd_mg_cm3"], t12["bmd_interval_mg_cm3"]) == (False, None, None)
    assert t12["reasons"] == [{"code": "metal", "message": "T12 holds metal."}]
    assert (l1["measurable"], l1["bmd_interval_mg_cm3"]) == (True, [90.0, 119.5])
    assert l1["mean_hu"] == pytest.approx(150, abs=0.1)
    assert found["reasons"] == [{"code": "thick-slices", "message": "Slices are thick."}]
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
def test_regions_lie_on_the_grid_as_given(tmp_path: Path, source: str, orientation: Orientation) -> None:
    made = assessment(source, orientation)
    report(made, tmp_path / "out")
    image = nib.load(tmp_path / "out" / "regions.nii.gz")
    given = made.scan.orientation.undo(made.regions.labels)
    assert image.get_data_dtype() == np.uint8
    assert image.shape == (given.shape[::-1] if source == "dicom" else given.shape)
    found = np.asarray(image.dataobj)
    for vertebra in made.densities.vertebrae:
        ras = image.affine[:3, :3] @ np.argwhere(found == vertebra.level.verse_id).mean(axis=0) + image.affine[:3, 3]
        assert ras * [-1, -1, 1] == pytest.approx(np.asarray(vertebra.centroid_lps_mm), abs=1e-3)
    back, _ = volume_from_given(found, np.diag([-1.0, -1, 1, 1]) @ image.affine)
    assert np.array_equal(back.hu, made.regions.labels)


def test_regions_of_a_real_ct_come_back_on_its_own_grid(tmp_path: Path) -> None:
    if "TRABECULA_REAL_CT" not in os.environ:
        pytest.skip("TRABECULA_REAL_CT does not name the folder of real CTs")
    folder = Path(os.environ["TRABECULA_REAL_CT"])
    scan = read(folder / "totalsegmentator-example" / "example_ct.nii.gz")
    mask = nib.load(folder / "masks" / "totalsegmentator-example.nii.gz")
    labels = np.ascontiguousarray(scan.orientation.apply(np.asarray(mask.dataobj)), np.uint8)
    levels = [level for level in Level if (labels == level.verse_id).any()]
    densities = Densities(tuple(replace(vertebra(level, scan.volume, labels)) for level in levels), {})
    result = Diagnosis("undetermined", None, None, {}, ())
    report(Assessment("by hand", scan, Spine((), 50.0), Regions(labels, ()), densities, result), tmp_path / "out")
    image = nib.load(tmp_path / "out" / "regions.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), np.asarray(mask.dataobj))
    assert image.affine == pytest.approx(mask.affine, abs=1e-4)
    assert {level.value for level in levels} >= {"L1", "L2"}
    sagittal = picture((tmp_path / "out" / "sagittal.png").read_bytes())
    rows = rows_of(sagittal, "measured")
    assert np.ptp(rows) / 4 == pytest.approx(2 * 27 + 10, abs=15)  # L1 and L2 are about 64 mm tall together


@pytest.mark.parametrize(
    ("name", "bright", "half"),
    [
        ("sagittal.png", np.s_[36:], np.s_[:240]),  # superior is up
        ("coronal.png", np.s_[36:], np.s_[:240]),
        ("sagittal.png", np.s_[:, :36], np.s_[:, :200]),  # anterior is on the left
        ("axial-L1.png", np.s_[:, :36], np.s_[:150]),  # and up
        ("coronal.png", np.s_[:, :, :37], np.s_[:, :220]),  # the patient's right is on the left
        ("axial-L1.png", np.s_[:, :, :36], np.s_[:, :180]),
    ],
)
def test_pictures_are_the_right_way_round(name: str, bright: Any, half: Any) -> None:
    made = assessment()
    made.scan.volume.hu[bright] += 500
    image = picture(overlays(made)[name]).mean(axis=2)
    assert image[half].mean() > image.mean() + 15


def test_pictures_keep_the_proportions_of_the_body() -> None:
    rows, columns = np.nonzero((picture(overlays(assessment())["axial-L1.png"])[:280] == INK["used"]).all(axis=2))
    assert np.ptp(rows) / 4 == pytest.approx(2 * BODY_MM[1], abs=2.5)
    assert np.ptp(columns) / 4 == pytest.approx(2 * BODY_MM[2], abs=2.5)


def test_every_body_of_a_bent_spine_is_shown_in_both_views() -> None:
    pictures = overlays(assessment())
    for name in ("sagittal.png", "coronal.png"):
        used = rows_of(picture(pictures[name]), "used")
        withheld = rows_of(picture(pictures[name]), "withheld")
        gap = int(np.argmax(np.diff(used)))
        l1, l2 = used[: gap + 1], used[gap + 1 :]
        assert withheld.size and withheld.mean() < l1.mean() < l2.mean()
        for rows in (l1, l2):
            assert np.ptp(rows) / 4 == pytest.approx(2 * BODY_MM[0], abs=3.5)


def test_a_scan_without_any_vertebra_is_still_reported(tmp_path: Path) -> None:
    made = assessment()
    empty = replace(
        made,
        spine=Spine((), 0.0),
        regions=Regions(np.zeros_like(made.regions.labels), ()),
        densities=Densities((), {}),
        diagnosis=Diagnosis("undetermined", None, None, {}, (), (Reason("too-few-vertebrae", "None is in view."),)),
    )
    text = report(empty, tmp_path / "out").read_text()
    assert "Undetermined" in text and "None is in view." in text and "No vertebra could be measured." in text
    diagnosis = written(tmp_path / "out")["diagnosis"]
    assert diagnosis["bmd_mg_cm3"] is None and diagnosis["bmd_interval_mg_cm3"] is None


def test_the_page_says_what_it_must(tmp_path: Path) -> None:
    text = report(assessment(manufacturer="ACME", tube_voltage_kvp=100.0), tmp_path / "out").read_text()
    for words in (
        *("Osteopenia", ">104.8 <", "90 to 120", "L1 and L2", "T12 holds metal.", "withheld", "Slices are thick."),
        *("Research use only.", "This result cannot be used to rule out low BMD.", "K2HPO4-equivalent", "ACR / ISCD"),
        *("no T-score is derived", "ACME", "100 kVp", "Osteopenia 95%"),
    ):
        assert words in text
    needle = float(re.findall(r'class="needle" style="left:([\d.]+)%', text)[0])
    assert needle == pytest.approx(104.76 / 200 * 100, abs=0.01)


def test_the_page_is_told_in_chinese_and_the_record_in_english(tmp_path: Path) -> None:
    made = assessment(tube_voltage_kvp=100.0, patient_sex="F", patient_age_years=67)
    made = replace(made, scan=replace(made.scan, reasons=(reason("tube-voltage", voltage_kvp=100.0),)))
    t12 = replace(made.densities.vertebrae[0], reasons=(reason("metal", level="T12", limit_hu=2000.0),))
    rung = Phrase("rung-network", {"line": Phrase("rung-default")})
    densities = Densities((t12, *made.densities.vertebrae[1:]), {"rung": rung, "material": "K2HPO4"})
    made = replace(made, densities=densities)
    text = report(made, tmp_path / "out", language="zh").read_text()
    assert '<html lang="zh-CN">' in text
    for words in (
        *("骨量减少", "骨质疏松", "骨密度正常", "95% 区间 90 至 120 mg/cm³", "L1 和 L2", "不予报告", "女、67 岁"),
        *(
            "仅供研究使用。",
            "本结果不能用于排除低骨密度。",
            "扫描管电压为 100 kVp",
            "T12 内有金属或骨水泥",
            "管电压默认校准线",
            "不推算 T 值",
        ),
    ):
        assert words in text
    english = {word for word in re.findall(r">([^<>]+)<", text.partition("</style>")[2]) if word.isascii()}
    assert not [word for word in english if re.search(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}", word)]
    found = written(tmp_path / "out")
    assert found["reasons"][-1]["message"].startswith("The scan was made at 100 kVp")
    assert found["calibration"]["rung"] == "network trained at 120 kVp; second opinion: tube-voltage default"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_level_has_a_bar_on_the_bands_of_the_answer(tmp_path: Path, language: str) -> None:
    text = report(assessment(), tmp_path / "out", language=language).read_text()
    dots = [float(at) for at in re.findall(r'class="dot" style="left:([\d.]+)%', text)]
    assert dots == pytest.approx([104.76 / 2] * 2)  # T12 is withheld: no bar
    whiskers = re.findall(r'class="whisker" style="left:([\d.]+)%;width:([\d.]+)%', text)
    assert [(float(a), float(b)) for a, b in whiskers] == [(45.0, 14.75)] * 3
    assert text.count('class="zone osteopenia') == 3


def test_a_density_beyond_the_bands_widens_every_scale(tmp_path: Path) -> None:
    made = assessment()
    t12, l1, l2 = made.densities.vertebrae
    dense = replace(l2, bmd_mg_cm3=230.0, bmd_interval_mg_cm3=(190.0, 251.0))
    text = report(
        replace(made, densities=replace(made.densities, vertebrae=(t12, l1, dense))), tmp_path / "out"
    ).read_text()
    assert re.findall(r'class="dot" style="left:([\d.]+)%', text) == ["40.29", "88.46"]  # of 0 to 260
    assert 'class="needle" style="left:40.29%' in text


def test_vertebrae_without_names_are_counted_from_above(tmp_path: Path) -> None:
    made = assessment()
    names = dict(zip(MIDDLES, (Level.UNKNOWN_1, Level.UNKNOWN_2, Level.UNKNOWN_3), strict=True))
    labels = np.zeros_like(made.regions.labels)
    for level, name in names.items():
        labels[made.regions.labels == level.verse_id] = name.verse_id
    unnamed = replace(
        made,
        spine=replace(made.spine, vertebrae=tuple(replace(v, level=names[v.level]) for v in made.spine.vertebrae)),
        regions=Regions(labels, ()),
        densities=replace(
            made.densities, vertebrae=tuple(replace(v, level=names[v.level]) for v in made.densities.vertebrae)
        ),
        diagnosis=Diagnosis("undetermined", None, None, {}, ()),
    )
    text = report(unnamed, tmp_path / "en").read_text()
    assert "unknown-3" in text and "vertebrae that cannot be named" in text and "Levels measured: none" in text
    assert (tmp_path / "en" / "axial-unknown-2.png").exists()
    assert "未定节段 3" in report(unnamed, tmp_path / "zh", language="zh").read_text()
    assert written(tmp_path / "zh")["vertebrae"][2]["level"] == "unknown-3"
    assert [mark.name for mark in marked(unnamed)] == ["(?1)", "?2", "?3"]


def test_the_page_needs_nothing_beside_itself(tmp_path: Path) -> None:
    text = report(assessment(), tmp_path / "out").read_text()
    sources = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')\s]{0,22})', text)
    assert len(sources) == 5
    assert set(sources) == {"data:image/png;base64,"}
    assert not re.search(r"<(script|link|iframe|object)|https?:|@import", text)


def test_markup_in_a_header_or_a_reason_stays_text(tmp_path: Path) -> None:
    evil = '"><script>alert(1)</script>'
    made = assessment(series_description=evil, kernel=evil, manufacturer=evil)
    made = replace(made, recipe=evil, diagnosis=replace(made.diagnosis, reasons=(Reason("a<b", evil),)))
    text = report(made, tmp_path / "out").read_text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 7
    assert written(tmp_path / "out")["scan"]["kernel"] == evil


def test_bands_are_those_of_the_diagnosis() -> None:
    assert BANDS_MG_CM3 == (bands.OSTEOPOROSIS_BELOW_MG_CM3, bands.NORMAL_ABOVE_MG_CM3)


@pytest.mark.parametrize(
    ("bmd", "shown"),
    [(79.97, 79.97), (80.0, 80.0), (79.9996, 79.9996), (120.04, 120.04), (120.0, 120.0), (97.26, 97.3)],
)
def test_rounding_never_crosses_a_band(bmd: float, shown: float) -> None:
    assert rounded_bmd(bmd, 1) == shown
    assert bands.category(rounded_bmd(bmd, 1)) == bands.category(bmd)


def test_a_new_result_takes_the_place_of_the_earlier_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    made = assessment()
    report(made, out)
    fewer = replace(made, densities=replace(made.densities, vertebrae=made.densities.vertebrae[1:]))
    report(fewer, out)
    assert {path.name for path in out.iterdir()} == RESULT_FILES - {"axial-T12.png"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_no_result_is_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    report(assessment(), out)
    (out / "my notes.txt").write_text("mine")
    with pytest.raises(WrongUsage) as refused:
        report(assessment(), out)
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


def test_a_failure_leaves_the_earlier_result_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    report(assessment(), out)
    before = (out / "assessment.json").read_bytes()
    wrong = replace(assessment(), diagnosis=replace(assessment().diagnosis, category="excellent"))
    with pytest.raises((ValidationError, KeyError)):
        report(wrong, out)
    with full_disk(), pytest.raises(WrongUsage) as refused:
        report(assessment(), out)
    assert refused.value.code == "output-unwritable"
    with full_disk(), pytest.raises(WrongUsage):
        report(assessment(), tmp_path / "other")
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
