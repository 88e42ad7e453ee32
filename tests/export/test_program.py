"""The options of ``trabecula screen`` as a person uses them: exit codes, files, and nothing of the patient printed."""

import json
import os
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib
import nibabel as nib
import numpy as np
import pydicom
import pytest

from trabecula.anatomy import Level
from trabecula.flow.read import read
from trabecula.quantity import Category, Measurement
from trabecula.recipe import Recipe
from trabecula.recipes import RECIPES
from trabecula.records import Assessment, Basis, Diagnosis
from trabecula.serving import cli

DENSITY = Measurement(104.76, (90.0, 119.5))
OSTEOPENIA = Diagnosis(Category.OSTEOPENIA, Basis.BANDS, DENSITY, {}, (Level.L1, Level.L2))
Study = Callable[..., Path]
Assess = Callable[..., Assessment]


class Run(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def trabecula(
    assess: Assess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Run]:
    """The program in this process, with a recipe that knows the virtual study's regions."""
    recipe = Recipe(
        "blocks",
        "nobody",
        localise=lambda scan: assess(scan).spine,
        segment=lambda scan, spine: assess(scan).regions,
        calibrate=lambda scan, spine, regions: assess(scan).calibration,
        measure=lambda scan, spine, regions, calibration: assess(scan).readings,
        exclude=lambda scan, spine, regions, calibration, readings: readings,
        diagnose=lambda readings: OSTEOPENIA,
    )
    monkeypatch.setitem(RECIPES, "blocks", recipe)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def run(*arguments: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["trabecula", "screen", *map(str, arguments), "--recipe", "blocks"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return Run(ended.value.code, *capsys.readouterr())

    return run


def named(dataset: pydicom.Dataset) -> None:
    dataset.PatientName, dataset.PatientID = "ZQDoe^Jane", "ZQ4711"


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_or_a_zip(trabecula: Callable[..., Run], study: Study, tmp_path: Path, packed: bool) -> None:
    given = study(named)
    if packed:
        with zipfile.ZipFile(tmp_path / "ct.zip", "w") as archive:
            for path in given.iterdir():
                archive.write(path, path.name)
        given = tmp_path / "ct.zip"
    out = tmp_path / "out"
    ran = trabecula(given, "--out", out, "--dicom", "--fhir")
    assert (ran.code, ran.err) == (0, "")
    assert "ZQ" not in ran.out
    files = set(json.loads((out / "assessment.json").read_text())["run"]["files"])
    assert {f"dicom/{name}.dcm" for name in ("seg", "sr", "report", "capture")} < files
    assert {"fhir.json", "report.pdf"} < files
    assert str(pydicom.dcmread(out / "dicom" / "sr.dcm").PatientName) == "ZQDoe^Jane"
    again = trabecula(given, "--out", out, "--deidentify", "--fhir")
    assert again.code == 0
    assert not (out / "dicom").exists()
    written = b"".join(path.read_bytes() for path in out.iterdir())
    assert b"ZQDoe" not in written and b"ZQ4711" not in written


def test_no_headers(trabecula: Callable[..., Run], study: Study, tmp_path: Path) -> None:
    scan = read(study())
    path = tmp_path / "ct.nii.gz"
    nib.save(nib.Nifti1Image(scan.volume.hu.T, np.diag([-1.5, -1.2, 3.0, 1.0])), path)
    ran = trabecula(path, "--out", tmp_path / "out", "--dicom")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("Refused [no-dicom-headers]: ") and ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert trabecula(path, "--out", tmp_path / "out", "--fhir", "--deidentify").code == 0
    assert (tmp_path / "out" / "fhir.json").exists()


PRINTED = """
from trabecula.export.pdf import pdf_of, require_fonts
require_fonts("en")
pdf_of("<style>p { unknown: 1 }</style><p>text</p>")
"""


def fonts_of(pdf: bytes) -> set[str]:
    """The names of the fonts that a PDF embeds; its objects lie in deflated streams."""
    streams = [zlib.decompressobj().decompress(s) for s in re.findall(rb"stream\r?\n(x.*?)endstream", pdf, re.DOTALL)]
    return {name.decode() for stream in streams for name in re.findall(rb"/BaseFont ?/[A-Z]+\+([\w-]+)", stream)}


def test_the_pdf_holds_the_characters_of_its_language(
    trabecula: Callable[..., Run], study: Study, tmp_path: Path
) -> None:
    if not subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True, check=True).stdout:
        pytest.skip("no font holds Chinese; tools/apt.sh installs one")
    out = tmp_path / "out"
    ran = trabecula(study(), "--out", out, "--dicom", "--language", "zh")
    assert (ran.code, ran.err) == (0, "")
    assert re.search(r"CJK|WenQuanYi|Droid|Han|Song|Hei", " ".join(fonts_of((out / "report.pdf").read_bytes())))
    held = pydicom.dcmread(out / "dicom" / "report.dcm").EncapsulatedDocument
    assert held.startswith((out / "report.pdf").read_bytes())


def test_a_language_without_a_font_is_found_out_beforehand(study: Study, tmp_path: Path) -> None:
    """In a process of its own that sees no font for Chinese."""
    latin = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    config = tmp_path / "fonts.conf"
    config.write_text(f"<fontconfig><dir>{latin}</dir><cachedir>{tmp_path / 'cache'}</cachedir></fontconfig>")
    program = [sys.executable, "-c", "from trabecula.serving.cli import main; main()"]
    ran = subprocess.run(
        [*program, "screen", str(study()), "--out", str(tmp_path / "out"), "--dicom", "--language", "zh"],
        env={**os.environ, "FONTCONFIG_FILE": str(config)},
        capture_output=True,
        text=True,
    )
    again = subprocess.run([sys.executable, "-c", PRINTED], capture_output=True, text=True, check=True)
    assert again.stderr == ""  # weasyprint's own complaints are for those who write style sheets
    assert ran.returncode == 1
    assert " [pdf-font-missing]: " in ran.stderr and ran.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def texts_of(dataset: pydicom.Dataset) -> list[str]:
    """Every sentence of a structured report."""
    below = [text for item in dataset.get("ContentSequence", []) for text in texts_of(item)]
    return [*([str(dataset.TextValue)] if "TextValue" in dataset else []), *below]


def test_sr_and_fhir_speak_the_language_of_the_report(
    trabecula: Callable[..., Run], study: Study, tmp_path: Path
) -> None:
    ran = trabecula(study(), "--out", tmp_path / "out", "--dicom", "--fhir", "--language", "de")
    assert (ran.code, ran.err) == (0, "")
    said = texts_of(pydicom.dcmread(tmp_path / "out" / "dicom" / "sr.dcm"))
    bundle = json.loads((tmp_path / "out" / "fhir.json").read_text(encoding="utf-8"))
    assert bundle["language"] == "de"
    reports = [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "DiagnosticReport"]
    verdict = "Osteopenie: 104.8 mg/cm3 (95%-Intervall 90 bis 120), Mittel von L1 und L2, K2HPO4-Äquivalent."
    assert verdict in said and reports[0]["conclusion"].startswith(verdict)
    assert any(sentence.startswith("Nur für die Forschung.") for sentence in said)


def days(dataset: pydicom.Dataset) -> None:
    dataset.AccessionNumber, dataset.StudyID, dataset.SeriesNumber = "ZQ-17", "ZQ5", 201
    dataset.StudyDate, dataset.SeriesDate, dataset.AcquisitionDate = "20210304", "20210305", "20210305"


def test_the_report_names_its_study_and_a_deidentified_one_does_not(
    trabecula: Callable[..., Run], study: Study, tmp_path: Path
) -> None:
    ran = trabecula(study(days), "--out", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    for said in ("ZQ-17", "no. ZQ5, 2021-03-04", "no. 201, 2021-03-05"):
        assert said in page
    told = json.loads((tmp_path / "out" / "assessment.json").read_text())
    assert told["scan"]["scanned_on"] == "2021-03-05"
    assert "ZQ" not in ran.out + json.dumps(told)
    trabecula(tmp_path / "ct", "--out", tmp_path / "clean", "--deidentify", "--dicom")
    for path in (tmp_path / "clean").rglob("*"):
        if path.suffix in (".html", ".json"):
            text = re.sub(r"base64,[^\"]*", "", path.read_text())
            assert "ZQ" not in text and "2021-03" not in text and "202103" not in text, path.name
    clean = (tmp_path / "clean" / "report.html").read_text()
    assert "De-identified: name, number, birth date" in clean and "Accession number" not in clean
